//! Getting into test hosts: one key pair, each host's own keys, and an ssh configuration that uses them.
//!
//! In `target/testhosts`: `id_ed25519(.pub)`, `known_hosts`, `ssh_config`, and one directory for each host.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::hosts::docker::Docker;
use crate::sh::{Run, SHORT};
use crate::workspace::Workspace;

/// The directory of all this, made if need be.
pub fn directory(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let dir = workspace.testhosts();
    fs::create_dir_all(dir.join("hosts")).map_err(Failure::file("create", &dir))?;
    Ok(dir)
}

/// What to give to `ssh -F`.
pub fn config_file(workspace: &Workspace) -> PathBuf {
    workspace.testhosts().join("ssh_config")
}

/// The public halves of a host's own keys, once it has made them. Asked through Docker, not over the
/// network: this is what makes them known.
pub fn host_keys(docker: &Docker, name: &str) -> Option<String> {
    let script = "test -e /etc/ssh/ssh_host_rsa_key.pub && exec cat /etc/ssh/ssh_host_*_key.pub";
    docker.run(["exec", name, "sh", "-c", script]).capture(SHORT).ok().filter(|keys| keys.contains("ed25519"))
}

/// Lets our key log in as `deploy`.
pub fn authorize(docker: &Docker, workspace: &Workspace, name: &str) -> Result<(), Failure> {
    let key = key_pair(workspace)?;
    let public = fs::read(&key).map_err(Failure::file("read", &key))?;
    let script = "umask 077 && install -d -o deploy -g deploy -m 700 /home/deploy/.ssh \
                  && cat > /home/deploy/.ssh/authorized_keys \
                  && chown deploy:deploy /home/deploy/.ssh/authorized_keys";
    docker.run(["exec", "-i", name, "sh", "-c", script]).input(public).capture(SHORT).map(|_| ())
}

/// Writes down how to reach a host and by which keys to know it.
pub fn remember(workspace: &Workspace, short: &str, ip: &str, port: u16, keys: &str) -> Result<(), Failure> {
    let dir = directory(workspace)?;
    let own = dir.join("hosts").join(short);
    fs::create_dir_all(&own).map_err(Failure::file("create", &own))?;
    write(&own.join("known_hosts"), &known_hosts(ip, port, keys))?;
    write(&own.join("ssh_config"), &ssh_config(&dir, short, ip, port))?;
    join(workspace)
}

/// Forgets one host.
pub fn forget(workspace: &Workspace, short: &str) -> Result<(), Failure> {
    let own = directory(workspace)?.join("hosts").join(short);
    remove(&own)?;
    join(workspace)
}

/// Forgets all hosts.
pub fn forget_all(workspace: &Workspace) -> Result<(), Failure> {
    remove(&directory(workspace)?.join("hosts"))?;
    join(workspace)
}

fn remove(dir: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::file("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Puts the hosts' files together into the two that programs use.
fn join(workspace: &Workspace) -> Result<(), Failure> {
    let dir = directory(workspace)?;
    let hosts = dir.join("hosts");
    let mut own: Vec<PathBuf> = fs::read_dir(&hosts)
        .map_err(Failure::file("read", &hosts))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    own.sort();
    for name in ["known_hosts", "ssh_config"] {
        // A host that is being removed by another run has no files any more.
        let all: String = own.iter().filter_map(|dir| fs::read_to_string(dir.join(name)).ok()).collect();
        write(&dir.join(name), &all)?;
    }
    Ok(())
}

/// All at once, so that no reader sees half a file.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text).map_err(Failure::file("write", &new))?;
    fs::rename(&new, path).map_err(Failure::file("write", path))
}

/// Our key pair, made if need be; returns the public half.
fn key_pair(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let private = directory(workspace)?.join("id_ed25519");
    let public = private.with_extension("pub");
    if !public.exists() {
        let options = ["-q", "-t", "ed25519", "-N", "", "-C", "cm-testhost", "-f"];
        Run::new("ssh-keygen").args(options).arg(&private).capture(SHORT)?;
    }
    Ok(public)
}

fn known_hosts(ip: &str, port: u16, keys: &str) -> String {
    let name = if port == 22 { ip.to_owned() } else { format!("[{ip}]:{port}") };
    keys.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{name} {} {}\n", words.next()?, words.next()?))
        })
        .collect()
}

fn ssh_config(dir: &Path, short: &str, ip: &str, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Host {short}\n  HostName {ip}\n  Port {port}\n  User deploy\n  \
         IdentityFile \"{dir}/id_ed25519\"\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
         UserKnownHostsFile \"{dir}/hosts/{short}/known_hosts\"\n  GlobalKnownHostsFile none\n  \
         StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n  ConnectTimeout 10\n  \
         LogLevel ERROR\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_its_own_is_part_of_a_known_hosts_name() {
        let keys = "ssh-ed25519 AAAA root@h1\nssh-rsa BBBB root@h1\n";
        let check = |port, expected: &str| assert_eq!(known_hosts("127.0.1.1", port, keys), expected);
        check(22, "127.0.1.1 ssh-ed25519 AAAA\n127.0.1.1 ssh-rsa BBBB\n");
        check(2222, "[127.0.1.1]:2222 ssh-ed25519 AAAA\n[127.0.1.1]:2222 ssh-rsa BBBB\n");
    }

    #[test]
    fn hosts_come_and_go_in_the_joined_files() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: dir.path().to_owned(), target: dir.path().join("target") };
        let known = || fs::read_to_string(workspace.testhosts().join("known_hosts")).unwrap();
        remember(&workspace, "h1", "127.0.1.1", 22, "ssh-ed25519 AAAA x").unwrap();
        remember(&workspace, "h2", "127.0.1.2", 22, "ssh-ed25519 BBBB x").unwrap();
        remember(&workspace, "h1", "127.0.1.1", 22, "ssh-ed25519 CCCC x").unwrap();
        assert_eq!(known(), "127.0.1.1 ssh-ed25519 CCCC\n127.0.1.2 ssh-ed25519 BBBB\n");
        forget(&workspace, "h1").unwrap();
        assert_eq!(known(), "127.0.1.2 ssh-ed25519 BBBB\n");
        forget_all(&workspace).unwrap();
        assert_eq!(known(), "");
        assert_eq!(fs::read_to_string(config_file(&workspace)).unwrap(), "");
    }
}
