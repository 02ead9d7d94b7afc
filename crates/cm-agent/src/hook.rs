//! `cm-agent hook`: what a tool's hook was called with goes to the agent, and the agent's answer to the tool.
//!
//! A hook is in its tool's way: it must be quick, and whatever goes wrong with it must not go wrong with the
//! tool. So it always ends with 0, and prints nothing but an answer; without one the tool asks in its own way.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cm_client::{Client, Endpoint};
use cm_protocol::{Hook, SessionId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::tool::hooks;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest event, in bytes.
const LONGEST: usize = 1 << 20;

/// Passes on what stands on standard input. Always ends well, see above.
pub fn run() -> ExitCode {
    match pass_on(Instant::now() + DEADLINE) {
        Ok(None) => {}
        // A tool that does not listen any more needs no answer.
        Ok(Some(output)) => drop(writeln!(std::io::stdout(), "{output}")),
        Err(why) => drop(writeln!(std::io::stderr(), "cm-agent hook: {why}")),
    }
    ExitCode::SUCCESS
}

fn pass_on(until: Instant) -> Result<Option<Value>, String> {
    let text = read(until)?;
    let inside = |name: &str| {
        std::env::var(name).map_err(|_| format!("{name} is not set: hooks work inside a session only"))
    };
    let session_id = SessionId(inside("CM_SESSION_ID")?);
    let endpoint = Endpoint::Unix(inside("CM_AGENT_SOCKET")?.into());
    let mut event: Value =
        serde_json::from_slice(&text).map_err(|e| format!("standard input is not JSON: {e}"))?;
    if !event.is_object() {
        return Err("standard input is no JSON object".into());
    }
    hooks::slim(&mut event);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let left = || until.saturating_duration_since(Instant::now());
        let client = Client::connect(&endpoint, left()).await.map_err(|e| e.to_string())?;
        client.with_timeout(left()).hook(Hook { session_id, event }).await.map_err(|e| e.to_string())
    })
}

/// Reads standard input to its end.
fn read(until: Instant) -> Result<Vec<u8>, String> {
    let stdin = std::io::stdin();
    let (mut text, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left =
            Timespec::try_from(until.saturating_duration_since(Instant::now())).map_err(|e| e.to_string())?;
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err("standard input does not end".into()),
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) => return Ok(text),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("standard input cannot be read: {e}")),
        }
        if text.len() > LONGEST {
            return Err(format!("more than {LONGEST} bytes on standard input"));
        }
    }
}
