//! Runs outlive the command that began them: followed, gone on with, tried again, stopped by another one.

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::support::{Place, appears, ended, events, of, signal};

/// A task that says each time it begins, and waits until it may end.
fn held(n: u8) -> String {
    format!("echo {n} >> begun; until [ -e go ]; do sleep 0.02; done; echo {n} >> ended")
}

fn lines(place: &Place, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(place.path(name)).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Starts a run of two tasks, one at a time, and kills the command while the first one runs.
async fn killed(place: &Place) {
    let (one, two) = (held(1), held(2));
    let run = place.fleet(&["dispatch", "--tool", "shell", "--jobs", "1", &one, &two]).spawn();
    let child = run.expect("it starts");
    appears(&place.path("w/begun")).await;
    signal(
        Pid::from_raw(i32::try_from(child.id().expect("it runs")).expect("a pid")).expect("a pid"),
        Signal::KILL,
    );
    ended(child).await;
}

/// 36: what ended while nobody looked is known, and nothing is done twice.
#[tokio::test]
async fn a_run_whose_command_was_killed_is_gone_on_with() {
    let place = Place::new();
    killed(&place).await;
    let listed = place.expect(0, &["runs"]).await.out;
    assert!(listed.contains("left") && listed.contains("1 running, 1 queued"), "{listed}");
    std::fs::write(place.path("w/go"), "").expect("written");
    let ran = place.expect(0, &["runs", "resume", "--json"]).await;
    let told = events(&ran.out);
    assert_eq!(of(&told, "run_resumed").len(), 1);
    assert_eq!(of(&told, "task_finished").len(), 2, "{told:#?}");
    assert_eq!(lines(&place, "w/begun"), ["1", "2"]);
    assert_eq!(lines(&place, "w/ended"), ["1", "2"]);
    let over = place.expect(4, &["runs", "resume", "last"]).await.err;
    assert!(over.contains("is over: 2 done"), "{over}");
    place.close().await;
}

#[tokio::test]
async fn one_command_has_a_run_and_others_look_on_or_stop_it() {
    let place = Place::new();
    let (one, two) = (held(1), held(2));
    let run = place.fleet(&["dispatch", "--tool", "shell", "--plain", &one, &two]).spawn();
    let first = run.expect("it starts");
    appears(&place.path("w/begun")).await;
    // Going on with it is looking on, for it is not left.
    let second = place.fleet(&["runs", "resume", "--plain"]).spawn().expect("it starts");
    let cancelled = place.expect(130, &["runs", "cancel", "--json"]).await;
    let told = events(&cancelled.out);
    assert!(of(&told, "stop_requested").iter().any(|e| e["stop"] == "cancel"), "{told:#?}");
    let ends = of(&told, "task_finished");
    assert!(ends.len() == 2 && ends.iter().all(|e| e["outcome"]["state"] == "killed"), "{told:#?}");
    let (first, second) = (ended(first).await, ended(second).await);
    assert_eq!((first.code, second.code), (Some(130), Some(130)), "{first:#?} {second:#?}");
    assert!(second.err.contains("another process has"), "{}", second.err);
    assert_eq!(lines(&place, "w/ended"), [""; 0]);
    place.close().await;
}

#[tokio::test]
async fn a_run_that_was_left_is_cancelled_without_starting_anything() {
    let place = Place::new();
    killed(&place).await;
    let told = events(&place.expect(130, &["runs", "cancel", "--json"]).await.out);
    assert_eq!(of(&told, "task_placed").len(), 0, "{told:#?}");
    assert_eq!(of(&told, "task_finished")[0]["outcome"]["state"], "killed");
    assert_eq!(lines(&place, "w/begun"), ["1"]);
    place.close().await;
}

#[tokio::test]
async fn only_what_failed_is_done_once_more() {
    let place = Place::new();
    let tasks = "\
defaults: {tool: shell}
tasks:
  - {name: good, task: echo good >> begun}
  - {name: bad, task: 'echo bad >> begun; [ -e go ]'}
  - {name: after, task: echo after >> begun, after: [bad]}
";
    std::fs::write(place.path("w/tasks.yaml"), tasks).expect("written");
    let ran = place.expect(1, &["dispatch", "--tasks", "tasks.yaml"]).await;
    assert!(ran.out.contains("after  skipped"), "{}", ran.out);
    std::fs::write(place.path("w/go"), "").expect("written");
    let again = place.expect(0, &["runs", "retry-failed"]).await;
    assert!(again.err.contains("2 tasks once more"), "{}", again.err);
    assert_eq!(lines(&place, "w/begun"), ["after", "bad", "bad", "good"]);
    let shown = place.expect(0, &["runs", "show", "--json"]).await.out;
    assert!(shown.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{shown}");
    place.expect(2, &["runs", "show", "run-nobody-has"]).await;
    place.close().await;
}

#[tokio::test]
async fn what_is_passed_on_is_asked_for_again() {
    let place = Place::new();
    let task = "printf '%s' \"$TOKEN\" > token; [ -e go ]";
    let mut first = place.fleet(&["dispatch", "--tool", "shell", "--env", "TOKEN", task]);
    let ran = ended(first.env("TOKEN", "s3cret").spawn().expect("it starts")).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(lines(&place, "w/token"), ["s3cret"]);
    let kept = std::process::Command::new("grep").args(["-r", "s3cret"]).arg(place.path("s")).output();
    assert!(kept.expect("grep runs").stdout.is_empty(), "it stands in no file");
    let without = place.expect(2, &["runs", "retry-failed"]).await.err;
    assert!(without.contains("TOKEN is to be passed on"), "{without}");
    std::fs::write(place.path("w/go"), "").expect("written");
    let mut again = place.fleet(&["runs", "retry-failed"]);
    let ran = ended(again.env("TOKEN", "s3cret2").spawn().expect("it starts")).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(lines(&place, "w/token"), ["s3cret2"]);
    place.close().await;
}
