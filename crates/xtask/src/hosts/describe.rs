//! Writes down for the tests which hosts are up and what it takes to reach them (`hosts.json`).

use std::fs;
use std::path::PathBuf;

use cm_testkit::hosts::{Description, FILE, Host};

use crate::failure::Failure;
use crate::hosts::container::Container;
use crate::hosts::docker::Docker;
use crate::hosts::keys::{self, USER};
use crate::hosts::{agent, kind, login};
use crate::workspace::Workspace;

/// Where it is.
pub fn path(workspace: &Workspace) -> PathBuf {
    workspace.testhosts().join(FILE)
}

/// Describes all hosts of this checkout, but for those that one run of the tests has for itself.
pub fn write(docker: &Docker, workspace: &Workspace) -> Result<(), Failure> {
    let keys = keys::places(workspace);
    let mut hosts = Vec::new();
    for container in Container::list(docker, Some(workspace))? {
        if !container.is_passing() {
            hosts.push(host(workspace, &container)?);
        }
    }
    let agent = Some(agent::path(workspace)).filter(|path| path.is_file());
    let all = Description {
        checkout: workspace.root.clone(),
        docker: docker.words(),
        ssh_config: login::config_file(workspace),
        known_hosts: workspace.testhosts().join("known_hosts"),
        keys,
        agent,
        hosts,
    };
    let text = serde_json::to_string_pretty(&all)
        .map_err(|error| Failure::check(format!("could not describe the hosts: {error}"), "report this"))?;
    login::write(&path(workspace), &(text + "\n"))
}

/// Removes the description.
pub fn remove(workspace: &Workspace) -> Result<(), Failure> {
    let path = path(workspace);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::file("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

fn host(workspace: &Workspace, container: &Container) -> Result<Host, Failure> {
    let own = login::own(workspace, container.short());
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(Failure::file("read", path));
    let known = read(own.join("known_hosts"))?;
    let host_key =
        known.lines().find_map(|line| line.split_once(' ').filter(|(_, key)| key.contains("ed25519")));
    let host_key = host_key.map(|(_, key)| key.to_owned()).unwrap_or_default();
    let jump = kind::through(container.kind());
    // A program that jumps may know one file for both hosts.
    let known_hosts = own.join("known_hosts_all");
    let way = match jump {
        Some(gateway) => read(login::own(workspace, gateway).join("known_hosts"))?,
        None => String::new(),
    };
    login::write(&known_hosts, &(known + &way))?;
    Ok(Host {
        name: container.short().to_owned(),
        kind: container.kind().name.to_owned(),
        container: container.name.clone(),
        address: container.ip.clone(),
        port: container.port,
        user: USER.to_owned(),
        identity: keys::identity(&keys::places(workspace), container.kind().login).to_owned(),
        known_hosts,
        host_key,
        jump: jump.map(str::to_owned),
    })
}
