//! Sessions that were left, found again: by name, by the beginning of their id, after the agent's death.

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{PATIENCE, Place, appears, ended, signal, until};

/// The state the agent reports.
async fn state(place: &Place, id: &str) -> String {
    let all = place.expect(0, &["sessions", "--all", "--json"]).await.out;
    let sessions = all.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let found = sessions.into_iter().find(|s| s["sessionId"] == id).expect("it is known");
    found["state"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn left_found_typed_into_and_ended() {
    let place = Place::new();
    let id = place.detach(&["--name", "talk", "while read line; do echo \"got $line\"; done"]).await;
    let sent = place.expect(0, &["send", "talk", "hello", "there"]).await;
    assert_eq!(sent.out, "submitted\n");
    let table = place.expect(0, &["sessions"]).await.out;
    assert!(
        table.contains("talk") && table.contains("running") && table.contains("while read line"),
        "{table}"
    );
    // A beginning of the id, with or without `cm-`, is as good as the name.
    for query in ["talk", &id, &id[..11], &id[3..11]] {
        let logs = place.expect(0, &["logs", query]).await.out;
        assert!(logs.contains("got hello there"), "{logs}");
    }
    let unknown = place.expect(1, &["logs", "nobody"]).await;
    assert!(
        unknown.err.contains("no session is called `nobody`") && unknown.err.contains("talk"),
        "{}",
        unknown.err
    );
    let taken = place.expect(1, &["dispatch", "--tool", "shell", "-n", "talk", "exit 0"]).await;
    assert!(taken.out.contains("belongs to"), "{}", taken.out);

    let killed = place.expect(0, &["kill", "talk"]).await;
    assert_eq!(killed.out, format!("{} killed\n", &id[3..11]));
    assert_eq!(state(&place, &id).await, "killed");
    assert!(place.expect(0, &["sessions"]).await.out.contains("--all shows those that have ended"));
    assert!(place.expect(0, &["logs", "talk"]).await.out.contains("got hello there"), "its text is kept");
    place.close().await;
}

#[tokio::test]
async fn paused_nothing_moves() {
    let place = Place::new();
    let id = place.detach(&["while :; do echo . >> beat; sleep 0.02; done"]).await;
    let beat = place.path("w/beat");
    appears(&beat).await;
    let size = || std::fs::metadata(&beat).map_or(0, |meta| meta.len());
    assert!(place.expect(0, &["pause", &id]).await.out.ends_with(" paused\n"));
    assert_eq!(state(&place, &id).await, "paused");
    let stood = size();
    // Three commands' time: it would have moved on.
    for _ in 0..3 {
        place.status().await;
    }
    assert_eq!(size(), stood);
    place.expect(0, &["resume", &id]).await;
    until("it goes on", || (size() > stood).then_some(())).await;
    place.close().await;
}

#[tokio::test]
async fn following_a_text_over_the_death_of_the_agent_to_its_end() {
    let place = Place::new();
    let task = "echo one; until [ -e go ]; do sleep 0.02; done; echo two; exit 5";
    let id = place.detach(&[task]).await;
    let mut child = place.fleet(&["logs", "-f", &id]).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    assert_eq!(first.as_deref(), Some("one"));
    let agent = place.agent();
    signal(agent, Signal::KILL);
    until("another agent runs", || place.agents().into_iter().find(|pid| *pid != agent)).await;
    std::fs::write(place.path("w/go"), "").expect("written");
    let second = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    assert_eq!(second.as_deref(), Some("two"));
    assert_eq!(ended(child).await.code, Some(0));
    assert_eq!(state(&place, &id).await, "failed");
    place.close().await;
}

#[tokio::test]
async fn what_waits_is_shown_with_its_question() {
    let place = Place::new();
    let id = place.detach(&["--name", "ask", "printf 'Overwrite x? [y/N] '; read a; echo \"got $a\""]).await;
    let start = std::time::Instant::now();
    while place.expect(0, &["waiting", "--json"]).await.out.is_empty() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until it asks");
    }
    let waiting = place.expect(0, &["waiting"]).await.out;
    let short = &id[3..11];
    for said in
        [format!("{short}  ask · shell"), "asks: Overwrite x? [y/N]".into(), format!("approve {short}/1")]
    {
        assert!(waiting.contains(&said), "{said:?} is not in {waiting}");
    }
    assert!(place.expect(0, &["sessions"]).await.out.contains("asks: Overwrite x? [y/N]"));
    place.expect(0, &["send", "ask", "n"]).await;
    place.close().await;
}
