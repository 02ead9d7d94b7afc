//! The agent on demand: how it comes, that there is one, what its death changes, how it goes.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, appears, ended, events, of, signal, until};

#[tokio::test]
async fn many_commands_at_once_start_one_agent() {
    let place = Place::new();
    let start =
        |text: &str| place.fleet(&["dispatch", "--tool", "shell", "-q", text]).spawn().expect("it starts");
    let children: Vec<_> = ["exit 0", "exit 3", "exit 0", "exit 0"].map(start).into();
    let mut codes = Vec::new();
    for child in children {
        codes.push(ended(child).await.code);
    }
    assert_eq!(codes, [Some(0), Some(1), Some(0), Some(0)]);
    let pid = place.agent();
    assert_eq!(place.status().await["pid"], Value::from(pid.as_raw_nonzero().get()));
    let all = place.expect(0, &["sessions", "--all", "--json"]).await.out;
    assert_eq!(all.lines().count(), 4, "one agent knows all of them: {all}");
    place.close().await;
}

#[tokio::test]
async fn an_agent_killed_under_a_run_is_started_again_and_nothing_is_lost_or_done_twice() {
    let place = Place::new();
    let task = |n: u8| {
        format!("echo ran >> ran-{n}; until [ -e go ]; do sleep 0.02; done; echo the end of {n}; exit {n}")
    };
    let (zero, three) = (task(0), task(3));
    let run = place.fleet(&["dispatch", "--tool", "shell", "--json", "--jobs", "2", &zero, &three]);
    let child = { run }.spawn().expect("it starts");
    appears(&place.path("w/ran-0")).await;
    appears(&place.path("w/ran-3")).await;
    let first = place.agent();
    signal(first, Signal::KILL);
    until("another agent runs", || place.agents().into_iter().find(|pid| *pid != first)).await;
    std::fs::write(place.path("w/go"), "").expect("written");
    let ran = ended(child).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let events = events(&ran.out);
    assert_eq!(of(&events, "host_lost").len(), 1, "{events:#?}");
    assert!(of(&events, "host_connected").iter().any(|e| e["again"] == true));
    assert_eq!((of(&events, "task_started").len(), of(&events, "task_finished").len()), (2, 2));
    for end in of(&events, "task_finished") {
        let n = if end["task"] == 1 { 0 } else { 3 };
        assert_eq!(end["outcome"]["exitCode"], n);
        assert_eq!(end["outcome"]["tail"], serde_json::json!([format!("the end of {n}")]));
        let runs = std::fs::read_to_string(place.path(&format!("w/ran-{n}"))).expect("it ran");
        assert_eq!(runs, "ran\n", "once");
    }
    place.close().await;
}

#[tokio::test]
async fn with_nothing_left_to_do_it_goes_by_itself() {
    let place = Place::new();
    place.expect(0, &["dispatch", "--tool", "shell", "-q", "exit 0"]).await;
    assert_eq!(place.agents().len(), 1);
    // Ten seconds, and then nothing is left but the journal and the texts.
    place.empty().await;
    let status = place.expect(3, &["agent"]).await;
    assert!(status.err.contains("no agent runs here"), "{}", status.err);
    let log = place.expect(0, &["agent", "log"]).await.out;
    assert!(log.contains("nothing left to do"), "{log}");
    // The next one still knows what was.
    let all = place.expect(0, &["sessions", "--all"]).await.out;
    assert!(all.contains("done") && all.contains("exit 0"), "{all}");
    place.close().await;
}

#[tokio::test]
async fn a_socket_nobody_listens_on_is_no_obstacle() {
    let place = Place::new();
    place.expect(0, &["dispatch", "--tool", "shell", "-q", "exit 0"]).await;
    signal(place.agent(), Signal::KILL);
    until("it is dead", || place.agents().is_empty().then_some(())).await;
    assert!(place.socket().exists());
    place.expect(3, &["--no-start", "sessions"]).await;
    place.expect(0, &["dispatch", "--tool", "shell", "-q", "exit 0"]).await;
    place.close().await;
}

#[tokio::test]
async fn sessions_outlive_a_stopped_agent() {
    let place = Place::new();
    let id = place.detach(&["--name", "long", "echo ready; cat"]).await;
    place.expect(0, &["agent", "stop"]).await;
    until("it has ended", || place.agents().is_empty().then_some(())).await;
    assert!(!place.processes().is_empty(), "the session goes on");
    let listed = place.expect(0, &["sessions", "--json"]).await.out;
    let session: Value = serde_json::from_str(&listed).expect("one session");
    assert_eq!((&session["sessionId"], &session["state"]), (&Value::from(id), &Value::from("running")));
    assert_eq!(place.expect(0, &["logs", "long"]).await.out, "ready\n");
    place.close().await;
}

#[tokio::test]
async fn places_that_cannot_be_used_are_named() {
    let place = Place::new();
    let mut command = place.fleet(&["dispatch", "--tool", "shell", "exit 0"]);
    command.env_remove("XDG_STATE_HOME").env("HOME", "/proc/1/no-home");
    let ran = crate::support::finish(command).await;
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(
        ran.err.contains("/proc/1/no-home/.local/state") && ran.err.contains("hint: set HOME"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn the_one_agent_is_found_from_a_terminal_with_another_runtime_directory() {
    let place = Place::new();
    let id = place.detach(&["--name", "here", "cat"]).await;
    let other = place.path("r2");
    std::fs::create_dir(&other).expect("made");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&other, private).expect("made private");
    let from_there = async |args: &[&str]| {
        let mut command = place.fleet(args);
        command.env("XDG_RUNTIME_DIR", &other);
        let ran = crate::support::finish(command).await;
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:#?}");
        ran.out
    };
    assert!(from_there(&["sessions", "--json"]).await.contains(&id));
    assert!(from_there(&["--no-start", "agent"]).await.contains(&place.socket().display().to_string()));
    from_there(&["dispatch", "--tool", "shell", "-q", "exit 0"]).await;
    place.agent();

    // An agent that was told to listen somewhere else again is found by both.
    from_there(&["kill", "here"]).await;
    from_there(&["agent", "stop"]).await;
    until("it has ended", || place.agents().is_empty().then_some(())).await;
    let there = from_there(&["dispatch", "--tool", "shell", "-d", "-q", "cat"]).await;
    assert!(other.join("cm-agent/agent.sock").exists());
    place.expect(0, &["kill", there.trim()]).await;
    place.close().await;
}
