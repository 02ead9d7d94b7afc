//! Many at once: what is refused, what is bounded, and that nobody else feels it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::peace::{Bystander, memory, nothing_left, session};
use super::support::{Agent, PATIENCE, Raw, until};

const MIB: u64 = 1024 * 1024;

async fn logged_in(agent: &Agent) -> Raw<tokio::net::UnixStream> {
    let mut raw = agent.raw().await;
    assert_eq!(raw.log_in("").await["status"], "authenticated");
    raw
}

/// As many files as the system allows this process.
fn open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("raised");
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let agent = Agent::with(&["--max-clients", "3"]).await;
    let mut bystander = Bystander::beside(&agent).await;
    let (_second, third) = (logged_in(&agent).await, logged_in(&agent).await);
    let mut fourth = agent.raw().await;
    let refused = fourth.log_in("").await;
    assert_eq!(refused["code"], "limit", "{refused}");
    assert!(refused["message"].as_str().expect("words").contains("3 clients"), "{refused}");
    assert_eq!(fourth.receive().await, Value::Null);
    bystander.works().await;
    drop(third);
    until("there is room again", async || {
        (agent.raw().await.log_in("").await["status"] == "authenticated").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_clients_at_once_are_all_served() {
    open_files();
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let before = memory(agent.pid());
    let began = Instant::now();
    let clients = join_all((0..1000).map(|n| {
        let agent = &agent;
        async move {
            let mut raw = logged_in(agent).await;
            let answer = raw.ask(json!({"action": "list_sessions", "id": n})).await;
            assert_eq!((&answer["type"], &answer["id"]), (&json!("sessions_list"), &json!(n)));
            raw
        }
    }));
    let mut clients = tokio::time::timeout(PATIENCE, clients).await.expect("all in time");
    let info = clients[0].ask(json!({"action": "agent_info"})).await;
    assert_eq!(info["agent"]["capacity"]["clients"], 1001, "{info}");
    bystander.works().await;
    // An event reaches each of them.
    let last = clients.len() - 1;
    let id = session(&mut clients[last], json!({"tool": "shell", "task": "true"})).await;
    let told = join_all(clients.iter_mut().map(|raw| raw.event("session_completed"))).await;
    assert!(told.iter().all(|event| event["sessionId"] == id.as_str()));
    let each = memory(agent.pid()).saturating_sub(before) / 1000;
    eprintln!("1,000 clients: {:?}, {} KiB of memory each", began.elapsed(), each / 1024);
    assert!(each < 64 * 1024, "{each} bytes for each client");
    drop(clients);
    let mut raw = logged_in(&agent).await;
    until("they are gone", async || {
        let info = raw.ask(json!({"action": "agent_info"})).await;
        (info["agent"]["capacity"]["clients"] == 2).then_some(())
    })
    .await;
    raw.ask(json!({"action": "kill_session", "sessionId": id})).await;
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn more_sessions_than_allowed_are_refused_and_none_is_leaked() {
    const MOST: usize = 50;
    let agent = Agent::with(&["--max-sessions", "50"]).await;
    let raw = logged_in(&agent).await;
    // Read what comes while sending, as any client does.
    let (mut sink, mut stream) = raw.ws.split();
    let sending = async {
        for n in 0..1000 {
            let create = json!({"id": n, "action": "create_session", "tool": "cat"});
            sink.send(Message::Text(create.to_string().into())).await.expect("sent");
        }
    };
    let reading = async {
        let mut answers = BTreeMap::new();
        while answers.len() < 1000 {
            let Some(Ok(Message::Text(text))) = stream.next().await else { panic!("cut off") };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if let Some(id) = frame["id"].as_u64() {
                assert!(answers.insert(id, frame).is_none(), "answered twice");
            }
        }
        answers
    };
    let began = Instant::now();
    let ((), answers) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(sending, reading) }).await.expect("all answered");
    eprintln!("1,000 create_session with room for {MOST}: {:?}", began.elapsed());
    let made: Vec<_> = answers.values().filter_map(|a| a["sessionId"].as_str()).collect();
    assert_eq!(made.len(), MOST);
    for refused in answers.values().filter(|a| a["type"].is_null()) {
        assert_eq!(refused["code"], "limit", "{refused}");
    }
    let client = agent.client().await;
    assert_eq!(agent.terminals().len(), MOST);
    let ids = client.list_sessions().await.expect("listed");
    assert_eq!(ids.iter().filter(|s| s.alive).count(), MOST);
    let killed = join_all(ids.iter().map(|s| client.kill_session(&s.session_id))).await;
    assert!(killed.iter().all(Result::is_ok));
    nothing_left(&agent, &client).await;
    // Room again.
    let mut bystander = Bystander::beside(&agent).await;
    bystander.works().await;
    bystander.leaves_nothing(&agent).await;
}

/// Sends reports for a session, so that something happens `times` times; reads the answers.
pub async fn happen(raw: &mut Raw<tokio::net::UnixStream>, id: &str, times: usize) {
    let filler = "x".repeat(200);
    let (mut sink, mut stream) = (&mut raw.ws).split();
    let sending = async {
        for n in 0..times {
            let status = if n % 2 == 0 { "waiting" } else { "working" };
            let report = json!({"id": n, "action": "report", "sessionId": id, "status": status,
                "message": format!("{n} {filler}")});
            sink.feed(Message::Text(report.to_string().into())).await.expect("sent");
        }
        sink.flush().await.expect("sent");
    };
    let reading = async {
        let mut answered = 0;
        while answered < times {
            let Some(Ok(Message::Text(text))) = stream.next().await else { panic!("cut off") };
            answered += usize::from(text.contains("\"reported\""));
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(sending, reading) }).await.expect("in time");
}

#[tokio::test]
async fn a_client_that_never_reads_costs_nothing_and_gets_a_snapshot() {
    const EVENTS: usize = 20_000;
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut busy = logged_in(&agent).await;
    let id = session(&mut busy, json!({"tool": "cat"})).await;
    let mut lazy = logged_in(&agent).await;
    assert_eq!(lazy.ask(json!({"action": "subscribe"})).await["type"], "subscribed");
    // Fills what is kept of events, which is there for everybody.
    happen(&mut busy, &id, 6000).await;
    let before = memory(agent.pid());
    let began = Instant::now();
    let (slowest, ()) = tokio::join!(
        async {
            let mut other = logged_in(&agent).await;
            let mut slowest = Duration::ZERO;
            for _ in 0..20 {
                let asked = Instant::now();
                other.ask(json!({"action": "agent_info"})).await;
                slowest = slowest.max(asked.elapsed());
            }
            slowest
        },
        happen(&mut busy, &id, EVENTS)
    );
    let grown = memory(agent.pid()).saturating_sub(before);
    eprintln!("{EVENTS} events in {:?}, slowest answer {slowest:?}, {grown} bytes more", began.elapsed());
    assert!(grown < 12 * MIB, "{grown}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    bystander.works().await;
    let info = busy.ask(json!({"action": "subscribe"})).await;
    let head = info["seq"].as_u64().expect("a number");
    let (mut last, mut snapshots, mut events) = (None, 0, 0);
    while last != Some(head) {
        let frame = lazy.receive().await;
        let seq = frame["seq"].as_u64().unwrap_or_else(|| panic!("{frame}"));
        if frame["type"] == "snapshot" {
            assert!(last.is_none_or(|last| last <= seq), "{last:?} then {seq}");
            snapshots += 1;
        } else {
            assert!(last.is_none_or(|last| last + 1 == seq), "{last:?} then {frame}");
            events += 1;
        }
        last = Some(seq);
    }
    assert!(snapshots >= 1 && events < EVENTS, "{snapshots} snapshots, {events} events");
    // And goes on like everybody else.
    happen(&mut busy, &id, 2).await;
    let next = lazy.receive().await;
    assert_eq!(next["seq"], head + 1, "{next}");
    bystander.works().await;
}

#[tokio::test]
async fn commands_that_nobody_reads_the_answers_of_are_bounded() {
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    raw.ask(json!({"action": "agent_info"})).await;
    let before = memory(agent.pid());
    let mut sent = 0;
    // Until the agent takes no more, for it has its hands full of answers.
    while sent < 10_000 {
        let command = json!({"id": sent, "action": "agent_info", "padding": "x".repeat(1000)});
        let sending = raw.ws.send(Message::Text(command.to_string().into()));
        match tokio::time::timeout(Duration::from_secs(1), sending).await {
            Ok(done) => done.expect("sent"),
            Err(_) => break,
        }
        sent += 1;
    }
    assert!(sent < 10_000, "the agent took them all and has answers for nobody");
    let grown = memory(agent.pid()).saturating_sub(before);
    eprintln!("{sent} commands taken, {grown} bytes more");
    assert!(grown < 8 * MIB, "{grown}");
    bystander.works().await;
    drop(raw);
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn a_name_belongs_to_one_living_session() {
    let agent = Agent::start().await;
    let mut raw = logged_in(&agent).await;
    let named = json!({"tool": "cat", "name": "the #{pid} \"one\": it's mine"});
    let id = session(&mut raw, named.clone()).await;
    let mut again = named.clone();
    again["action"] = json!("create_session");
    let answer = raw.ask(again).await;
    assert_eq!(answer["code"], "conflict", "{answer}");
    assert!(answer["error"].as_str().expect("words").contains(&id), "{answer}");
    raw.ask(json!({"action": "kill_session", "sessionId": id})).await;
    let other = session(&mut raw, named).await;
    assert_ne!(other, id);
    let list = raw.ask(json!({"action": "list_sessions", "all": true})).await;
    assert_eq!(list["sessions"].as_array().expect("a list").len(), 2);
}
