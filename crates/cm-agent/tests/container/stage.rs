//! Containers of a test, which go with it, and clients that reach agents in them as a fleet does.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cm_client::{Client, Token};
use cm_protocol::{CreateSession, SessionId};
use serde_json::Value;

/// Longer than anything a container takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a test makes in Docker: all of it carries one prefix, and goes with this value.
pub struct Stage {
    prefix: String,
}

impl Stage {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stage = Self { prefix: format!("cm-test-{}-{number}", std::process::id()) };
        must(docker().args(["volume", "create", &stage.volume()]));
        stage
    }

    /// A container's name.
    pub fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    pub fn volume(&self) -> String {
        format!("{}-state", self.prefix)
    }

    /// `docker run` in the background with the volume and no network: options, image, arguments.
    pub fn run(&self, short: &str, options: &[&str], image: &str, args: &[&str]) -> String {
        let name = self.name(short);
        let mount = format!("{}:/var/lib/cm-agent", self.volume());
        must(
            docker()
                .args(["run", "--detach", "--name", &name, "--volume", &mount, "--network", "none"])
                .args(options)
                .arg(image)
                .args(args),
        );
        name
    }

    /// A keeper that answers.
    pub async fn keeper(&self, image: &str) -> String {
        let name = self.run("keeper", &[], image, &["keeper"]);
        until("the keeper answers", &name, || {
            exec(&name, &["cm-agent", "health", "--keeper"]).filter(|said| said.starts_with("ok"))
        })
        .await;
        name
    }

    /// An agent beside it that answers.
    pub async fn agent(&self, short: &str, image: &str) -> String {
        let pids = format!("container:{}", self.name("keeper"));
        let name = self.run(short, &["--pid", &pids], image, &["serve", "--placement", "keeper"]);
        answers(&name).await;
        name
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let filter = format!("name=^/{}-", self.prefix);
        let listed = docker().args(["ps", "--all", "--quiet", "--filter", &filter]).output();
        let listed =
            listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for id in listed.split_whitespace() {
            let _ = docker().args(["rm", "--force", "--volumes", id]).output();
        }
        let _ = docker().args(["volume", "rm", "--force", &self.volume()]).output();
    }
}

/// The image, and the same with another program.
pub fn images() -> [String; 2] {
    let said = std::env::var("CM_TEST_IMAGES").expect("CM_TEST_IMAGES: run `cargo xtask test containers`");
    let images: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    images.try_into().expect("two images")
}

pub fn docker() -> Command {
    let words = std::env::var("CM_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Runs it; what it printed. Panics with all its words where it fails.
pub fn must(command: &mut Command) -> String {
    let output = command.output().expect("docker runs");
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a program in a container printed, if it ended well.
pub fn exec(name: &str, args: &[&str]) -> Option<String> {
    let output = docker().args(["exec", name]).args(args).output().expect("docker runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `cm-agent health --json`.
pub fn health(name: &str) -> Value {
    let said = must(docker().args(["exec", name, "cm-agent", "health", "--json"]));
    serde_json::from_str(&said).expect("JSON")
}

/// Pid and start time of the first process of each session, by session.
pub fn panes(name: &str) -> Vec<(String, i64, u64)> {
    let health = health(name);
    let panes = health["panes"].as_array().expect("panes");
    let mut panes: Vec<_> = panes
        .iter()
        .map(|pane| {
            let session = pane["session"].as_str().expect("a session").to_owned();
            (session, pane["pid"].as_i64().expect("a pid"), pane["start"].as_u64().expect("a start time"))
        })
        .collect();
    panes.sort();
    panes
}

/// What `docker inspect` says.
pub fn inspect(name: &str, format: &str) -> String {
    must(docker().args(["inspect", "--format", format, name]))
}

/// Waits until an agent in a container answers.
pub async fn answers(name: &str) {
    until("the agent answers", name, || exec(name, &["cm-agent", "health"])).await;
}

/// Asks again until there is an answer; a container that has ended fails the test with its last words.
pub async fn until<T>(what: &str, name: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if begun.elapsed() > PATIENCE {
            let logs =
                docker().args(["logs", name]).output().map(|output| words(&output)).unwrap_or_default();
            panic!("waited in vain for: {what}; {name} says:\n{logs}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client through `docker exec … cm-agent bridge`, and the program that is the bridge.
pub struct Bridged {
    pub client: Client,
    _bridge: tokio::process::Child,
}

pub async fn bridged(name: &str) -> Bridged {
    let mut command = tokio::process::Command::from(docker());
    command.args(["exec", "--interactive", name, "cm-agent", "bridge"]);
    let mut bridge =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("docker runs");
    let stream = tokio::io::join(bridge.stdout.take().expect("piped"), bridge.stdin.take().expect("piped"));
    let client = Client::over(stream, &Token::new(""), PATIENCE).await.expect("an agent at the other end");
    Bridged { client, _bridge: bridge }
}

/// A shell session's request.
pub fn shell(script: &str) -> CreateSession {
    CreateSession { tool: Some("shell".into()), task: Some(script.into()), ..CreateSession::default() }
}

/// Waits until a session's text holds something.
pub async fn shows(client: &Client, session: &SessionId, text: &str) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(shown) = client.capture_pane(session, 100).await
            && shown.contains(text)
        {
            return shown;
        }
        assert!(begun.elapsed() < PATIENCE, "{text:?} never stood on the screen of {session}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for the end of a session's task.
pub async fn outcome(client: &Client, session: &SessionId) -> cm_protocol::Outcome {
    let begun = Instant::now();
    loop {
        if let Some(outcome) = client.get_session(session).await.expect("known").info.outcome {
            return outcome;
        }
        assert!(begun.elapsed() < PATIENCE, "{session} never ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
