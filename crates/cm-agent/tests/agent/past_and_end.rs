//! What a client that was away is told, and how an agent ends: drained, at once, or because nobody needs it.

use std::time::Duration;

use serde_json::{Value, json};

use super::limits::happen;
use super::peace::{Bystander, nothing_left, session};
use super::support::{Agent, Raw, until};

type Unix = Raw<tokio::net::UnixStream>;

async fn logged_in(agent: &Agent) -> Unix {
    let mut raw = agent.raw().await;
    assert_eq!(raw.log_in("").await["status"], "authenticated");
    raw
}

pub async fn head(raw: &mut Unix) -> u64 {
    let answer = raw.ask(json!({"action": "subscribe"})).await;
    answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

/// The frames that follow `since`, up to event `last`.
pub async fn since(agent: &Agent, since: u64, last: u64) -> Vec<Value> {
    let mut raw = logged_in(agent).await;
    raw.ask(json!({"action": "subscribe", "since": since})).await;
    let mut frames: Vec<Value> = Vec::new();
    while frames.last().is_none_or(|f| f["seq"].as_u64() < Some(last)) {
        let frame = raw.receive().await;
        assert!(!frame.is_null(), "closed");
        frames.push(frame);
    }
    frames
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|f| f["seq"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn replay_is_exactly_what_followed_also_after_a_restart() {
    let mut agent = Agent::start().await;
    let mut raw = logged_in(&agent).await;
    let id = session(&mut raw, json!({"tool": "cat"})).await;
    happen(&mut raw, &id, 5000).await;
    let newest = head(&mut raw).await;
    let all = since(&agent, 0, newest).await;
    assert_eq!(numbers(&all), (1..=newest).collect::<Vec<_>>());
    assert_eq!(since(&agent, newest - 3, newest).await, all[all.len() - 3..]);
    // Nothing is owed to one who has everything.
    let mut current = logged_in(&agent).await;
    current.ask(json!({"action": "subscribe", "since": newest})).await;
    assert_eq!(current.ask(json!({"action": "list_sessions"})).await["type"], "sessions_list");
    // A number this agent has not given yet: only a snapshot says where things stand.
    let beyond = since(&agent, newest + 1_000_000, newest).await;
    assert_eq!((&beyond[0]["type"], &beyond[0]["seq"]), (&json!("snapshot"), &json!(newest)));
    assert_eq!(beyond[0]["sessions"][0]["sessionId"], id.as_str());

    agent.kill_9().await;
    agent.restart().await;
    let again = since(&agent, 0, newest).await;
    assert!(again == all, "the same, from the disk");
    let mut raw = logged_in(&agent).await;
    raw.ask(json!({"action": "subscribe", "since": newest})).await;
    raw.ask(json!({"action": "report", "sessionId": id, "status": "done", "message": "new life"})).await;
    until("it goes on with the next number", async || {
        let mut raw = logged_in(&agent).await;
        (head(&mut raw).await > newest).then_some(())
    })
    .await;
    assert_eq!(since(&agent, newest, newest + 1).await[0]["seq"], newest + 1);
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_a_snapshot() {
    let agent = Agent::with(&["--journal-bytes", "262144"]).await;
    let mut raw = logged_in(&agent).await;
    let id = session(&mut raw, json!({"tool": "cat"})).await;
    happen(&mut raw, &id, 8000).await;
    let newest = head(&mut raw).await;
    let frames = since(&agent, 1, newest).await;
    assert_eq!(frames[0]["type"], "snapshot", "{}", frames[0]);
    let first = frames[0]["seq"].as_u64().expect("a number");
    assert_eq!(numbers(&frames), (first..=newest).collect::<Vec<_>>());
    let kept = walk(&agent.state().join("journal"));
    assert!(kept < 400 * 1024, "{kept} bytes");
    // What is kept is replayed.
    assert_eq!(numbers(&since(&agent, newest - 10, newest).await).len(), 10);
}

fn walk(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir).expect("there").flatten().map(|e| e.metadata().expect("a file").len()).sum()
}

#[tokio::test]
async fn draining_waits_for_what_runs_and_takes_nothing_new() {
    let mut agent = Agent::start().await;
    let mut raw = logged_in(&agent).await;
    let go = agent.dir.path().join("go");
    let task = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let id = session(&mut raw, json!({"tool": "shell", "task": task})).await;
    raw.ask(json!({"action": "subscribe"})).await;
    // More seconds than any clock can count are no reason to fall over.
    let answer = raw.ask(json!({"action": "shutdown", "drain": true, "timeout": 1e19})).await;
    assert_eq!((&answer["type"], &answer["waitingFor"]), (&json!("shutting_down"), &json!(1)), "{answer}");
    assert_eq!(raw.event("notice").await["topic"], "draining");
    let refused = raw.ask(json!({"action": "create_session", "tool": "cat"})).await;
    assert_eq!(refused["code"], "conflict", "{refused}");
    let info = raw.ask(json!({"action": "agent_info"})).await;
    assert_eq!(info["agent"]["draining"], true);
    std::fs::write(&go, "").expect("written");
    let done = raw.event("session_completed").await;
    assert_eq!(done["sessionId"], id.as_str());
    assert!(agent.ended().await.success());
    assert!(!agent.socket().exists());
    assert_eq!(agent.terminals().len(), 1, "its terminal is kept, as it was asked for");
}

#[tokio::test]
async fn draining_has_an_end_and_without_it_the_end_comes_at_once() {
    for (shutdown, least) in [
        (json!({"action": "shutdown", "drain": true, "timeout": 0.3}), Duration::from_millis(300)),
        (json!({"action": "shutdown"}), Duration::ZERO),
    ] {
        let mut agent = Agent::start().await;
        let mut raw = logged_in(&agent).await;
        let id = session(&mut raw, json!({"tool": "shell", "task": "sleep 621"})).await;
        let began = std::time::Instant::now();
        assert_eq!(raw.ask(shutdown.clone()).await["type"], "shutting_down");
        assert!(agent.ended().await.success());
        assert!(began.elapsed() >= least && began.elapsed() < Duration::from_secs(10), "{shutdown}");
        // The session did not notice; another agent takes it over.
        assert_eq!(agent.terminals().len(), 1);
        agent.restart().await;
        let client = agent.client().await;
        let sessions = client.list_sessions().await.expect("listed");
        assert_eq!((sessions[0].session_id.as_str(), sessions[0].alive), (id.as_str(), true));
        client.kill_session(&sessions[0].session_id).await.expect("killed");
        nothing_left(&agent, &client).await;
    }
}

#[tokio::test]
async fn an_agent_on_demand_ends_when_nobody_needs_it() {
    let mut agent = Agent::with(&["--on-demand", "1"]).await;
    let began = std::time::Instant::now();
    let mut bystander = Bystander::beside(&agent).await;
    let mut client = logged_in(&agent).await;
    // A client, then only a session, each longer than it waits with nothing to do.
    let quiet = async |least: Duration| {
        until("time passes", async || (began.elapsed() >= least).then_some(())).await;
    };
    quiet(Duration::from_millis(1500)).await;
    bystander.works().await;
    let id = session(&mut client, json!({"tool": "cat"})).await;
    drop(client);
    bystander.leaves().await;
    quiet(began.elapsed() + Duration::from_millis(1500)).await;
    let last = agent.client().await;
    assert!(last.list_sessions().await.expect("it is there").iter().any(|s| s.session_id.as_str() == id));
    last.kill_session(&cm_protocol::SessionId(id.clone())).await.expect("killed");
    last.close().await;
    assert!(agent.ended().await.success());
    assert!(!agent.socket().exists());
}
