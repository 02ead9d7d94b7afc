//! Events, snapshots and screens: in order, to every reader, bounded, never in the way of an answer.

mod common;

use std::sync::{Arc, Mutex};

use cm_client::protocol::{EventKind, SessionId};
use cm_client::{Closed, Events, Incoming};
use common::{Peer, closed_event, connected, hello};
use serde_json::{Value, json};

fn screen(revision: u64) -> Value {
    json!({"type": "screen", "sessionId": "cm-1", "revision": revision, "output": "", "cursor": [0, 0],
           "cols": 80, "rows": 24, "lines": 0})
}

fn word(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Event(event) => event.seq.to_string(),
        Incoming::Snapshot(snapshot) => format!("={}", snapshot.seq),
        Incoming::Screen(frame) => format!("@{}", frame.revision),
        Incoming::Missed { since } => format!("missed>{since}"),
    }
}

/// The next `count` announcements.
async fn words(events: &mut Events, count: usize) -> String {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(word(&events.next().await.expect("another announcement")));
    }
    words.join(" ")
}

/// Answers one `list_sessions`: whoever sees the answer has everything sent before it behind them.
async fn settle(client: &cm_client::Client, peer: &mut Peer) {
    let (list, ()) = tokio::join!(client.list_sessions(), async {
        let request = peer.expect("list_sessions").await;
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
    });
    list.unwrap();
}

/// Answers a subscription that begins at `seq`, then sends these events.
async fn subscribed(peer: &mut Peer, seq: u64, events: std::ops::RangeInclusive<u64>) -> Value {
    let request = peer.expect("subscribe").await;
    peer.answer(&request, json!({"type": "subscribed", "seq": seq})).await;
    for seq in events {
        peer.send(closed_event(seq)).await;
    }
    request["since"].clone()
}

