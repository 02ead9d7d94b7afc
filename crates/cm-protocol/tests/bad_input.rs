//! What a malformed frame gets: the code, the field, the text and the id of the refusal.

use cm_protocol::{ClientFrame, ErrorCode, RequestId, ServerFrame};

/// `id` is written as JSON; empty means the refusal carries none.
fn check(frame: &str, code: ErrorCode, field: Option<&str>, id: &str, words: &str) {
    let refusal = match ClientFrame::parse(frame) {
        Err(refusal) => *refusal,
        Ok(read) => panic!("{frame}\n  was read as {read:?}"),
    };
    let expected_id: Option<RequestId> = (!id.is_empty()).then(|| serde_json::from_str(id).unwrap());
    assert_eq!(refusal.code, code, "{frame}: {refusal:?}");
    assert_eq!(refusal.field.as_deref(), field, "{frame}: {refusal:?}");
    assert_eq!(refusal.id, expected_id, "{frame}: {refusal:?}");
    assert!(refusal.error.contains(words), "{frame}\n  says {:?}, not {words:?}", refusal.error);
}

use ErrorCode::{BadRequest, UnknownAction};

#[test]
fn frames_that_are_no_commands() {
    check("", BadRequest, Some(""), "", "not JSON");
    check("hello", BadRequest, Some(""), "", "not JSON");
    check("{", BadRequest, Some(""), "", "not JSON");
    check("\u{0}", BadRequest, Some(""), "", "not JSON");
    check(r#"{"action":"list_sessions"} x"#, BadRequest, Some(""), "", "not JSON");
    check("[]", BadRequest, Some(""), "", "a JSON object");
    check(r#"[{"action":"list_sessions"}]"#, BadRequest, Some(""), "", "a JSON object");
    check("null", BadRequest, Some(""), "", "a JSON object");
    check("1e999", BadRequest, Some(""), "", "not JSON");
    check("7", BadRequest, Some(""), "", "a JSON object");
    check(r#""list_sessions""#, BadRequest, Some(""), "", "a JSON object");
    check(&"[".repeat(100_000), BadRequest, Some(""), "", "not JSON");
}

#[test]
fn actions_that_are_missing_or_unknown() {
    check("{}", BadRequest, Some("action"), "", "missing");
    check(r#"{"id":1}"#, BadRequest, Some("action"), "1", "missing");
    check(r#"{"action":7,"id":"x"}"#, BadRequest, Some("action"), r#""x""#, "expected a string");
    check(r#"{"action":null,"id":3}"#, BadRequest, Some("action"), "3", "expected a string");
    check(r#"{"action":["list_sessions"]}"#, BadRequest, Some("action"), "", "expected a string");
    check(r#"{"action":""}"#, UnknownAction, None, "", "Unknown action: ");
    check(r#"{"action":"make_coffee","id":9}"#, UnknownAction, None, "9", "Unknown action: make_coffee");
    check(r#"{"action":"List_Sessions"}"#, UnknownAction, None, "", "Unknown action: List_Sessions");
    check(r#"{"auth_token":"x","action":"nope"}"#, UnknownAction, None, "", "Unknown action: nope");
    check(r#"{"auth_token":7}"#, BadRequest, Some("action"), "", "missing");
}

#[test]
fn ids_of_the_wrong_type() {
    for id in ["{}", "[1]", "true", "1.5", "-0.5", "1e300", "99999999999999999999"] {
        let frame = format!(r#"{{"action":"list_sessions","id":{id}}}"#);
        check(&frame, BadRequest, Some("id"), "", "a string or a whole number");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn fields_of_the_wrong_type_or_size() {
    let cases: &[(&str, &str, &str)] = &[
        // fields of the command, the field refused, words of the refusal
        (r#""action":"send_keys""#, "sessionId", "missing field"),
        (r#""action":"send_keys","sessionId":null"#, "sessionId", "missing field"),
        (r#""action":"send_keys","sessionId":5"#, "sessionId", "expected a string"),
        (r#""action":"send_keys","sessionId":"cm-1","keys":5"#, "keys", "expected a string"),
        (r#""action":"send_keys","sessionId":"cm-1","keys":["a"]"#, "keys", "expected a string"),
        (r#""action":"send_keys","sessionId":"cm-1","enter":"no""#, "enter", "expected a boolean"),
        (r#""action":"send_keys","sessionId":"cm-1","named":"C-c""#, "named", "expected a sequence"),
        (r#""action":"send_keys","sessionId":"cm-1","named":["C-c",3]"#, "named[1]", "expected a string"),
        (r#""action":"capture_pane","sessionId":"cm-1","lines":-1"#, "lines", "expected u64"),
        (r#""action":"capture_pane","sessionId":"cm-1","lines":1.5"#, "lines", "expected u64"),
        (r#""action":"capture_pane","sessionId":"cm-1","lines":"50""#, "lines", "expected u64"),
        (r#""action":"capture_pane","sessionId":"cm-1","lines":1e30"#, "lines", "expected u64"),
        (
            r#""action":"capture_pane","sessionId":"cm-1","lines":99999999999999999999"#,
            "lines",
            "expected u64",
        ),
        (r#""action":"kill_session""#, "sessionId", "missing field"),
        (r#""action":"get_session","sessionId":{}"#, "sessionId", "expected a string"),
        (r#""action":"subscribe","since":-3"#, "since", "expected u64"),
        (r#""action":"subscribe","since":"1""#, "since", "expected u64"),
        (r#""action":"create_session","tool":1"#, "tool", "expected a string"),
        (r#""action":"create_session","task":["a"]"#, "task", "expected a string"),
        (r#""action":"create_session","context":"/p""#, "context", "expected struct Context"),
        (r#""action":"create_session","context":{"path":7}"#, "context.path", "expected a string"),
        (r#""action":"create_session","attempt":-1"#, "attempt", "expected u32"),
        (r#""action":"create_session","attempt":4294967296"#, "attempt", "expected u32"),
        (r#""action":"create_session","env":["A=1"]"#, "env", "expected a map"),
        (r#""action":"create_session","env":{"A":1}"#, "env.A", "expected a string"),
        (r#""action":"create_session","timeout":"1h""#, "timeout", "expected f64"),
        (r#""action":"create_session","limits":{"memory":-1}"#, "limits.memory", "expected u64"),
        (r#""action":"create_session","size":{"cols":80}"#, "size.rows", "missing field"),
        (r#""action":"create_session","size":{"cols":70000,"rows":40}"#, "size.cols", "expected u16"),
        (r#""action":"create_session","onDone":"burn""#, "onDone", "unknown variant"),
        (
            r#""action":"create_session","policy":{"name":"x","rules":[{"kind":"read"}]}"#,
            "policy.rules[0].then",
            "missing field `then`",
        ),
        (
            r#""action":"create_session","policy":{"name":"x","rules":[{"kind":7,"then":"ask"}]}"#,
            "policy.rules[0].kind",
            "expected a string or a list of strings",
        ),
        (r#""action":"create_session","policy":{"name":"x","rulez":[]}"#, "policy.rulez", "unknown field"),
        (r#""action":"create_session","policy":7"#, "policy", "expected a policy's name or its rules"),
        (r#""action":"create_session","policy":true"#, "policy", "expected a policy's name or its rules"),
        (r#""action":"create_session","check":{"run":"make"}"#, "check.run", "unknown field"),
        (
            r#""action":"create_session","check":{"command":"make","retries":-1}"#,
            "check.retries",
            "expected u32",
        ),
        (r#""action":"create_session","check":["make"]"#, "check", "expected a command, alone or with"),
        (r#""action":"create_session","worktree":false"#, "worktree", "leave it out"),
        (r#""action":"create_session","worktree":"fix""#, "worktree", "expected true, or `branch`"),
        (r#""action":"create_session","worktree":{"brunch":"x"}"#, "worktree.brunch", "unknown field"),
        (r#""action":"create_session","worktree":{"saveEvery":"1m"}"#, "worktree.saveEvery", "expected f64"),
        (
            r#""action":"create_session","worktree":{"continues":{}}"#,
            "worktree.continues.host",
            "missing field",
        ),
        (r#""action":"create_session","context":{"repo":"x"}"#, "context.repo", "expected struct Repo"),
        (r#""action":"create_session","context":{"repo":{"ref":"x"}}"#, "context.repo.url", "missing field"),
        (r#""action":"create_session","lease":"r""#, "lease", "expected struct Lease"),
        (r#""action":"create_session","lease":{"seconds":60}"#, "lease.owner", "missing field"),
        (r#""action":"create_session","lease":{"owner":"r"}"#, "lease.seconds", "missing field"),
        (
            r#""action":"create_session","lease":{"owner":"r","seconds":9,"orphan":"sell"}"#,
            "lease.orphan",
            "unknown variant",
        ),
        (r#""action":"renew_lease""#, "owner", "missing field"),
        (r#""action":"renew_lease","owner":"r","seconds":"1m""#, "seconds", "expected f64"),
        (r#""action":"renew","asOf":"now""#, "asOf", "expected f64"),
        (r#""action":"acknowledge""#, "sessions", "missing field"),
        (r#""action":"acknowledge","sessions":"cm-1""#, "sessions", "expected a sequence"),
        (r#""action":"fence","taskId":"t""#, "below", "missing field"),
        (r#""action":"fence","below":2"#, "taskId", "missing field"),
        (r#""action":"fence","taskId":"t","below":-2"#, "below", "expected u32"),
        (r#""action":"probe","tools":"claude""#, "tools", "expected a sequence"),
        (r#""action":"list_sessions","owner":7"#, "owner", "expected a string"),
        (r#""action":"answer","sessionId":"cm-1""#, "decision", "missing field"),
        (r#""action":"answer","sessionId":"cm-1","decision":"yes""#, "decision", "unknown variant"),
        (
            r#""action":"answer","sessionId":"cm-1","decision":"allow","promptId":-1"#,
            "promptId",
            "expected u64",
        ),
        (
            r#""action":"answer","sessionId":"cm-1","decision":"choose","options":"a""#,
            "options",
            "expected a sequence",
        ),
        (r#""action":"hook","sessionId":"cm-1""#, "event", "missing field"),
        (r#""action":"explain_session""#, "sessionId", "missing field"),
        (r#""action":"report","sessionId":"cm-1""#, "status", "missing field"),
        (r#""action":"report","sessionId":"cm-1","status":"great""#, "status", "unknown variant"),
        (r#""action":"transcript","sessionId":"cm-1","from":-1"#, "from", "expected u64"),
        (r#""action":"confirm_deployment""#, "deployment", "missing field"),
        (r#""action":"shutdown","drain":"yes""#, "drain", "expected a boolean"),
    ];
    for (fields, field, words) in cases {
        check(&format!("{{{fields}}}"), BadRequest, Some(field), "", words);
        check(&format!(r#"{{{fields},"id":"mark"}}"#), BadRequest, Some(field), r#""mark""#, words);
    }
}

/// Python clients send `None` for what they do not set: it stands for an absent field.
#[test]
fn null_is_absent() {
    for (with_null, without) in [
        (
            r#"{"action":"create_session","tool":null,"task":null,"context":null,"timeout":null,"env":null,"args":null}"#,
            r#"{"action":"create_session"}"#,
        ),
        (
            r#"{"action":"capture_pane","sessionId":"cm-1","lines":null,"escapes":null,"id":null}"#,
            r#"{"action":"capture_pane","sessionId":"cm-1"}"#,
        ),
        (r#"{"action":"subscribe","since":null}"#, r#"{"action":"subscribe"}"#),
        (
            r#"{"action":"create_session","context":{"path":null}}"#,
            r#"{"action":"create_session","context":{}}"#,
        ),
        (
            r#"{"action":"create_session","limits":{"memory":null,"cpu":2.0}}"#,
            r#"{"action":"create_session","limits":{"cpu":2.0}}"#,
        ),
    ] {
        assert_eq!(ClientFrame::parse(with_null).unwrap(), ClientFrame::parse(without).unwrap());
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let plain = ClientFrame::parse(r#"{"action":"list_sessions"}"#).unwrap();
    assert_eq!(ClientFrame::parse(r#"{"action":"list_sessions","verbose":true}"#).unwrap(), plain);
}

#[test]
fn frames_no_agent_sends() {
    for (text, words) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no `type`"),
        ("7", "no `type`"),
        (r#"{"type":7}"#, "no `type`"),
        (r#"{"error":7}"#, "not a message"),
        (r#"{"type":"keys_sent"}"#, "missing field `sessionId`"),
        (r#"{"type":"state_change","sessionId":"cm-1","state":"dancing","timestamp":1.0}"#, "dancing"),
        (r#"{"type":"snapshot","seq":-1,"timestamp":1.0,"sessions":[]}"#, "-1"),
    ] {
        let error = ServerFrame::parse(text).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}
