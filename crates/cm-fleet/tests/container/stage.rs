//! A host on this machine: an sshd of the test's own before Docker's socket, or a second engine; and the program as
//! a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use cm_testkit::hosts::engine::images;
use serde_json::Value;
use tempfile::TempDir;

#[path = "../../../cm-ssh/tests/sshd/server.rs"]
#[allow(dead_code)]
pub mod sshd;

/// Where Docker listens.
pub const DOCKER: &str = "/var/run/docker.sock";
/// Longer than any engine needs to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Docker's own command, at this socket.
pub fn docker(socket: &str, args: &[&str]) -> (bool, String) {
    let output = Command::new("docker")
        .args(["-H", &format!("unix://{socket}")])
        .args(args)
        .output()
        .expect("docker is needed: apt-get install docker.io");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}

/// The same, which must go well.
#[track_caller]
pub fn must(socket: &str, args: &[&str]) -> String {
    let (good, text) = docker(socket, args);
    assert!(good, "docker {args:?}: {text}");
    text
}

/// An inventory with one host, and a home for whoever uses it.
pub struct Stage {
    dir: TempDir,
    server: Option<sshd::Server>,
    /// The host's name, which no other test has.
    pub host: String,
    /// The engine's socket.
    pub socket: String,
    /// `container: {…}` besides where it is.
    pub container: String,
    /// Further lines of the host's.
    pub more: String,
}

impl Stage {
    /// Over ssh to Docker.
    pub fn over_ssh(name: &str, image: &str) -> Self {
        let mut stage = Self::here(name, image, DOCKER);
        stage.server = Some(sshd::Server::start());
        stage
    }

    /// An engine of this machine's.
    pub fn here(name: &str, image: &str, socket: &str) -> Self {
        Self {
            dir: tempfile::Builder::new().prefix("cmf-").tempdir().unwrap(),
            server: None,
            host: format!("t{}-{name}", std::process::id()),
            socket: socket.to_owned(),
            container: format!("image: \"{image}\", network: none"),
            more: String::new(),
        }
    }

    /// Another image.
    pub fn image(&mut self, image: &str) {
        self.container = format!("image: \"{image}\", network: none");
    }

