//! Work in progress of tasks whose host vanishes: real git, scripted agents.

use std::path::Path;
use std::time::Duration;

use cm_client::protocol::{Context, Repo, Worktree};
use cm_testkit::git::git;

use super::agent::FakeAgent;
use super::{Ran, by_hand, planned, running_in, until};

const WIP: &str = "refs/cm/run-1-1/wip";

/// A task whose work has been fetched from its host, which vanishes: what the next one was asked, the commit, and
/// what was told. `broken`: the next host has no room for a repository.
async fn vanishing(dir: &Path, broken: bool) -> (Ran, Vec<String>, String) {
    let (here, there) = (dir.join("h0"), dir.join("h1"));
    std::fs::create_dir(&here).expect("made");
    git(&here, &["init", "-q", "--bare"]);
    let tree = git(&here, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = git(&here, &["commit-tree", "-m", "half of it", &tree]);
    git(&here, &["update-ref", WIP, &commit]);
    if broken {
        std::fs::write(&there, "in the way").expect("written");
    }
    let (mut first, second) =
        (FakeAgent::with_repository(1, here), FakeAgent::with_repository(2, there.clone()));
    let mut plan = planned(&["hang at first", "hang"], 9, false, 2);
    for request in &mut plan.requests {
        request.worktree = Some(Worktree { save_every: Some(0.1), ..Worktree::default() });
        let repo = Some(Repo { url: "https://example.org/x.git".into(), reference: None });
        request.context = Some(Context { repo, path: None });
    }
    let run_dir = dir.join("run");
    let (mut heard, run) = running_in(plan, &[&first, &second], Some(&run_dir));
    let (press, presses) = by_hand();
    let watching = async {
        until(&mut heard, "task_state 1 running").await;
        while !run_dir.join("work/1.json").exists() {
            // The run does it; nothing tells that it is done.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        first.vanish();
        until(&mut heard, "task_finished 1 done").await;
        press.send(()).expect("the run goes on");
    };
    let (ran, ()) = tokio::join!(run(presses), watching);
    assert_eq!(ran.state.tasks[0].status.host(), Some("h1"), "{:#?}", ran.names);
    if !broken {
        assert_eq!(git(&there, &["rev-parse", WIP]), commit);
    }
    (ran, second.asked(), commit)
}

#[tokio::test]
async fn work_goes_along_when_a_task_goes_on_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ran, asked, commit) = vanishing(dir.path(), false).await;
    assert!(asked.contains(&format!("go on with h0 1 {commit}")), "{asked:?}");
    assert!(!ran.names.contains(&"host_notice".to_owned()), "{:#?}", ran.names);
}

#[tokio::test]
async fn work_that_cannot_go_along_is_no_reason_not_to_begin() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ran, asked, _) = vanishing(dir.path(), true).await;
    assert!(!asked.iter().any(|asked| asked.starts_with("go on")), "{asked:?}");
    assert_eq!(ran.names.iter().filter(|name| *name == "host_notice").count(), 1, "{:#?}", ran.names);
}

#[tokio::test]
async fn a_task_goes_where_its_repository_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let there = dir.path().join("h1");
    std::fs::create_dir(&there).expect("made");
    git(&there, &["init", "-q", "--bare"]);
    let first = FakeAgent::with_repository(1, dir.path().join("h0"));
    let second = FakeAgent::with_repository(2, there);
    // What it has is known before the task that names it may begin.
    let mut plan = planned(&["exit 0", "exit 0"], 9, false, 2);
    plan.fleet.pools = vec![Vec::new(), vec![1]];
    plan.tasks[0].pool = 1;
    let url = "https://example.org/x.git";
    plan.tasks[1].repo = Some(url.into());
    plan.tasks[1].after = vec![1];
    let (_heard, run) = running_in(plan, &[&first, &second], None);
    let (_press, presses) = by_hand();
    let ran = run(presses).await;
    assert_eq!(ran.state.host("h1").map(|host| host.repos.contains(url)), Some(true), "{:#?}", ran.names);
    assert_eq!(ran.state.tasks[1].status.host(), Some("h1"), "{:#?}", ran.names);
}
