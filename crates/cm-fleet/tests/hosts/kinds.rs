//! Each kind of test host is what it says: what is tested on it would prove nothing otherwise.

use std::io::Read as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use cm_testkit::hosts::{Cast, Claimed};

/// How long a connection on this machine may take.
const CONNECT: Duration = Duration::from_secs(2);

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That it fails, and says this.
fn refused(output: &Output, expected: &str) {
    let said = stderr(output);
    assert!(!output.status.success(), "it succeeded: {said}");
    assert!(said.contains(expected), "{expected:?} is not in: {said}");
}

/// Logs in with one key and nothing else.
fn with_key(host: &Claimed, key: &Path) -> Output {
    let known = format!("UserKnownHostsFile={}", host.known_hosts.display());
    std::process::Command::new("ssh")
        .args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"])
        .args(["-o", "StrictHostKeyChecking=yes", "-o", &known, "-p", &host.port.to_string(), "-i"])
        .arg(key)
        .args([&format!("{}@{}", host.user, host.address), "true"])
        .output()
        .unwrap()
}

/// Asks sshd to listen for us; it answers at once whether it may.
fn forwards(host: &Claimed, there: &str) -> Output {
    let mut ssh = host.ssh_command();
    ssh.args(["-o", "ExitOnForwardFailure=yes", "-R", &format!("{there}:127.0.0.1:9"), &host.name, "true"]);
    ssh.output().unwrap()
}

const SOCKET: &str = "/tmp/forwarded.sock";
const PORT: &str = "127.0.0.1:9876";

#[test]
fn plain_has_systemd_tmux_forwarding_and_lingering() {
    let host = Cast::load().claim("plain");
    assert_eq!(host.user_says("id -un"), "deploy\n");
    assert_eq!(host.user_says("systemctl --user is-system-running"), "running\n");
    assert!(host.user_says("tmux -V").starts_with("tmux 3"));
    assert_eq!(host.user_says("loginctl show-user -P Linger deploy"), "no\n");
    assert_eq!(host.user_says("loginctl enable-linger && loginctl show-user -P Linger deploy"), "yes\n");
    for there in [SOCKET, PORT] {
        let output = forwards(&host, there);
        assert!(output.status.success(), "{there}: {}", stderr(&output));
    }
    assert!(host.fingerprint().starts_with("SHA256:"));
}

#[test]
fn inner_is_reached_through_the_bastion_only() {
    let host = Cast::load().claim("inner");
    assert_eq!(host.user_says("hostname"), "inner\n");
    assert_eq!(host.jump.as_deref(), Some("bastion"));
    let address = (host.address.as_str(), host.port).to_socket_addrs().unwrap().next().unwrap();
    assert!(TcpStream::connect_timeout(&address, CONNECT).is_err());
}

#[test]
fn the_login_shell_is_fish() {
    let host = Cast::load().claim("fish");
    let output = host.ssh(&["echo $FISH_VERSION; set -q nothing; or echo $status"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with('3') && said.ends_with("\n1\n") || said.starts_with('4'), "{said}");
}

#[test]
fn passkey_takes_only_the_key_with_a_passphrase() {
    let cast = Cast::load();
    let host = cast.claim("passkey");
    assert_eq!(host.user_says("hostname"), "passkey\n");
    let keys = &cast.description().keys;
    refused(&with_key(&host, &keys.plain), "Permission denied");
    // It is encrypted: nothing gives ssh the passphrase here.
    refused(&with_key(&host, &keys.locked), "Permission denied");
}

#[test]
fn cert_takes_only_certificates() {
    let cast = Cast::load();
    let host = cast.claim("cert");
    assert_eq!(host.user_says("hostname"), "cert\n");
    let keys = &cast.description().keys;
    refused(&with_key(&host, &keys.plain), "Permission denied");
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("key");
    std::fs::copy(&keys.certified, &alone).unwrap();
    refused(&with_key(&host, &alone), "Permission denied");
}

#[test]
fn nolinger_refuses_to_linger() {
    let host = Cast::load().claim("nolinger");
    refused(&host.as_user("loginctl enable-linger"), "Access denied");
    assert_eq!(host.user_says("systemctl --user is-system-running"), "running\n");
}

#[test]
fn nothing_in_a_noexec_home_is_executed() {
    let host = Cast::load().claim("noexec");
    refused(&host.as_user("cp /bin/true ~/it && ~/it"), "Permission denied");
    host.user_says("cp /bin/true /tmp/it && /tmp/it");
}

#[test]
fn notmux_has_no_tmux() {
    let host = Cast::load().claim("notmux");
    refused(&host.as_user("tmux -V"), "not found");
}

#[test]
fn nofwd_forwards_nothing_and_nostream_forwards_tcp() {
    let hosts = Cast::load().claim_all(&["nofwd", "nostream"]);
    let check = |host: &Claimed, there: &str, expected: bool| {
        let output = forwards(host, there);
        assert_eq!(output.status.success(), expected, "{} {there}: {}", host.name, stderr(&output));
    };
    check(&hosts[0], SOCKET, false);
    check(&hosts[0], PORT, false);
    check(&hosts[1], SOCKET, false);
    check(&hosts[1], PORT, true);
}

#[test]
fn startups_takes_three_that_have_not_logged_in() {
    let host = Cast::load().claim("startups");
    let greeting = || {
        let mut stream = TcpStream::connect((host.address.as_str(), host.port)).unwrap();
        stream.set_read_timeout(Some(CONNECT)).unwrap();
        let mut first = [0; 4];
        let read = stream.read_exact(&mut first);
        (stream, read.is_ok() && first == *b"SSH-")
    };
    let held: Vec<(TcpStream, bool)> = (0..3).map(|_| greeting()).collect();
    assert!(held.iter().all(|(_, good)| *good));
    assert!(!greeting().1);
}

#[test]
fn full_has_room_for_a_configuration_and_not_for_a_program() {
    let host = Cast::load().claim("full");
    host.user_says("head -c 100000 /dev/zero > ~/.local/share/small");
    refused(&host.as_user("head -c 4000000 /dev/zero > ~/.local/share/large"), "No space left");
}

#[test]
fn docker_is_for_the_user_of_one_kind_and_not_of_the_other() {
    let hosts = Cast::load().claim_all(&["docker", "nodocker"]);
    let ask = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/var/run/docker.sock\")'";
    hosts[0].user_says(ask);
    refused(&hosts[1].as_user(ask), "Permission denied");
    assert_eq!(hosts[0].deployed(), "");
}
