//! Restart and crash of the agent: sessions live on, events go on without a gap, deaths meanwhile are told.

use cm_client::Incoming;
use cm_protocol::{EventKind, SessionInfo, State};

use super::support::{Agent, is_alive, shell, shows, until};

async fn session(agent: &Agent, id: &cm_protocol::SessionId) -> SessionInfo {
    let client = agent.client().await;
    client.get_session(id).await.expect("remembered").info
}

#[tokio::test]
async fn kill_9_leaves_sessions_alone_and_the_next_agent_takes_them_up() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client
        .create_session(shell("echo before; read x; echo got $x; read y; exit 4"))
        .await
        .expect("made")
        .session_id;
    shows(&client, &id, "before").await;
    let pid = client.get_session(&id).await.expect("there").pid.expect("a pid");
    let since = client.hello().expect("ours").seq;
    agent.kill_9().await;
    assert!(is_alive(pid), "the program outlives the agent");
    agent.restart().await;
    assert!(is_alive(pid), "and its successor");

    let client = agent.client().await;
    let mut events = client.follow(Some(since)).await.expect("followed");
    assert_eq!(client.get_session(&id).await.expect("there").pid, Some(pid));
    until("typing works again", async || client.send_line(&id, "word").await.ok()).await;
    shows(&client, &id, "got word").await;
    client.send_line(&id, "end").await.expect("typed");
    let mut seqs = Vec::new();
    let outcome = loop {
        let Some(Incoming::Event(event)) = events.next().await else { panic!("no snapshot is needed") };
        seqs.push(event.seq);
        if let EventKind::SessionCompleted { outcome, .. } = event.kind {
            break outcome.expect("ours");
        }
    };
    assert_eq!((outcome.state, outcome.exit_code), (State::Failed, Some(4)));
    let contiguous: Vec<u64> = (since + 1..=since + seqs.len() as u64).collect();
    assert_eq!(seqs, contiguous, "no event is missing or repeated");
}

#[tokio::test]
async fn what_ended_while_no_agent_ran_is_told() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let gate = agent.dir.path().join("gate");
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let good = client.create_session(shell(&format!("{wait}; echo fine"))).await.expect("made").session_id;
    let bad = client.create_session(shell(&format!("{wait}; exit 7"))).await.expect("made").session_id;
    let shot =
        client.create_session(shell(&format!("{wait}; kill -KILL $$"))).await.expect("made").session_id;
    let gone = client.create_session(shell("sleep 600")).await.expect("made").session_id;
    let pids: Vec<i32> = {
        let mut pids = Vec::new();
        for id in [&good, &bad, &shot] {
            pids.push(client.get_session(id).await.expect("there").pid.expect("a pid"));
        }
        pids
    };
    let socket = client.get_session(&gone).await.expect("there").socket.expect("open");
    agent.kill_9().await;
    std::fs::write(&gate, "").expect("opened");
    until("they end", async || pids.iter().all(|&p| !is_alive(p)).then_some(())).await;
    let killed =
        std::process::Command::new("tmux").args(["-S", &socket, "kill-server"]).status().expect("tmux");
    assert!(killed.success());
    agent.restart().await;
    for (id, state, code, signal) in [
        (&good, State::Done, Some(0), None),
        (&bad, State::Failed, Some(7), None),
        (&shot, State::Failed, None, Some("SIGKILL")),
        (&gone, State::Lost, None, None),
    ] {
        let outcome = until(&format!("{state} told"), async || session(&agent, id).await.outcome).await;
        assert_eq!((outcome.state, outcome.exit_code, outcome.signal.as_deref()), (state, code, signal));
    }
    // How it ended is told first, then that its terminal is closed.
    let lost = until("closed", async || Some(session(&agent, &gone).await).filter(|s| !s.alive)).await;
    assert!(lost.reason.expect("a cause").contains("terminal"), "it says what is gone");
}

#[tokio::test]
async fn a_terminal_that_does_not_answer_is_not_dead() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("echo up; read x; exit 5")).await.expect("made").session_id;
    shows(&client, &id, "up").await;
    until("running", async || (session(&agent, &id).await.state == State::Running).then_some(())).await;
    let pid = client.get_session(&id).await.expect("there").pid.expect("a pid");
    let server = parent(pid);
    agent.kill_9().await;
    signal(server, rustix::process::Signal::STOP);
    agent.restart().await;
    let client = agent.client().await;
    let refused = client.send_line(&id, "x").await.expect_err("it cannot be reached");
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    assert_eq!(session(&agent, &id).await.state, State::Running, "a time-out proves nothing");
    signal(server, rustix::process::Signal::CONT);
    until("it answers again", async || client.send_line(&id, "x").await.ok()).await;
    let outcome = until("it ends", async || session(&agent, &id).await.outcome).await;
    assert_eq!(outcome.exit_code, Some(5));
}

#[tokio::test]
async fn a_lost_journal_does_not_lose_living_sessions() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("read x; exit 6")).await.expect("made").session_id;
    agent.kill_9().await;
    std::fs::remove_dir_all(agent.state().join("journal")).expect("removed");
    agent.restart().await;
    let client = agent.client().await;
    until("typing works again", async || client.send_line(&id, "x").await.ok()).await;
    let outcome = until("it ends", async || session(&agent, &id).await.outcome).await;
    assert_eq!(outcome.exit_code, Some(6));
}

