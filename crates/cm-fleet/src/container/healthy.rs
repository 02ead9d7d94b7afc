//! Waits until an agent answers as itself over new connections, or until it is clear that it will not.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use cm_client::Client;
use cm_ssh::Keys;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::ask;
use super::engine::{Engine, Road};
use super::way;

/// Before it is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long one question about sessions may take.
const SESSIONS: Duration = Duration::from_secs(10);
/// Lines of a container's last words.
const WORDS: &str = "12";

/// Why an agent is not well.
#[derive(Debug)]
pub struct Sick {
    /// In words.
    pub why: String,
    /// The container's last words.
    pub log: Vec<String>,
}

/// An agent that answers.
pub struct Well {
    /// Its version, by its own word.
    pub version: String,
    /// Its living sessions, with their programs' pids; none where it did not say.
    pub sessions: Option<Vec<Session>>,
}

/// A session: its id and its program's pid.
pub type Session = (String, Option<i32>);

/// Waits for the agent in this container.
///
/// # Errors
/// Its container ended, it did not answer in time, or another version answers than `version`.
pub async fn wait(
    road: &Road,
    engine: &Engine,
    container: &str,
    version: &str,
    within: Duration,
    keys: &Keys,
) -> Result<Well, Sick> {
    let until = Instant::now() + within;
    loop {
        let tried =
            tokio::time::timeout_at(until, way::connect(road, container, keys, Some(&engine.socket))).await;
        let why = match tried {
            Ok(Ok((client, _))) => return answered(client, version).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        let ended = match ask::container(engine, container).await {
            Ok(Some(found)) if found.runs() || found.state == "created" => None,
            Ok(Some(found)) if found.error.is_empty() => {
                Some(format!("its container ended with {}", found.exit_code))
            }
            Ok(Some(found)) => Some(format!("its container did not start: {}", found.error)),
            Ok(None) => Some("its container is gone".to_owned()),
            // A connection that is lost says nothing of the agent.
            Err(_) => None,
        };
        let late = Instant::now() + AGAIN >= until;
        if ended.is_some() || late {
            let why = ended.unwrap_or_else(|| format!("not healthy within {} s: {why}", within.as_secs()));
            return Err(Sick { why, log: words(engine, container).await });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn answered(client: Client, version: &str) -> Result<Well, Sick> {
    let running = client.hello().map(|hello| hello.agent.version.clone()).unwrap_or_default();
    if !version.is_empty() && running != version {
        client.close().await;
        let why = format!("another version answers there than was deployed: {running}, not {version}");
        return Err(Sick { why, log: Vec::new() });
    }
    let sessions = sessions(&client).await;
    client.close().await;
    Ok(Well { version: running, sessions })
}

/// The living sessions of an agent.
pub async fn sessions(client: &Client) -> Option<Vec<Session>> {
    let ask = async {
        let all = client.list_sessions().await.ok()?;
        let living = all.iter().filter(|session| session.alive);
        let details = living.map(|session| client.get_session(&session.session_id));
        let details = futures_util::future::join_all(details).await;
        // One that is gone by now is none.
        Some(
            details
                .into_iter()
                .flatten()
                .map(|detail| (detail.info.session_id.to_string(), detail.pid))
                .collect(),
        )
    };
    tokio::time::timeout(SESSIONS, ask).await.ok()?
}

/// A container's last words.
pub async fn words(engine: &Engine, container: &str) -> Vec<String> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(WORDS).build();
    let mut text = String::new();
    let mut pieces = std::pin::pin!(engine.docker.logs(container, Some(options)));
    while let Some(Ok(piece)) = pieces.next().await {
        text.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
    }
    text.lines().map(crate::report::clean::clean_line).collect()
}
