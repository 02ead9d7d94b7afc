//! Commands and their answers: each finds its own, whatever else happens to the connection.

mod common;

use std::time::Duration;

use cm_client::protocol::{Answer, CreateSession, ErrorCode, Hook, KeysObserved, SessionId, Transcript};
use cm_client::{ClientError, Closed};
use common::{connected, hello, original_hello};
use serde_json::{Map, json};

fn id(text: &str) -> SessionId {
    SessionId::from(text)
}

#[tokio::test(start_paused = true)]
async fn answers_may_overtake_each_other() {
    let (client, mut peer) = connected(hello(0)).await;
    let serving = async {
        let first = peer.read().await;
        let second = peer.read().await;
        for request in [second, first] {
            let output = format!("text of {}", request["sessionId"].as_str().unwrap());
            let answer = json!({"type": "pane_output", "sessionId": request["sessionId"], "output": output});
            peer.answer(&request, answer).await;
        }
    };
    let (a, b) = (id("cm-a"), id("cm-b"));
    let other = client.clone();
    let (a, b, ()) = tokio::join!(client.capture_pane(&a, 5), other.capture_pane(&b, 5), serving);
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("text of cm-a", "text of cm-b"));
}

#[tokio::test(start_paused = true)]
async fn an_error_belongs_to_its_command_and_harms_no_other() {
    let (client, mut peer) = connected(hello(0)).await;
    let serving = async {
        let kill = peer.expect("kill_session").await;
        let list = peer.expect("list_sessions").await;
        peer.answer(&list, json!({"type": "sessions_list", "sessions": []})).await;
        peer.answer(&kill, json!({"error": "Session not found: cm-x", "code": "not_found"})).await;
        let info = peer.expect("agent_info").await;
        peer.answer(&info, json!({"error": "bad day"})).await;
    };
    let gone = id("cm-x");
    let commands = async {
        let (kill, list) = tokio::join!(client.kill_session(&gone), client.list_sessions());
        (kill.unwrap_err(), list.unwrap(), client.agent_info().await.unwrap_err())
    };
    let ((kill, list, info), ()) = tokio::join!(commands, serving);
    assert_eq!(kill.code(), Some(ErrorCode::NotFound));
    assert_eq!(kill.to_string(), "the agent refused: Session not found: cm-x");
    assert!(list.is_empty());
    assert_eq!(info.code(), Some(ErrorCode::Internal));
}

