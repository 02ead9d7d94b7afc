//! Hosts to test against: whole small systems with systemd, sshd and tmux, in containers on loopback.
//!
//! Everything made here carries the prefix `cm-testhost` and a label that names the checkout, so that
//! removing touches nothing else.

mod agent;
mod container;
mod describe;
mod docker;
mod image;
mod keys;
mod kind;
mod login;
mod network;
mod release;
mod watches;

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::workspace::Workspace;

use container::Stage;
use kind::{Reach, Role};
use network::Inner;

pub use agent::build as agent;
pub use agent::path as agent_path;
pub use container::Container;
pub use describe::path as description;
pub use docker::Docker;

/// What running hosts takes.
pub const NEEDS: [Need; 4] = [Need::Ssh, Need::Docker, Need::Iptables, Need::Mmdebstrap];
/// What the tests with hosts take.
pub const TEST_NEEDS: [Need; 5] = [Need::Nextest, Need::Ssh, Need::Docker, Need::Iptables, Need::Mmdebstrap];
/// What the names of all containers and images begin with.
const PREFIX: &str = "cm-testhost";
/// From `docker run` to a user manager that answers over ssh. Takes 2–4 s on an idle machine.
const READY: Duration = Duration::from_secs(120);

/// Makes the image.
pub fn build(workspace: &Workspace) -> Result<(), Failure> {
    need::ensure(workspace, &NEEDS)?;
    let docker = Docker::ready(workspace)?;
    let image = image::ensure(workspace, &docker)?;
    docker.keep_running();
    println!("image {image} is ready\n  Next: cargo xtask hosts up 3");
    Ok(())
}

/// The image's name, made now if need be.
pub fn image(workspace: &Workspace, docker: &Docker) -> Result<String, Failure> {
    image::ensure(workspace, docker)
}

/// What `up` is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How many hosts, without those of `kinds`.
    pub n: u8,
    /// Most of them special ones.
    pub cast: bool,
    /// More of them, by kind.
    pub kinds: Vec<String>,
}

/// Has the hosts up and ready, whatever of them was there before; with the agent that tests deploy, if a
/// cast is wanted.
pub fn up(workspace: &Workspace, wanted: &Wanted) -> Result<(), Failure> {
    let roles = roles(wanted)?;
    need::ensure(workspace, &NEEDS)?;
    if wanted.cast {
        agent::build(workspace)?;
    }
    let docker = Docker::ready(workspace)?;
    let image = image::ensure(workspace, &docker)?;
    let stage = Stage { docker: &docker, workspace, image: &image };
    raise(stage, &roles)?;
    docker.keep_running();
    status(workspace)
}

/// The cast for one run of the tests.
#[derive(Debug)]
pub struct Cast<'a> {
    docker: &'a Docker,
    workspace: &'a Workspace,
    /// Those that were not up before.
    ours: Vec<Container>,
}

impl<'a> Cast<'a> {
    /// Has `n` hosts up; those that are up already are used as they are.
    pub fn up(workspace: &'a Workspace, docker: &'a Docker, n: u8) -> Result<Self, Failure> {
        let roles = roles(&Wanted { n, cast: true, kinds: Vec::new() })?;
        let image = image::ensure(workspace, docker)?;
        let before = Container::list(docker, Some(workspace))?;
        match raise(Stage { docker, workspace, image: &image }, &roles) {
            Ok(mut ours) => {
                ours.retain(|host| before.iter().all(|there| there.name != host.name));
                Ok(Self { docker, workspace, ours })
            }
            Err(failure) => {
                let mut ours = Container::list(docker, Some(workspace))?;
                ours.retain(|host| before.iter().all(|there| there.name != host.name));
                Self { docker, workspace, ours }.down()?;
                Err(failure)
            }
        }
    }

