//! Attempts that were given up: ended where they still run, kept out where they come late.

use std::io::Write;

use cm_protocol::{CreateSession, ErrorCode, SessionId, State};
use serde_json::json;

use super::leases::end_of;
use super::races::{held_tmux, logged_in, real_tmux, scratch};
use super::support::{Agent, is_alive, shell, until};

fn attempt(number: u32) -> CreateSession {
    CreateSession { task_id: Some("t".into()), attempt: Some(number), ..shell("sleep 600") }
}

const SUPERSEDED: &str = "superseded: attempt 2 runs elsewhere";

#[tokio::test]
async fn f37_an_attempt_that_was_given_up_is_ended_and_comes_no_more() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let mut events = client.follow(None).await.expect("followed");
    let first = client.create_session(attempt(1)).await.expect("made").session_id;
    let pid = client.get_session(&first).await.expect("there").pid.expect("a pid");
    let other = CreateSession { task_id: Some("t-2".into()), ..shell("sleep 600") };
    let other = client.create_session(other).await.expect("made").session_id;
    assert_eq!(client.fence("t", 1).await.expect("fenced"), []);
    assert_eq!(client.fence("t", 2).await.expect("fenced"), std::slice::from_ref(&first));
    assert!(!is_alive(pid), "nothing of it runs any more");
    let outcome = end_of(&mut events, &first).await;
    assert_eq!((outcome.state, outcome.reason.as_deref()), (State::Killed, Some(SUPERSEDED)));
    assert_eq!(client.fence("t", 2).await.expect("again"), []);

    let late = async |client: &cm_client::Client| {
        let refused = client.create_session(attempt(1)).await.expect_err("it is over");
        assert_eq!(refused.code(), Some(ErrorCode::Conflict), "{refused}");
        assert!(refused.to_string().contains("superseded: attempt 2"), "{refused}");
    };
    late(&client).await;
    let second = client.create_session(attempt(2)).await.expect("made").session_id;
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    late(&client).await;
    let again = client.create_session(attempt(2)).await.expect("answered");
    assert_eq!((&again.session_id, again.existing), (&second, true));
    // What the first one came to stays, as evidence.
    let info = client.get_session(&first).await.expect("remembered").info;
    assert_eq!((info.state, info.alive), (State::Killed, false));
    assert!(client.get_session(&other).await.expect("there").info.alive);
}

#[tokio::test]
async fn f37_an_attempt_that_is_being_made_is_ended_too() {
    let dir = scratch();
    let path = held_tmux(dir.path(), &format!("exec {} \"$@\"", real_tmux().display()));
    let agent = Agent::with_env(&[], &[("PATH", &path)]).await;
    let create = json!({"action": "create_session", "tool": "shell", "task": "sleep 600", "taskId": "t"});
    let mut first = logged_in(&agent).await;
    first.send(create.clone()).await;
    let mut other = logged_in(&agent).await;
    let id = until("it is listed", async || {
        let list = other.ask(json!({"action": "list_sessions", "all": true})).await;
        list["sessions"][0]["sessionId"].as_str().map(str::to_owned)
    })
    .await;
    other.send(json!({"action": "fence", "taskId": "t", "below": 2, "id": 1})).await;
    until("it is fenced off", async || {
        let mut late = logged_in(&agent).await;
        late.send(create.clone()).await;
        let answer = late.ask(json!({"action": "agent_info", "id": 2})).await;
        (answer["code"] == "conflict").then_some(())
    })
    .await;
    std::fs::write(dir.path().join("go"), "").expect("written");
    assert_eq!(first.answer().await["sessionId"], id.as_str());
    let fenced = other.answer().await;
    assert_eq!((&fenced["type"], &fenced["sessions"]), (&json!("fenced"), &json!([id])), "{fenced}");
    let client = agent.client().await;
    let info = client.get_session(&SessionId(id)).await.expect("remembered").info;
    assert_eq!((info.state, info.reason.as_deref()), (State::Killed, Some(SUPERSEDED)));
    assert!(agent.terminals().is_empty());
}

#[tokio::test]
async fn f37_what_an_agent_did_not_get_to_is_ended_by_the_next() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let since = client.hello().expect("ours").seq;
    let id = client.create_session(attempt(1)).await.expect("made").session_id;
    agent.kill_9().await;
    // As it stands when the agent dies after it wrote down the fence and before it ended anything.
    let segment = std::fs::read_dir(agent.state().join("journal")).expect("there").flatten().next();
    let segment = segment.expect("one").path();
    let mut journal = std::fs::OpenOptions::new().append(true).open(segment).expect("opened");
    writeln!(journal, "{}", json!({"record": "fence", "taskId": "t", "below": 2})).expect("written");
    drop(journal);
    agent.restart().await;
    let client = agent.client().await;
    let mut events = client.follow(Some(since)).await.expect("followed");
    let outcome = end_of(&mut events, &id).await;
    assert_eq!((outcome.state, outcome.reason.as_deref()), (State::Killed, Some(SUPERSEDED)));
}
