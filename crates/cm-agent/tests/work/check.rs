//! Checks of every kind: good, bad, endless, loud, sly.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cm_agent::{
    host::process::{Marker, ProcessId, tree},
    work::{check, end_stale, failure_message},
};
use cm_protocol::CheckResult;
use tempfile::TempDir;

use crate::support::eventually;

const AMPLE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").expect("a PATH"))])
}

/// A session's id no other test has.
fn session(dir: &TempDir) -> String {
    dir.path().display().to_string()
}

async fn run_in(dir: &TempDir, command: &str, within: Duration) -> CheckResult {
    let begun = Instant::now();
    let session = session(dir);
    let result = check(command, dir.path(), &env(), within, &session).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{command}: {:?}", begun.elapsed());
    assert_eq!((result.command.as_str(), result.runs), (command, 1));
    assert_eq!(tree(&[], Some(&Marker::session(&session))), [], "{command} leaves nothing behind");
    result
}

async fn run(command: &str) -> CheckResult {
    run_in(&tempfile::tempdir().expect("dir"), command, AMPLE).await
}

#[tokio::test]
async fn exit_codes_and_tails() {
    async fn expect(command: &str, code: i32, tail: &[&str]) {
        let result = run(command).await;
        assert_eq!((result.exit_code, result.error.as_deref()), (Some(code), None), "{command}");
        assert_eq!(result.tail, tail, "{command}");
    }
    expect("true", 0, &[]).await;
    expect("exit 3", 3, &[]).await;
    expect("echo one; echo two >&2; echo three; printf four", 0, &["one", "two", "three", "four"]).await;
    expect("cat; echo $?", 0, &["0"]).await;
    expect("read line || echo nothing to read", 0, &["nothing to read"]).await;
    expect("printf '\\033[31mred\\033[0m\\n10%%\\r100%%\\n\\377\\000\\n'", 0, &["red", "100%", "\u{fffd}"])
        .await;
    expect("(sh -c 'kill -9 $$'; echo $?) 2>/dev/null", 0, &["137"]).await;
    expect("exec >&- 2>&-; read x; exit 4", 4, &[]).await;
    expect("rm -rf \"$PWD\"; echo on", 0, &["on"]).await;
    expect("echo $CM_SESSION_ID | wc -l; test -z \"$HOME\"", 0, &["1"]).await;
}

#[tokio::test]
async fn what_is_not_found_is_said() {
    let result = run("no-such-command-here").await;
    assert_eq!((result.exit_code, &result.error), (Some(127), &None));
    assert!(result.tail.last().expect("a complaint").contains("no-such-command-here"), "{:?}", result.tail);
    assert!(failure_message(&result).contains("exit code 127: the command was not found"));
}

#[tokio::test]
async fn what_cannot_be_run_is_said() {
    async fn expect(command: &str, dir: &Path, env: &BTreeMap<String, String>, expected: &str) {
        let result = check(command, dir, env, AMPLE, "none").await;
        assert_eq!(result.exit_code, None, "{command}");
        let error = result.error.expect("an error");
        assert!(error.starts_with("cannot be run: ") && error.contains(expected), "{error}");
    }
    let dir = tempfile::tempdir().expect("dir");
    expect("true", Path::new("/nonexistent"), &env(), "/nonexistent is not a directory").await;
    expect("  ", dir.path(), &env(), "empty").await;
    expect("a\0b", dir.path(), &env(), "nul byte").await;
    expect(&"x".repeat(1 << 20), dir.path(), &env(), "too long").await;
    let odd = BTreeMap::from([("A=B".to_owned(), "x\0".to_owned())]);
    expect("true", dir.path(), &odd, "nul byte").await;
}

#[tokio::test]
async fn signals_have_names() {
    let result = run("kill -TERM $$").await;
    assert_eq!((result.exit_code, result.error.as_deref()), (None, Some("ended by SIGTERM")));
}

#[tokio::test]
async fn a_hundred_megabytes_are_twenty_lines() {
    let result =
        run("yes 0123456789012345678901234567890123456789 | head -c 100000000; echo; echo end").await;
    assert_eq!(result.exit_code, Some(0));
    assert_eq!((result.tail.len(), result.tail[19].as_str()), (20, "end"));
    let result = run("head -c 100000000 /dev/urandom; printf '\\nend'").await;
    assert_eq!(result.tail.last().map(String::as_str), Some("end"));
    assert!(result.tail.iter().all(|line| line.chars().count() <= 401 && !line.contains(char::is_control)));
}

