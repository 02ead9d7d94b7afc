//! `cm-fleet logs`: a session's text by line number, as it is or as it grows; `--agent`: what agents say.

use std::time::Duration;

use clap::Args;
use cm_client::protocol::{SessionId, Transcript};
use cm_client::{Client, Follower, Update};
use tokio::time::Instant;

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::find::Found;
use crate::fleet::way::Way;
use crate::report::clean::clean_line;

/// Lines of an agent's journal unless told otherwise.
const AGENT_LINES: u64 = 50;
/// Lines asked for at once.
const PAGE: u64 = 2_000;
/// How long an agent that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet logs 1a2b3c            everything there is
  cm-fleet logs -n 20 build       the last 20 lines of the session named build
  cm-fleet logs -f 1a2b3c         go on until the session's text ends
  cm-fleet logs --agent -f        what the agents of fleet.yaml's hosts write into their journals
  cm-fleet logs --agent --on web-01 -n 500

Colours and other escape sequences are removed, so that a session's output cannot steer your terminal.")]
pub struct Logs {
    /// The session: id, beginning of an id, name, or its task, on any host
    #[arg(required_unless_present = "agent", conflicts_with = "agent")]
    session: Option<String>,
    /// What the agents on an inventory's hosts say of themselves, instead of a session's text
    #[arg(long, conflicts_with = "local")]
    agent: bool,
    #[command(flatten)]
    fleet: FleetArgs,
    /// Wait for more, until the session's text ends
    #[arg(long, short)]
    follow: bool,
    /// Begin with the last LINES lines instead of the first
    #[arg(long, short = 'n', value_name = "LINES")]
    lines: Option<u64>,
    /// Print control characters as they are
    #[arg(long)]
    raw: bool,
}

/// Prints the lines.
///
/// # Errors
/// No such session, or the agent cannot be reached for too long.
pub async fn run(args: Logs, global: &Global) -> Result<Exit, Failure> {
    let Some(session) = &args.session else {
        let hosts = args.fleet.hosts().await?;
        return super::agent_logs::run(hosts, args.follow, args.lines.unwrap_or(AGENT_LINES)).await;
    };
    let Found { session, client, way, .. } =
        super::find_on(&args.fleet.fleet(global).await?, session).await?;
    let session = session.session_id;
    let from = match args.lines {
        Some(lines) => total(&client, &session).await?.saturating_sub(lines),
        None => 0,
    };
    let mut reader = Reader { session, next: from, raw: args.raw };
    let more = match reader.catch_up(&client).await {
        // An agent that dies under us is started again by those who follow.
        Err(_) if args.follow && client.ended().is_some() => More::Maybe,
        other => other?,
    };
    client.close().await;
    if args.follow && more == More::Maybe {
        follow(&mut reader, way).await?;
    }
    Ok(Exit::Done)
}

/// How many lines there are so far.
async fn total(client: &Client, session: &SessionId) -> Result<u64, Failure> {
    let wanted = Transcript { session_id: session.clone(), from: None, limit: Some(1) };
    let page =
        client.transcript(wanted).await.map_err(|e| super::failed("cannot read the session's text", &e))?;
    Ok(page.next)
}

/// Whether reading on makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    /// The session may print more.
    Maybe,
    /// Its text is complete, or nobody reads ours any more.
    No,
}

/// Where the reading stands.
struct Reader {
    session: SessionId,
    next: u64,
    raw: bool,
}

impl Reader {
    /// Prints everything there is by now.
    async fn catch_up(&mut self, client: &Client) -> Result<More, Failure> {
        loop {
            let wanted =
                Transcript { session_id: self.session.clone(), from: Some(self.next), limit: Some(PAGE) };
            let page = client
                .transcript(wanted)
                .await
                .map_err(|e| super::failed("cannot read the session's text", &e))?;
            let mut text = String::new();
            if page.gap {
                text.push_str("[lines are missing here: they left the terminal's history too fast]\n");
            }
            for line in &page.lines {
                if self.raw {
                    text.push_str(line)
                } else {
                    text.push_str(&clean_line(line))
                }
                text.push('\n');
            }
            let moved = page.next > self.next;
            self.next = self.next.max(page.next);
            if (!text.is_empty() && !super::print(&text)?) || page.end {
                return Ok(More::No);
            }
            if !moved || page.lines.is_empty() {
                return Ok(More::Maybe);
            }
        }
    }
}

/// Reads on whenever the screen or the session's state changes; over restarts of the agent, too.
async fn follow(reader: &mut Reader, way: Way) -> Result<(), Failure> {
    let mut follower = Follower::start(way.connector(), None);
    let mut give_up: Option<Instant> = None;
    let ended = loop {
        let update = tokio::select! {
            update = follower.next() => update,
            () = crate::dispatch::sleep_until(give_up) => {
                break Err(Failure::new(Kind::Unreachable, "the agent has not answered for a minute")
                    .hint("`cm-fleet agent log` may say why; the session goes on"));
            }
        };
        let look = match update {
            Some(Update::Connected { .. }) => {
                give_up = None;
                if let Some(client) = follower.try_client() {
                    // A session whose terminal is gone has no screen; its text has an end then.
                    let _ = client.watch_screen(&reader.session).await;
                }
                true
            }
            Some(Update::Screen(frame)) => frame.lines > reader.next || frame.end,
            Some(Update::Event(event)) => event.kind.session_id() == Some(&reader.session),
            Some(Update::Snapshot(_) | Update::Missed) => true,
            Some(Update::Lost { .. }) => {
                give_up.get_or_insert_with(|| Instant::now() + PATIENCE);
                false
            }
            None => break Err(Failure::new(Kind::Task, "the connection's task ended unexpectedly")),
        };
        if let (true, Some(client)) = (look, follower.try_client()) {
            match reader.catch_up(&client).await {
                Ok(More::No) => break Ok(()),
                Ok(More::Maybe) => {}
                // The follower connects again and tells us.
                Err(_) if client.ended().is_some() => {}
                Err(failure) => break Err(failure),
            }
        }
    };
    follower.close().await;
    ended
}
