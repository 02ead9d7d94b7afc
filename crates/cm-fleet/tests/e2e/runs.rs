//! Tasks from the command line to the table: exit codes, streams, limits.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use crate::support::{Place, ended, of};

#[tokio::test]
async fn the_first_task_on_a_machine_with_nothing_set_up() {
    let place = Place::new();
    let ran = place.expect(0, &["dispatch", "--tool", "shell", "echo one; echo two >&2; uname -s"]).await;
    assert!(ran.out.starts_with("── task-1 · echo one; echo two >&2; uname -s ─"), "{}", ran.out);
    assert!(ran.out.contains("\none\ntwo\nLinux\n"), "{}", ran.out);
    let row = ran.out.lines().last().expect("a table");
    let words: Vec<&str> = row.split_whitespace().take(3).collect();
    assert_eq!(words, ["task-1", "done", "0"], "{row}");
    for said in ["run        started   1 task", "task-1     done      exit 0", "run        finished  1 done"]
    {
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    place.close().await;
}

#[tokio::test]
async fn a_few_at_a_time_and_one_of_them_fails() {
    let place = Place::new();
    let tasks = ["exit 0", "echo bad; exit 7", "kill -9 $$", "exit 0", "exit 0"];
    let args: Vec<&str> = ["--tool", "shell", "--jobs", "2"].into_iter().chain(tasks).collect();
    let events = place.events(1, &args).await;
    let mut live = 0;
    for event in &events {
        match event["type"].as_str() {
            Some("task_placed") => live += 1,
            Some("task_finished") => live -= 1,
            _ => {}
        }
        assert!(live <= 2, "{events:#?}");
    }
    let ends: std::collections::BTreeMap<u64, String> = of(&events, "task_finished")
        .iter()
        .map(|e| {
            let (code, signal) = (&e["outcome"]["exitCode"], &e["outcome"]["signal"]);
            (e["task"].as_u64().expect("a number"), format!("{} {code} {signal}", e["outcome"]["state"]))
        })
        .collect();
    let ends: Vec<&str> = ends.values().map(String::as_str).collect();
    let done = "\"done\" 0 null";
    assert_eq!(ends, [done, "\"failed\" 7 null", "\"failed\" null \"SIGKILL\"", done, done]);
    let last = events.last().expect("some");
    assert_eq!(last["summary"], serde_json::json!({"done": 3, "failed": 2, "running": 0, "queued": 0}));
    assert_eq!(last["exit"], 1);
    place.close().await;
}

#[tokio::test]
async fn quiet_says_nothing_but_failures() {
    let place = Place::new();
    let good = place.expect(0, &["dispatch", "-q", "--tool", "shell", "echo fine"]).await;
    assert_eq!((good.out.as_str(), good.err.as_str()), ("", ""));
    let bad = place.expect(1, &["dispatch", "-q", "--tool", "shell", "echo fine", "echo why; exit 4"]).await;
    assert!(bad.out.starts_with("── task-2 ") && bad.out.ends_with("─\nwhy\n"), "{}", bad.out);
    assert!(bad.err.contains("task-2     failed    exit 4") && bad.err.lines().count() == 1, "{}", bad.err);
    place.close().await;
}

#[tokio::test]
async fn tasks_from_standard_input_with_variables_a_name_and_a_directory() {
    let place = Place::new();
    std::fs::create_dir(place.path("w/sub")).expect("made");
    let args = ["dispatch", "--tool", "shell", "--file", "-", "--env", "A=b c", "--env", "FROM_HERE"];
    let mut command = place.fleet(&args);
    command.args(["--name", "job", "--path", "sub"]).env("FROM_HERE", "x=y").stdin(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"# two tasks\necho \"$A,$FROM_HERE\"\n\npwd\n").await.expect("written");
    drop(stdin);
    let ran = ended(child).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.out.contains("── job-1 ") && ran.out.contains("\nb c,x=y\n"), "{}", ran.out);
    assert!(ran.out.contains(&format!("\n{}\n", place.path("w/sub").display())), "{}", ran.out);
    place.close().await;
}

#[tokio::test]
async fn a_task_out_of_time_ends_with_all_its_processes() {
    let place = Place::new();
    let task = "echo begun; sleep 301 & sleep 302";
    let ran = place.expect(1, &["dispatch", "--tool", "shell", "--timeout", "500ms", task]).await;
    assert!(ran.out.contains("timed out after 0.5 s") && ran.out.contains("\nbegun\n"), "{}", ran.out);
    place.close().await;
}

#[tokio::test]
async fn a_tool_that_is_not_installed() {
    let place = Place::new();
    let args = ["dispatch", "--tool", "no-such-tool-1", "fix it"];
    let ran = place.expect(1, &args).await;
    assert!(ran.err.contains("refused   tool not found: no-such-tool-1; PATH searched: "), "{}", ran.err);
    assert!(
        ran.out.contains("tool not found: no-such-tool-1\nhint: install no-such-tool-1, or "),
        "{}",
        ran.out
    );
    place.close().await;
}

#[tokio::test]
async fn a_full_agent_is_waited_for_but_not_by_those_who_leave() {
    let place = Place::new();
    let socket = place.path("full.sock");
    let socket = socket.to_str().expect("text");
    let mut command = place.fleet(&["__agent", "serve", "--max-sessions", "1", "--socket", socket]);
    let agent = command.spawn().expect("it starts");
    crate::support::until("it listens", || std::os::unix::net::UnixStream::connect(socket).ok()).await;
    let tasks = ["exit 0", "exit 0", "exit 0", "exit 0"];
    let args = ["--socket", socket, "--tool", "shell", "--jobs", "4"];
    let events = place.events(0, &args.iter().chain(&tasks).copied().collect::<Vec<_>>()).await;
    let full = of(&events, "host_full");
    assert!(full.iter().filter(|e| e["again"] != true).count() == 1, "{events:#?}");
    assert_eq!(of(&events, "task_finished").len(), 4);
    assert!(of(&events, "task_queued").len() >= 3 && of(&events, "task_refused").is_empty(), "{events:#?}");

    // The last one's terminal may still be about to close.
    place.no_sessions(&["--socket", socket]).await;
    let left =
        place.expect(1, &["--socket", socket, "dispatch", "--tool", "shell", "-d", "cat", "cat"]).await;
    assert_eq!(left.out.lines().count(), 1, "{}", left.out);
    assert!(left.err.contains("refused   the agent already holds 1"), "{}", left.err);
    place.expect(0, &["--socket", socket, "kill", "--all"]).await;
    place.expect(0, &["--socket", socket, "agent", "stop"]).await;
    assert_eq!(ended(agent).await.code, Some(0));
    place.empty().await;
}
