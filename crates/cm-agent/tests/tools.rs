//! `cm-agent tools` as a command: what it prints, and how it exits.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(home: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cm-agent"))
        .arg("tools")
        .args(args)
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cm-agent starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn explain_says_what_is_asked() {
    let home = tempfile::tempdir().expect("a directory");
    let screen = "──────────────────────\n Bash command\n\n   make clean\n\n Do you want to proceed?\n ❯ 1. Yes\n   2. No\n\n \
                  Esc to cancel\n";
    let args = ["explain", "--tool", "claude", "--version", "2.1.197", "--screen", "-", "--json"];
    let output = run(home.path(), &args, screen);
    assert!(output.status.success(), "{output:?}");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(
        seen,
        serde_json::json!({
            "state": "waiting",
            "reason": null,
            "rule": "dialog `command`",
            "dialog": {
                "kind": "command",
                "question": "Do you want to proceed?",
                "subject": "make clean",
                "options": [
                    {"label": "Yes", "key": "1", "selected": true, "meaning": "once"},
                    {"label": "No", "key": "2", "selected": false, "meaning": "refuse"},
                ],
            },
        })
    );
    let output = run(home.path(), &["explain", "--tool", "claude", "--screen", "-", "--json"], "");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&seen["state"], &seen["dialog"]), (&"starting".into(), &serde_json::Value::Null));
}

#[test]
fn check_says_where_and_exits_with_1() {
    let home = tempfile::tempdir().expect("a directory");
    let own = home.path().join(".config/cm-agent/tools");
    assert!(run(home.path(), &["check"], "").status.success(), "none is good");
    std::fs::create_dir_all(&own).expect("a directory");
    std::fs::write(own.join("mine.toml"), "extends = \"codex\"\nname = \"mine\"\nversion = 1\n")
        .expect("a file");
    assert!(run(home.path(), &["check"], "").status.success());
    let list = run(home.path(), &["list"], "");
    assert!(text(&list.stdout).contains("mine "), "{list:?}");
    let bad = own.join("bad.toml");
    std::fs::write(&bad, "extends = \"codex\"\nname = \"bad\"\nversoin = 1\n").expect("a file");
    let output = run(home.path(), &["check"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    let place = format!("{}:3:1: unknown field `versoin`", bad.display());
    assert!(said.contains(&place) && said.contains("did you mean `version`?"), "{said}");
    assert!(said.contains("mine.toml: ok"), "{said}");
    // A broken profile of one's own stops nothing else.
    let output = run(home.path(), &["explain", "--tool", "mine", "--screen", "-"], "x");
    assert!(output.status.success() && text(&output.stderr).contains("bad.toml:3:1"), "{output:?}");
}

#[test]
fn mistakes_of_usage_exit_with_2() {
    let home = tempfile::tempdir().expect("a directory");
    for args in
        [&["explain"][..], &["explain", "--tool", "x", "--screen", "-", "--cursor", "x"], &["unheard"]]
    {
        assert_eq!(run(home.path(), args, "").status.code(), Some(2), "{args:?}");
    }
    let missing = run(home.path(), &["explain", "--tool", "x", "--screen", "/no/such/file"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/no/such/file"), "{missing:?}");
}
