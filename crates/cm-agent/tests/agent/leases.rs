//! Sessions that somebody owns: what becomes of them when nobody asks after them, and that no result is lost
//! on its way.

use std::time::Duration;

use cm_client::{Client, Events, Incoming};
use cm_protocol::{
    Action, CreateSession, EventKind, Lease, OnDone, Orphan, Outcome, Renew, ReplyBody, SessionId, State,
};

use super::support::{Agent, PATIENCE, is_alive, shell, until};

/// A shell session that belongs to `owner`.
pub fn owned(script: &str, owner: &str, seconds: f64, orphan: Orphan) -> CreateSession {
    let lease = Some(Lease { owner: owner.into(), seconds, orphan, as_of: None });
    CreateSession { lease, ..shell(script) }
}

/// The end of this session's task, as it is told.
pub async fn end_of(events: &mut Events, id: &SessionId) -> Outcome {
    let told = async {
        loop {
            match events.next().await.expect("the agent is there") {
                Incoming::Event(event) => match event.kind {
                    EventKind::SessionCompleted { session_id, outcome, .. } if session_id == *id => {
                        return outcome.expect("ours");
                    }
                    _ => {}
                },
                other => assert!(matches!(other, Incoming::Screen(_)), "{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it ends in time")
}

async fn made(client: &Client, request: CreateSession) -> SessionId {
    client.create_session(request).await.expect("made").session_id
}

async fn lives(client: &Client, id: &SessionId) -> bool {
    client.get_session(id).await.expect("remembered").info.alive
}

fn expired(outcome: &Outcome, seconds: u32) {
    let reason = format!("lease_expired: nobody renewed its lease for {seconds} s");
    assert_eq!((outcome.state, outcome.reason.as_deref()), (State::Killed, Some(reason.as_str())));
}

#[tokio::test]
async fn what_nobody_asks_after_is_ended_or_goes_on_as_was_said() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let mut events = client.follow(None).await.expect("followed");
    // Its lease is over before the other's.
    let keep = made(&client, owned("sleep 600", "r", 1.0, Orphan::Keep)).await;
    let stop = made(&client, owned("sleep 600 & wait", "r", 1.0, Orphan::Stop)).await;
    let pid = client.get_session(&stop).await.expect("there").pid.expect("a pid");
    expired(&end_of(&mut events, &stop).await, 1);
    until("its terminal is gone", async || (!lives(&client, &stop).await).then_some(())).await;
    assert!(!is_alive(pid));
    assert!(lives(&client, &keep).await);
    let renewed = client.renew_lease("r", Some(60.0)).await.expect("renewed");
    assert_eq!(renewed.sessions, 1, "those that live");
    assert!(renewed.load.cores > 0 && renewed.load.memory_available > 0.0, "{:?}", renewed.load);
    assert_eq!(client.renew_lease("nobody", Some(60.0)).await.expect("no error").sessions, 0);
    let ids = |sessions: Vec<cm_protocol::SessionInfo>| -> Vec<SessionId> {
        sessions.into_iter().map(|session| session.session_id).collect()
    };
    made(&client, shell("sleep 600")).await;
    assert_eq!(ids(client.list_sessions_of("r").await.expect("listed")), [keep, stop]);
    assert_eq!(ids(client.list_sessions_of("s").await.expect("listed")), []);
}

#[tokio::test]
async fn asking_after_sessions_keeps_them_and_a_shorter_lease_counts_at_once() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let mut events = client.follow(None).await.expect("followed");
    let kept = made(&client, owned("sleep 600", "kept", 5.0, Orphan::Stop)).await;
    client.renew_lease("kept", Some(86_400.0)).await.expect("renewed");
    let short = made(&client, owned("sleep 600", "short", 86_400.0, Orphan::Stop)).await;
    // When this one is over, the first lease of the one that was renewed is too.
    let measure = made(&client, owned("sleep 600", "measure", 5.0, Orphan::Stop)).await;
    assert_eq!(client.renew_lease("short", Some(1.0)).await.expect("renewed").sessions, 1);
    expired(&end_of(&mut events, &short).await, 1);
    expired(&end_of(&mut events, &measure).await, 5);
    assert!(lives(&client, &kept).await);
}

#[tokio::test]
async fn a_lease_outlives_the_agent_and_goes_on_with_the_next() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let since = client.hello().expect("ours").seq;
    let short = made(&client, owned("sleep 600", "short", 2.0, Orphan::Stop)).await;
    let long = made(&client, owned("sleep 600", "long", 86_400.0, Orphan::Stop)).await;
    let given_up = made(&client, owned("sleep 600", "free", 86_400.0, Orphan::Stop)).await;
    assert_eq!(client.renew_lease("free", None).await.expect("given up").sessions, 1);
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    let mut events = client.follow(Some(since)).await.expect("followed");
    expired(&end_of(&mut events, &short).await, 2);
    // What was given up stays so, whoever asks after it.
    assert_eq!(client.renew_lease("free", Some(1.0)).await.expect("renewed").sessions, 1);
    assert_eq!(client.renew_lease("long", Some(1.0)).await.expect("renewed").sessions, 1);
    expired(&end_of(&mut events, &long).await, 1);
    assert!(lives(&client, &given_up).await);
    let listed = client.list_sessions_of("free").await.expect("listed");
    assert_eq!(listed[0].owner.as_deref(), Some("free"), "it is still its owner's to fetch");
}

