//! The program itself, where no agent is needed: exit codes, and what stands on which stream.

use std::process::{Command, Output, Stdio};

fn run(args: &[&str], home: &tempfile::TempDir) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cm-fleet"))
        .args(args)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("CM_FLEET_SOCKET")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn check(args: &[&str], code: i32, stderr: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let output = run(args, &home);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(stderr), "{args:?} says {said:?}, not {stderr:?}");
    assert_eq!(output.stdout.is_empty(), code != 0, "results on standard output, nothing else: {args:?}");
}

#[test]
fn exit_codes() {
    check(&["--help"], 0, "");
    check(&["--version"], 0, "");
    check(&["completions", "zsh"], 0, "");
    check(&["dispatch"], 2, "error: there is no task\n  hint: write it as an argument");
    check(&["dispatch", "--jobs", "0", "x"], 2, "--jobs");
    check(&["dispatch", "--env", "NOT_SET_ANYWHERE_1", "x"], 2, "there is no such variable here");
    check(&["dispatch", "--path", "/dev/null", "x"], 2, "not a directory");
    check(&["dispatch", "--path", "/does/not/exist", "x"], 2, "No such file");
    check(&["dispatch", "--file", "/does/not/exist"], 2, "cannot read --file");
    check(&["dispatch", "--file", "-"], 2, "there is no task");
    check(&["dispatch", "--policy", "carefull", "x"], 2, "there is no policy `carefull`");
    check(&["dispatch", "--policy", "/does/not/exist.yaml", "x"], 2, "cannot read the policy");
    check(&["dispatch", "--check-timeout", "5m", "x"], 2, "--check <CMD>");
    check(&["dispatch", "--retry-on-failed-check", "2", "x"], 2, "--check <CMD>");
    check(&["dispatch", "--base", "main", "x"], 2, "--worktree");
    check(&["dispatch", "--check", " ", "x"], 2, "no command in it");
    check(&["dispatch", "--worktree=fix", "x", "y"], 2, "these are several tasks");
    check(&["replay", "./none.jsonl"], 2, "cannot replay ./none.jsonl");
    check(&["answer", "x"], 2, "OPTION");
    check(&["--no-start", "approve"], 3, "no agent runs here");
    check(&["send", "x"], 2, "nothing to send");
    check(&["--no-start", "sessions"], 3, "no agent runs here");
    check(&["agent"], 3, "`cm-fleet dispatch` starts one");
    check(&["--socket", "/does/not/exist", "kill", "x"], 3, "leave --socket away");
    check(&["--socket", "/dev/null", "sessions"], 3, "cannot connect to the agent at /dev/null");
}