#[tokio::test(start_paused = true)]
async fn events_come_between_answers_to_readers_and_handlers() {
    let (client, mut peer) = connected(hello(0)).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (notes, mut first, mut second) = (Arc::clone(&heard), client.events(), client.events());
    client.handle(move |incoming| notes.lock().unwrap().push(word(incoming)));
    let s = SessionId::from("cm-1");
    let (captured, ()) = tokio::join!(client.capture_pane(&s, 1), async {
        let request = peer.expect("capture_pane").await;
        peer.send(closed_event(1)).await;
        peer.send(screen(5)).await;
        peer.answer(&request, json!({"type": "pane_output", "sessionId": "cm-1", "output": "x"})).await;
        peer.send(closed_event(2)).await;
        peer.send(json!({"type": "snapshot", "seq": 2, "timestamp": 1.5, "sessions": []})).await;
    });
    assert_eq!(captured.unwrap(), "x");
    assert_eq!(words(&mut first, 4).await, "1 @5 2 =2");
    assert_eq!(words(&mut second, 4).await, "1 @5 2 =2");
    assert_eq!(heard.lock().unwrap().join(" "), "1 @5 2 =2");
    assert_eq!(first.try_next(), None);
    peer.close("").await;
    assert_eq!(first.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_use_the_client() {
    let (client, mut peer) = connected(hello(0)).await;
    let (user, heard) = (client.clone(), Arc::new(Mutex::new(Vec::new())));
    let notes = Arc::clone(&heard);
    client.handle(move |_| {
        let notes = Arc::clone(&notes);
        user.handle(move |incoming| notes.lock().unwrap().push(word(incoming)));
        drop(user.events());
    });
    peer.send(closed_event(1)).await;
    peer.send(closed_event(2)).await;
    settle(&client, &mut peer).await;
    assert_eq!(heard.lock().unwrap().join(" "), "2");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_the_connection_and_hangs_nobody() {
    let (client, mut peer) = connected(hello(0)).await;
    let mut events = client.events();
    client.handle(|_| panic!("a bug in the handler (this test wants it)"));
    peer.send(closed_event(1)).await;
    assert_eq!(events.next().await, None);
    assert_eq!(client.closed().await, Closed::Broken("an event handler panicked".into()));
    assert!(client.list_sessions().await.is_err());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_reading_delays_no_answer() {
    let (client, mut peer) = connected(hello(0)).await;
    let mut lazy = client.events_bounded(3);
    for seq in 1..=5_000 {
        peer.send(closed_event(seq)).await;
        if seq % 1_000 == 0 {
            settle(&client, &mut peer).await;
        }
    }
    assert_eq!(words(&mut lazy, 4).await, "1 2 3 missed>3");
    peer.send(closed_event(5_001)).await;
    assert_eq!(words(&mut lazy, 1).await, "5001");
}

#[tokio::test(start_paused = true)]
async fn following_begins_exactly_at_the_subscription() {
    let (client, mut peer) = connected(hello(9)).await;
    // Before the subscription the agent sends the original's events, which are only some of all.
    peer.send(closed_event(9)).await;
    let (events, since) = tokio::join!(client.follow(Some(5)), async {
        let request = peer.expect("subscribe").await;
        peer.send(closed_event(10)).await;
        peer.answer(&request, json!({"type": "subscribed", "seq": 10})).await;
        for seq in 6..=11 {
            peer.send(closed_event(seq)).await;
        }
        request["since"].clone()
    });
    let mut events = events.unwrap();
    assert_eq!((since, events.start()), (json!(5), 5));
    assert_eq!(words(&mut events, 6).await, "6 7 8 9 10 11");
}

#[tokio::test(start_paused = true)]
async fn a_slow_follower_resumes_without_gap_or_duplicate() {
    let (client, mut peer) = connected(hello(0)).await;
    let (events, since) = tokio::join!(client.follow_bounded(None, 3), subscribed(&mut peer, 0, 1..=50));
    assert_eq!(since, Value::Null);
    let mut events = events.unwrap();
    settle(&client, &mut peer).await;
    assert_eq!(words(&mut events, 4).await, "1 2 3 missed>3");
    // Nothing comes out of turn meanwhile.
    peer.send(closed_event(51)).await;
    settle(&client, &mut peer).await;
    assert_eq!(events.try_next(), None);
    let (resumed, since) = tokio::join!(client.resume(&events), subscribed(&mut peer, 51, 4..=6));
    resumed.unwrap();
    assert_eq!(since, json!(3));
    assert_eq!(words(&mut events, 3).await, "4 5 6");
}

/// Two followers share a connection; one subscribing again never costs the other anything unsaid.
#[tokio::test(start_paused = true)]
async fn followers_on_one_connection() {
    let (client, mut peer) = connected(hello(0)).await;
    let (old, _) = tokio::join!(client.follow(Some(10)), subscribed(&mut peer, 30, 11..=12));
    let (new, _) = tokio::join!(client.follow(None), subscribed(&mut peer, 30, 31..=31));
    let (mut old, mut new) = (old.unwrap(), new.unwrap());
    assert_eq!(words(&mut old, 3).await, "11 12 missed>12");
    assert_eq!(words(&mut new, 1).await, "31");
    let (resumed, since) = tokio::join!(client.resume(&old), subscribed(&mut peer, 31, 13..=32));
    resumed.unwrap();
    assert_eq!(since, json!(12));
    assert_eq!(words(&mut old, 20).await.split(' ').next_back(), Some("32"));
    assert_eq!(words(&mut new, 1).await, "32", "what it had is not repeated");
}

#[tokio::test(start_paused = true)]
async fn following_an_agent_whose_numbers_are_behind() {
    let (client, mut peer) = connected(hello(3)).await;
    let (events, _) = tokio::join!(client.follow(Some(500)), subscribed(&mut peer, 3, 4..=5));
    assert_eq!(words(&mut events.unwrap(), 2).await, "4 5", "not deaf until 500");
}

/// The stream's buffers are full in both directions: the client goes on reading while it cannot write.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_read_is_still_heard() {
    let (client, mut peer) = connected(hello(0)).await;
    let mut events = client.events();
    let s = SessionId::from("cm-1");
    let text = "x".repeat(100_000);
    let stuck = client.send_line(&s, text.clone());
    let hearing = async {
        for seq in 1..=200 {
            // Only sent: the peer's own reading waits.
            peer.send(closed_event(seq)).await;
            assert_eq!(words(&mut events, 1).await, seq.to_string());
        }
        let request = peer.expect("send_keys").await;
        assert_eq!(request["keys"].as_str().map(str::len), Some(text.len()));
        peer.answer(&request, json!({"type": "keys_sent", "sessionId": "cm-1"})).await;
    };
    let (sent, ()) = tokio::join!(stuck, hearing);
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn kinds_of_events_arrive_whole() {
    let (client, mut peer) = connected(hello(0)).await;
    let mut events = client.events();
    let golden = include_str!("../../cm-protocol/tests/wire/event.session_completed.json");
    peer.send(serde_json::from_str(golden).unwrap()).await;
    let Some(Incoming::Event(event)) = events.next().await else { panic!("no event") };
    let EventKind::SessionCompleted { outcome: Some(outcome), .. } = event.kind else { panic!("{event:?}") };
    assert_eq!(outcome.exit_code, Some(101));
}