#[tokio::test]
async fn a_lease_lasts_from_what_its_owner_knew_and_a_restart_does_not_stretch_it() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let hello = client.hello().expect("ours");
    let (since, clock) = (hello.seq, hello.clock.expect("told"));
    // As if the request had been on its way for almost all of the lease.
    let as_of = |lease: CreateSession, as_of: f64| CreateSession {
        lease: lease.lease.map(|lease| Lease { as_of: Some(as_of), ..lease }),
        ..lease
    };
    let asked = |owner: &str, seconds: f64| owned("sleep 600", owner, seconds, Orphan::Stop);
    let length = clock.min(80_000.0);
    let old = made(&client, as_of(asked("old", length), clock - length + 2.0)).await;
    let fresh = made(&client, as_of(asked("fresh", length), clock)).await;
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    let told = client.hello().expect("ours").clock.expect("told");
    assert!(told >= clock, "it goes on");
    let mut events = client.follow(Some(since)).await.expect("followed");
    let reason = end_of(&mut events, &old).await.reason.expect("told");
    assert!(reason.starts_with("lease_expired: "), "{reason}");
    assert!(lives(&client, &fresh).await);
    // What was sent before it changes nothing, not even that it is given up.
    let renewed = client.renew_lease_as_of("fresh", Some(length), Some(0.0)).await.expect("no error");
    assert_eq!(renewed.sessions, 1);
    assert!(renewed.clock.expect("told") >= told);
    client.renew_lease_as_of("fresh", None, Some(0.0)).await.expect("no error");
    assert_eq!(client.renew_lease("fresh", Some(1.0)).await.expect("renewed").sessions, 1);
    expired(&end_of(&mut events, &fresh).await, 1);

    // One that comes when all is over does not begin.
    let late = client.create_session(as_of(asked("late", 5.0), 1.0)).await.expect_err("too late");
    assert_eq!(late.code(), Some(cm_protocol::ErrorCode::Conflict), "{late}");
    let wrong = client.create_session(as_of(asked("wrong", 5.0), -1.0)).await.expect_err("wrong");
    assert_eq!(wrong.code(), Some(cm_protocol::ErrorCode::BadRequest), "{wrong}");
}

