//! A task whose host dies goes on elsewhere with its work: two real agents, each behind a real sshd, real git.

use std::fs;
use std::path::PathBuf;

use cm_testkit::git::git;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::fleet::Fleet;
use crate::support::{PATIENCE, Place, ended, events, of, signal, until};

/// An agent with a state of its own, as on a host of its own; and its port.
pub async fn agent(place: &Place, name: &str) -> (Child, u16) {
    let own = |what: &str| place.path(&format!("{name}-{what}"));
    fs::create_dir(own("r")).expect("made");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(own("r"), private).expect("made private");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut command =
        place.fleet(&["__agent", "serve", "--listen", &free.to_string(), "--token-file", "token"]);
    command.env("XDG_STATE_HOME", own("s")).env("XDG_RUNTIME_DIR", own("r"));
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    assert!(ready.is_some_and(|line| line.starts_with("ready ")));
    (child, free.port())
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().expect("it runs").cast_signed()).expect("a pid")
}

/// Does one half, and waits; what finds a half done does the other.
const HALVES: &str = "if [ -e half ]; then echo goes on with $(cat half); exit 0; fi; echo the first > half; \
                      while :; do sleep 0.1; done";

fn note(place: &Place) -> Option<(PathBuf, Value)> {
    let run = fs::read_dir(place.path("s/cm-fleet/runs")).ok()?.flatten().next()?.path();
    let note = fs::read(run.join("work/1.json")).ok()?;
    Some((run, serde_json::from_slice(&note).ok()?))
}

/// `how`: what says where the task works.
async fn goes_on(how: impl Fn(&Place) -> Vec<String>) -> (Fleet, Value, String) {
    let mut fleet = Fleet::new();
    let origin = fleet.place.path("origin");
    fs::create_dir(&origin).expect("made");
    git(&origin, &["init", "-q", "-b", "main"]);
    git(&origin, &["commit", "-q", "--allow-empty", "-m", "begin"]);
    let (first, one) = agent(&fleet.place, "h1").await;
    let (second, two) = agent(&fleet.place, "h2").await;
    for (name, port) in [("h1", one), ("h2", two)] {
        fleet.more(&format!("  {name}: {{agent: {{port: {port}, token: 'file:token'}}}}\n"));
    }
    let mut args: Vec<String> =
        ["dispatch", "--json", "--tool", "shell", "-i", "fleet.yaml", "-F", "ssh_config", "--grace", "6s"]
            .map(str::to_owned)
            .into();
    args.extend(["--save-every", "1s", HALVES].map(str::to_owned));
    args.extend(how(&fleet.place));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = fleet.place.fleet(&args).spawn().expect("it starts");
    let (dir, saved) = until("its work is fetched", || note(&fleet.place)).await;
    let (victim, other) = if saved["host"] == "h1" { (&first, &second) } else { (&second, &first) };
    signal(pid(victim), Signal::KILL);
    let ran = ended(run).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let events = events(&ran.out);
    let end = of(&events, "task_finished")[0].clone();
    assert_eq!(end["outcome"]["tail"], serde_json::json!(["goes on with the first"]), "{events:#?}");
    let went_on = &end["outcome"]["changes"]["continues"];
    assert_eq!((&went_on["host"], &went_on["attempt"]), (&saved["host"], &1.into()), "{end:#}");
    // What it went on with is on the branch, although this attempt committed nothing.
    let into = origin.to_str().expect("text");
    let collect = ["collect", "--branches", "--into", into, "--json"];
    fleet.place.expect(0, &collect).await;
    assert_eq!(git(&origin, &["show", "cm/task-1:half"]), "the first");
    signal(pid(other), Signal::TERM);
    let seen = git(&dir.join("git"), &["for-each-ref"]);
    (fleet, end, seen)
}

#[tokio::test]
async fn a_repository_that_hosts_clone() {
    let (fleet, end, seen) =
        goes_on(|place| vec!["--repo".to_owned(), format!("file://{}", place.path("origin").display())])
            .await;
    assert!(seen.contains("refs/cm/run-") && seen.contains("-1/wip"), "{seen}");
    let repository = PathBuf::from(end["outcome"]["changes"]["repository"].as_str().expect("one"));
    let commit = end["outcome"]["changes"]["commit"].as_str().expect("one");
    assert_eq!(git(&repository, &["show", &format!("{commit}:half")]), "the first");
    drop(fleet);
}

#[tokio::test]
async fn a_repository_that_is_at_the_same_place_everywhere() {
    let (_fleet, ..) = goes_on(|place| {
        vec!["--worktree".to_owned(), "--path".to_owned(), place.path("origin").display().to_string()]
    })
    .await;
}
