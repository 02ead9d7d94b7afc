//! `cargo xtask image`: the images of the Dockerfile, their bases where no registry can be reached, their sizes.

mod bases;
mod measure;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::hosts::{self, Docker};
use crate::need::{self, Need};
use crate::sh::{LONG, Run, SHORT};
use crate::workspace::Workspace;

use recipe::Recipe;

/// What building all images and their bases takes.
pub const NEEDS: [Need; 5] = [Need::Docker, Need::Iptables, Need::Mmdebstrap, Need::Node, Need::Npm];

/// An image of the Dockerfile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The agent.
    Agent,
    /// The agent with Node and coding CLIs.
    AgentTools,
    /// The operator's command.
    Fleet,
    /// All of them.
    All,
}

/// `cargo xtask image`.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// Which image
    #[arg(long, value_enum, default_value_t = Target::Agent)]
    pub target: Target,
    /// What it is called [default: cm-agent, cm-agent-tools, cm-fleet]
    #[arg(long, value_name = "NAME[:TAG]")]
    pub tag: Option<String>,
    /// Make the base images here that are not here yet, from packages and from what this machine has installed
    #[arg(long)]
    pub bases: bool,
    /// Build the programs on this machine, soon rather than small, and only put the image together
    #[arg(long)]
    pub prebuilt: bool,
    /// For agent-tools: packages of npm's that go into it
    #[arg(long, value_name = "PACKAGES", default_value = "")]
    pub tools: String,
    /// Also measure how soon a container of the agent's is healthy, and what it needs
    #[arg(long)]
    pub measure: bool,
}

impl Target {
    const EACH: [Self; 3] = [Self::Agent, Self::AgentTools, Self::Fleet];

    /// In the Dockerfile.
    const fn stage(self) -> &'static str {
        match self {
            Self::Agent | Self::All => "agent",
            Self::AgentTools => "agent-tools",
            Self::Fleet => "fleet",
        }
    }

    /// What the image is called where nothing is said.
    const fn usual(self) -> &'static str {
        match self {
            Self::Agent | Self::All => "cm-agent",
            Self::AgentTools => "cm-agent-tools",
            Self::Fleet => "cm-fleet",
        }
    }
}

/// Makes what was asked for.
pub fn run(workspace: &Workspace, wanted: &Wanted) -> Result<(), Failure> {
    let mut needs = vec![Need::Docker, Need::Iptables];
    if wanted.bases {
        needs.push(Need::Mmdebstrap);
        if matches!(wanted.target, Target::AgentTools | Target::All) {
            needs.extend([Need::Node, Need::Npm]);
        }
    }
    need::ensure(workspace, &needs)?;
    let docker = Docker::ready(workspace)?;
    docker.keep_running();
    let targets: &[Target] = match wanted.target {
        Target::All => &Target::EACH,
        ref one => std::slice::from_ref(one),
    };
    if targets.len() > 1 && wanted.tag.is_some() {
        return Err(Failure::check(
            "--tag names one image, and there are three",
            "name one --target".to_owned(),
        ));
    }
    for target in targets {
        let tag = wanted.tag.clone().unwrap_or_else(|| target.usual().to_owned());
        build(workspace, &docker, *target, wanted, &tag)?;
        if wanted.measure && *target != Target::Fleet {
            measure::run(&docker, &tag)?;
        }
    }
    Ok(())
}

/// The agent's image as tests take it: its program built on this machine, on a base of its packages.
pub fn for_tests(workspace: &Workspace, docker: &Docker, tag: &str) -> Result<(), Failure> {
    let wanted = Wanted {
        target: Target::Agent,
        tag: None,
        bases: true,
        prebuilt: true,
        tools: String::new(),
        measure: false,
    };
    build(workspace, docker, Target::Agent, &wanted, tag)
}

/// The whole Dockerfile, as users build it: all targets.
pub fn everything(workspace: &Workspace, docker: &Docker) -> Result<(), Failure> {
    for target in Target::EACH {
        let wanted =
            Wanted { target, tag: None, bases: true, prebuilt: false, tools: String::new(), measure: false };
        build(workspace, docker, target, &wanted, &format!("cm-test-{}", target.stage()))?;
    }
    Ok(())
}

fn build(
    workspace: &Workspace,
    docker: &Docker,
    target: Target,
    wanted: &Wanted,
    tag: &str,
) -> Result<(), Failure> {
    let path = workspace.root.join("Dockerfile");
    let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    let mut recipe = Recipe::read(&text);
    let dir = directory(workspace)?;
    let mut context = workspace.root.clone();
    if wanted.prebuilt {
        recipe = recipe.with_programs(&[("programs", "cm-agent"), ("fleet-programs", "cm-fleet")]);
        context = dir.join("context");
        programs(workspace, target, &context)?;
    }
    if wanted.bases {
        let mut names = recipe.bases_of(target.stage());
        names.retain(|name| *name != "DEBIAN");
        bases::ensure(workspace, docker, &recipe, &names)?;
    }
    let file = dir.join(format!("Dockerfile.{}", target.stage()));
    fs::write(&file, recipe.only(target.stage())).map_err(Failure::file("write", &file))?;
    let began = Instant::now();
    let mut run =
        docker.run(["build", "--network", "host", "--target", target.stage(), "--tag", tag, "--file"]);
    run = run.arg(&file);
    for (name, value) in facts(workspace) {
        run = run.args(["--build-arg", &format!("{name}={value}")]);
    }
    if target == Target::AgentTools && !wanted.tools.is_empty() {
        run = run.args(["--build-arg", &format!("TOOLS={}", wanted.tools)]);
    }
    run.arg(&context).live(LONG)?;
    let size = docker.run(["image", "inspect", "--format", "{{.Size}}", tag]).capture(SHORT)?;
    let megabytes = size.trim().parse::<f64>().unwrap_or_default() / 1e6;
    println!("image {tag}: {megabytes:.0} MB, built in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Programs built here, in a directory with nothing else.
fn programs(workspace: &Workspace, target: Target, context: &Path) -> Result<(), Failure> {
    fs::create_dir_all(context).map_err(Failure::file("create", context))?;
    let put = |from: &Path| {
        let name = from.file_name().unwrap_or_default();
        fs::copy(from, context.join(name)).map(drop).map_err(Failure::file("copy", from))
    };
    put(&hosts::agent(workspace)?)?;
    if target == Target::Fleet {
        Run::cargo_with_tools(workspace)
            .args(["build", "--locked", "--package", "cm-fleet", "--bin", "cm-fleet", "--profile", "hosts"])
            .live(LONG)?;
        put(&workspace.target.join("hosts/cm-fleet"))?;
    }
    Ok(())
}

/// What is built, and from what: the same for the same commit.
fn facts(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let git = |args: &[&str]| {
        let said = Run::new("git").dir(&workspace.root).args(args).capture(SHORT).ok()?;
        Some(said.trim().to_owned()).filter(|said| !said.is_empty())
    };
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let all = [
        ("VERSION", version),
        ("REVISION", git(&["rev-parse", "HEAD"])),
        ("CM_BUILD", git(&["rev-parse", "--short=12", "HEAD"])),
        ("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"])),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Where what is made for images lies.
fn directory(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let dir = workspace.target.join("image");
    fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
    Ok(dir)
}
