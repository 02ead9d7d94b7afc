//! A follower over lost connections: every event once, in order, and always the way back to the agent.

mod common;

use std::time::Duration;

use cm_client::protocol::ErrorCode;
use cm_client::reconnect::LONGEST_PAUSE;
use cm_client::{ClientError, Endpoint, Follower, Update};
use common::{SOON, closed_event, door, hello, original_hello};
use serde_json::{Value, json};

fn word(update: &Update) -> String {
    match update {
        Update::Connected { hello, renumbered } => {
            let head = hello.as_ref().map_or("original".to_owned(), |hello| hello.seq.to_string());
            format!("connected:{head}{}", if *renumbered { ":renumbered" } else { "" })
        }
        Update::Event(event) => event.seq.to_string(),
        Update::Snapshot(snapshot) => format!("={}", snapshot.seq),
        Update::Screen(frame) => format!("@{}", frame.revision),
        Update::Missed => "missed".into(),
        Update::Lost { .. } => "lost".into(),
    }
}

async fn words(follower: &mut Follower, count: usize) -> String {
    let mut words = Vec::new();
    for _ in 0..count {
        let update = tokio::time::timeout(Duration::from_secs(60), follower.next()).await;
        words.push(word(&update.expect("an update in time").expect("an endless stream")));
    }
    words.join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_continued_without_gap_or_duplicate() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, None);
    let (mut peer, since) = door.follower(10).await;
    assert_eq!(since, Value::Null);
    for seq in 11..=13 {
        peer.send(closed_event(seq)).await;
    }
    assert_eq!(words(&mut follower, 4).await, "connected:10 11 12 13");
    drop(peer);
    assert_eq!(words(&mut follower, 1).await, "lost");

    let (mut peer, since) = door.follower(15).await;
    assert_eq!(since, json!(13));
    // Whatever an agent repeats by mistake is not handed out again.
    for seq in 12..=16 {
        peer.send(closed_event(seq)).await;
    }
    assert_eq!(words(&mut follower, 4).await, "connected:15 14 15 16");
    peer.close("restarting").await;
    assert_eq!(words(&mut follower, 1).await, "lost");
    assert_eq!(door.follower(16).await.1, json!(16));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_missed_when_the_link_breaks_before_the_first_event() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, None);
    let (peer, _) = door.follower(10).await;
    assert_eq!(words(&mut follower, 1).await, "connected:10");
    drop(peer);
    let (mut peer, since) = door.follower(12).await;
    assert_eq!(since, json!(10));
    peer.send(closed_event(11)).await;
    assert_eq!(words(&mut follower, 3).await, "lost connected:12 11");
}

#[tokio::test(start_paused = true)]
async fn following_from_a_point_in_the_past() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, Some(4));
    let (mut peer, since) = door.follower(6).await;
    assert_eq!(since, json!(4));
    peer.send(closed_event(5)).await;
    assert_eq!(words(&mut follower, 2).await, "connected:6 5");
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_no_longer_has_comes_as_a_snapshot() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, Some(4));
    let (mut peer, _) = door.follower(100).await;
    peer.send(json!({"type": "snapshot", "seq": 100, "timestamp": 1.5, "sessions": []})).await;
    peer.send(closed_event(101)).await;
    assert_eq!(words(&mut follower, 3).await, "connected:100 =100 101");
    drop(peer);
    assert_eq!(door.follower(101).await.1, json!(101));
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_numbers_began_anew() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, Some(500));
    let (mut peer, since) = door.follower(2).await;
    assert_eq!(since, json!(0));
    peer.send(closed_event(1)).await;
    peer.send(closed_event(2)).await;
    assert_eq!(words(&mut follower, 3).await, "connected:2:renumbered 1 2");
}

/// The reader sleeps while far more arrives than is kept for it; then it gets all of it.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_in_the_end() {
    const LAST: u64 = 500;
    let (connector, mut door) = door();
    let mut follower = Follower::start_bounded(connector, Some(0), 16);
    let (mut peer, _) = door.follower(0).await;
    for seq in 1..=LAST {
        peer.send(closed_event(seq)).await;
    }
    // From now on the agent replays what is asked for, as often as it is.
    let serving = async {
        loop {
            let request = peer.expect("subscribe").await;
            peer.answer(&request, json!({"type": "subscribed", "seq": LAST})).await;
            let since = request["since"].as_u64().expect("a point to go on from");
            for seq in since + 1..=LAST {
                peer.send(closed_event(seq)).await;
            }
        }
    };
    let reading = async {
        assert_eq!(words(&mut follower, 1).await, "connected:0");
        for seq in 1..=LAST {
            assert_eq!(words(&mut follower, 1).await, seq.to_string());
        }
    };
    tokio::select! {
        () = serving => unreachable!(),
        () = reading => {}
    }
}

