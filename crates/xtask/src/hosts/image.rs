//! The image of a test host: a base made from packages, and `deploy/testhosts/Dockerfile` on top.

use std::fs;

use crate::failure::Failure;
use crate::hosts::docker::Docker;
use crate::hosts::release::Release;
use crate::hosts::{PREFIX, login};
use crate::sh::{self, LONG, Run, SHORT};
use crate::workspace::Workspace;

/// What every test host has. polkitd: without it a user may not ask for lingering. iproute2, iptables: faults.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,libpam-systemd,dbus-user-session,openssh-server,polkitd,\
                        tmux,git,iproute2,iptables,procps,ca-certificates,sudo,python3,fish";
/// What the image is made of.
const RECIPE: [&str; 5] = ["Dockerfile", "first-boot.service", "kind.service", "kind", "clean"];

/// Makes what is not there or made by another recipe; returns the image's name.
pub fn ensure(workspace: &Workspace, docker: &Docker) -> Result<String, Failure> {
    let release = this_machine()?;
    let base = format!("{PREFIX}:base-{}-{:08x}", release.suite, fingerprint(&[PACKAGES]));
    let context = workspace.root.join("deploy/testhosts");
    let mut parts = vec![base.clone()];
    for name in RECIPE {
        let path = context.join(name);
        parts.push(fs::read_to_string(&path).map_err(Failure::file("read", &path))?);
    }
    let recipe = fingerprint(&parts);
    let image = format!("{PREFIX}:{}-{recipe:08x}", release.suite);
    if exists(docker, &image) {
        return Ok(image);
    }
    if !exists(docker, &base) {
        bootstrap(workspace, docker, &release, &base)?;
    }
    docker
        .run(["build", "--network", "host", "--build-arg", &format!("BASE={base}"), "--tag", &image])
        .arg(&context)
        .live(LONG)?;
    Ok(image)
}

/// Removes all images of test hosts.
pub fn remove_all(docker: &Docker) -> Result<(), Failure> {
    let format = "{{.Repository}}:{{.Tag}}";
    for name in docker.run(["images", "--format", format, PREFIX]).capture(SHORT)?.lines() {
        docker.run(["rmi", name]).capture(SHORT)?;
        println!("removed image {name}");
    }
    Ok(())
}

fn this_machine() -> Result<Release, Failure> {
    let path = "/etc/os-release";
    let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
    Release::of(&text).map_err(|what| Failure::Host {
        host: "test hosts".to_owned(),
        act: "choose a release for them".to_owned(),
        why: format!("this machine is {what}, and what is built here must run there"),
        next: "use Debian or Ubuntu, or leave these tests out: cargo xtask test --no-hosts".to_owned(),
    })
}

/// No image registry is needed: the base is put together from the distribution's packages.
fn bootstrap(workspace: &Workspace, docker: &Docker, release: &Release, base: &str) -> Result<(), Failure> {
    let dir = login::directory(workspace)?;
    let tar = dir.join("base.tar");
    let file = fs::File::create(&tar).map_err(Failure::file("write", &tar))?;
    let components = format!("--components={}", release.components);
    let include = format!("--include={PACKAGES}");
    let run = if sh::may_be_root() { Run::as_root("mmdebstrap") } else { Run::new("mmdebstrap") };
    let made = run.args(["--quiet", "--variant=minbase", &components, &include, &release.suite, "-"]);
    let result =
        made.into_file(file, LONG).and_then(|()| docker.run(["import"]).arg(&tar).arg(base).live(LONG));
    // Needed no longer in any case; the next run would write over it.
    let _ = fs::remove_file(&tar);
    result
}

fn exists(docker: &Docker, image: &str) -> bool {
    docker.run(["image", "inspect", image]).succeeds()
}

/// FNV-1a over all parts: tells one recipe from another, and is the same on every machine.
fn fingerprint<S: AsRef<str>>(parts: &[S]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in parts.iter().flat_map(|part| part.as_ref().bytes().chain([0])) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_recipe_is_another_image() {
        assert_eq!(fingerprint(&["a"]), fingerprint(&["a"]));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
