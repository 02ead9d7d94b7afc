//! A release's directory: its cm-fleet finds the agents beside it, for hosts of either architecture.
//!
//! With `CM_DIST` it is the directory that `cargo xtask dist` has made, else one of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::fleet::sshd::{self, Server};
use crate::support::{Place, Ran, finish};

/// The least a program needs to be taken for one of this architecture (elf(5)).
fn program(machine: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend(machine.to_le_bytes());
    bytes.resize(64, 0);
    bytes
}

/// A directory with this build of cm-fleet and agents that are headers alone.
fn made(dir: PathBuf) -> PathBuf {
    fs::create_dir(&dir).expect("made");
    fs::copy(env!("CARGO_BIN_EXE_cm-fleet"), dir.join("cm-fleet")).expect("copied");
    for (arch, machine) in [("x86_64", 0x3e), ("aarch64", 0xb7)] {
        let path = dir.join(format!("cm-agent-{arch}-linux"));
        fs::write(&path, program(machine)).expect("written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
    }
    dir
}

/// Hosts of each architecture without an agent, all one sshd: which key comes says what is answered.
fn hosts(place: &Place, server: &Server, arches: &[&str]) {
    server.target();
    let (mut keys, mut hosts) = (String::new(), String::new());
    for arch in arches {
        let facts = format!(
            "cm-fleet:begin\narch={arch}\nhost={arch}\nuser=u\nhome=/home/u\nnow=1700000000\nboot=b\nos=Debian\nmanager=1\n\
             linger=1\nsystemd=systemd 252\ntmux=tmux 3.3a\ngit=git version 2.39.5\ngzip=1\nwritable=1\n\
             free=/dev/sda1 9000000 1 8000000 1% /\nmount=rw\ncm-fleet:end\n"
        );
        fs::write(place.path(arch), facts).expect("written");
        let key = server.path(&format!("key-{arch}"));
        sshd::keygen(&key, &[]);
        let public = fs::read_to_string(key.with_extension("pub")).expect("readable");
        keys += &format!("restrict,command=\"cat {}\" {public}", place.path(arch).display());
        hosts += &format!("  {arch}: {{identity: {}}}\n", key.display());
    }
    fs::write(server.path("authorized_keys"), keys).expect("written");
    let config = format!("Host *\n  UserKnownHostsFile {}\n", server.path("known_hosts").display());
    fs::write(place.path("w/ssh_config"), config).expect("written");
    let (port, user) = (server.port, sshd::user());
    let text =
        format!("fleet: t\ndefaults: {{address: 127.0.0.1, port: {port}, user: {user}}}\nhosts:\n{hosts}");
    fs::write(place.path("w/fleet.yaml"), text).expect("written");
}

/// What the cm-fleet of a release would do on a host.
async fn plan(place: &Place, dist: &Path, host: &str) -> Ran {
    let mut command = Command::new(dist.join("cm-fleet"));
    command.args(["plan", "--on", host, "-F", "ssh_config"]).env_clear().envs(place.env());
    command.current_dir(place.path("w")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    finish(command).await
}

#[tokio::test]
async fn the_agents_of_a_release_are_found_beside_its_cm_fleet() {
    let (place, server) = (Place::new(), Server::start());
    let arches = ["x86_64", "aarch64"];
    hosts(&place, &server, &arches);
    let given = std::env::var_os("CM_DIST").map(PathBuf::from);
    let dist = given.unwrap_or_else(|| made(place.path("dist")));
    let mut found = 0;
    for arch in arches {
        let agent = dist.join(format!("cm-agent-{arch}-linux"));
        let ran = plan(&place, &dist, arch).await;
        let said = format!("{}{}", ran.out, ran.err);
        if agent.exists() {
            assert_eq!(ran.code, Some(0), "{arch}: {said}");
            assert!(said.contains("install"), "{arch}: {said}");
            found += 1;
        } else {
            let missing = format!("no cm-agent for {arch} (looked for {}", agent.display());
            assert!(ran.code != Some(0) && said.contains(&missing), "{arch}: {said}");
        }
    }
    assert!(found > 0, "no agent is in {}", dist.display());
}
