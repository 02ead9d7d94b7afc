//! One file a command: its arguments, and the one function that does it.

use std::io::{self, Write};
use std::time::Duration;

use cm_client::protocol::{ErrorCode, SessionInfo};
use cm_client::{Client, ClientError, Endpoint};

use crate::failure::{Failure, Kind};
use crate::fleet::find::{self, Found};
use crate::fleet::reach::Fleet;
use crate::local::Local;
use crate::sessions::{LOCAL, Seen, resolve};

pub mod act;
pub mod agent;
mod agent_logs;
pub mod attach;
pub mod check;
pub mod collect;
pub mod completions;
pub mod ctx;
pub mod deploy;
pub mod dispatch;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod fleet;
mod given;
pub mod hosts;
pub mod inbox;
pub mod init;
pub mod inventory;
pub mod logs;
pub mod man;
pub mod replay;
mod run_files;
pub mod runs;
pub mod schema;
pub mod send;
pub mod sessions;
pub mod settle;
mod show_run;
pub mod start;
pub mod status;
pub mod undo;
pub mod versions;

/// Time for connecting and logging in.
const CONNECT: Duration = Duration::from_secs(5);

async fn connect_to(local: &Local) -> Result<Client, Failure> {
    let socket = local.ensure().await?;
    Client::connect(&Endpoint::Unix(socket), CONNECT).await.map_err(|e| failed("cannot reach the agent", &e))
}

/// The session a person means by `query`.
async fn find(client: &Client, query: &str) -> Result<SessionInfo, Failure> {
    let sessions: Vec<Seen> = Seen::on(LOCAL, list(client).await?).collect();
    resolve(&sessions, query).map(|seen| seen.info.clone())
}

/// The same over a fleet. Hosts that were not looked at are named on standard error.
async fn find_on(fleet: &Fleet, query: &str) -> Result<Found, Failure> {
    let found = find::find(fleet, query).await?;
    if let Some(line) = find::not_looked_at(&found.lost) {
        say(&(line + "\n"));
    }
    Ok(found)
}

/// All sessions of an agent, closed ones too.
///
/// # Errors
/// It does not answer.
pub async fn list(client: &Client) -> Result<Vec<SessionInfo>, Failure> {
    client.list_all_sessions().await.map_err(|e| failed("cannot list the sessions", &e))
}

/// What could not be done, and why.
pub fn failed(what: impl Into<String>, error: &ClientError) -> Failure {
    let kind = match error {
        ClientError::Connect { .. } => Kind::Unreachable,
        ClientError::Unauthorized { .. } => Kind::Refused,
        ClientError::Refused(reply) => match reply.code {
            ErrorCode::Limit | ErrorCode::Conflict => Kind::Refused,
            _ => Kind::Task,
        },
        _ => Kind::Task,
    };
    match error {
        // The agent's own words say it all.
        ClientError::Refused(reply) => Failure::new(kind, what).caused_by(reply.error.clone()),
        other => Failure::new(kind, what).because(other),
    }
}

/// Prints to standard output. False once nobody reads it any more (`… | head`): time to end, no error.
///
/// # Errors
/// It cannot be written for another reason.
pub fn print(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::new(Kind::Task, "cannot write to standard output").because(&e)),
    }
}

/// Says something on standard error. That nobody reads it is no reason not to go on.
pub fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A value as one line of JSON.
///
/// # Errors
/// It is none that JSON has.
pub fn json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|e| Failure::new(Kind::Task, "cannot write JSON").because(&e))
}
