//! Runs a shell command through an agent and prints what happens until it has ended.
//!
//! `cargo run -p cm-client --example watch -- [ADDRESS [COMMAND]]`: the address is `unix:/path`, `/path` or
//! `host:port` (its token in `CM_AGENT_TOKEN`); without one this user's own agent. `cm-agent serve` starts one.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use cm_client::protocol::{CreateSession, EventKind};
use cm_client::{Client, Endpoint, Incoming, Token};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `Display` is the text for people: what was tried, why it failed, the next move.
            eprintln!("watch: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let endpoint = match args.next() {
        Some(text) => text.parse()?,
        None => Endpoint::default_socket()
            .ok_or("XDG_RUNTIME_DIR is not set: give the agent's address (`cm-fleet agent` shows it)")?,
    };
    let token = Token::new(std::env::var("CM_AGENT_TOKEN").unwrap_or_default());
    let task = args.next().unwrap_or_else(|| "uname -a".to_owned());

    let client = Client::connect(&endpoint.with_token(token), Duration::from_secs(5)).await?;
    // Subscribed before the session exists: none of its events can be missed.
    let mut events = client.follow(None).await?;
    let session = CreateSession { tool: Some("shell".into()), task: Some(task), ..CreateSession::default() };
    let made = client.create_session(session).await?;
    println!("tmux -S {} attach", made.socket);

    while let Some(incoming) = events.next().await {
        match incoming {
            Incoming::Event(event) if event.kind.session_id() == Some(&made.session_id) => {
                println!("{:>6}  {:?}", event.seq, event.kind);
                if matches!(event.kind, EventKind::SessionCompleted { .. }) {
                    break;
                }
            }
            // This program slept, say: it goes on from where it was.
            Incoming::Missed { .. } => client.resume(&events).await?,
            Incoming::Event(_) | Incoming::Snapshot(_) | Incoming::Screen(_) => {}
        }
    }
    println!("{}", client.capture_pane(&made.session_id, 20).await?);
    client.kill_session(&made.session_id).await?;
    client.close().await;
    Ok(())
}