#[tokio::test(start_paused = true)]
async fn commands_go_over_the_connection_that_stands() {
    let (connector, mut door) = door();
    let follower = Follower::start(connector, None);
    assert!(follower.try_client().is_none());
    let none = follower.client(Duration::from_millis(10)).await;
    assert!(matches!(none, Err(ClientError::Timeout { .. })), "{none:?}");
    let (peer, _) = door.follower(1).await;
    let first = follower.client(SOON).await.unwrap();
    drop(peer);
    first.closed().await;
    assert!(first.list_sessions().await.is_err());

    let (mut peer, _) = door.follower(1).await;
    let client = follower.client(SOON).await.unwrap();
    let (list, ()) = tokio::join!(client.list_sessions(), async {
        let request = peer.expect("list_sessions").await;
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
    });
    list.unwrap();
    let (farewell, ()) = tokio::join!(peer.until_close(), follower.close());
    assert!(farewell);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_follower_leaves_nothing_running() {
    let (connector, mut door) = door();
    let follower = Follower::start(connector, None);
    let (peer, _) = door.follower(1).await;
    drop(follower);
    assert!(!peer.until_close().await);
}

/// How long it says it will wait, loss after loss.
async fn pauses(follower: &mut Follower, count: usize) -> Vec<Duration> {
    let mut pauses = Vec::new();
    while pauses.len() < count {
        if let Some(Update::Lost { retry_in, .. }) = follower.next().await {
            pauses.push(retry_in);
        }
    }
    pauses
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_nobody_answers() {
    let nowhere = Endpoint::Unix("/nonexistent/agent.sock".into());
    let mut follower = Follower::start(nowhere, None);
    let pauses = pauses(&mut follower, 12).await;
    assert!(pauses[0] <= Duration::from_millis(200), "{pauses:?}");
    assert!(pauses[11] >= LONGEST_PAUSE / 2 && pauses[11] <= LONGEST_PAUSE, "{pauses:?}");
}

/// An agent that accepts and leaves again is not asked faster and faster; after a connection that stood
/// for a while the next try comes soon.
#[tokio::test(start_paused = true)]
async fn a_good_connection_resets_the_pause() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, None);
    for _ in 0..8 {
        drop(door.follower(1).await);
    }
    let grown = pauses(&mut follower, 8).await;
    assert!(grown[7] >= LONGEST_PAUSE / 2, "{grown:?}");
    let (peer, _) = door.follower(1).await;
    tokio::time::advance(Duration::from_secs(20)).await;
    drop(peer);
    assert!(pauses(&mut follower, 1).await[0] <= Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_is_not_tried_often() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, None);
    drop(door.next(json!({"error": "Unauthorized", "message": "no", "code": "unauthorized"})).await);
    let Some(Update::Lost { error, retry_in }) = follower.next().await else { panic!("not lost") };
    assert_eq!((error.code(), retry_in), (Some(ErrorCode::Unauthorized), LONGEST_PAUSE));
}

#[tokio::test(start_paused = true)]
async fn an_original_agent_is_followed_as_far_as_it_goes() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, None);
    for _ in 0..2 {
        let mut peer = door.next(original_hello()).await;
        assert_eq!(words(&mut follower, 1).await, "connected:original");
        let event = json!({"type": "state_change", "sessionId": "cm-1", "state": "done", "timestamp": 1.5});
        peer.send(event.clone()).await;
        peer.send(event).await;
        assert_eq!(words(&mut follower, 2).await, "0 0");
        drop(peer);
        assert_eq!(words(&mut follower, 1).await, "lost");
    }
}

/// An agent that dies between the log-in and the subscription, or never answers it.
#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_half_way_is_tried_again() {
    let (connector, mut door) = door();
    let mut follower = Follower::start(connector, Some(7));
    drop(door.arrival().await);
    drop(door.next(hello(9)).await);
    let mut silent = door.next(hello(9)).await;
    silent.expect("subscribe").await;
    assert_eq!(words(&mut follower, 3).await, "lost lost lost");
    let (mut peer, since) = door.follower(9).await;
    assert_eq!(since, json!(7));
    peer.send(closed_event(8)).await;
    assert_eq!(words(&mut follower, 2).await, "connected:9 8");
}
