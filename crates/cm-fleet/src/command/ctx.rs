//! `cm-fleet ctx`: the user's own hosts by name, kept in a file beside the user's own inventory.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::inventory::{AgentSettings, Host, Inventory, Runtime, SecretRef, SystemdSettings, contexts};
use crate::report::clean::clean;
use crate::report::table::{Cell, Column, render};
use crate::report::terminal;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet ctx add lab --host 10.0.0.7 --user op
  cm-fleet ctx add old --host build.example.com --agent-port 9876 --agent-token-file ~/.config/old.token
  cm-fleet start claude \"fix the failing test\" --ctx lab
  cm-fleet sessions --ctx lab

What is not said (user, port, keys, jump hosts) is as in your ssh configuration. The file is an inventory:
`-i ~/.config/cm-fleet/contexts.yaml` takes it wherever one is taken.")]
pub struct Ctx {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Keep a host under a name
    Add(Box<Add>),
    /// List them
    #[command(visible_alias = "ls")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one
    Show {
        /// Its name
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Forget one; the host itself is not touched
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// Its name here
    name: String,
    /// Where ssh connects: a name (also one of ssh_config) or an address [default: NAME]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Who logs in
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// ssh's port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A private key to log in with. May be repeated
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The agent is reached at this port of the host's 127.0.0.1, through ssh, instead of at its socket
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(requires = "agent_token_file")]
    agent_port: Option<u16>,
    /// A file with the token the agent wants there
    #[arg(long, value_name = "FILE", requires = "agent_port")]
    agent_token_file: Option<PathBuf>,
    /// In place of one of that name
    #[arg(long)]
    force: bool,
}

/// Does it.
///
/// # Errors
/// The file cannot be read or written, or there is no such context.
pub fn run(args: Ctx) -> Result<Exit, Failure> {
    match args.what {
        What::Add(args) => add(*args),
        What::List { json } => list(json),
        What::Show { name, json } => show(&name, json),
        What::Remove { name } => remove(&name),
    }
}

/// These contexts.
///
/// # Errors
/// There is none of that name, or the file has mistakes.
pub fn select(names: &[String]) -> Result<(Inventory, Vec<Host>), Failure> {
    let inventory = load()?.ok_or_else(|| {
        Failure::usage("there are no contexts yet").hint("cm-fleet ctx add NAME --host HOST makes one")
    })?;
    let mut chosen: Vec<Host> = Vec::new();
    for name in names {
        let host = inventory.host(name).ok_or_else(|| missing(name, &inventory.hosts))?;
        if !chosen.iter().any(|one| one.name == host.name) {
            chosen.push(host.clone());
        }
    }
    Ok((inventory, chosen))
}

