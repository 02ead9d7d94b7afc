//! The golden files of the wire: every message in both directions reads and writes as it always did.
//!
//! `tests/wire/<group>.<word>[.<variant>].json` holds one message. Files named `*.original.json` are what
//! the original agent and its clients said, without any of our fields; they never change. `*.short.json` says
//! in short forms what the `*.long.json` beside it spells out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cm_protocol::{
    AnswerDecision, AuthReply, ClientFrame, ErrorCode, EventKind, KeysObserved, Meaning, OnDone, Orphan,
    PolicyVerdict, Proof, ReplyBody, ReportStatus, ServerFrame, State, frame::to_text, request::ACTIONS,
};
use serde_json::Value;

/// Every golden file: its name without `.json`, and its text.
fn golden() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (name.strip_suffix(".json").unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no golden files in {}", folder.display());
    files
}

fn group(name: &str) -> &str {
    name.split('.').next().unwrap()
}

fn is_original(name: &str) -> bool {
    name.ends_with(".original")
}

/// Reads a message as its receiver does and writes it as its sender does.
fn rewritten(name: &str, text: &str) -> String {
    match group(name) {
        "auth" | "request" => match ClientFrame::parse(text) {
            Ok(ClientFrame::Auth(auth)) => to_text(&auth),
            Ok(ClientFrame::Request(request)) => to_text(&request),
            Err(refusal) => panic!("{name}: refused: {refusal:?}"),
        },
        "login" => to_text(&serde_json::from_str::<AuthReply>(text).unwrap()),
        "reply" | "error" | "event" | "snapshot" | "screen" => match ServerFrame::parse(text) {
            Ok(ServerFrame::Unknown(_)) => panic!("{name}: unknown to ServerFrame::parse"),
            Ok(frame) => frame.to_text(),
            Err(error) => panic!("{name}: {error}"),
        },
        other => panic!("{name}: no such group: {other}"),
    }
}

#[test]
fn every_message_is_written_as_it_was_read() {
    for (name, text) in golden() {
        let wrote: Value = serde_json::from_str(&rewritten(&name, &text)).unwrap();
        let expected = match name.strip_suffix(".short") {
            Some(stem) => long_form(stem),
            None => text,
        };
        let read: Value = serde_json::from_str(&expected).unwrap();
        if is_original(&name) && matches!(group(&name), "login" | "error" | "event" | "reply") {
            assert_contains(&name, &wrote, &read);
        } else {
            assert_eq!(wrote, read, "{name}");
        }
    }
}

/// What a message in short forms is written as.
fn long_form(stem: &str) -> String {
    let long = format!("{stem}.long");
    let found = golden().into_iter().find(|(name, _)| *name == long);
    found.unwrap_or_else(|| panic!("{stem}.short has no {long} beside it")).1
}

/// Everything the original said is still there, unchanged; more fields may stand beside it.
fn assert_contains(at: &str, wrote: &Value, original: &Value) {
    match (wrote, original) {
        (Value::Object(wrote), Value::Object(original)) => {
            for (key, value) in original {
                let found = wrote.get(key).unwrap_or_else(|| panic!("{at}: `{key}` is gone"));
                assert_contains(&format!("{at}.{key}"), found, value);
            }
        }
        (Value::Array(wrote), Value::Array(original)) => {
            assert_eq!(wrote.len(), original.len(), "{at}");
            for (wrote, original) in wrote.iter().zip(original) {
                assert_contains(at, wrote, original);
            }
        }
        _ => assert_eq!(wrote, original, "{at}"),
    }
}

