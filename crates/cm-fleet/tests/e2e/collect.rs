//! `collect`: what a run's tasks left, brought together; with a real agent and real git.

use std::fs;
use std::path::PathBuf;

use cm_testkit::git::git;
use rustix::process::Signal;
use serde_json::Value;

use crate::failover::{agent, pid};
use crate::fleet::Fleet;
use crate::support::{Place, ended, signal, until};

/// A repository in which tasks work, and a clone of it where their branches go.
fn repositories(place: &Place) -> (PathBuf, PathBuf) {
    let (app, mine) = (place.path("w/app"), place.path("w/mine"));
    fs::create_dir(&app).expect("made");
    git(&app, &["init", "-q", "-b", "main"]);
    fs::write(app.join("list"), "one\ntwo\nthree\nfour\nfive\nsix\nseven\n").expect("written");
    git(&app, &["add", "-A"]);
    git(&app, &["commit", "-qm", "begin"]);
    git(&place.path("w"), &["clone", "-q", "app", "mine"]);
    (app, mine)
}

fn read(place: &Place, file: &str) -> String {
    fs::read_to_string(place.path("w/results").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn result(place: &Place, name: &str) -> Value {
    serde_json::from_str(&read(place, &format!("{name}/result.json"))).expect("JSON")
}

const COMMIT: &str = "git -c user.name=T -c user.email=t@example.org commit -qam work";

#[tokio::test]
async fn results_texts_patches_and_branches_of_a_run() {
    let place = Place::new();
    let (app, mine) = repositories(&place);
    let edit = |what: &str| format!("echo did {what}; sed -i {what} list; {COMMIT}");
    let tasks = format!(
        "tasks:\n- {{name: top, task: \"{}\"}}\n- {{name: up/top, task: \"{}\"}}\n- {{name: end, task: \"{}\"}}\n\
         - {{name: sad, task: \"echo so sad; exit 3\"}}\n",
        edit("s/one/ONE/"),
        edit("s/one/1/"),
        edit("s/seven/7/")
    );
    fs::write(place.path("w/tasks.yaml"), tasks).expect("written");
    let app = app.to_str().expect("text");
    place
        .expect(
            1,
            &["dispatch", "-q", "--tool", "shell", "--worktree", "--path", app, "--tasks", "tasks.yaml"],
        )
        .await;
    place.no_sessions(&[]).await;

    let told = place.expect(0, &["collect"]).await;
    assert!(told.out.contains("results/up-top"), "{}", told.out);
    let top = result(&place, "top");
    assert_eq!(
        (&top["state"], &top["host"], &top["complete"]),
        (&"done".into(), &"local".into(), &true.into())
    );
    assert_eq!(top["attempts"].as_array().map(Vec::len), Some(1), "{top:#}");
    assert_eq!(read(&place, "top/transcript"), "did s/one/ONE/\n");
    assert!(read(&place, "top/patch").contains("+ONE"), "{}", read(&place, "top/patch"));
    assert_eq!(read(&place, "top/receipts.jsonl"), "");
    let sad = result(&place, "sad");
    assert_eq!((&sad["state"], &sad["outcome"]["exitCode"]), (&"failed".into(), &3.into()));
    assert_eq!(read(&place, "sad/transcript"), "so sad\n");
    assert!(!place.path("w/results/sad/patch").exists());

    // Again, with the agent gone: it is all there already, and nothing is asked.
    place.expect(0, &["agent", "stop"]).await;
    until("it has ended", || place.agents().is_empty().then_some(())).await;
    let again = place.expect(0, &["--no-start", "collect"]).await;
    assert_eq!(again.out, told.out);
    // What is no longer there is missed, and said.
    fs::remove_file(place.path("w/results/top/transcript")).expect("it was there");
    let without = place.expect(3, &["--no-start", "collect"]).await;
    assert!(without.err.contains("not reached: local: "), "{}", without.err);
    assert_eq!(
        (&result(&place, "top")["complete"], &result(&place, "end")["complete"]),
        (&false.into(), &true.into())
    );
    place.expect(0, &["collect", "last"]).await;
    assert_eq!(read(&place, "top/transcript"), "did s/one/ONE/\n");

    // Branches, into a repository that has one of these names already.
    let base = git(&mine, &["rev-parse", "HEAD"]);
    git(&mine, &["checkout", "-q", "-b", "cm/end"]);
    git(&mine, &["commit", "-q", "--allow-empty", "-m", "my own"]);
    let own = git(&mine, &["rev-parse", "HEAD"]);
    let branched = place.expect(1, &["collect", "--branches", "--into", "mine"]).await;
    for part in [
        "top: branch cm/top\n",
        "up/top: branch cm/up-top\n",
        "end: branch cm/end is left as it is: the branch cm/end here has commits of its own; the work is refs/cm/run-",
        "conflict: top and up/top in list\n",
        "merges: top and end both changed list\n",
    ] {
        assert!(branched.out.contains(part), "{part:?} is not in {}", branched.out);
    }
    assert_eq!(git(&mine, &["rev-parse", "cm/end"]), own);
    assert_eq!(git(&mine, &["rev-parse", "cm/top~1"]), base);
    assert!(git(&mine, &["show", "cm/up-top:list"]).starts_with("1\ntwo"));
    git(&mine, &["checkout", "-q", "main"]);
    git(&mine, &["branch", "-qD", "cm/end"]);
    let json = place.expect(0, &["collect", "--branches", "--into", "mine", "--json"]).await;
    let lines: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let became: Vec<&Value> =
        lines.iter().filter(|l| l["type"] == "branch").map(|l| &l["became"]["state"]).collect();
    assert_eq!(became, ["same", "same", "made"]);
    let merge = |l: &&Value| l["type"] == "overlap" && l["merge"]["verdict"] == "conflict";
    assert_eq!(lines.iter().filter(merge).count(), 1, "{}", json.out);
    place.close().await;
}

#[tokio::test]
async fn what_is_in_the_way_of_results_is_said() {
    let place = Place::new();
    place.expect(2, &["collect", "abcd"]).await;
    place.expect(0, &["dispatch", "-q", "--tool", "shell", "echo a"]).await;
    let nowhere = place.expect(2, &["collect", "--branches"]).await;
    assert!(nowhere.err.contains("is in no git repository"), "{}", nowhere.err);
    assert!(!place.path("w/results").exists());
    place.expect(0, &["collect"]).await;
    place.expect(0, &["dispatch", "-q", "--tool", "shell", "echo b"]).await;
    let other = place.expect(2, &["collect"]).await;
    assert!(other.err.contains("results/task-1 holds results of the run "), "{}", other.err);
    assert_eq!(read(&place, "task-1/transcript"), "a\n");
    place.expect(0, &["collect", "--out", "other"]).await;
    assert_eq!(fs::read_to_string(place.path("w/other/task-1/transcript")).expect("there"), "b\n");
    place.close().await;
}

#[tokio::test]
async fn from_hosts_whoever_does_not_answer() {
    let mut fleet = Fleet::new();
    let (app, mine) = repositories(&fleet.place);
    let (first, one) = agent(&fleet.place, "h1").await;
    let (second, two) = agent(&fleet.place, "h2").await;
    for (name, port) in [("h1", one), ("h2", two)] {
        fleet.more(&format!("  {name}: {{agent: {{port: {port}, token: 'file:token'}}}}\n"));
    }
    let repo = format!("file://{}", app.display());
    let task = format!("echo did it; echo more >> list; {COMMIT}");
    let how = ["--tool", "shell", "-i", "fleet.yaml", "-F", "ssh_config", "--connect-timeout", "2"];
    let dispatch = [&["dispatch", "-q", "--each-host", "--repo", &repo], &how[..], &[&task]].concat();
    fleet.place.expect(0, &dispatch).await;
    signal(pid(&first), Signal::KILL);
    ended(first).await;

    let some = fleet.place.expect(1, &["collect", "--branches", "--into", "mine"]).await;
    assert!(
        some.err.starts_with("not reached: h1: ") || some.err.starts_with("not reached: h1 ("),
        "{}",
        some.err
    );
    assert_eq!(some.err.lines().count(), 1, "{}", some.err);
    assert_eq!(result(&fleet.place, "h1")["missing"], serde_json::json!(["h1 did not answer"]));
    assert_eq!(result(&fleet.place, "h2")["complete"], true);
    assert_eq!(read(&fleet.place, "h2/transcript"), "did it\n");
    assert!(read(&fleet.place, "h2/patch").contains("+more"));
    assert!(git(&mine, &["show", "cm/h2:list"]).ends_with("seven\nmore"));
    assert!(some.out.contains("h2: branch cm/h2\n") && !some.out.contains("h1: branch"), "{}", some.out);
    signal(pid(&second), Signal::TERM);
    ended(second).await;
    fs::remove_dir_all(fleet.place.path("w/results")).expect("it was there");
    let none = fleet.place.expect(3, &["collect"]).await;
    assert_eq!(none.err.lines().filter(|line| line.starts_with("not reached: h")).count(), 2, "{}", none.err);
    assert_eq!(result(&fleet.place, "h2")["state"], "done", "what is known is there all the same");
}
