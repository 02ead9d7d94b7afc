//! A fleet of claimed hosts with a home of its own, the program run on it as a user would, and what it said.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cm_testkit::hosts::{Claimed, inventory_yaml, test_agent};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any command takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// An inventory, and a home for whoever uses it. Nothing of the user's own is seen.
pub struct Fleet {
    dir: TempDir,
    /// The fleet's name.
    pub name: String,
    /// The program that is deployed.
    pub agent: PathBuf,
    /// `defaults: agent: {…}` besides the program: `, listen: 127.0.0.1:1`.
    pub settings: String,
    /// `defaults: env: {…}`.
    pub env: String,
    /// The `hosts:`.
    pub hosts: String,
    /// What follows them.
    pub more: String,
    /// Variables of the program's environment.
    pub vars: Vec<(String, String)>,
}

impl Fleet {
    /// The test agent for these hosts.
    pub fn new(hosts: &[&Claimed]) -> Self {
        let dir = tempfile::Builder::new().prefix("cmf-").tempdir().unwrap();
        std::fs::write(dir.path().join("ssh_config"), "").unwrap();
        Self {
            dir,
            name: "tests".to_owned(),
            agent: test_agent(),
            settings: String::new(),
            env: String::new(),
            hosts: inventory_yaml(hosts),
            more: String::new(),
            vars: Vec::new(),
        }
    }

