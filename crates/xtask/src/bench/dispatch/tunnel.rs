//! How long a command takes through our tunnel, through `ssh -L`, and over a bare WebSocket, to one and the same agent.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bench::Row;
use crate::failure::Failure;
use crate::sh::{self, Run, SHORT};

use super::place::{Desk, text_of};
use super::simulated::{Simulated, free_port};

/// For `ssh -L` to listen.
const READY: Duration = Duration::from_secs(20);
/// Commands by each way, in turn.
const PINGS: &str = "4000";

/// Median and 99th percentile of each way, milliseconds.
#[derive(Debug, PartialEq)]
struct Times {
    tunnel: [f64; 2],
    forward: [f64; 2],
    bare: [f64; 2],
}

/// An `ssh -L`; it ends with this.
struct Forward(Child);

impl Drop for Forward {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Forward {
    /// From this port to an agent's, through the first simulated host's sshd.
    fn start(desk: &Desk, way: &Way, from: u16, to: u16) -> Result<Self, Failure> {
        let mut command = Command::new("ssh");
        command.args(["-F", "ssh_config", "-N", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"]);
        command.args(["-o", "UserKnownHostsFile=many-known", "-i", "many-user", "-p", &way.port]);
        command.args(["-L", &format!("127.0.0.1:{from}:127.0.0.1:{to}"), &format!("{}@{ADDRESS}", way.user)]);
        command.current_dir(desk.bench.path("")).stdin(Stdio::null()).stdout(Stdio::null());
        let started = command.spawn();
        let child = started.map_err(|source| Failure::Start { command: "ssh -L".to_owned(), source })?;
        let forward = Self(child);
        match sh::until(READY, || TcpStream::connect(("127.0.0.1", from)).ok()) {
            Some(_) => Ok(forward),
            None => Err(Failure::check("`ssh -L` does not listen", "read what it has said above")),
        }
    }
}

/// The first simulated host.
const ADDRESS: &str = "127.0.2.1";

/// How it is reached.
struct Way {
    user: String,
    port: String,
}

/// Measures it.
pub fn measure(desk: &Desk, simulated: &Simulated) -> Result<Vec<Row>, Failure> {
    let Some(agent) = simulated.ports.first().copied() else { return Ok(Vec::new()) };
    let way = way(&text_of(&desk.bench.path("many.yaml"))?);
    let key = text_of(&desk.bench.path("many-host.pub"))?;
    desk.bench.write("many-known", &format!("[{ADDRESS}]:{} {key}", way.port))?;
    let from = free_port()?;
    let forward = Forward::start(desk, &way, from, agent)?;
    let target = format!("{}@{ADDRESS}:{}", way.user, way.port);
    let said = Run::new(desk.builds.examples.join("ping"))
        .args([PINGS, &target, "many-user", "many-known", &agent.to_string(), &from.to_string()])
        .dir(desk.bench.path(""))
        .env("CM_AGENT_TOKEN", simulated.token())
        .capture(SHORT)?;
    drop(forward);
    let times =
        read(&said).ok_or_else(|| Failure::check(format!("the example said {said:?}"), "report this"))?;
    Ok(vec![row(&times)])
}

/// PURE. Who logs in where, out of the inventory of simulated hosts.
fn way(inventory: &str) -> Way {
    let of = |key: &str| {
        let value = inventory.lines().find_map(|line| line.trim().strip_prefix(key));
        value.unwrap_or_default().trim().to_owned()
    };
    Way { user: of("user:"), port: of("port:") }
}

/// PURE. What the example printed.
fn read(said: &str) -> Option<Times> {
    let value: Value = serde_json::from_str(said).ok()?;
    let pair = |name: &str| Some([value[name][0].as_f64()?, value[name][1].as_f64()?]);
    Some(Times { tunnel: pair("tunnel")?, forward: pair("forward")?, bare: pair("bare")? })
}

/// PURE.
fn row(times: &Times) -> Row {
    let ratio = times.tunnel[0] / times.forward[0];
    let words = |[p50, p99]: [f64; 2]| format!("{p50:.2} / {p99:.2} ms");
    Row {
        what: "command → reply through the tunnel, p50 / p99".to_owned(),
        measured: format!(
            "**{ratio:.2} ×**: {}; `ssh -L` {}; a bare WebSocket {}",
            words(times.tunnel),
            words(times.forward),
            words(times.bare)
        ),
        goal: "≤ 0.6 × `ssh -L`",
        original: "",
        good: ratio <= 0.6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_example_says() {
        let times = read(r#"{"tunnel":[0.3,1.0],"forward":[0.6,2.0],"bare":[0.2,0.5]}"#).unwrap();
        let row = row(&times);
        assert!(row.good);
        assert_eq!(
            row.measured,
            "**0.50 ×**: 0.30 / 1.00 ms; `ssh -L` 0.60 / 2.00 ms; a bare WebSocket 0.20 / 0.50 ms"
        );
        assert_eq!(read("{}"), None);
        let way = way("fleet: many\ndefaults:\n  user: root\n  port: 4711\n  identity: x\n");
        assert_eq!((way.user.as_str(), way.port.as_str()), ("root", "4711"));
    }
}