/// Serde's name of a unit variant, as it stands on the wire.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// All strings that stand under `key` anywhere in the golden files of these groups.
fn words_under(key: &str, groups: &[&str]) -> BTreeSet<String> {
    fn walk(value: &Value, key: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(text)) = map.get(key) {
                    found.insert(text.clone());
                }
                map.values().for_each(|v| walk(v, key, found));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(v, key, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (name, text) in golden() {
        if groups.contains(&group(&name)) {
            walk(&serde_json::from_str(&text).unwrap(), key, &mut found);
        }
    }
    found
}

fn set<T: Into<String>>(words: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    words.into_iter().map(Into::into).collect()
}

const REPLIES: &[&str] = &[
    "session_created",
    "keys_sent",
    "pane_output",
    "sessions_list",
    "session_killed",
    "subscribed",
    "session_paused",
    "session_resumed",
    "screen_watched",
    "screen_unwatched",
    "session",
    "transcript",
    "agent_info",
    "reported",
    "shutting_down",
    "hook_answered",
    "answered",
    "explained",
    "deployment_confirmed",
    "lease_renewed",
    "renewed",
    "acknowledged",
    "fenced",
    "probed",
];

fn reply_word(body: &ReplyBody) -> &'static str {
    REPLIES[match body {
        ReplyBody::SessionCreated { .. } => 0,
        ReplyBody::KeysSent { .. } => 1,
        ReplyBody::PaneOutput { .. } => 2,
        ReplyBody::SessionsList { .. } => 3,
        ReplyBody::SessionKilled { .. } => 4,
        ReplyBody::Subscribed { .. } => 5,
        ReplyBody::SessionPaused { .. } => 6,
        ReplyBody::SessionResumed { .. } => 7,
        ReplyBody::ScreenWatched { .. } => 8,
        ReplyBody::ScreenUnwatched { .. } => 9,
        ReplyBody::Session { .. } => 10,
        ReplyBody::Transcript(_) => 11,
        ReplyBody::AgentInfo { .. } => 12,
        ReplyBody::Reported { .. } => 13,
        ReplyBody::ShuttingDown { .. } => 14,
        ReplyBody::HookAnswered { .. } => 15,
        ReplyBody::Answered { .. } => 16,
        ReplyBody::Explained { .. } => 17,
        ReplyBody::DeploymentConfirmed { .. } => 18,
        ReplyBody::LeaseRenewed { .. } => 19,
        ReplyBody::Renewed { .. } => 20,
        ReplyBody::Acknowledged { .. } => 21,
        ReplyBody::Fenced { .. } => 22,
        ReplyBody::Probed { .. } => 23,
    }]
}

const EVENTS: &[&str] = &[
    "state_change",
    "auto_confirmed",
    "session_completed",
    "session_added",
    "session_closed",
    "notice",
    "receipt",
];

fn event_word(kind: &EventKind) -> &'static str {
    EVENTS[match kind {
        EventKind::StateChange { .. } => 0,
        EventKind::AutoConfirmed { .. } => 1,
        EventKind::SessionCompleted { .. } => 2,
        EventKind::SessionAdded { .. } => 3,
        EventKind::SessionClosed { .. } => 4,
        EventKind::Notice(_) => 5,
        EventKind::Receipt { .. } => 6,
    }]
}

/// What a golden file is about, read through the types: `request.send_keys`, `event.notice`, …
fn subject(name: &str, text: &str) -> String {
    match group(name) {
        "request" => match ClientFrame::parse(text).unwrap() {
            ClientFrame::Request(request) => format!("request.{}", request.action.word()),
            ClientFrame::Auth(_) => "auth".into(),
        },
        "auth" => match ClientFrame::parse(text).unwrap() {
            ClientFrame::Auth(_) => "auth".into(),
            ClientFrame::Request(request) => panic!("{name}: read as {request:?}"),
        },
        "login" => match serde_json::from_str::<AuthReply>(text).unwrap() {
            AuthReply::Authenticated { hello, .. } => {
                assert_eq!(hello.is_none(), is_original(name), "{name}");
                "login.authenticated".into()
            }
            AuthReply::Refused { .. } => "login.refused".into(),
        },
        _ => match ServerFrame::parse(text).unwrap() {
            ServerFrame::Reply(reply) => format!("reply.{}", reply_word(&reply.body)),
            ServerFrame::Error(_) if is_original(name) => "error".into(),
            ServerFrame::Error(error) => format!("error.{}", word(&error.code)),
            ServerFrame::Event(event) => format!("event.{}", event_word(&event.kind)),
            ServerFrame::Snapshot(_) => "snapshot".into(),
            ServerFrame::Screen(_) => "screen".into(),
            ServerFrame::Unknown(_) => panic!("{name}: unknown"),
        },
    }
}

#[test]
fn every_file_is_what_its_name_says() {
    for (name, text) in golden() {
        let subject = subject(&name, &text);
        assert!(
            name == subject || name.starts_with(&format!("{subject}.")),
            "{name} holds a message of {subject}"
        );
    }
}