#[tokio::test]
async fn terminating_the_agent_ends_no_session() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("sleep 600")).await.expect("made").session_id;
    let pid = client.get_session(&id).await.expect("there").pid.expect("a pid");
    agent.terminate().await;
    assert!(is_alive(pid));
    assert!(!agent.socket().exists(), "its socket goes with it");
    agent.restart().await;
    assert!(session(&agent, &id).await.alive);
}

#[tokio::test]
async fn a_repeated_attempt_is_the_same_session_also_after_a_restart() {
    let mut agent = Agent::start().await;
    let mut request = shell("sleep 600");
    request.task_id = Some("t-1".into());
    request.attempt = Some(2);
    let client = agent.client().await;
    let first = client.create_session(request.clone()).await.expect("made");
    let second = client.create_session(request.clone()).await.expect("answered");
    assert_eq!((&second.session_id, second.existing), (&first.session_id, true));
    agent.kill_9().await;
    agent.restart().await;
    let client = agent.client().await;
    let third = client.create_session(request.clone()).await.expect("answered");
    assert_eq!((&third.session_id, third.existing), (&first.session_id, true));
    request.attempt = Some(3);
    let fourth = client.create_session(request).await.expect("made");
    assert_ne!(fourth.session_id, first.session_id);
}

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    stat.rsplit(')').next().and_then(|s| s.split_whitespace().nth(1)?.parse().ok()).expect("a parent")
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("signalled");
}

#[tokio::test]
async fn what_was_decided_but_not_told_before_a_crash_is_told_once() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("read x; exit 5")).await.expect("made").session_id;
    client.send_line(&id, "x").await.expect("typed");
    until("it ends", async || session(&agent, &id).await.outcome).await;
    agent.kill_9().await;
    let (journal, since) = forget_from(&agent, "failed");
    assert_eq!(told_after(&mut agent, since).await, ["state failed", "completed Some(5)"]);
    agent.terminate().await;
    let text = std::fs::read_to_string(&journal).expect("readable");
    assert_eq!(text.matches("\"type\":\"session_completed\"").count(), 1, "exactly once");
}

#[tokio::test]
async fn the_end_of_a_task_is_not_lost_either_where_the_tool_lives_on() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let request = cm_protocol::CreateSession {
        tool: Some("sh".into()),
        task: Some("echo $((40+2))".into()),
        env: [("PS1".to_owned(), "ready> ".to_owned())].into(),
        on_done: Some(cm_protocol::OnDone::Keep),
        ..Default::default()
    };
    let id = client.create_session(request).await.expect("made").session_id;
    until("it ends", async || session(&agent, &id).await.outcome).await;
    agent.kill_9().await;
    let (journal, since) = forget_from(&agent, "done");
    assert_eq!(told_after(&mut agent, since).await, ["state done", "completed None"]);
    assert!(session(&agent, &id).await.alive);
    agent.terminate().await;
    let text = std::fs::read_to_string(&journal).expect("readable");
    assert_eq!(text.matches("\"type\":\"session_completed\"").count(), 1, "exactly once");
}

/// Makes the journal end as if a crash had come right after the decision for a state was written and before
/// it was announced. Gives its file, and the number of the last event left in it.
fn forget_from(agent: &Agent, state: &str) -> (std::path::PathBuf, Option<u64>) {
    let mut segments = std::fs::read_dir(agent.state().join("journal")).expect("there").flatten();
    let journal = segments.next().expect("one").path();
    let text = std::fs::read_to_string(&journal).expect("readable");
    let state = format!("\"state\":\"{state}\"");
    let is_told = |line: &str| line.contains("\"type\":\"state_change\"") && line.contains(&state);
    let kept: Vec<&str> = text.split_inclusive('\n').take_while(|line| !is_told(line)).collect();
    let kept = kept.concat();
    assert!(kept.len() < text.len(), "it was announced");
    let last = kept.lines().last().expect("not the first line");
    assert!(last.contains("\"record\":\"memory\""), "decided before it was announced: {last}");
    let since = kept.rmatch_indices("\"seq\":").next().map(|(at, key)| {
        let digits: String = kept[at + key.len()..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().expect("a number")
    });
    std::fs::write(&journal, kept).expect("written");
    (journal, since)
}

/// The first two things that another agent tells of how the task goes.
async fn told_after(agent: &mut Agent, since: Option<u64>) -> Vec<String> {
    agent.restart().await;
    let client = agent.client().await;
    let mut events = client.follow(since).await.expect("followed");
    let mut told = Vec::new();
    while told.len() < 2 {
        let next = tokio::time::timeout(super::support::PATIENCE, events.next());
        match next.await.expect("it is told in time") {
            Some(Incoming::Event(event)) => match event.kind {
                EventKind::StateChange { state, .. } => told.push(format!("state {state}")),
                EventKind::SessionCompleted { outcome, .. } => {
                    told.push(format!("completed {:?}", outcome.expect("ours").exit_code));
                }
                _ => {}
            },
            Some(_) => {}
            None => panic!("closed"),
        }
    }
    told
}
