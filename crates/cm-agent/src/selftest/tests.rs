//! The self-test itself, against a scripted agent: an agent without fault passes, each fault is named.

use cm_client::Endpoint;
use serde_json::json;

use super::scripted::{self, Agent, Script};
use super::{Failed, run};

/// What was written, with the milliseconds and the socket's path taken out.
async fn tried(endpoint: &Endpoint) -> (Result<(), Failed>, String) {
    let mut out = Vec::new();
    let result = run(endpoint, &mut out).await;
    let text = String::from_utf8(out).unwrap().replace(&endpoint.to_string(), "ADDRESS");
    let plain = |line: &str| match line.rfind(" ms").filter(|at| at + 3 == line.len()) {
        Some(at) => line[..at].trim_end_matches(|c: char| c.is_ascii_digit()).trim_end().to_owned(),
        None => line.split(" passed in ").next().unwrap_or(line).to_owned(),
    };
    (result, text.lines().map(plain).collect::<Vec<_>>().join("\n"))
}

async fn with(script: Script) -> (Agent, Result<(), Failed>, String) {
    let agent = scripted::start(script);
    let (result, text) = tried(&agent.endpoint).await;
    (agent, result, text)
}

#[tokio::test]
async fn an_agent_without_fault() {
    let (agent, result, text) = with(Script::default()).await;
    insta::assert_snapshot!(text, @r"
    checking the agent at ADDRESS
    ok      1  connect and log in
    ok      2  ask the agent about itself
    ok      3  subscribe to events
    ok      4  create a shell session
    ok      5  see it start
    ok      6  see it end
    ok      7  exit code 0
    ok      8  read its transcript
    ok      9  create an interactive session
    ok     10  see it ready
    ok     11  watch its screen
    ok     12  type into it
    ok     13  see the answer on its screen
    ok     14  read it with capture_pane
    ok     15  list both sessions
    ok     16  be refused an unknown action
    ok     17  be refused an unknown session
    ok     18  kill a session
    ok     19  kill a session
    ok     20  see that nothing is left
    all 20 steps
    ");
    assert_eq!(result, Ok(()));
    let kills: Vec<_> = agent.asked().into_iter().filter(|a| a.starts_with("kill")).collect();
    assert_eq!(kills, ["kill_session cm-1", "kill_session cm-2"]);
}

/// The step that fails, the words of what came, and the sessions that are ended nevertheless.
async fn check(script: Script, step: &str, came: &str, kills: &[&str]) {
    let (agent, result, text) = with(script).await;
    let failed = result.expect_err(&text);
    assert_eq!(failed.step, step, "{text}");
    assert!(failed.trouble.came.contains(came), "{text}");
    assert!(!failed.trouble.next.is_empty() && text.contains(&failed.trouble.next), "{text}");
    let asked = agent.asked();
    let killed: Vec<_> = asked.iter().filter_map(|a| a.strip_prefix("kill_session ")).collect();
    assert_eq!(killed, kills, "{text}");
}

fn instead(action: &'static str, answer: serde_json::Value) -> Script {
    Script { instead: vec![(action, answer)], ..Script::default() }
}

#[tokio::test]
async fn faults_are_named_and_cleaned_up_after() {
    let sick = Script { problems: vec!["disk full".into()], ..Script::default() };
    check(sick, "ask the agent about itself", "disk full", &[]).await;
    let old = Script { original: true, ..Script::default() };
    check(old, "connect and log in", "an original agent", &[]).await;
    let failing = Script { exit_code: 3, ..Script::default() };
    check(failing, "exit code 0", "failed, exit code 3: sh: trouble", &["cm-1"]).await;
    let full =
        instead("create_session", json!({"error": "Failed to create session: no tmux", "code": "internal"}));
    check(full, "create a shell session", "no tmux", &[]).await;
    let blind = instead("capture_pane", json!({"type": "pane_output", "sessionId": "cm-2", "output": "$ "}));
    check(blind, "read it with capture_pane", "\"$ \"", &["cm-1", "cm-2"]).await;
    let empty = instead("list_sessions", json!({"type": "sessions_list", "sessions": []}));
    check(empty, "list both sessions", "0 sessions without it", &["cm-1", "cm-2"]).await;
    let vague = instead("cm_selftest", json!({"error": "Unknown action: cm_selftest"}));
    check(vague, "be refused an unknown action", "code Some(Internal)", &["cm-1", "cm-2"]).await;
    let kind = instead("cm_selftest", json!({"type": "session_killed", "sessionId": ""}));
    check(kind, "be refused an unknown action", "success", &["cm-1", "cm-2"]).await;
    // Ended once by the step, and once more in case that did nothing.
    let immortal = Script { immortal: true, ..Script::default() };
    check(immortal, "see that nothing is left", "cm-1 (starting)", &["cm-1", "cm-2", "cm-1", "cm-2"]).await;
}

#[tokio::test]
async fn a_failure_says_what_to_do() {
    let (_agent, result, text) = with(Script { exit_code: 3, ..Script::default() }).await;
    insta::assert_snapshot!(text, @r"
    checking the agent at ADDRESS
    ok      1  connect and log in
    ok      2  ask the agent about itself
    ok      3  subscribe to events
    ok      4  create a shell session
    ok      5  see it start
    ok      6  see it end
    FAILED  7  exit code 0
           expected: done, exit code 0
           came:     failed, exit code 3: sh: trouble
           next:     run the host's `sh` by hand
    ");
    assert!(result.is_err());
}

#[tokio::test]
async fn nobody_there() {
    let nowhere = Endpoint::Unix("/nonexistent/agent.sock".into());
    let (result, text) = tried(&nowhere).await;
    insta::assert_snapshot!(text, @r"
    checking the agent at ADDRESS
    FAILED  1  connect and log in
           expected: a running agent that accepts the log-in
           came:     cannot reach the agent at ADDRESS: No such file or directory (os error 2); no agent is running there: start it with `cm-agent serve`
           next:     start the agent, or give its address with --url (and --token-file) or --socket
    ");
    assert_eq!(result.unwrap_err().number, 1);
}

/// With the clock stopped: an agent that never answers fails the step when its time is over.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer() {
    check(Script { mute: "transcript", ..Script::default() }, "read its transcript", "nothing", &["cm-1"])
        .await;
}