#[tokio::test]
async fn the_last_words_are_never_lost() {
    for n in 0..50 {
        let result = run(&format!("echo {n}; echo last >&2")).await;
        assert_eq!(result.tail, [n.to_string().as_str(), "last"]);
    }
}

#[tokio::test]
async fn who_takes_too_long_is_ended_with_all_it_started() {
    let command = "echo begun; setsid sleep 1000 & (setsid sleep 1000 &)
        setsid env -i sleep 1000 & echo $! > pid
        sh -c 'trap \"echo bye; exit\" TERM HUP; while :; do sleep 1; done' &
        trap '' TERM HUP; while :; do wait; done";
    let dir = tempfile::tempdir().expect("dir");
    let result = run_in(&dir, command, SHORT).await;
    assert_eq!((result.exit_code, result.error.as_deref()), (None, Some("timed out after 0.3 s")));
    let said = |word: &str| result.tail.iter().any(|line| line == word);
    assert!(said("begun") && said("bye"), "first and last words: {:?}", result.tail);
    assert!(result.duration >= 0.3, "{}", result.duration);
    let unmarked = fs::read_to_string(dir.path().join("pid")).expect("written");
    let unmarked = ProcessId::of(unmarked.trim().parse().expect("a number"));
    assert!(unmarked.is_none_or(|id| !id.alive()), "found by its parents");
}

#[tokio::test]
async fn a_flood_is_ended_too() {
    for command in ["yes", "yes & exec >&- 2>&-; wait", "exec >&- 2>&-; sleep 1000"] {
        let result = run_in(&tempfile::tempdir().expect("dir"), command, SHORT).await;
        assert_eq!(result.error.as_deref(), Some("timed out after 0.3 s"), "{command}");
    }
}

#[tokio::test]
async fn who_stays_behind_with_the_pipe_holds_up_nobody() {
    for left in [
        "sleep 1000 &",
        "setsid sleep 1000 &",
        "yes &",
        "(trap 'echo late' TERM; while :; do sleep 1; done) &",
    ] {
        let result = run(&format!("{left} echo done; exit 5")).await;
        assert_eq!((result.exit_code, &result.error), (Some(5), &None), "{left}");
        let noise = |line: &&String| line.as_str() != "y";
        if left != "yes &" {
            assert_eq!(result.tail.iter().filter(noise).collect::<Vec<_>>(), ["done"], "{left}");
        }
    }
}

#[tokio::test]
async fn the_session_itself_goes_on() {
    let dir = tempfile::tempdir().expect("dir");
    let mut tool = std::process::Command::new("sleep")
        .arg("1000")
        .env("CM_SESSION_ID", session(&dir))
        .spawn()
        .expect("started");
    let result = check("sleep 1000", dir.path(), &env(), SHORT, &session(&dir)).await;
    assert!(result.error.is_some());
    assert_eq!(tool.try_wait().expect("looked"), None, "only the check was ended");
    tool.kill().expect("killed");
    tool.wait().expect("reaped");
}

#[tokio::test]
async fn what_an_earlier_agent_left_is_ended_first() {
    let dir = tempfile::tempdir().expect("dir");
    let command = "setsid sleep 1000 & echo $! > pid; wait";
    let environment = env();
    let session = session(&dir);
    let pid = {
        let running = check(command, dir.path(), &environment, AMPLE, &session);
        let mut running = Box::pin(running);
        // Until it is under way; then it is dropped, as when the agent crashes.
        loop {
            let step = tokio::time::timeout(Duration::from_millis(5), &mut running).await;
            assert!(step.is_err(), "it does not end by itself");
            let text = fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
            if let Some(pid) = text.strip_suffix('\n') {
                break ProcessId::of(pid.parse().expect("a number")).expect("alive");
            }
        }
    };
    assert!(pid.alive());
    end_stale(&session).await;
    eventually("what was left has ended", || (!pid.alive()).then_some(()));
    assert_eq!(check("echo again", dir.path(), &environment, AMPLE, &session).await.tail, ["again"]);
}
