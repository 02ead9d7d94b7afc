//! The command line of `cargo xtask`, and which function each command calls.

use clap::{Parser, Subcommand};

use crate::dist::{self, Dist};
use crate::failure::Failure;
use crate::hosts::Wanted;
use crate::test::Part;
use crate::workspace::Workspace;
use crate::{bench, demo, drill, hosts, image, schema, test, tools};

/// What contributors run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build everything and run a few tasks on this machine, installing what is missing where allowed.
    Demo,
    /// Run every check of this repository, or only the parts that are named.
    Test {
        /// Parts to run (default: all, in this order).
        #[arg(value_enum)]
        parts: Vec<Part>,
        /// Leave out the tests that need Docker: those with hosts, and those of the images.
        #[arg(long)]
        no_hosts: bool,
        /// Leave out the tests with the real coding CLIs (and so npm and pip).
        #[arg(long)]
        no_tools: bool,
    },
    /// Hosts to test against: Debian with systemd, sshd and tmux, each in a container on 127.0.1.N.
    Hosts {
        #[command(subcommand)]
        command: HostsCommand,
    },
    /// Build the images of the Dockerfile, and print their sizes.
    Image(image::Wanted),
    /// Install the real coding CLIs that tests run, at their pinned versions, into the build directory.
    Tools {
        /// Which (default: all). NAME@VERSION takes another version.
        names: Vec<String>,
        /// Install nothing; show which there are.
        #[arg(long, conflicts_with = "names")]
        list: bool,
        /// Install nothing; print where this one's program is.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["names", "list"])]
        path: Option<String>,
    },
    /// Measure release builds and print a table of docs/performance.md.
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        what: Bench,
        /// For `deploy`, `dispatch` and `containers`: how many test hosts [default: 12; for `containers` 6]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
        hosts: Option<u8>,
        /// For `deploy`, `dispatch` and `containers`: build nothing, measure the release builds that are there (for `dispatch`
        /// in the build directory that CM_BENCH_TARGET names, if set).
        #[arg(long)]
        built: bool,
        /// For `dispatch`: how many tasks, where there are many.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(10..=10_000))]
        tasks: u16,
        /// For `dispatch`: measure only this (again for more).
        #[arg(long, value_name = "NAME", value_enum, num_args = 1..)]
        only: Vec<bench::DispatchPart>,
    },
    /// Dispatch tasks over test hosts while agents, sessions, the client, hosts and networks fail; count what was done.
    Drill {
        /// How many test hosts. Two of them do not survive.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(6..=40))]
        hosts: u8,
        /// How many tasks.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(200..=10_000))]
        tasks: u16,
    },
    /// Make the files of a release: programs, manual pages, completions, bills of materials, checksums.
    Dist(Dist),
    /// Write docs/protocol.schema.json from the types of cm-protocol.
    Schema {
        /// Write nothing; fail if the file is not what would be written.
        #[arg(long)]
        check: bool,
    },
}

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Bench {
    /// The agent: latencies, memory, quiet and flooded sessions.
    Agent,
    /// The real coding CLIs: whether their state is seen right, how fast they are answered, what that costs.
    Tools,
    /// Deployments to test hosts, beside OpenSSH by hand, pyinfra and ansible.
    Deploy,
    /// Deployments of containers to engines, beside Docker's own commands over OpenSSH.
    Containers,
    /// Tasks over test hosts, beside OpenSSH, xargs and tmux; and what a client costs.
    Dispatch,
    /// The scheduler: what a decision costs with 100, 1,000 and 10,000 hosts.
    Schedule,
}

#[derive(Debug, Subcommand)]
enum HostsCommand {
    /// Make the image (nothing to do if it exists and its recipe has not changed).
    Build,
    /// Have N hosts up and ready: h1 on 127.0.1.1 to hN on 127.0.1.N.
    Up {
        /// How many.
        #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
        n: u8,
        /// Not N plain hosts but the cast of the deployment tests: special ones and some plain ones, on
        /// 127.0.1.101 and up (20: all there are). Builds the agent that tests deploy, too.
        #[arg(long)]
        cast: bool,
        /// A host of this kind besides (again for more): `cargo xtask hosts kinds` lists them.
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<String>,
    },
    /// Build the static agent that tests deploy to hosts.
    Agent,
    /// List the kinds of hosts.
    Kinds,
    /// Remove the hosts of this checkout.
    Down {
        /// Also those that other checkouts on this machine have started.
        #[arg(long)]
        all: bool,
        /// Also the images.
        #[arg(long)]
        images: bool,
    },
    /// Show what is up.
    Status,
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    match cli.command {
        Command::Demo => demo::run(&workspace),
        Command::Test { parts, no_hosts, no_tools } => {
            test::run(&workspace, &Part::chosen(&parts, no_hosts, no_tools))
        }
        Command::Hosts { command } => match command {
            HostsCommand::Build => hosts::build(&workspace),
            HostsCommand::Up { n, cast, kinds } => hosts::up(&workspace, &Wanted { n, cast, kinds }),
            HostsCommand::Agent => hosts::agent(&workspace).map(|_| ()),
            HostsCommand::Kinds => {
                hosts::kinds();
                Ok(())
            }
            HostsCommand::Down { all, images } => hosts::down(&workspace, all, images),
            HostsCommand::Status => hosts::status(&workspace),
        },
        Command::Image(wanted) => image::run(&workspace, &wanted),
        Command::Tools { list: true, .. } => tools::list(&workspace),
        Command::Tools { path: Some(name), .. } => tools::path(&workspace, &name),
        Command::Tools { names, .. } => tools::install(&workspace, &names),
        Command::Bench { what: Bench::Agent, .. } => bench::agent(&workspace),
        Command::Bench { what: Bench::Tools, .. } => bench::tools(&workspace),
        Command::Bench { what: Bench::Deploy, hosts, built, .. } => {
            bench::deploy(&workspace, hosts.unwrap_or(12), built)
        }
        Command::Bench { what: Bench::Containers, hosts, built, .. } => {
            bench::containers(&workspace, hosts.unwrap_or(6), built)
        }
        Command::Bench { what: Bench::Dispatch, hosts, built, tasks, only } => {
            let hosts = hosts.unwrap_or(12);
            bench::dispatch(&workspace, &bench::DispatchWanted { hosts, tasks, built, only })
        }
        Command::Bench { what: Bench::Schedule, .. } => bench::schedule(&workspace),
        Command::Drill { hosts, tasks } => drill::run(&workspace, hosts, tasks),
        Command::Dist(wanted) => dist::run(&workspace, &wanted).map(|_| ()),
        Command::Schema { check: true } => schema::check(&workspace),
        Command::Schema { check: false } => schema::write(&workspace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
