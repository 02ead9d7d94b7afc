//! Two hundred hosts that are all this machine: an sshd on each of as many loopback addresses, and agents behind them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::bench::deploy::many::{MANY, Many};
use crate::failure::Failure;
use crate::workspace::Workspace;

use super::place::{Desk, text_of};

/// Real agents; the hosts share them, each as many.
pub const AGENTS: usize = 20;
/// Long enough not to be warned of.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// They end with this.
pub struct Simulated {
    agents: Vec<Child>,
    /// Where the agents listen, on 127.0.0.1.
    pub ports: Vec<u16>,
    _hosts: Many,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            // Both fail only if it has ended by itself.
            let _ = agent.kill();
            let _ = agent.wait();
        }
        for number in 0..AGENTS {
            // Not there where it did not come so far.
            let _ = fs::remove_dir_all(runtime(number));
        }
    }
}

/// Where an agent has its sockets: their paths must be short.
fn runtime(number: usize) -> PathBuf {
    std::env::temp_dir().join(format!("cm-bench-{}-{number}", std::process::id()))
}

impl Simulated {
    /// Starts them; `crowd.yaml` names them all, `token` holds what their agents want.
    pub fn start(workspace: &Workspace, desk: &Desk) -> Result<Self, Failure> {
        let hosts = Many::start(workspace, &desk.bench)?;
        let mut simulated = Self { agents: Vec::new(), ports: Vec::new(), _hosts: hosts };
        secret(&desk.bench.path("token"))?;
        for number in 0..AGENTS {
            let port = free_port()?;
            simulated.agents.push(agent(desk, number, port)?);
            simulated.ports.push(port);
        }
        let many = text_of(&desk.bench.path("many.yaml"))?;
        desk.bench.write("crowd.yaml", &inventory(&many, &simulated.ports, &desk.bench.path("token")))?;
        Ok(simulated)
    }

    /// The token of its agents.
    pub fn token(&self) -> &'static str {
        TOKEN
    }
}

/// A file that nobody else can read.
fn secret(path: &Path) -> Result<(), Failure> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(TOKEN.as_bytes())).map_err(Failure::file("write", path))
}

fn agent(desk: &Desk, number: usize, port: u16) -> Result<Child, Failure> {
    let dir = desk.bench.path(&format!("agent-{number}"));
    fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
    let log = dir.join("log");
    let log = fs::File::create(&log).map_err(Failure::file("create", log))?;
    let started = Command::new(&desk.builds.agent)
        .args(["serve", "--placement", "detached", "--max-sessions", "1000", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .arg("--runtime-dir")
        .arg(runtime(number))
        .arg("--token-file")
        .arg(desk.bench.path("token"))
        .env("RUST_LOG", "warn")
        .env("HOME", &dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn();
    let command = desk.builds.agent.display().to_string();
    let mut child = started.map_err(|source| Failure::Start { command: command.clone(), source })?;
    let mut line = String::new();
    // It says so, or ends.
    let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    if matches!(read, Some(Ok(_))) && line.starts_with("ready") {
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(Failure::check(
        format!("`{command}` did not get ready"),
        format!("read {}", dir.join("log").display()),
    ))
}

/// A port of 127.0.0.1 that nobody listens on.
pub fn free_port() -> Result<u16, Failure> {
    let bound = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| Failure::Start { command: "a listener on 127.0.0.1".into(), source })
}

/// PURE. The inventory of simulated hosts, with an agent for each.
fn inventory(many: &str, ports: &[u16], token: &Path) -> String {
    let mut hosts = 0;
    let mut text = String::new();
    for line in many.lines() {
        let host = line.trim_start().starts_with("many").then(|| line.strip_suffix('}')).flatten();
        match host {
            Some(host) => {
                let port = ports.get(hosts % ports.len().max(1)).copied().unwrap_or_default();
                hosts += 1;
                text.push_str(&format!("{host}, agent: {{port: {port}}}}}\n"));
            }
            None if line == "defaults:" => {
                text.push_str(&format!("defaults:\n  agent: {{token: 'file:{}'}}\n", token.display()));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// How many hosts there are.
pub fn hosts() -> usize {
    usize::from(MANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_gets_an_agent() {
        let many = "fleet: many\ndefaults:\n  user: u\nhosts:\n  many1: {address: 127.0.2.1}\n  \
                    many2: {address: 127.0.2.2}\n  many3: {address: 127.0.2.3}\n";
        let expected = "fleet: many\ndefaults:\n  agent: {token: 'file:/t'}\n  user: u\nhosts:\n  \
                        many1: {address: 127.0.2.1, agent: {port: 7}}\n  \
                        many2: {address: 127.0.2.2, agent: {port: 8}}\n  \
                        many3: {address: 127.0.2.3, agent: {port: 7}}\n";
        assert_eq!(inventory(many, &[7, 8], Path::new("/t")), expected);
    }
}