    /// Removes those that this run has started.
    pub fn down(self) -> Result<(), Failure> {
        let Self { docker, workspace, ours } = self;
        if ours.is_empty() {
            return Ok(());
        }
        for host in &ours {
            host.remove(docker, workspace)?;
        }
        if Container::list(docker, Some(workspace))?.is_empty() {
            Inner::remove(docker, workspace, false)?;
            return describe::remove(workspace);
        }
        describe::write(docker, workspace)
    }
}

fn roles(wanted: &Wanted) -> Result<Vec<Role>, Failure> {
    kind::roles(wanted.n, wanted.cast, &wanted.kinds)
        .map_err(|why| Failure::check(why, "cargo xtask hosts up 20 --cast, or --kind KIND".to_owned()))
}

/// Starts what is not up, waits until all are ready, and describes them for the tests.
fn raise(stage: Stage<'_>, roles: &[Role]) -> Result<Vec<Container>, Failure> {
    let Stage { docker, workspace, .. } = stage;
    let began = Instant::now();
    watches::room(roles.len());
    keys::ensure(workspace)?;
    let needs_inner = roles.iter().any(|role| role.kind.reach != Reach::Published);
    let inner = needs_inner.then(|| Inner::ensure(docker, workspace)).transpose()?;
    // Starting one is mostly waiting for Docker, and then for the host.
    let started: Vec<Result<Container, Failure>> = thread::scope(|scope| {
        let one = |role| {
            let host = Container::playing(stage, role, inner.as_ref())?;
            host.wait_until_ready(docker, workspace, READY)?;
            Ok(host)
        };
        let threads: Vec<_> = roles.iter().map(|role| scope.spawn(move || one(role))).collect();
        // A thread that panicked has said why.
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let started = started.into_iter().collect::<Result<Vec<_>, _>>()?;
    describe::write(docker, workspace)?;
    println!("{} hosts are ready after {:.1} s", started.len(), began.elapsed().as_secs_f64());
    Ok(started)
}

/// Lists what is special about hosts.
pub fn kinds() {
    for kind in kind::SPECIAL.iter().chain([&kind::ORDINARY]) {
        println!("{:<10} {}", kind.name, kind.about);
    }
}

/// Removes the hosts of this checkout, or of all; and the images, if asked to.
pub fn down(workspace: &Workspace, all: bool, images: bool) -> Result<(), Failure> {
    let Some(docker) = Docker::running()? else {
        println!("docker does not run, and so no host does");
        describe::remove(workspace)?;
        return login::forget_all(workspace);
    };
    let doomed = Container::list(&docker, if all { None } else { Some(workspace) })?;
    for container in &doomed {
        container.remove(&docker, workspace)?;
        println!("removed {}", container.name);
    }
    Inner::remove(&docker, workspace, all)?;
    login::forget_all(workspace)?;
    describe::remove(workspace)?;
    if images {
        image::remove_all(&docker)?;
    }
    docker::stop_ours(workspace, &docker);
    println!("{} hosts removed", doomed.len());
    Ok(())
}

/// Shows what is up and how to get in.
pub fn status(workspace: &Workspace) -> Result<(), Failure> {
    let containers = match Docker::running()? {
        Some(docker) => Container::list(&docker, None)?,
        None => Vec::new(),
    };
    if containers.is_empty() {
        println!("no test hosts\n  Next: cargo xtask hosts up 3");
        return Ok(());
    }
    let mut first = None;
    for container in &containers {
        let here = container.checkout == workspace.root.to_string_lossy();
        let whose = if here { String::new() } else { format!("  (of {})", container.checkout) };
        let about = container.kind().about;
        let (name, address, state) = (&container.name, container.address(), &container.state);
        println!("{name:<22} {address:<18} {state:<8} {about}{whose}");
        if here {
            first.get_or_insert(container.short());
        }
    }
    if let Some(name) = first {
        println!("  Next: ssh -F {} {name}", login::config_file(workspace).display());
    }
    Ok(())
}
