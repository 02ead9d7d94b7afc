//! `cm-agent hook` in trouble: it always ends well, soon, and prints nothing.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Calls the hook; what it says of its trouble.
#[track_caller]
fn trouble(input: &[u8], socket: Option<&Path>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cm-agent"));
    command.arg("hook").env_remove("CM_SESSION_ID").env_remove("CM_AGENT_SOCKET");
    if let Some(socket) = socket {
        command.env("CM_SESSION_ID", "cm-1").env("CM_AGENT_SOCKET", socket);
    }
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It may not want to read all of it.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_hook_in_trouble_says_nothing_to_its_tool() {
    let dir = tempfile::tempdir().expect("a directory");
    let nobody = dir.path().join("nobody.sock");
    #[track_caller]
    fn check(input: &[u8], socket: Option<&Path>, expected: &str) {
        let said = trouble(input, socket);
        assert!(said.starts_with("cm-agent hook: ") && said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    check(b"{}", None, "CM_SESSION_ID is not set");
    check(b"", Some(&nobody), "not JSON");
    check(b"{\"hook_event_name\":", Some(&nobody), "not JSON");
    check(b"\xff\xfe", Some(&nobody), "not JSON");
    check(b"[1]", Some(&nobody), "no JSON object");
    check(&vec![b' '; 3 << 20], Some(&nobody), "more than 1048576 bytes");
    check(b"{}", Some(&nobody), "cannot reach the agent");
    check("[".repeat(100_000).as_bytes(), Some(&nobody), "not JSON");
}

#[test]
fn an_agent_that_does_not_answer_is_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    assert!(trouble(b"{}", Some(&socket)).starts_with("cm-agent hook: "));
}

#[test]
fn input_that_does_not_end_is_given_up() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cm-agent"))
        .arg("hook")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let _open = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "cm-agent hook: standard input does not end\n");
}
