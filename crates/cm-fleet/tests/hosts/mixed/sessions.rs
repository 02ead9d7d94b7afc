//! What is done with sessions in containers: looked at, typed into, their results and branches brought home.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use cm_testkit::git::git;
use cm_testkit::terminal::Terminal;
use serde_json::Value;

use super::Mixed;
use crate::support::{PATIENCE, has};

/// The program in a terminal of its own.
fn in_terminal(mixed: &Mixed, words: &[&str]) -> Terminal {
    let config = mixed.fleet.path("ssh_config").display().to_string();
    let command = mixed.fleet.command(&[words, &["-i", "fleet.yaml", "-F", &config]].concat());
    let env = command.get_envs().filter_map(|(name, value)| {
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value?);
        Some(pair)
    });
    let program =
        [command.get_program().to_owned()].into_iter().chain(command.get_args().map(OsString::from));
    let argv: Vec<OsString> = ["env".into()].into_iter().chain(env).chain(program).collect();
    let dir = mixed.fleet.path("");
    Terminal::start(&dir, &dir, (90, 25), &argv).unwrap()
}

#[test]
fn terminals_and_texts_of_sessions_in_containers() {
    let mixed = Mixed::claim(&["plain"], 2);
    mixed.fleet.deploy(&[]).exits(0);
    let task =
        "stty -echo; echo begun; while read line; do echo \"got $line in ${CM_AGENT_CONTAINER:-none}\"; done";
    for (host, name) in mixed.all().zip(["service", "boxed", "other"]) {
        mixed.must(&["dispatch", "--tool", "shell", "-d", "-q", "--name", name, "--on", &host.name, task]);
    }
    let terminal = in_terminal(&mixed, &["attach", "boxed", "--take"]);
    terminal.shows("begun", PATIENCE).unwrap();
    terminal.type_text("hello").unwrap();
    terminal.press(&["Enter"]).unwrap();
    terminal.shows("got hello", PATIENCE).unwrap();
    terminal.press(&["C-b", "d"]).unwrap();
    assert_eq!(terminal.end(PATIENCE).unwrap(), 0);

    mixed.must(&["send", "other", "from afar"]);
    let follow = mixed.must(&["logs", "boxed"]);
    has(&follow, &["begun", "got hello"]);
    crate::support::wait_until("it was typed", PATIENCE, || {
        mixed.must(&["logs", "other"]).contains("got from afar")
    });
    let listed = mixed.must(&["sessions"]);
    has(&listed, &["service", "boxed", "other", &mixed.boxes[0].name, &mixed.boxes[1].name]);
    has(mixed.must(&["logs", "--agent", "--on", &mixed.boxes[0].name]), &["ready"]);
    has(
        mixed.must(&["exec", "--on", &mixed.boxes[1].name, "--", "sh", "-c", "echo in $CM_AGENT_CONTAINER"]),
        &["in 1"],
    );
    mixed.must(&["kill", "service", "boxed", "other"]);
    mixed.fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
}

/// A repository in the home of whoever runs tasks; a script for sh.
const REPOSITORY: &str = "git init -q -b main ~/app && cd ~/app && seq 9 >list && git add list && \
                          git -c user.name=T -c user.email=t@example.org commit -qm begin";
const TASK: &str = "echo did it; echo \"$CM_SESSION_ID\" >>list; \
                    git -c user.name=T -c user.email=t@example.org commit -qam work";

#[test]
fn results_patches_and_branches_come_out_of_containers() {
    let mixed = Mixed::claim(&["plain"], 2);
    mixed.fleet.deploy(&[]).exits(0);
    let on = format!("{},{},{}", mixed.services[0].name, mixed.boxes[0].name, mixed.boxes[1].name);
    mixed.must(&["exec", "--on", &on, "--", "sh", "-c", REPOSITORY]);
    let how =
        ["dispatch", "-q", "--tool", "shell", "--each-host", "--worktree", "--path", "app", "--on", &on];
    mixed.must(&[&how[..], &[TASK]].concat());

    let mine = mixed.fleet.path("mine");
    fs::create_dir(&mine).unwrap();
    git(&mine, &["init", "-q", "-b", "main"]);
    git(&mine, &["commit", "-q", "--allow-empty", "-m", "my own"]);
    let mut collect: Command = mixed.fleet.command(&["collect", "--branches", "--into", "mine"]);
    let output = collect.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for host in mixed.all() {
        let read = |file: &str| {
            let path = mixed.fleet.path("results").join(&host.name).join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: {said}", path.display()))
        };
        let result: Value = serde_json::from_str(&read("result.json")).unwrap();
        assert_eq!((&result["state"], &result["complete"]), (&"done".into(), &true.into()), "{result:#}");
        assert_eq!(read("transcript"), "did it\n");
        assert!(read("patch").contains("+cm-"), "{}", read("patch"));
        let list = git(&mine, &["show", &format!("cm/{}:list", host.name)]);
        assert!(list.starts_with("1\n2\n") && list.lines().count() == 10, "{list}");
    }
    mixed.fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
}