#[tokio::test]
async fn what_is_renewed_again_takes_few_words() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let again = |as_of: Option<f64>| {
        let client = client.clone();
        async move { client.call(Action::Renew(Renew { as_of })).await }
    };
    let refused = again(None).await.expect_err("nothing to renew");
    assert_eq!(refused.code(), Some(cm_protocol::ErrorCode::Conflict), "{refused}");
    let mut events = client.follow(None).await.expect("followed");
    let session = made(&client, owned("sleep 600", "r", 5.0, Orphan::Stop)).await;
    let measure = made(&client, owned("sleep 600", "measure", 5.0, Orphan::Stop)).await;
    let full = client.renew_lease("r", Some(5.0)).await.expect("renewed");
    // Whatever the host does meanwhile, at some time two answers in a row are the same.
    let clock = until("nothing is new", async || match again(None).await.expect("renewed") {
        ReplyBody::Renewed { sessions: None, load: None, clock } => Some(clock),
        ReplyBody::Renewed { sessions: None, .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert!(clock >= full.clock.expect("told"));
    // By the client's own doing, too, and another connection knows nothing of it.
    let renewed = client.renew_lease("r", Some(5.0)).await.expect("renewed");
    assert_eq!((renewed.sessions, renewed.load.cores), (1, full.load.cores));
    let other = agent.client().await;
    assert!(other.call(Action::Renew(Renew::default())).await.is_err());
    // It has kept the session beyond its first length.
    let mut ended = false;
    while !ended {
        let over = end_of(&mut events, &measure);
        tokio::select! {
            outcome = over => { expired(&outcome, 5); ended = true; }
            () = tokio::time::sleep(Duration::from_millis(300)) => drop(again(None).await.expect("renewed")),
        }
    }
    assert!(lives(&client, &session).await);
    assert_eq!(client.renew_lease("r", None).await.expect("given up").sessions, 1);
    assert!(again(None).await.is_err(), "what was given up is not renewed");
}

/// A task that ends and whose terminal closes at once.
fn done(owner: Option<&str>, task_id: &str) -> CreateSession {
    let request = match owner {
        Some(owner) => owned("echo result", owner, 60.0, Orphan::Keep),
        None => shell("echo result"),
    };
    CreateSession { task_id: Some(task_id.into()), on_done: Some(OnDone::Close), ..request }
}

async fn closed(client: &Client, id: &SessionId) {
    until("it is closed or forgotten", async || match client.get_session(id).await {
        Ok(session) => (!session.info.alive && session.info.outcome.is_some()).then_some(()),
        Err(_) => Some(()),
    })
    .await;
}

#[tokio::test]
async fn f36_a_result_waits_until_it_is_said_to_have_arrived() {
    let mut agent = Agent::with(&["--remember", "0"]).await;
    let client = agent.client().await;
    let ours = made(&client, done(Some("r"), "t-1")).await;
    let other = made(&client, done(None, "t-2")).await;
    closed(&client, &ours).await;
    until("the other is forgotten", async || client.get_session(&other).await.err()).await;
    // The link was down, and so was the agent.
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    let again = client.create_session(done(Some("r"), "t-1")).await.expect("answered");
    assert_eq!((&again.session_id, again.existing), (&ours, true), "it is not run twice");
    let found = client.list_sessions_of("r").await.expect("listed");
    let outcome = found[0].outcome.as_ref().expect("its result");
    assert_eq!((outcome.state, outcome.tail.last().map(String::as_str)), (State::Done, Some("result")));
    let unknown = SessionId::from("cm-unknown");
    assert_eq!(client.acknowledge(vec![ours.clone(), unknown.clone()]).await.expect("noted"), 1);
    assert!(client.get_session(&ours).await.is_err(), "nobody needs it any more");
    assert!(!agent.state().join("transcripts").join(format!("{ours}.txt")).exists());
    assert_eq!(client.acknowledge(vec![ours, unknown]).await.expect("no error"), 0);
}

#[tokio::test]
async fn f36_that_a_result_has_arrived_is_remembered_with_it() {
    let mut agent = Agent::with(&["--remember", "1", "--remember-unfetched", "2"]).await;
    let client = agent.client().await;
    let fetched = made(&client, done(Some("r"), "t-1")).await;
    // One whose end is not known yet has no result that could have arrived.
    let running = made(&client, owned("sleep 600", "r", 60.0, Orphan::Keep)).await;
    closed(&client, &fetched).await;
    assert_eq!(client.acknowledge(vec![fetched.clone(), running.clone()]).await.expect("noted"), 1);
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    let mut events = client.follow(None).await.expect("followed");
    let mut ids = Vec::new();
    for task in ["t-2", "t-3"] {
        let id = made(&client, done(Some("r"), task)).await;
        closed(&client, &id).await;
        ids.push(id);
    }
    assert!(client.get_session(&fetched).await.is_ok(), "one that was fetched is remembered");
    let plain = made(&client, done(None, "t-4")).await;
    closed(&client, &plain).await;
    until("in its place", async || client.get_session(&fetched).await.err()).await;
    let last = made(&client, done(Some("r"), "t-5")).await;
    closed(&client, &last).await;
    let told = async {
        loop {
            if let Some(Incoming::Event(event)) = events.next().await
                && let EventKind::Notice(notice) = event.kind
            {
                return notice;
            }
        }
    };
    let notice = tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    assert_eq!(notice.topic, "results_forgotten", "{}", notice.message);
    assert!(client.get_session(&ids[0]).await.is_err(), "the oldest goes");
    assert!(client.get_session(&ids[1]).await.is_ok() && client.get_session(&last).await.is_ok());
    assert!(lives(&client, &running).await);
}
