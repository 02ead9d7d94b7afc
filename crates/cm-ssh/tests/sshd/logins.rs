//! Logging in: keys of all kinds, passphrases, certificates, the agent.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cm_ssh::{AgentUse, Keys, Kind, NoSecrets, Secret, Secrets, Ssh, SshError, Target};

use crate::server::{Server, keygen, run};

/// Knows one passphrase for everything, and how often it was asked.
struct Knows(&'static str, Arc<AtomicU32>);

impl Secrets for Knows {
    fn passphrase(&self, _key: &Path) -> Option<Secret> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Some(Secret::new(self.0.to_owned()))
    }
}

fn knows(passphrase: &'static str) -> Keys {
    Keys::new(Knows(passphrase, Arc::default()))
}

async fn login(target: &Target, keys: &Keys) -> Result<(), SshError> {
    let ssh = Ssh::connect(target, keys).await?;
    ssh.close().await;
    Ok(())
}

fn authorize(server: &Server, names: &[&str]) {
    let keys: String = names.iter().map(|name| fs::read_to_string(server.path(name)).unwrap()).collect();
    fs::write(server.path("authorized_keys"), keys).unwrap();
}

/// What was tried, in one text.
fn tried(error: &SshError) -> String {
    match error {
        SshError::Auth { tried, .. } | SshError::Passphrase { tried, .. } => {
            tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_kind_of_key_file_is_read() {
    let server = Server::start();
    let kinds: [(&str, &[&str]); 7] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa-pkcs8", &["-t", "ecdsa", "-m", "PKCS8"]),
        ("rsa-pem-locked", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame"]),
    ];
    for (name, options) in kinds {
        keygen(&server.path(name), options);
        authorize(&server, &[&format!("{name}.pub")]);
        let mut target = server.target();
        target.identities = vec![server.path(name)];
        login(&target, &knows("open sesame")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        // The public key is not needed beside it.
        fs::remove_file(server.path(&format!("{name}.pub"))).unwrap();
        login(&target, &knows("open sesame")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Half of all keys on this curve are one byte shorter than the others, which some readers refuse.
#[tokio::test]
async fn short_elliptic_keys_are_read() {
    let server = Server::start();
    let mut target = server.target();
    for index in 0..8 {
        let name = format!("short{index}");
        let passphrase = if index % 2 == 0 { "" } else { "open sesame" };
        keygen(&server.path(&name), &["-t", "ecdsa", "-b", "521", "-N", passphrase]);
        authorize(&server, &[&format!("{name}.pub")]);
        target.identities = vec![server.path(&name)];
        login(&target, &knows("open sesame")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn an_encrypted_key_is_opened_once_for_all() {
    let server = Server::start();
    for (name, options) in [
        ("ed25519", &["-t", "ed25519", "-N", "open sesame"] as &[&str]),
        ("ecdsa", &["-t", "ecdsa", "-N", "open sesame", "-Z", "aes256-gcm@openssh.com"]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", "open sesame"]),
    ] {
        keygen(&server.path(name), options);
        authorize(&server, &[&format!("{name}.pub")]);
        let mut target = server.target();
        target.identities = vec![server.path(name)];
        let asked = Arc::<AtomicU32>::default();
        let keys = Keys::new(Knows("open sesame", Arc::clone(&asked)));
        let (first, second) = tokio::join!(login(&target, &keys), login(&target, &keys));
        first.unwrap_or_else(|error| panic!("{name}: {error}"));
        second.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_passphrase_is_told_from_none_and_from_a_bad_file() {
    let server = Server::start();
    let mut target = server.target();
    for (name, options) in [
        ("new", &["-N", "open sesame"] as &[&str]),
        ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame"]),
    ] {
        keygen(&server.path(name), options);
        target.identities = vec![server.path(name)];
        let error = login(&target, &knows("wrong")).await.unwrap_err();
        assert!(
            matches!(&error, SshError::Passphrase { wrong: true, key, .. } if *key == server.path(name)),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Denied);
        assert!(!error.to_string().contains("wrong\""), "{error}");
        let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
        assert!(matches!(error, SshError::Passphrase { wrong: false, .. }), "{error}");
        assert!(error.to_string().contains("ssh-add"), "{error}");
    }
    let text = fs::read_to_string(server.path("new")).unwrap();
    for (bad, why) in [
        ("nonsense\n", "is no private key"),
        (&text.replace('b', "c"), "is no private key"),
        ("", "is no private key"),
    ] {
        fs::write(server.path("new"), bad).unwrap();
        target.identities = vec![server.path("new")];
        let error = login(&target, &knows("open sesame")).await.unwrap_err();
        assert!(tried(&error).contains(why), "{bad:.20}: {error}");
    }
}

#[tokio::test]
async fn all_that_was_tried_is_told() {
    let server = Server::start();
    let mut target = server.target();
    keygen(&server.path("stranger"), &[]);
    keygen(&server.path("open"), &[]);
    fs::set_permissions(server.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    target.identities = ["missing", "stranger", "open"].map(|name| server.path(name)).to_vec();
    let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
    let text = tried(&error);
    for expected in [
        "missing: cannot be read: No such file",
        "stranger: not accepted by the host",
        "open: others may read it (mode 0644); chmod 600 '",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(
        matches!(&error, SshError::Auth { accepts: Some(methods), .. } if methods == "publickey"),
        "{error:?}"
    );
    assert_eq!(error.kind(), Kind::Denied);
    target.identities.clear();
    let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
    assert!(error.to_string().contains("there is no key to try"), "{error}");
    // The right one after wrong ones.
    target.identities = ["stranger", "client"].map(|name| server.path(name)).to_vec();
    login(&target, &Keys::new(NoSecrets)).await.unwrap();
}

#[tokio::test]
async fn no_more_keys_are_tried_than_sshd_allows() {
    let server = Server::start();
    let mut target = server.target();
    target.identities.clear();
    for index in 0..8 {
        let path = server.path(&format!("stranger{index}"));
        keygen(&path, &[]);
        target.identities.push(path);
    }
    let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
    let text = tried(&error);
    assert!(text.contains("too many tries") || text.contains("2 more: not tried"), "{text}");
}

/// A certificate authority that the server trusts for users.
fn authority(server: &Server) {
    keygen(&server.path("ca"), &[]);
    let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
    fs::write(server.path("authorized_keys"), format!("cert-authority,principals=\"fleet\" {ca}")).unwrap();
}

fn certify(server: &Server, key: &str, validity: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-I", "test", "-n", "fleet", "-V", validity, "-s"]).arg(server.path("ca"));
    run(command.arg(server.path(&format!("{key}.pub"))));
}

#[tokio::test]
async fn certificates_let_in_while_they_are_valid() {
    let server = Server::start();
    authority(&server);
    let mut target = server.target();
    let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
    assert!(tried(&error).contains("client: not accepted"), "{error}");
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "2048")] {
        keygen(&server.path(kind), &["-t", kind, "-b", bits, "-N", "open sesame"]);
        certify(&server, kind, if kind == "ecdsa" { "+1h" } else { "always:forever" });
        target.identities = vec![server.path(kind)];
        login(&target, &knows("open sesame")).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    // One that lies elsewhere.
    fs::rename(server.path("ed25519-cert.pub"), server.path("elsewhere.pub")).unwrap();
    target.identities = vec![server.path("ed25519")];
    login(&target, &knows("open sesame")).await.unwrap_err();
    target.certificates = vec![server.path("elsewhere.pub")];
    login(&target, &knows("open sesame")).await.unwrap();
    target.certificates.clear();
    for (validity, why) in [("-2h:-1h", "expired 60 minutes ago"), ("+2h:+4h", "is valid only in")] {
        certify(&server, "client", validity);
        target.identities = vec![server.path("client")];
        let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
        assert!(tried(&error).contains(why) || tried(&error).contains("expired 1 h"), "{error}");
    }
}

/// An ssh-agent of the test's own.
struct TestAgent {
    child: Child,
    socket: PathBuf,
}

impl TestAgent {
    fn start(server: &Server) -> Self {
        let socket = server.path("agent.sock");
        let mut child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent is needed: apt-get install openssh-client");
        // It prints its socket when it listens there.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        Self { child, socket }
    }

    fn add(&self, server: &Server, key: &str) {
        run(Command::new("ssh-add").arg("-q").arg(server.path(key)).env("SSH_AUTH_SOCK", &self.socket));
    }
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_agents_keys_are_used() {
    let server = Server::start();
    let agent = TestAgent::start(&server);
    let mut target = server.target();
    target.identities.clear();
    target.agent = AgentUse::Socket(agent.socket.clone());
    let keys = Keys::new(NoSecrets);
    let error = login(&target, &keys).await.unwrap_err();
    assert!(error.to_string().contains("there is no key to try"), "{error}");
    for index in 0..7 {
        let name = format!("stranger{index}");
        keygen(&server.path(&name), &[]);
        agent.add(&server, &name);
    }
    agent.add(&server, "client");
    // It is the eighth; named (by its public key alone) it comes first.
    let error = login(&target, &keys).await.unwrap_err();
    assert!(tried(&error).contains("key of the agent test (SHA256:"), "{error}");
    fs::remove_file(server.path("client")).unwrap();
    for only in [true, false] {
        target.identities_only = only;
        target.identities = vec![server.path("client")];
        login(&target, &keys).await.unwrap();
        target.identities = vec![server.path("client.pub")];
        login(&target, &keys).await.unwrap();
    }
    target.identities = vec![server.path("stranger0")];
    target.identities_only = true;
    let error = login(&target, &keys).await.unwrap_err();
    assert_eq!(tried(&error).lines().count(), 1, "{error}");
}

#[tokio::test]
async fn the_agents_certificates_and_rsa_keys_are_used() {
    let server = Server::start();
    let agent = TestAgent::start(&server);
    let mut target = server.target();
    target.identities.clear();
    target.agent = AgentUse::Socket(agent.socket.clone());
    keygen(&server.path("rsa"), &["-t", "rsa", "-b", "2048"]);
    authorize(&server, &["rsa.pub"]);
    agent.add(&server, "rsa");
    login(&target, &Keys::new(NoSecrets)).await.unwrap();
    authority(&server);
    certify(&server, "client", "+1h");
    agent.add(&server, "client");
    login(&target, &Keys::new(NoSecrets)).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_gone_or_frozen_is_told() {
    let server = Server::start();
    let mut target = server.target();
    let _silent = std::os::unix::net::UnixListener::bind(server.path("silent")).unwrap();
    for (socket, why) in [("none", "does not run"), ("silent", "does not answer within 2s")] {
        target.agent = AgentUse::Socket(server.path(socket));
        target.identities = vec![server.path("client")];
        login(&target, &Keys::new(NoSecrets)).await.unwrap();
        target.identities.clear();
        let error = login(&target, &Keys::new(NoSecrets)).await.unwrap_err();
        assert!(tried(&error).starts_with("ssh agent /") && tried(&error).ends_with(why), "{error}");
    }
}

#[tokio::test]
async fn keys_can_be_opened_before() {
    let server = Server::start();
    keygen(&server.path("locked"), &["-N", "open sesame"]);
    authorize(&server, &["locked.pub"]);
    let mut target = server.target();
    target.identities = vec![server.path("locked")];
    let asked = Arc::<AtomicU32>::default();
    let keys = Keys::new(Knows("open sesame", Arc::clone(&asked)));
    keys.open(target.identities.clone()).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    login(&target, &keys).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
