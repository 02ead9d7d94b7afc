//! Hooks by what real tools have called them with (`tests/hooks`), and by tables.

use super::*;
use crate::tool::detect::Activity;
use crate::tool::profile::PromptKind;

fn captured(file: &str) -> HookEvent {
    let path = format!("{}/tests/hooks/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    HookEvent::read(&value).unwrap_or_else(|| panic!("{path}: not an event"))
}

fn read(value: Value) -> HookEvent {
    HookEvent::read(&value).expect("an event")
}

#[test]
fn every_captured_event_is_understood() {
    let root = format!("{}/tests/hooks", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for tool in std::fs::read_dir(&root).expect("a directory").flatten() {
        for file in std::fs::read_dir(tool.path()).expect("a directory").flatten() {
            let path = file.path();
            let name = path.strip_prefix(&root).expect("below").with_extension("");
            let event = captured(name.to_str().expect("UTF-8"));
            assert!(event.session_id.is_some() && event.transcript_path.is_some(), "{name:?}");
            assert!(
                event.cwd.as_deref().is_some_and(|cwd| cwd.starts_with("/home/u")),
                "{name:?}: {:?}",
                event.cwd
            );
            let known = !matches!(event.kind, HookKind::Other(_));
            assert_eq!(known, !name.ends_with("batch"), "{name:?}: {:?}", event.kind);
            let asks = name.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ask_"));
            assert_eq!(ask_of(&event).is_some(), asks, "{name:?}");
            count += 1;
        }
    }
    assert!(count >= 30, "{count}");
}

#[test]
fn what_leave_is_asked_for() {
    #[track_caller]
    fn check(file: &str, kind: PromptKind, subject: Option<&str>, summary: &str) {
        let ask = ask_of(&captured(file)).expect("it asks");
        assert_eq!((ask.kind, ask.subject(), ask.summary.as_str()), (kind, subject, summary), "{file}");
    }
    let touch = "touch made_by_bash.txt && echo bash-ran";
    for claude in ["claude-2.1.330", "claude-2.1.197"] {
        check(&format!("{claude}/ask_bash"), PromptKind::Command, Some(touch), &format!("Bash: {touch}"));
        let question = "AskUserQuestion: Which database should I use?";
        check(&format!("{claude}/ask_question"), PromptKind::Question, None, question);
    }
    check(
        "claude-2.1.330/ask_write",
        PromptKind::Edit,
        Some("/home/u/app/file.txt"),
        "Write: /home/u/app/file.txt",
    );
    check("claude-2.1.330/ask_read", PromptKind::Read, Some("/etc/hostname"), "Read: /etc/hostname");
    check(
        "claude-2.1.330/ask_fetch",
        PromptKind::Network,
        Some("http://example.com/x"),
        "WebFetch: http://example.com/x",
    );
    check("claude-2.1.330/ask_plan", PromptKind::Plan, None, "ExitPlanMode");
    check("claude-2.1.197/ask_plan", PromptKind::Plan, None, "ExitPlanMode: 1. Read 2. Change");
    let escalated = "touch escalated.txt && echo esc-ran";
    check("codex-0.169/ask_bash", PromptKind::Command, Some(escalated), &format!("Bash: {escalated}"));
    check(
        "codex-0.169/ask_patch",
        PromptKind::Edit,
        Some("/home/u/app/file.txt"),
        "apply_patch: /home/u/app/file.txt",
    );
}

#[test]
fn tools_and_what_they_are_about() {
    #[track_caller]
    fn check(tool: &str, input: Value, kind: PromptKind, subjects: &[&str]) {
        let ask = ask_of(&read(json!({
            "hook_event_name": "PermissionRequest", "tool_name": tool, "tool_input": input, "cwd": "/w",
        })));
        let ask = ask.expect("it asks");
        assert_eq!(
            (ask.kind, ask.subjects),
            (kind, subjects.iter().map(|s| (*s).to_owned()).collect()),
            "{tool}"
        );
    }
    check("Bash", json!({"command": "a\nb"}), PromptKind::Command, &["a\nb"]);
    check(
        "shell",
        json!({"command": ["bash", "-lc", "rm -rf x"]}),
        PromptKind::Command,
        &["bash -lc 'rm -rf x'"],
    );
    check("Edit", json!({"file_path": "a.txt"}), PromptKind::Edit, &["/w/a.txt"]);
    check("NotebookEdit", json!({"notebook_path": "/a.ipynb"}), PromptKind::Edit, &["/a.ipynb"]);
    check("Grep", json!({"pattern": "x"}), PromptKind::Read, &["/w"]);
    check("Glob", json!({"pattern": "x", "path": "../y"}), PromptKind::Read, &["/w/../y"]);
    check("WebSearch", json!({"query": "x"}), PromptKind::Network, &["x"]);
    check("mcp__db__drop", json!({"table": "x"}), PromptKind::Confirm, &[]);
    check("Agent", json!({"prompt": "x"}), PromptKind::Confirm, &[]);
    let patch = "*** Begin Patch\n*** Update File: a\n*** Move to: /b\n@@\n-*** x\n*** Delete File: c d\n*** End Patch";
    check("apply_patch", json!({"command": patch}), PromptKind::Edit, &["/w/a", "/b", "/w/c d"]);
    // What is not understood is nothing that a rule for its kind may allow.
    check("apply_patch", json!({"command": "*** Add File: a\n*** Copy File: b"}), PromptKind::Confirm, &[]);
    check("Bash", json!({}), PromptKind::Confirm, &[]);
    check("Bash", json!({"command": " "}), PromptKind::Confirm, &[]);
    check("Bash", json!({"command": 5}), PromptKind::Confirm, &[]);
    check("Write", json!({"file_path": ""}), PromptKind::Confirm, &[]);
    check("WebFetch", Value::Null, PromptKind::Confirm, &[]);
}

#[test]
fn turns_and_conversations() {
    let kind = |file: &str| captured(file).kind;
    assert_eq!(kind("claude-2.1.330/session_start"), HookKind::SessionStart { source: "startup".into() });
    assert_eq!(kind("claude-2.1.330/session_end_clear"), HookKind::SessionEnd { reason: "clear".into() });
    let done = Some("Hello from the model. Done say.".to_owned());
    assert_eq!(kind("claude-2.1.330/stop"), HookKind::Stop { message: done, background: 0 });
    let HookKind::Stop { background: 1, .. } = kind("claude-2.1.330/stop_with_background") else {
        panic!("one")
    };
    let HookKind::StopFailure { error, .. } = kind("claude-2.1.330/stop_failure_rate") else {
        panic!("failed")
    };
    assert_eq!(error, "rate_limit");
    let HookKind::Notification { kind: what, .. } = kind("claude-2.1.330/notification") else {
        panic!("told")
    };
    assert_eq!(what, "permission_prompt");
    assert_eq!(kind("codex-0.169/interrupt"), HookKind::Interrupt);
    assert_eq!(captured("claude-2.1.330/pre_in_subagent").agent_id.as_deref(), Some("a01"));
    let no_event = [json!({}), json!([]), json!("x"), json!({"hook_event_name": 3})];
    assert!(no_event.iter().all(|value| HookEvent::read(value).is_none()));
    assert_eq!(HookEvent::read(&json!({"hook_event_name": "PreToolUse"})), None, "of no tool");
}

#[test]
fn what_a_tool_is_busy_with() {
    #[track_caller]
    fn check(event: &str, tool: &str, input: Value, mode: &str, expected: Option<Activity>) {
        let event = read(json!({
            "hook_event_name": event, "tool_name": tool, "tool_input": input, "permission_mode": mode,
        }));
        assert_eq!(activity_of(&event), expected, "{event:?}");
    }
    let (pre, call) = ("PreToolUse", json!({"command": "cargo test"}));
    check(pre, "Bash", call.clone(), "default", Some(Activity::Testing));
    check("PermissionRequest", "Bash", call.clone(), "plan", Some(Activity::Testing));
    check("PostToolUse", "Bash", call, "default", None);
    check(pre, "Bash", json!({"command": "ls"}), "default", Some(Activity::Running));
    check(pre, "Read", json!({}), "plan", Some(Activity::Planning));
    check(pre, "TodoWrite", json!({}), "default", Some(Activity::Planning));
    check(pre, "apply_patch", json!({"command": "cargo test"}), "default", Some(Activity::Editing));
    check(pre, "Edit", json!({}), "default", Some(Activity::Editing));
    check("UserPromptSubmit", "", json!({}), "plan", Some(Activity::Planning));
    check("UserPromptSubmit", "", json!({}), "default", Some(Activity::Running));
    check("Stop", "", json!({}), "default", None);
}

#[test]
fn answers_are_as_the_tools_want_them() {
    let head = r#"{"hookSpecificOutput":{"decision":"#;
    let tail = r#","hookEventName":"PermissionRequest"}}"#;
    let check = |output: Option<Value>, verdict: &str| {
        assert_eq!(output.expect("an answer").to_string(), format!("{head}{verdict}{tail}"));
    };
    let ask = |file: &str| ask_of(&captured(file)).expect("it asks");
    check(ask("claude-2.1.330/ask_bash").allow(), r#"{"behavior":"allow"}"#);
    check(ask("claude-2.1.330/ask_plan").allow(), r#"{"behavior":"allow","updatedInput":{}}"#);
    let plan = r#"{"behavior":"allow","updatedInput":{"plan":"1. Read\n2. Change"}}"#;
    check(ask("claude-2.1.197/ask_plan").allow(), plan);
    check(Some(deny_output("use make", false)), r#"{"behavior":"deny","message":"use make"}"#);
    check(Some(deny_output("no", true)), r#"{"behavior":"deny","interrupt":true,"message":"no"}"#);

    let question = ask("claude-2.1.330/ask_question");
    assert_eq!(question.allow(), None, "an older version takes it for an empty answer");
    assert_eq!(question.questions(), [("Which database should I use?", vec!["PostgreSQL", "SQLite"])]);
    let answers = Answers::from([("Which database should I use?".into(), "SQLite".into())]);
    let output = question.answer(&answers).expect("it was asked");
    let input = &output["hookSpecificOutput"]["decision"]["updatedInput"];
    assert_eq!(input["answers"], json!({"Which database should I use?": "SQLite"}));
    assert_eq!(input["questions"][0]["header"], "Database");
    assert_eq!(question.answer(&Answers::new()), None);
    assert_eq!(ask("claude-2.1.330/ask_bash").answer(&answers), None);
}

#[test]
fn every_event_is_passed_to_the_agent() {
    let agent = ["/opt/it's here/cm-fleet".to_owned(), "__agent".to_owned()];
    let settings: Value = serde_json::from_str(&settings(&agent)).expect("JSON");
    let hooks = settings["hooks"].as_object().expect("hooks");
    assert_eq!(hooks.len(), CLAUDE.len());
    for hook in hooks.values() {
        let hook = &hook[0]["hooks"][0];
        assert_eq!(hook["command"], r"'/opt/it'\''s here/cm-fleet' __agent hook");
        assert_eq!((&hook["type"], &hook["timeout"]), (&json!("command"), &json!(10)));
    }
    let arguments = codex_arguments(&agent);
    assert_eq!(arguments.len(), 2 * CODEX.len());
    for pair in arguments.chunks(2) {
        let (event, hook) = pair[1].split_once('=').expect("a setting");
        assert!(pair[0] == "-c" && event.starts_with("hooks."), "{pair:?}");
        let table: toml::Table = format!("hook = {hook}").parse().expect("TOML");
        let command = table["hook"][0]["hooks"][0]["command"].as_str();
        assert_eq!(command, Some(r"'/opt/it'\''s here/cm-fleet' __agent hook"));
    }
}
