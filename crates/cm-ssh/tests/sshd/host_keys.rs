//! Host keys: known, unknown, changed, revoked, pinned, certified.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cm_ssh::{HostKeyError, Keys, Kind, NoSecrets, Ssh, SshError, Target, UnknownHost};

use crate::server::{Plan, Server, keygen, run};

async fn connect(target: &Target) -> Result<(), SshError> {
    let ssh = Ssh::connect(target, &Keys::new(NoSecrets)).await?;
    ssh.close().await;
    Ok(())
}

async fn refused(target: &Target) -> HostKeyError {
    let error = connect(target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    match error {
        SshError::HostKey { error, .. } => *error,
        other => panic!("{other}"),
    }
}

/// The fingerprint of a key file, by ssh-keygen.
fn fingerprint(server: &Server, name: &str) -> String {
    let text = run(std::process::Command::new("ssh-keygen").arg("-lf").arg(server.path(name)));
    text.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_host_is_refused() {
    let server = Server::start();
    let mut target = server.target();
    target.known_hosts = vec![server.known_hosts("# nobody\n"), server.path("missing")];
    let error = refused(&target).await;
    let HostKeyError::Unknown { seen, algorithm, .. } = &error else { panic!("{error}") };
    assert_eq!(algorithm, "ssh-ed25519");
    assert_eq!(*seen, fingerprint(&server, "host_ed25519.pub"));
}

#[tokio::test]
async fn a_changed_key_is_a_hard_stop() {
    let server = Server::start();
    let mut target = server.target();
    keygen(&server.path("other"), &[]);
    let other = fs::read_to_string(server.path("other.pub")).unwrap();
    let text = format!("# first\nelse ssh-ed25519 nonsense\n[127.0.0.1]:{} {other}", server.port);
    target.known_hosts = vec![server.known_hosts(&text)];
    for unknown in [UnknownHost::Refuse, UnknownHost::AcceptNew] {
        target.unknown_host = unknown;
        let error = refused(&target).await;
        let HostKeyError::Changed { known, seen, line, file, .. } = &error else { panic!("{error}") };
        assert_eq!((known.as_str(), *line), (fingerprint(&server, "other.pub").as_str(), 3));
        assert_eq!(*seen, fingerprint(&server, "host_ed25519.pub"));
        assert_eq!(*file, server.path("known_hosts"));
        let text = error.to_string();
        assert!(text.contains(known.as_str()) && text.contains(seen.as_str()), "{text}");
        assert!(text.contains(&format!("ssh-keygen -R '[127.0.0.1]:{}' -f", server.port)), "{text}");
    }
    assert_eq!(fs::read_to_string(server.path("known_hosts")).unwrap(), text);
}

#[tokio::test]
async fn a_revoked_key_is_refused() {
    let server = Server::start();
    let mut target = server.target();
    let known = fs::read_to_string(server.path("known_hosts")).unwrap();
    let text = format!("{known}@revoked * {}\n", server.host_key("ed25519"));
    target.known_hosts = vec![server.known_hosts(&text)];
    let error = refused(&target).await;
    assert!(matches!(error, HostKeyError::Revoked { line: 2, .. }), "{error}");
    target.host_key = Some(server.host_key("ed25519").parse().unwrap());
    let error = refused(&target).await;
    assert!(matches!(error, HostKeyError::Revoked { line: 2, .. }), "{error}");
}

#[tokio::test]
async fn the_known_type_of_key_is_asked_for() {
    let server = Server::with(&Plan { host_keys: &["ed25519", "ecdsa", "rsa"], ..Plan::default() });
    let mut target = server.target();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let text = format!("[127.0.0.1]:{} {}\n", server.port, server.host_key(kind));
        target.known_hosts = vec![server.known_hosts(&text)];
        connect(&target).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        // Known without its port, one type is asked for first.
        let text = format!("127.0.0.1 {}\n", server.host_key(kind));
        target.known_hosts = vec![server.known_hosts(&text)];
        connect(&target).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[tokio::test]
async fn a_host_without_the_known_type_of_key_is_refused() {
    let server = Server::with(&Plan { host_keys: &["ed25519"], ..Plan::default() });
    let mut target = server.target();
    keygen(&server.path("other"), &["-t", "ecdsa"]);
    let other = fs::read_to_string(server.path("other.pub")).unwrap();
    target.known_hosts = vec![server.known_hosts(&format!("[127.0.0.1]:{} {other}", server.port))];
    target.unknown_host = UnknownHost::AcceptNew;
    let error = refused(&target).await;
    let HostKeyError::OtherType { known, algorithm, line: 1, .. } = &error else { panic!("{error}") };
    assert_eq!((known.as_str(), algorithm.as_str()), ("ecdsa-sha2-nistp256", "ssh-ed25519"));
}

#[tokio::test]
async fn pins_decide() {
    let server = Server::with(&Plan { host_keys: &["ed25519", "rsa"], ..Plan::default() });
    let mut target = server.target();
    target.known_hosts.clear();
    // The host shows another key first; it is asked again for the other types.
    for kind in ["ed25519", "rsa"] {
        for pin in [server.host_key(kind), fingerprint(&server, &format!("host_{kind}.pub"))] {
            target.host_key = Some(pin.parse().unwrap());
            connect(&target).await.unwrap_or_else(|error| panic!("{pin}: {error}"));
        }
    }
    let server = Server::start();
    keygen(&server.path("other"), &[]);
    let other = fingerprint(&server, "other.pub");
    target.port = server.port;
    target.host_key = Some(other.parse().unwrap());
    let error = refused(&target).await;
    let HostKeyError::Pin { wanted, .. } = &error else { panic!("{error}") };
    assert_eq!(*wanted, other);
}

#[tokio::test]
async fn a_new_host_is_written_down_only_when_asked() {
    let server = Server::start();
    let mut target = server.target();
    let file = server.path("new/known_hosts");
    target.known_hosts = vec![file.clone()];
    refused(&target).await;
    assert!(!file.exists());
    target.unknown_host = UnknownHost::AcceptNew;
    // Several at once write it once.
    let (first, second) = tokio::join!(connect(&target), connect(&target));
    first.unwrap();
    second.unwrap();
    let line = format!("[127.0.0.1]:{} {}\n", server.port, server.host_key("ed25519"));
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    target.unknown_host = UnknownHost::Refuse;
    connect(&target).await.unwrap();
    // A file whose last line has no end gets one.
    fs::write(&file, "# mine").unwrap();
    target.unknown_host = UnknownHost::AcceptNew;
    connect(&target).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("# mine\n{line}"));
    // Where nothing is kept, nothing is kept.
    target.known_hosts = vec!["/dev/null".into()];
    connect(&target).await.unwrap();
}

#[tokio::test]
async fn hashed_names_of_ssh_keygen_are_known() {
    let server = Server::start();
    let target = server.target();
    run(std::process::Command::new("ssh-keygen").arg("-Hf").arg(&target.known_hosts[0]));
    let text = fs::read_to_string(&target.known_hosts[0]).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    connect(&target).await.unwrap();
}

#[tokio::test]
async fn an_alias_is_looked_up_in_place_of_the_address() {
    let server = Server::start();
    let mut target = server.target();
    target.host_key_alias = Some("Fleet-1".to_owned());
    refused(&target).await;
    target.known_hosts = vec![server.known_hosts(&format!("fleet-1 {}\n", server.host_key("ed25519")))];
    connect(&target).await.unwrap();
}

/// A server whose host key of this type is certified for 127.0.0.1, by an authority of another type.
fn certified(kind: &str, authority: &[&str], options: &[&str]) -> Server {
    let certify = |home: &Path| {
        keygen(&home.join("ca"), authority);
        let mut command = std::process::Command::new("ssh-keygen");
        command.args(["-q", "-h", "-I", "test", "-s"]).arg(home.join("ca")).args(options);
        run(command.arg(home.join(format!("host_{kind}.pub"))));
    };
    Server::with(&Plan { host_keys: &[kind], certify: Some(&certify), ..Plan::default() })
}

#[tokio::test]
async fn certified_hosts_are_known() {
    for (kind, authority) in [
        ("ed25519", &["-t", "rsa", "-b", "2048"] as &[&str]),
        ("ecdsa", &["-t", "ed25519"]),
        ("rsa", &["-t", "ecdsa"]),
        ("ed25519", &["-t", "ecdsa", "-b", "521"]),
    ] {
        let validity = if kind == "rsa" { "+1h" } else { "always:forever" };
        let server = certified(kind, authority, &["-n", "127.0.0.1,web", "-V", validity]);
        let mut target = server.target();
        let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
        let marked = format!("@cert-authority 127.0.0.* {ca}");
        target.known_hosts = vec![server.known_hosts(&marked)];
        connect(&target).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        // Another authority says nothing about it.
        target.known_hosts = vec![server.known_hosts(&format!("@cert-authority *.org {ca}"))];
        let error = refused(&target).await;
        assert!(matches!(error, HostKeyError::Unknown { .. }), "{error}");
        // The key alone counts, too.
        let key = format!("[127.0.0.1]:{} {}\n", server.port, server.host_key(kind));
        target.known_hosts = vec![server.known_hosts(&key)];
        connect(&target).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        for revoked in [ca.trim().to_owned(), server.host_key(kind)] {
            let text = format!("{marked}@revoked * {revoked}\n");
            target.known_hosts = vec![server.known_hosts(&text)];
            let error = refused(&target).await;
            assert!(error.to_string().contains("revoked"), "{error}");
        }
    }
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    for (options, why) in [
        (&["-n", "web", "-V", "+1h"] as &[&str], "it is for web, not for 127.0.0.1"),
        (&["-V", "+1h"], "it is for no host"),
        (&["-n", "127.0.0.1", "-V", "-2h:-1h"], "it is expired or not yet valid"),
        (&["-n", "127.0.0.1", "-V", "+2h:+3h"], "it is expired or not yet valid"),
    ] {
        let server = certified("ed25519", &[], options);
        let mut target = server.target();
        let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
        target.known_hosts = vec![server.known_hosts(&format!("@cert-authority * {ca}"))];
        target.unknown_host = UnknownHost::AcceptNew;
        let error = refused(&target).await;
        assert!(
            matches!(&error, HostKeyError::Certificate { why: said, .. } if said.starts_with(why)),
            "{error}"
        );
    }
}