    /// A file of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self) {
        let Self { host, socket, container, more, .. } = self;
        let way = match &self.server {
            Some(server) => {
                let target = server.target();
                let known = target.known_hosts[0].display().to_string();
                let (port, user, key) = (target.port, &target.user, server.path("client"));
                format!(
                    "    address: 127.0.0.1\n    port: {port}\n    user: {user}\n    identity: {}\n    \
                     known_hosts: {known}\n    container: {{socket: {socket}, {container}}}\n",
                    key.display()
                )
            }
            None => format!("    container: {{local: true, socket: {socket}, {container}}}\n"),
        };
        let text = format!("fleet: tests\nhosts:\n  {host}:\n    runtime: container\n{way}{more}");
        std::fs::write(self.path("fleet.yaml"), text).unwrap();
        std::fs::write(self.path("ssh_config"), "").unwrap();
    }

    /// Runs the program with this inventory.
    pub fn run(&self, verb: &str, args: &[&str]) -> Run {
        self.write();
        let config = self.path("ssh_config").display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_cm-fleet"))
            .args([verb, "-i", "fleet.yaml", "-F", &config])
            .args(args)
            .env_clear()
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env("HOME", self.dir.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("USER", "ada")
            .env("CM_TEST_TOKEN", "t0ken-of-a-test-4711")
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let events = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Run { code: output.status.code(), events, out, err }
    }

    /// `deploy --yes --json`.
    pub fn deploy(&self) -> Run {
        self.run("deploy", &["--yes", "--json", "--ready-within", "60"])
    }

    /// The host's containers: names and ids.
    pub fn containers(&self) -> String {
        let filter = format!("label=io.cm-fleet.host={}", self.host);
        must(&self.socket, &["ps", "-a", "--no-trunc", "--filter", &filter, "--format", "{{.Names}} {{.ID}}"])
    }

    /// How it is reached, for clients of its agent.
    pub fn road(&self) -> cm_fleet::container::engine::Road {
        let target = match &self.server {
            Some(server) => server.target(),
            None => cm_ssh::Target::new("here", "localhost", ""),
        };
        let wanted = cm_fleet::container::wanted::EngineWanted {
            socket: Some(self.socket.clone()),
            here: self.server.is_none(),
            ..Default::default()
        };
        cm_fleet::container::engine::Road { host: self.host.clone(), target, wanted }
    }

    /// A client of its agent.
    pub async fn client(&self) -> cm_client::Client {
        let keys = cm_ssh::Keys::new(cm_ssh::NoSecrets);
        let name = format!("cm-agent-{}", self.host);
        let reached = cm_fleet::container::way::connect(&self.road(), &name, &keys, None).await;
        reached.unwrap_or_else(|error| panic!("{error}")).0
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let filter = format!("label=io.cm-fleet.host={}", self.host);
        let (_, ids) = docker(&self.socket, &["ps", "-aq", "--filter", &filter]);
        // Agents first: an engine may not let go of a keeper before.
        for _ in 0..2 {
            ids.split_whitespace().for_each(|id| _ = docker(&self.socket, &["rm", "-f", id]));
        }
        let _ = docker(&self.socket, &["volume", "rm", &format!("cm-agent-{}", self.host)]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub events: Vec<Value>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The exit code must be this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    /// What became of the host in a word, which must be this one.
    #[track_caller]
    pub fn is(&self, outcome: &str) -> &Value {
        let last = self.events.iter().rev().find(|event| event["event"] == "host_finished");
        let found = &last.unwrap_or_else(|| panic!("it never ended: {}{}", self.out, self.err))["outcome"];
        assert_eq!(found["outcome"], outcome, "{}{}", self.out, self.err);
        found
    }

    /// How many events there are of this kind.
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|e| e["event"] == event).count()
    }

    /// All of these are in what it said.
    #[track_caller]
    pub fn says(&self, all: &[&str]) {
        let text = format!("{}{}", self.out, self.err);
        for part in all {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
}

/// A second Docker engine, which has no images.
pub struct Engine {
    child: Child,
    home: TempDir,
}

impl Engine {
    /// Starts one that keeps its data in `data`, else in its own directory.
    pub fn start(data: Option<&Path>) -> Self {
        let home = tempfile::Builder::new().prefix("cmd-").tempdir().unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        let data = data.map_or_else(|| at("data"), |path| path.display().to_string());
        let space = format!("cm-test-{}-{}", std::process::id(), home.path().file_name().unwrap().display());
        // In a network of its own: one without a bridge removes that of the engine that is there.
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "dockerd",
            "--data-root",
            &data,
            "--exec-root",
            &at("exec"),
            "--pidfile",
            &at("pid"),
        ]);
        command.args(["-H", &format!("unix://{}", at("docker.sock")), "--bridge=none", "--iptables=false"]);
        command.args(["--ip-forward=false", "--ip-masq=false"]);
        // Never in the name space of the engine that is there: each would meddle with the other's containers.
        command.args([
            "--containerd-namespace",
            &space,
            "--containerd-plugins-namespace",
            &format!("{space}-p"),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("dockerd is needed, and root: apt-get install docker.io");
        let engine = Self { child, home };
        let end = Instant::now() + PATIENCE;
        while !docker(&engine.socket(), &["version"]).0 {
            assert!(Instant::now() < end, "the second engine does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    /// Where it listens.
    pub fn socket(&self) -> String {
        self.home.path().join("docker.sock").display().to_string()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a service, and waits until it has.
fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    let _ = child.wait();
}

/// Podman's service of root's, with nothing in it; its data are its own.
pub struct Podman {
    child: Child,
    home: TempDir,
}

impl Podman {
    /// Starts it.
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("cmp-").tempdir().unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        // Its own rules would raise what may be opened and run, which is not every root's right.
        let rules = "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n";
        std::fs::write(at("containers.conf"), rules).unwrap();
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", at("containers.conf"));
        command.args(["--root", &at("data"), "--runroot", &at("run"), "--tmpdir", &at("tmp")]);
        command.args(["--network-config-dir", &at("net"), "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file", "system", "service", "--time", "0"]);
        command.arg(format!("unix://{}", at("podman.sock")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("podman is needed, and root: apt-get install podman");
        let podman = Self { child, home };
        let until = Instant::now() + PATIENCE;
        while !docker(&podman.socket(), &["version"]).0 {
            assert!(Instant::now() < until, "Podman does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        podman
    }

    /// Where it listens.
    pub fn socket(&self) -> String {
        self.home.path().join("podman.sock").display().to_string()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        end(&mut self.child);
        // It mounts its own directory onto itself.
        let layers = self.home.path().join("data/overlay");
        let _ = Command::new("umount").arg("-l").arg(layers).stderr(Stdio::null()).status();
    }
}