#[test]
fn every_variant_has_a_file() {
    let found: BTreeSet<String> = golden().iter().map(|(name, text)| subject(name, text)).collect();
    let codes = [
        ErrorCode::Unauthorized,
        ErrorCode::NotFound,
        ErrorCode::UnknownAction,
        ErrorCode::BadRequest,
        ErrorCode::TooLarge,
        ErrorCode::Limit,
        ErrorCode::Conflict,
        ErrorCode::Internal,
    ];
    let wanted: BTreeSet<String> = ACTIONS
        .iter()
        .map(|a| format!("request.{a}"))
        .chain(REPLIES.iter().map(|r| format!("reply.{r}")))
        .chain(EVENTS.iter().map(|e| format!("event.{e}")))
        .chain(codes.iter().map(|c| format!("error.{}", word(c))))
        .chain(
            ["auth", "login.authenticated", "login.refused", "error", "snapshot", "screen"].map(String::from),
        )
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_word_of_the_small_enums_is_spelled_in_a_file_or_known() {
    let observed = [KeysObserved::Submitted, KeysObserved::Typed, KeysObserved::NoEvidence];
    assert_eq!(words_under("observed", &["reply"]), set(observed.iter().map(word)));
    for (text, value) in [("keep", Orphan::Keep), ("stop", Orphan::Stop)] {
        assert_eq!(word(&value), text);
    }
    for (text, value) in [("keep", OnDone::Keep), ("close", OnDone::Close)] {
        assert_eq!(word(&value), text);
    }
    let decisions =
        [AnswerDecision::Allow, AnswerDecision::Deny, AnswerDecision::Choose, AnswerDecision::Text];
    assert_eq!(words_under("decision", &["request"]), set(decisions.iter().map(word)));
    let verdicts = [PolicyVerdict::Allow, PolicyVerdict::Deny, PolicyVerdict::Ask];
    assert_eq!(words_under("then", &["request"]), set(verdicts.iter().map(word)));
    for (text, value) in [("claimed", Proof::Claimed), ("verified", Proof::Verified)] {
        assert_eq!(word(&value), text);
    }
    for meaning in [Meaning::Once, Meaning::Always, Meaning::Refuse, Meaning::Mode, Meaning::Answer] {
        assert_eq!(word(&meaning), meaning.as_str());
    }
    for (text, value) in [
        ("working", ReportStatus::Working),
        ("idle", ReportStatus::Idle),
        ("done", ReportStatus::Done),
        ("failed", ReportStatus::Failed),
        ("waiting", ReportStatus::Waiting),
    ] {
        assert_eq!(word(&value), text);
    }
    for state in [
        State::Starting,
        State::Planning,
        State::Editing,
        State::Testing,
        State::Running,
        State::Done,
        State::Failed,
        State::Waiting,
        State::Idle,
        State::Paused,
        State::Killed,
        State::Lost,
    ] {
        assert_eq!(word(&state), state.as_str());
    }
}

/// The original's own messages, literally, as its clients and its agent send them. A client of ours reads
/// what an original agent says; an agent of ours reads what an original client says.
#[test]
fn the_original_is_understood() {
    for (name, expected) in [
        ("request.create_session.original", "CreateSession"),
        ("request.send_keys.original", "SendKeys"),
        ("request.capture_pane.original", "CapturePane"),
        ("request.list_sessions.original", "ListSessions"),
        ("request.kill_session.original", "KillSession"),
        ("reply.session_created.original", "SessionCreated"),
        ("reply.keys_sent.original", "KeysSent"),
        ("reply.pane_output.original", "PaneOutput"),
        ("reply.sessions_list.original", "SessionsList"),
        ("reply.session_killed.original", "SessionKilled"),
        ("event.state_change.original", "StateChange"),
        ("event.auto_confirmed.original", "AutoConfirmed"),
        ("event.session_completed.original", "SessionCompleted"),
        ("login.authenticated.original", "Authenticated"),
        ("login.refused.original", "Refused"),
        ("error.original", "ErrorReply"),
    ] {
        let (_, text) = golden().into_iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}"));
        let read = match group(name) {
            "request" => format!("{:?}", ClientFrame::parse(&text).unwrap()),
            "login" => format!("{:?}", serde_json::from_str::<AuthReply>(&text).unwrap()),
            _ => format!("{:?}", ServerFrame::parse(&text).unwrap()),
        };
        assert!(read.contains(expected), "{name}: read as {read}");
    }
}

#[test]
fn what_is_newer_than_this_client_is_ignored_not_an_error() {
    let text = r#"{"type":"weather","temperature":21}"#;
    assert_eq!(ServerFrame::parse(text).unwrap(), ServerFrame::Unknown(text.to_owned()));
    let more = r#"{"type":"keys_sent","sessionId":"cm-1","observed":"typed","colour":"blue"}"#;
    assert!(matches!(ServerFrame::parse(more).unwrap(), ServerFrame::Reply(_)));
    let code = r#"{"error":"too hot","code":"overheated"}"#;
    let ServerFrame::Error(error) = ServerFrame::parse(code).unwrap() else { panic!("not an error") };
    assert_eq!(error.code, ErrorCode::Internal);
}