#[tokio::test(start_paused = true)]
async fn every_method_asks_and_reads_its_own() {
    let (client, mut peer) = connected(hello(0)).await;
    let golden = |name: &str| {
        let path = format!("{}/../cm-protocol/tests/wire/reply.{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let serving = async {
        for (action, reply) in [
            ("create_session", "session_created"),
            ("send_keys", "keys_sent"),
            ("capture_pane", "pane_output"),
            ("list_sessions", "sessions_list"),
            ("kill_session", "session_killed"),
            ("subscribe", "subscribed"),
            ("pause_session", "session_paused"),
            ("resume_session", "session_resumed"),
            ("watch_screen", "screen_watched"),
            ("unwatch_screen", "screen_unwatched"),
            ("get_session", "session"),
            ("transcript", "transcript"),
            ("agent_info", "agent_info"),
            ("report", "reported"),
            ("hook", "hook_answered"),
            ("hook", "hook_answered.nothing"),
            ("answer", "answered"),
            ("explain_session", "explained"),
            ("renew_lease", "lease_renewed"),
            ("renew_lease", "lease_renewed.given_up"),
            ("acknowledge", "acknowledged"),
            ("fence", "fenced"),
            ("probe", "probed"),
            ("list_sessions", "sessions_list.owner"),
            ("confirm_deployment", "deployment_confirmed"),
            ("shutdown", "shutting_down"),
            ("list_sessions", "keys_sent"),
        ] {
            let request = peer.expect(action).await;
            peer.answer(&request, golden(reply)).await;
        }
    };
    let s = id("cm-1");
    let commands = async {
        assert!(client.create_session(CreateSession::default()).await.unwrap().existing);
        assert_eq!(client.send_line(&s, "y").await.unwrap(), Some(KeysObserved::Submitted));
        assert!(client.capture_pane(&s, 3).await.unwrap().contains("ok"));
        assert_eq!(client.list_sessions().await.unwrap().len(), 1);
        client.kill_session(&s).await.unwrap();
        assert_eq!(client.subscribe(Some(3)).await.unwrap(), 57);
        assert!(client.pause_session(&s).await.unwrap());
        client.resume_session(&s).await.unwrap();
        client.watch_screen(&s).await.unwrap();
        client.unwatch_screen(&s).await.unwrap();
        assert_eq!(client.get_session(&s).await.unwrap().pid, Some(4242));
        let page = client.transcript(Transcript { session_id: s.clone(), ..Transcript::default() }).await;
        assert_eq!(page.unwrap().next, 1202);
        assert_eq!(client.agent_info().await.unwrap().tmux, "3.3a");
        client.report(cm_client::protocol::Report::default()).await.unwrap();
        let hook = Hook { session_id: s.clone(), event: json!({"hook_event_name": "Stop"}) };
        assert!(client.hook(hook.clone()).await.unwrap().is_some());
        assert_eq!(client.hook(hook).await.unwrap(), None);
        let answer = Answer { session_id: s.clone(), prompt_id: Some(3), ..Answer::default() };
        let answered = client.answer(answer).await.unwrap();
        assert_eq!((answered.prompt_id, answered.observed), (3, KeysObserved::Submitted));
        assert_eq!(client.explain_session(&s).await.unwrap().authority, "hooks");
        let renewed = client.renew_lease("r", Some(60.0)).await.unwrap();
        assert_eq!((renewed.sessions, renewed.load.cores), (2, 8));
        assert_eq!(client.renew_lease("r", None).await.unwrap().load.memory_pressure, None);
        assert_eq!(client.acknowledge(vec![s.clone()]).await.unwrap(), 2);
        assert_eq!(client.fence("r-3", 2).await.unwrap().len(), 1);
        let probed = client.probe(vec!["claude".into()], Vec::new()).await.unwrap();
        assert_eq!(probed.tools[0].login, Some(true));
        assert!(probed.tools[1].path.is_none() && probed.repos[0].present);
        let owned = client.list_sessions_of("run-00c0ffee00c0ffee").await.unwrap();
        assert_eq!(owned[0].owner.as_deref(), Some("run-00c0ffee00c0ffee"));
        assert_eq!(client.confirm_deployment("d-1").await.unwrap(), 4);
        assert_eq!(client.shutdown(cm_client::protocol::Shutdown::default()).await.unwrap(), 2);
        client.list_sessions().await.unwrap_err()
    };
    let (mismatch, ()) = tokio::join!(commands, serving);
    assert!(matches!(mismatch, ClientError::Protocol(_)), "{mismatch}");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_thrown_away() {
    let (client, mut peer) = connected(hello(0)).await;
    let hasty = client.with_timeout(Duration::from_secs(2));
    let error = hasty.list_sessions().await.unwrap_err();
    let ClientError::Timeout { action, after } = &error else { panic!("{error}") };
    assert_eq!((action.as_str(), *after), ("list_sessions", Duration::from_secs(2)));

    let serving = async {
        let late = peer.expect("list_sessions").await;
        let next = peer.expect("capture_pane").await;
        peer.answer(&late, json!({"type": "sessions_list", "sessions": []})).await;
        peer.answer(&next, json!({"type": "pane_output", "sessionId": "cm-1", "output": "hi"})).await;
    };
    let s = id("cm-1");
    let (text, ()) = tokio::join!(client.capture_pane(&s, 1), serving);
    assert_eq!(text.unwrap(), "hi");
}

#[tokio::test(start_paused = true)]
async fn abandoned_commands_leave_the_connection_usable() {
    let (client, mut peer) = connected(hello(0)).await;
    for _ in 0..500 {
        let call = client.list_sessions();
        let _ = tokio::time::timeout(Duration::from_millis(1), call).await;
        peer.expect("list_sessions").await;
    }
    let serving = async {
        let request = peer.expect("list_sessions").await;
        assert_eq!(request["id"], 501);
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
    };
    let (list, ()) = tokio::join!(client.list_sessions(), serving);
    assert!(list.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_agent_closing_fails_what_is_under_way() {
    let (client, mut peer) = connected(hello(0)).await;
    let serving = async {
        peer.expect("list_sessions").await;
        peer.close("shutting down").await;
    };
    let (list, ()) = tokio::join!(client.list_sessions(), serving);
    let error = list.unwrap_err();
    assert_eq!(error.to_string(), "the connection to the agent ended: the agent closed it: shutting down");
    assert_eq!(client.closed().await, Closed::ByAgent("shutting down".into()));
    let later = client.list_sessions().await.unwrap_err();
    assert!(matches!(later, ClientError::Closed { why: Closed::ByAgent(_) }), "{later}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_the_end() {
    let (client, peer) = connected(hello(0)).await;
    let (list, ()) = tokio::join!(client.list_sessions(), async {
        let mut peer = peer;
        peer.expect("list_sessions").await;
    });
    assert!(matches!(list, Err(ClientError::Closed { why: Closed::Broken(_) })), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_says_farewell_and_ends_every_clone() {
    let (client, peer) = connected(hello(0)).await;
    let clone = client.clone();
    let mut events = client.events();
    let (farewell, ()) = tokio::join!(peer.until_close(), client.close());
    assert!(farewell);
    assert_eq!(events.next().await, None);
    assert_eq!(client.events().next().await, None, "a reader that came after the end");
    let error = clone.list_sessions().await.unwrap_err();
    assert!(matches!(error, ClientError::Closed { why: Closed::Here }), "{error}");
    clone.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_client_takes_the_connection_with_it() {
    let (client, peer) = connected(hello(0)).await;
    let mut events = client.events();
    drop(client);
    assert_eq!(events.next().await, None);
    assert!(!peer.until_close().await, "dropped, not closed: the stream ends without a farewell");
}

/// The original agent repeats no ids, says less, and answers in order.
#[tokio::test(start_paused = true)]
async fn the_original_agent_is_understood() {
    let (client, mut peer) = connected(original_hello()).await;
    assert!(client.hello().is_none());
    let s = id("cm-1");
    let hasty = client.with_timeout(Duration::from_secs(1));
    let abandoned = hasty.list_sessions().await;
    assert!(matches!(abandoned, Err(ClientError::Timeout { .. })));
    let serving = async {
        for _ in 0..4 {
            peer.read().await;
        }
        peer.send(json!({"type": "sessions_list", "sessions": []})).await;
        peer.send(json!({"type": "keys_sent", "sessionId": "cm-1"})).await;
        peer.send(json!({"type": "state_change", "sessionId": "cm-1", "state": "editing", "timestamp": 1.5}))
            .await;
        peer.send(json!({"error": "Session not found: cm-1"})).await;
        peer.send(json!({"type": "session_killed", "sessionId": "cm-1"})).await;
    };
    let mut events = client.events();
    let (sent, captured, killed, ()) =
        tokio::join!(client.send_line(&s, "y"), client.capture_pane(&s, 5), client.kill_session(&s), serving);
    assert_eq!(sent.unwrap(), None);
    assert_eq!(captured.unwrap_err().to_string(), "the agent refused: Session not found: cm-1");
    killed.unwrap();
    assert!(matches!(events.next().await, Some(cm_client::Incoming::Event(event)) if event.seq == 0));
}

#[tokio::test(start_paused = true)]
async fn a_command_over_the_agents_limit_is_not_sent() {
    let (client, mut peer) = connected(hello(0)).await;
    let task = Some("x".repeat(2 * 1024 * 1024));
    let error = client.create_session(CreateSession { task, ..CreateSession::default() }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TooLarge), "{error}");
    let (list, ()) = tokio::join!(client.list_sessions(), async {
        let request = peer.expect("list_sessions").await;
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
    });
    list.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commands_by_name() {
    let (client, mut peer) = connected(hello(0)).await;
    let mut fields = Map::new();
    fields.insert("cups".into(), 2.into());
    let (refused, ()) = tokio::join!(client.call_named("make_coffee", fields), async {
        let request = peer.expect("make_coffee").await;
        assert_eq!(request["cups"], 2);
        peer.answer(&request, json!({"error": "Unknown action: make_coffee", "code": "unknown_action"}))
            .await;
    });
    assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::UnknownAction));
    let (newer, ()) = tokio::join!(client.call_named("brew", Map::new()), async {
        let request = peer.expect("brew").await;
        peer.answer(&request, json!({"type": "brewed"})).await;
    });
    assert!(matches!(newer, Err(ClientError::Protocol(_))), "answered, though not understood: {newer:?}");
}

/// Frames that mean nothing are left out; the connection goes on.
#[tokio::test(start_paused = true)]
async fn nonsense_from_the_agent_harms_nothing() {
    let (client, mut peer) = connected(hello(0)).await;
    let (list, ()) = tokio::join!(client.list_sessions(), async {
        let request = peer.expect("list_sessions").await;
        for nonsense in ["", "}", "[]", r#"{"type":"weather"}"#, r#"{"type":"keys_sent","id":99}"#] {
            use futures_util::SinkExt;
            peer.socket.send(nonsense.into()).await.unwrap();
        }
        peer.send(json!({"type": "sessions_list", "sessions": [], "id": "not ours"})).await;
        peer.send(json!({"type": "sessions_list", "sessions": [], "id": 4711})).await;
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
    });
    list.unwrap();
}

#[tokio::test]
async fn a_lease_is_renewed_in_full_once_and_then_in_few_words() {
    let mut knows = hello(0);
    knows["agent"]["features"] = json!(["renew"]);
    let (client, mut peer) = connected(knows).await;
    let full = json!({"type": "lease_renewed", "owner": "r", "sessions": 2, "clock": 1.5,
        "load": {"cpu": 0.5, "cores": 8, "memoryAvailable": 0.5}});
    let load = json!({"cpu": 2.5, "cores": 8, "memoryAvailable": 0.25});
    let refusal = json!({"error": "nothing was renewed", "code": "conflict"});
    let serving = async {
        let mut answer = async |action: &str, reply: serde_json::Value| {
            let request = peer.expect(action).await;
            peer.answer(&request, reply).await;
            request
        };
        answer("renew_lease", full.clone()).await;
        let again = answer("renew", json!({"type": "renewed", "clock": 2.5})).await;
        assert_eq!((&again["asOf"], again.get("owner")), (&json!(1.5), None));
        answer("renew", json!({"type": "renewed", "clock": 3.5, "sessions": 1, "load": load})).await;
        answer("renew", json!({"type": "renewed", "clock": 4.5})).await;
        // An agent that has forgotten it is told again, at once.
        answer("renew", refusal.clone()).await;
        answer("renew_lease", full.clone()).await;
        answer("renew", json!({"type": "renewed", "clock": 5.5})).await;
        // And after an answer that is none.
        answer("renew", json!({"type": "keys_sent", "sessionId": "cm-1"})).await;
        answer("renew_lease", full.clone()).await;
        // Somebody else's: which of them the agent remembers is not certain any more.
        answer("renew_lease", full.clone()).await;
        answer("renew_lease", full.clone()).await;
    };
    let asking = async {
        let renew = async |owner: &str, as_of: f64| {
            let renewed = client.renew_lease_as_of(owner, Some(60.0), Some(as_of)).await?;
            Ok::<_, ClientError>((renewed.sessions, renewed.load.cpu, renewed.clock.unwrap_or_default()))
        };
        assert_eq!(renew("r", 0.5).await.unwrap(), (2, 0.5, 1.5));
        assert_eq!(renew("r", 1.5).await.unwrap(), (2, 0.5, 2.5));
        assert_eq!(renew("r", 2.5).await.unwrap(), (1, 2.5, 3.5));
        assert_eq!(renew("r", 3.5).await.unwrap(), (1, 2.5, 4.5));
        assert_eq!(renew("r", 4.5).await.unwrap(), (2, 0.5, 1.5));
        assert_eq!(renew("r", 1.5).await.unwrap(), (2, 0.5, 5.5));
        renew("r", 5.5).await.unwrap_err();
        assert_eq!(renew("r", 5.5).await.unwrap(), (2, 0.5, 1.5));
        assert_eq!(renew("s", 1.5).await.unwrap(), (2, 0.5, 1.5));
        assert_eq!(renew("r", 1.5).await.unwrap(), (2, 0.5, 1.5));
    };
    tokio::join!(asking, serving);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed() {
    let (client, peer) = connected(hello(0)).await;
    let began = tokio::time::Instant::now();
    // The peer stands, and does nothing: no answers, not even to pings.
    assert_eq!(client.closed().await, Closed::Silent(Duration::from_secs(90)));
    assert!((90..=121).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_agent_that_answers_pings_is_alive() {
    let (client, peer) = connected(hello(0)).await;
    let minutes = tokio::time::timeout(Duration::from_secs(900), async {
        tokio::select! {
            why = client.closed() => panic!("{why}"),
            _ = peer.until_close() => panic!("the client left"),
        }
    });
    assert!(minutes.await.is_err());
    assert_eq!(client.ended(), None);
}
