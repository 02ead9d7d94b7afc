//! deploy/ssh: an account whose keys are for cm-fleet only, with a real sshd, as its files are delivered.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cm_fleet::deploy::script::{self, Dir};
use tokio::process::Child;

use crate::fleet::sshd::{self, Plan, Server};
use crate::support::{Place, appears};

/// Where what is delivered lies.
fn delivered(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/ssh")
        .join(name)
        .canonicalize()
        .expect("it is there")
}

/// A host that is reached with a key which may do only what a line of `authorized_keys.example` says. It is this
/// very place: its agent is the one whose socket is in the place's own directories.
struct Host {
    place: Place,
    server: Server,
    agent: Child,
}

impl Host {
    /// `level`: as in `only LEVEL`.
    async fn new(level: &str) -> Self {
        let place = Place::new();
        let config = std::fs::read_to_string(delivered("sshd_config.example")).expect("readable");
        std::fs::write(place.path("sshd.conf"), config.replace("cm-fleet\n", &format!("{}\n", sshd::user())))
            .expect("written");
        let set: Vec<String> =
            place.env().iter().map(|(name, value)| format!("\"{name}={value}\"")).collect();
        let config = format!("Include {}\nSetEnv {}", place.path("sshd.conf").display(), set.join(" "));
        let server = Server::with(&Plan { config: &config, ..Plan::default() });
        server.target();
        let host = Self { agent: Self::agent(&place), place, server };
        host.allow(level);
        host.describe();
        appears(&host.place.socket()).await;
        host
    }

    /// Its agent, where a deployment would have put it.
    fn agent(place: &Place) -> Child {
        let bin = place.path("home/.local/share/cm-agent/current");
        std::fs::create_dir_all(&bin).expect("made");
        let agent = format!("#!/bin/sh\nexec {} __agent \"$@\"\n", env!("CARGO_BIN_EXE_cm-fleet"));
        std::fs::write(bin.join("cm-agent"), agent).expect("written");
        std::fs::set_permissions(bin.join("cm-agent"), PermissionsExt::from_mode(0o755)).expect("set");
        place.fleet(&["__agent", "serve", "--placement", "detached"]).spawn().expect("it starts")
    }

    /// The line for this level, with the client's key, and the program where it lies in the repository.
    fn allow(&self, level: &str) {
        let lines = std::fs::read_to_string(delivered("authorized_keys.example")).expect("readable");
        let only = format!("/usr/local/lib/cm-fleet/only {level}");
        let line = lines.lines().find(|line| line.contains(&only)).expect("there is such a line");
        let (options, _) = line.split_once(" ssh-ed25519 ").expect("it has a key");
        let options =
            options.replace("/usr/local/lib/cm-fleet/only", &delivered("only").display().to_string());
        let key = std::fs::read_to_string(self.server.path("client.pub")).expect("readable");
        std::fs::write(self.server.path("authorized_keys"), format!("{options} {key}")).expect("written");
    }

    fn describe(&self) {
        let known = self.server.path("known_hosts");
        let config = format!("Host *\n  UserKnownHostsFile {}\n", known.display());
        std::fs::write(self.place.path("w/ssh_config"), config).expect("written");
        let (port, user, key) = (self.server.port, sshd::user(), self.server.path("client"));
        let text = format!(
            "fleet: t\nhosts:\n  h1: {{address: 127.0.0.1, port: {port}, user: {user}, identity: {}}}\n",
            key.display()
        );
        std::fs::write(self.place.path("w/fleet.yaml"), text).expect("written");
    }

    /// The program must end with this code and have said these words.
    async fn check(&self, code: i32, line: &str, words: &[&str]) {
        let (command, rest) = line.split_once(' ').expect("a command and more");
        let words_of_line: Vec<&str> =
            [command, "-F", "ssh_config"].into_iter().chain(rest.split(' ')).collect();
        let ran = self.place.expect(code, &words_of_line).await;
        let said = format!("{}{}", ran.out, ran.err);
        for word in words {
            assert!(said.contains(word), "{line}: no {word:?} in {said}");
        }
    }

    async fn end(mut self) {
        self.agent.kill().await.expect("ended");
    }
}

#[tokio::test]
async fn a_key_for_work_gives_work_and_changes_nothing() {
    let host = Host::new("work").await;
    host.check(0, "dispatch --on h1 --tool shell --name hello --quiet true", &[]).await;
    host.check(0, "status --on h1", &["h1"]).await;
    host.check(0, "sessions --on h1 --all", &["hello"]).await;
    host.check(1, "exec --on h1 -- id", &["this key is for work only"]).await;
    host.end().await;
}

#[tokio::test]
async fn a_key_for_all_runs_what_cm_fleet_sends_and_nothing_else() {
    let host = Host::new("all").await;
    host.check(0, "dispatch --on h1 --tool shell --name hello --quiet true", &[]).await;
    host.check(0, "status --on h1", &["h1"]).await;
    host.check(1, "exec --on h1 -- id", &["this key is for all only"]).await;
    host.end().await;
}

#[test]
fn what_cm_fleet_sends_is_told_apart() {
    let dir = Dir::default();
    let home = tempfile::tempdir().expect("a directory");
    let check = |level: &str, asked: &str, expected: &str| {
        let output = std::process::Command::new(delivered("only"))
            .arg(level)
            .env("SSH_ORIGINAL_COMMAND", asked)
            .env("HOME", home.path())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(expected), "{level}, {asked}: {said}");
    };
    for ask in [script::ask(&dir, ""), script::ask(&dir, script::DOCTOR), script::ask_and_wait(&dir)] {
        check("work", &ask, "cm-fleet:begin\n");
        check("all", &ask, "cm-fleet:begin\n");
    }
    // What was sent is not run: the answer is the program's that is installed, and none is here.
    check("work", &script::ask(&dir, "; echo hacked"), "not found");
    // Who asks in order to deploy gets the answer, and nothing waits for what is to be done.
    check("all", &script::ask_and_wait(&dir), script::WAITS);
    let uninstall = script::installed(&dir, "uninstall");
    check("work", &uninstall, "this key is for work only");
    check("all", &uninstall, "cm-fleet:begin\n");
    for (level, other) in
        [("work", ""), ("all", ""), ("all", "id"), ("all", "/usr/lib/sftp-server"), ("x", &uninstall)]
    {
        check(level, other, if level == "x" { "usage" } else { "this key is for" });
    }
}
