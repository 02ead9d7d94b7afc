//! Hosts to test against: whole small systems with systemd, sshd and tmux, in containers on loopback.
//!
//! Everything made here carries the prefix `cm-testhost` and a label that names the checkout, so that
//! removing touches nothing else.

mod container;
mod docker;
mod image;
mod login;
mod release;

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::workspace::Workspace;

pub use container::Container;
pub use docker::Docker;

/// What running hosts takes.
pub const NEEDS: [Need; 4] = [Need::Ssh, Need::Docker, Need::Iptables, Need::Mmdebstrap];
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

/// Has hosts h1 to hN up and ready, whatever of them was there before.
pub fn up(workspace: &Workspace, n: u8) -> Result<(), Failure> {
    need::ensure(workspace, &NEEDS)?;
    let docker = Docker::ready(workspace)?;
    let image = image::ensure(workspace, &docker)?;
    let began = Instant::now();
    let mut started = Vec::new();
    for number in 1..=n {
        started.push(Container::numbered(&docker, workspace, &image, number)?);
    }
    for container in &started {
        container.wait_until_ready(&docker, workspace, READY)?;
    }
    docker.keep_running();
    println!("{n} hosts are ready after {:.1} s", began.elapsed().as_secs_f64());
    status(workspace)
}

/// Removes the hosts of this checkout, or of all; and the images, if asked to.
pub fn down(workspace: &Workspace, all: bool, images: bool) -> Result<(), Failure> {
    let Some(docker) = Docker::running()? else {
        println!("docker does not run, and so no host does");
        return login::forget_all(workspace);
    };
    let doomed = Container::list(&docker, if all { None } else { Some(workspace) })?;
    for container in &doomed {
        container.remove(&docker, workspace)?;
        println!("removed {}", container.name);
    }
    login::forget_all(workspace)?;
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
    let mut ours = 0;
    for container in &containers {
        let here = container.checkout == workspace.root.to_string_lossy();
        ours += usize::from(here);
        let whose = if here { String::new() } else { format!("  (of {})", container.checkout) };
        println!("{:<22} {:<18} {}{whose}", container.name, container.address(), container.state);
    }
    if ours > 0 {
        println!("  Next: ssh -F {} h1", login::config_file(workspace).display());
    }
    Ok(())
}
