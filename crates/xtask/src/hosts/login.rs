//! Getting into test hosts: letting our keys in, each host's own keys, and an ssh configuration that uses them.
//!
//! In `target/testhosts`: our keys, `known_hosts`, `ssh_config`, and one directory for each host.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;
use crate::hosts::container::Container;
use crate::hosts::docker::Docker;
use crate::hosts::keys::{self, USER};
use crate::hosts::kind::{self, Kind, Login};
use crate::sh::SHORT;
use crate::workspace::Workspace;

/// Run in a host. It waits there, and not here: to ask through Docker costs more than to wait. What cleaning
/// puts back lies in /etc/cm-testhost.
const ADMIT: &str = "set -e; umask 022
    tries=0
    until systemctl is-active --quiet ssh.service && test ! -e /run/nologin; do
        tries=$((tries + 1)); test $tries -lt 250; sleep 0.2
    done
    mkdir -p /etc/cm-testhost; cd /etc/cm-testhost
    cat > authorized_keys; echo \"$1\" > user_ca.pub
    install -d -o deploy -g deploy -m 700 /home/deploy/.ssh
    install -o deploy -g deploy -m 600 authorized_keys /home/deploy/.ssh/
    exec cat /etc/ssh/ssh_host_*_key.pub";

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

/// Once the host is up, lets the key log in as `deploy` that belongs to such a host. Returns the public
/// halves of the host's own keys: asked through Docker, not over the network, they are what makes it known.
pub fn admit(docker: &Docker, workspace: &Workspace, host: &Container) -> Result<String, Failure> {
    let ours = keys::ensure(workspace)?;
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(Failure::file("read", path));
    let public = read(keys::public(keys::identity(&ours, host.kind().login)))?;
    let authority = read(keys::public(&ours.authority))?;
    docker
        .run(["exec", "-i", &host.name, "sh", "-c", ADMIT, "sh", authority.trim()])
        .input(public)
        .capture(SHORT)
}

/// Writes down how to reach a host and by which keys to know it.
pub fn remember(workspace: &Workspace, host: &Container, keys: &str) -> Result<(), Failure> {
    let own = own(workspace, host.short());
    fs::create_dir_all(&own).map_err(Failure::file("create", &own))?;
    write(&own.join("known_hosts"), &known_hosts(&host.ip, host.port, keys))?;
    write(&own.join("ssh_config"), &ssh_config(workspace, host))?;
    join(workspace)
}

/// The directory of what is known of one host.
pub fn own(workspace: &Workspace, short: &str) -> PathBuf {
    workspace.testhosts().join("hosts").join(short)
}

/// Forgets one host.
pub fn forget(workspace: &Workspace, short: &str) -> Result<(), Failure> {
    remove(&own(workspace, short))?;
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
    // Hosts come up side by side.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text).map_err(Failure::file("write", &new))?;
    fs::rename(&new, path).map_err(Failure::file("write", path))
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

fn ssh_config(workspace: &Workspace, host: &Container) -> String {
    let (dir, keys) = (workspace.testhosts(), keys::places(workspace));
    let (short, ip, port, Kind { login, .. }) = (host.short(), &host.ip, host.port, host.kind());
    let mut text = format!(
        "Host {short}\n  HostName {ip}\n  Port {port}\n  User {USER}\n  \
         IdentityFile \"{key}\"\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
         UserKnownHostsFile \"{dir}/hosts/{short}/known_hosts\"\n  GlobalKnownHostsFile none\n  \
         StrictHostKeyChecking yes\n  UpdateHostKeys no\n  ConnectTimeout 10\n  LogLevel ERROR\n",
        key = keys::identity(&keys, *login).display(),
        dir = dir.display(),
    );
    text += match login {
        // Only an ssh that may ask reads a passphrase, also from a program.
        Login::LockedKey => "  PreferredAuthentications publickey\n",
        Login::Key | Login::Certificate => "  BatchMode yes\n",
    };
    if *login == Login::Certificate {
        text += &format!("  CertificateFile \"{}\"\n", keys.certificate.display());
    }
    if let Some(gateway) = kind::through(host.kind()) {
        text += &format!("  ProxyJump {gateway}\n");
    }
    text
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
        directory(&workspace).unwrap();
        let host = |short: &str, ip: &str| Container {
            name: format!("cm-testhost-{short}"),
            state: String::new(),
            checkout: String::new(),
            kind: kind::PLAIN.to_owned(),
            image: String::new(),
            ip: ip.to_owned(),
            port: 22,
        };
        remember(&workspace, &host("h1", "127.0.1.1"), "ssh-ed25519 AAAA x").unwrap();
        remember(&workspace, &host("h2", "127.0.1.2"), "ssh-ed25519 BBBB x").unwrap();
        remember(&workspace, &host("h1", "127.0.1.1"), "ssh-ed25519 CCCC x").unwrap();
        assert_eq!(known(), "127.0.1.1 ssh-ed25519 CCCC\n127.0.1.2 ssh-ed25519 BBBB\n");
        forget(&workspace, "h1").unwrap();
        assert_eq!(known(), "127.0.1.2 ssh-ed25519 BBBB\n");
        forget_all(&workspace).unwrap();
        assert_eq!(known(), "");
        assert_eq!(fs::read_to_string(config_file(&workspace)).unwrap(), "");
    }
}