    /// A file of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self) {
        let Self { name, agent, settings, env, hosts, more, .. } = self;
        let agent = agent.display();
        let text = format!(
            "fleet: {name}\ndefaults:\n  env: {{{env}}}\n  agent: {{binary: {agent}{settings}}}\n{hosts}{more}"
        );
        // Another command may be reading it.
        let fresh = self.path(".fleet.yaml");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, self.path("fleet.yaml")).unwrap();
    }

    /// The program with these arguments, ready to run; `fleet.yaml` is there.
    pub fn command(&self, args: &[&str]) -> Command {
        self.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cm-fleet"));
        command.args(args).env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("HOME", self.dir.path()).env("XDG_STATE_HOME", self.path("state"));
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("USER", "ada");
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Begins `verb fleet.yaml …`; ssh's configuration is an empty one.
    pub fn start(&self, verb: &str, args: &[&str]) -> Running {
        let config = self.path("ssh_config").display().to_string();
        let mut all = vec![verb];
        match verb {
            "exec" | "logs" | "dispatch" | "sessions" => all.extend(["-i", "fleet.yaml", "-F", &config]),
            _ => all.extend(["fleet.yaml", "-F", &config]),
        }
        all.extend(args);
        Running::start(self.command(&all))
    }

    /// Begins a command that takes no inventory.
    pub fn begin(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs `verb fleet.yaml …` to its end.
    pub fn run(&self, verb: &str, args: &[&str]) -> Run {
        self.start(verb, args).finish()
    }

    /// `check fleet.yaml`, which reaches no host.
    pub fn check(&self) -> Run {
        Running::start(self.command(&["check", "fleet.yaml"])).finish()
    }

    /// `deploy --yes --json …`.
    pub fn deploy(&self, args: &[&str]) -> Run {
        self.run("deploy", &[&["--yes", "--json"], args].concat())
    }

    /// `deploy --yes --json …`, begun.
    pub fn start_deploy(&self, args: &[&str]) -> Running {
        self.start("deploy", &[&["--yes", "--json"], args].concat())
    }

    /// How a host is: its line of `status --json`.
    pub fn status(&self, host: &str) -> Value {
        let run = self.run("status", &["--json"]);
        let found = run.events.iter().find(|row| row["host"] == host);
        found.cloned().unwrap_or_else(|| panic!("no {host} in {run:#?}"))
    }
}

/// The program while it runs. Killed when dropped.
pub struct Running {
    child: Child,
    began: Instant,
    lines: Receiver<String>,
    out: String,
    err: Option<JoinHandle<String>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let err = thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is worth having.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, began: Instant::now(), lines, out: String::new(), err: Some(err) }
    }

    /// Waits for an event that is `wanted`; panics if it ends before.
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.out.push_str(&line);
                    self.out.push('\n');
                    match serde_json::from_str::<Value>(&line) {
                        Ok(event) if wanted(&event) => return event,
                        _ => {}
                    }
                }
                Err(why) => panic!("it never came ({why}): {}", self.out),
            }
        }
    }

    /// Waits for so many events of a run that are of this kind.
    pub fn until_type(&mut self, kind: &str, count: usize) -> Value {
        (1..count).for_each(|_| _ = self.until(|event| event["type"] == kind));
        self.until(|event| event["type"] == kind)
    }

    /// Waits until this step has been done on a host.
    pub fn until_step(&mut self, step: &str) {
        self.until(|event| event["event"] == "host_step" && event["step"] == step);
    }

    /// Ends it as nothing can refuse.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Run {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.out.push_str(&line);
                    self.out.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.out),
            }
        }
        let code = self.child.wait().unwrap().code();
        let err = self.err.take().unwrap().join().unwrap();
        let out = std::mem::take(&mut self.out);
        let events = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Run { code, events, out, err, took: self.began.elapsed() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command said.
pub struct Run {
    pub code: Option<i32>,
    pub events: Vec<Value>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "it ended with {:?} after {:?}", self.code, self.took)?;
        let quiet = ["host_sent", "host_step", "host_begun", "task_output", "task_state"];
        for line in
            self.out.lines().filter(|line| !quiet.iter().any(|q| line.contains(q))).chain(self.err.lines())
        {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl Run {
    /// The exit code must be this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    fn last(&self, event: &str, host: &str) -> Option<&Value> {
        self.events.iter().rev().find(|e| e["event"] == event && e["host"] == host)
    }

    /// What became of a host: the last word about it.
    #[track_caller]
    pub fn outcome(&self, host: &str) -> &Value {
        &self.last("host_finished", host).unwrap_or_else(|| panic!("{host} never ended: {self:#?}"))["outcome"]
    }

    /// What was planned for a host.
    #[track_caller]
    pub fn plan(&self, host: &str) -> &Value {
        &self.last("host_planned", host).unwrap_or_else(|| panic!("{host} has no plan: {self:#?}"))["plan"]
    }

    /// What became of a host in a word, which must be this one.
    #[track_caller]
    pub fn is(&self, host: &str, outcome: &str) -> &Value {
        let found = self.outcome(host);
        assert_eq!(found["outcome"], outcome, "{host}: {self:#?}");
        found
    }

    /// Everything that was warned of on a host.
    pub fn warnings(&self, host: &str) -> String {
        let of = |e: &&Value| e["event"] == "host_warning" && e["host"] == host;
        self.events.iter().filter(of).map(|e| format!("{e}\n")).collect()
    }

    /// The steps that were done on a host.
    pub fn steps(&self, host: &str) -> Vec<&str> {
        let of = |e: &&Value| e["event"] == "host_step" && e["host"] == host;
        self.events.iter().filter(of).filter_map(|e| e["step"].as_str()).collect()
    }

    /// The events of a run that are of this kind.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    /// The numbers at the end of a run of tasks.
    #[track_caller]
    pub fn summary_of_run(&self) -> &Value {
        let last = self.events.last().filter(|event| event["type"] == "run_finished");
        &last.unwrap_or_else(|| panic!("{self:#?}"))["summary"]
    }

    /// The numbers at the end.
    pub fn summary(&self) -> &Value {
        self.events.last().filter(|e| e["event"] == "run_finished").unwrap_or_else(|| panic!("{self:#?}"))
    }
}

/// That a text has all of these in it.
#[track_caller]
pub fn has(text: impl AsRef<str>, all: &[&str]) {
    let text = text.as_ref();
    for part in all {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Waits until `done`, and says what was waited for if it never comes.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Everything of a deployment's that may be left on a host: the user's files, sockets and units, lingering,
/// processes. Not the directories that all programs share and any of them may make.
pub fn traces(host: &Claimed) -> String {
    host.root_says(
        "find /home/deploy /var/tmp /tmp -user deploy -printf '%y %m %p -> %l\\n' | sort |\n\
           grep -v '^d [0-7]* /home/deploy/[.]\\(config\\|local\\|local/share\\|local/state\\) '\n\
         find /run/user -name '*cm*' 2>/dev/null | sort\n\
         test -e /var/lib/systemd/linger/deploy && echo lingers\n\
         ps -u deploy -o args= | grep -v '/systemd \\|^(sd-pam)\\|^sshd\\|/dbus-daemon ' | sort || true",
    )
}

/// The same as before, or which lines are new and which are gone.
#[track_caller]
pub fn same(host: &Claimed, before: &str) {
    let after = traces(host);
    let new: Vec<&str> = after.lines().filter(|line| !before.lines().any(|l| l == *line)).collect();
    let gone: Vec<&str> = before.lines().filter(|line| !after.lines().any(|l| l == *line)).collect();
    assert!(new.is_empty() && gone.is_empty(), "{}: left {new:#?}, missing {gone:#?}", host.name);
}