/// The file.
///
/// # Errors
/// Nothing says where the user's configuration is.
pub fn file() -> Result<PathBuf, Failure> {
    contexts::path(&env).ok_or_else(|| {
        Failure::usage("cannot tell where your configuration is").hint("set HOME or XDG_CONFIG_HOME")
    })
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn load() -> Result<Option<Inventory>, Failure> {
    let path = file()?;
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    Inventory::load(&path, &env).map(Some).map_err(|error| error.failure())
}

fn missing(name: &str, known: &[Host]) -> Failure {
    let names: Vec<&str> = known.iter().map(|host| host.name.as_str()).collect();
    let failure = Failure::usage(format!("there is no context `{}`", clean(name)));
    match names.as_slice() {
        [] => failure.hint("cm-fleet ctx add NAME --host HOST makes one"),
        names => failure.hint(format!("there are: {}", names.join(", "))),
    }
}

fn save(hosts: &[Host]) -> Result<(), Failure> {
    let text = contexts::write(hosts).map_err(Failure::usage)?;
    contexts::save(&file()?, &text, hosts, &env)
        .map_err(|why| Failure::new(Kind::Task, "the contexts are as they were").caused_by(why))
}

fn add(args: Add) -> Result<Exit, Failure> {
    let mut hosts = load()?.map(|inventory| inventory.hosts).unwrap_or_default();
    let there = hosts.iter().position(|host| host.name == args.name);
    if there.is_some() && !args.force {
        return Err(Failure::usage(format!("there is a context `{}` already", clean(&args.name)))
            .hint("--force puts this one in its place"));
    }
    let host = host(args)?;
    let name = host.name.clone();
    match there.and_then(|index| hosts.get_mut(index)) {
        Some(old) => *old = host,
        None => hosts.push(host),
    }
    save(&hosts)?;
    super::say(&format!("next: cm-fleet sessions --ctx {name}\n"));
    Ok(Exit::Done)
}

fn host(args: Add) -> Result<Host, Failure> {
    if args.name == "all" {
        return Err(Failure::usage("`all` means all hosts where hosts are selected; take another name"));
    }
    let absolute = |path: &PathBuf| {
        std::path::absolute(path)
            .map_err(|e| Failure::usage(format!("{} is no path", path.display())).because(&e))
    };
    let readable = |path: PathBuf| match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(e) => Err(Failure::usage(format!("cannot read {}", path.display())).because(&e)),
    };
    let identity: Result<Vec<PathBuf>, Failure> = args.identity.iter().map(absolute).collect();
    let token = args.agent_token_file.as_ref().map(|path| absolute(path).and_then(readable)).transpose()?;
    let agent = AgentSettings {
        port: args.agent_port,
        token: token.map(SecretRef::File),
        ..AgentSettings::default()
    };
    Ok(Host {
        address: args.host.unwrap_or_else(|| args.name.clone()),
        name: args.name,
        port: args.port,
        user: args.user,
        identity: identity?,
        jump: Vec::new(),
        known_hosts: Vec::new(),
        host_key: None,
        groups: Default::default(),
        labels: Default::default(),
        slots: None,
        runtime: Runtime::Systemd(SystemdSettings::default()),
        agent,
        policy: None,
        env: Default::default(),
    })
}

fn remove(name: &str) -> Result<Exit, Failure> {
    let hosts = load()?.map(|inventory| inventory.hosts).unwrap_or_default();
    let (gone, left): (Vec<Host>, Vec<Host>) = hosts.into_iter().partition(|host| host.name == name);
    if gone.is_empty() {
        return Err(missing(name, &left));
    }
    save(&left)?;
    Ok(Exit::Done)
}

fn show(name: &str, json: bool) -> Result<Exit, Failure> {
    let hosts = load()?.map(|inventory| inventory.hosts).unwrap_or_default();
    let Some(host) = hosts.iter().find(|host| host.name == name) else { return Err(missing(name, &hosts)) };
    let text = if json { super::json(host)? } else { page(host) };
    super::print(&text)?;
    Ok(Exit::Done)
}

fn list(json: bool) -> Result<Exit, Failure> {
    let hosts = load()?.map(|inventory| inventory.hosts).unwrap_or_default();
    if json {
        for host in &hosts {
            if !super::print(&super::json(host)?)? {
                break;
            }
        }
        return Ok(Exit::Done);
    }
    if hosts.is_empty() {
        super::print("no contexts\n")?;
        return Ok(Exit::Done);
    }
    let head = [Column::text("name"), Column::elastic("host"), Column::text("agent")];
    let rows: Vec<Vec<Cell>> = hosts
        .iter()
        .map(|host| vec![clean(&host.name).into(), clean(&whereto(host)).into(), agent(host).into()])
        .collect();
    super::print(&render(&head, &rows, terminal::stdout_columns(), terminal::paint_stdout()))?;
    Ok(Exit::Done)
}

/// As ssh is told: `user@address:port`.
fn whereto(host: &Host) -> String {
    let user = host.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{user}{}{port}", host.address)
}

fn agent(host: &Host) -> String {
    host.agent.port.map_or_else(|| "socket".to_owned(), |port| format!("port {port}"))
}

/// Everything that is kept of one; a token by where it is.
fn page(host: &Host) -> String {
    let mut lines = vec![("name", host.name.clone()), ("host", whereto(host)), ("agent", agent(host))];
    lines.extend(host.identity.iter().map(|path| ("identity", path.display().to_string())));
    lines.extend(host.agent.token.iter().map(|token| ("token", token.to_string())));
    lines.iter().map(|(name, value)| format!("{name:<8}  {}\n", clean(value))).collect()
}
