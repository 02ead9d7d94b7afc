//! The agent that is measured: a release build in scratch directories, ended with everything it holds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cm_client::{Client, ClientError, Endpoint, Token};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// What is measured.
pub struct Subject {
    binary: PathBuf,
}

/// An agent that runs.
pub struct Running {
    child: Child,
    dir: PathBuf,
    port: u16,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl Subject {
    /// Builds it.
    pub fn build(workspace: &Workspace) -> Result<Self, Failure> {
        cargo_build(workspace, &["--release", "-p", "cm-agent"])?;
        Ok(Self { binary: workspace.target.join("release/cm-agent") })
    }

    /// The machine, its load and the agent, in one line.
    pub fn machine(&self) -> String {
        let tmux = Command::new("tmux")
            .arg("-V")
            .output()
            .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        let size = std::fs::metadata(&self.binary).map_or(0, |m| m.len());
        format!(
            "{}; {}; cm-agent release build, {:.1} MB",
            machine(),
            tmux.unwrap_or_else(|_| "no tmux".into()),
            size as f64 / 1e6
        )
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts one.
    pub fn start(&self) -> std::io::Result<Running> {
        self.start_with(&[])
    }

    /// Starts one with these variables.
    pub fn start_with(&self, env: &[(&str, &Path)]) -> std::io::Result<Running> {
        let dir = std::env::temp_dir().join(format!("cm-bench-{}", std::process::id()));
        // One after the other, each from nothing.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let port = free_port()?;
        let mut child = Command::new(&self.binary)
            .args([
                "serve",
                "--placement",
                "detached",
                "--max-sessions",
                "400",
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["--state-dir".as_ref(), dir.join("state").as_os_str()])
            .args(["--runtime-dir".as_ref(), dir.join("run").as_os_str()])
            .env("CM_AGENT_TOKEN", TOKEN)
            .env("RUST_LOG", "warn")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        if !line.starts_with("ready") {
            let _ = child.kill();
            return Err(std::io::Error::other("the agent did not get ready; its words are above"));
        }
        Ok(Running { child, dir, port })
    }
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/agent.sock")
    }

    /// A place for a benchmark's own files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A client on its unix socket.
    pub async fn unix(&self) -> Result<Client, ClientError> {
        Client::connect(&Endpoint::Unix(self.socket()), Duration::from_secs(10)).await
    }

    /// A client on its TCP socket.
    pub async fn tcp(&self) -> Result<Client, ClientError> {
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port: self.port, token: Token::new(TOKEN) };
        Client::connect(&endpoint, Duration::from_secs(10)).await
    }

    /// Ends it with all its sessions.
    pub async fn end(mut self) -> Result<(), ClientError> {
        let client = self.unix().await?;
        let sessions = client.list_sessions().await?;
        futures(sessions.iter().filter(|s| s.alive).map(|s| client.kill_session(&s.session_id))).await?;
        client.close().await;
        // It ends by itself on this; the directory is ours.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
        Ok(())
    }
}

/// Waits for all, one after the other in result but at the same time in work.
async fn futures<E>(all: impl Iterator<Item = impl Future<Output = Result<(), E>>>) -> Result<(), E> {
    for one in futures_util::future::join_all(all).await {
        one?;
    }
    Ok(())
}

/// The machine and its load, in one line.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .unwrap_or("")
        .trim_matches([' ', '\t', ':']);
    let load = read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} × {model}; Linux {}; load {load}", read("/proc/sys/kernel/osrelease").trim())
}

/// The scripted tool: a debug build, for it only draws.
pub fn scripted(workspace: &Workspace) -> Result<PathBuf, Failure> {
    cargo_build(workspace, &["-p", "cm-testkit", "--bin", "cm-scripted"])?;
    Ok(workspace.target.join("debug/cm-scripted"))
}

/// Builds an example of a package for release, and runs it.
pub fn example(workspace: &Workspace, package: &str, name: &str) -> Result<(), Failure> {
    cargo_build(workspace, &["--release", "-p", package, "--example", name])?;
    let program = workspace.target.join("release/examples").join(name);
    let command = program.display().to_string();
    match Command::new(program).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Exit { command, status: status.to_string(), output: String::new() }),
        Err(source) => Err(Failure::Start { command, source }),
    }
}

fn cargo_build(workspace: &Workspace, args: &[&str]) -> Result<(), Failure> {
    let command = format!("cargo build {}", args.join(" "));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root).args(["build", "--quiet"]).args(args);
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Exit { command, status: status.to_string(), output: String::new() }),
        Err(source) => Err(Failure::Start { command, source }),
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
