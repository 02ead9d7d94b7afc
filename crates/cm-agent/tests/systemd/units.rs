//! Units of a real user manager, as the agent's own code starts, lists and stops them.

use std::{path::PathBuf, time::Duration};

use cm_agent::host::{
    process::ProcessId,
    systemd::{
        MainExit, Start, Stopped, SystemdError, UnitLimits, UnitSpec, UnitState, UserManager, oom_kills,
    },
};

use crate::support;

const WITHIN: Duration = Duration::from_secs(10);

async fn manager() -> UserManager {
    let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    UserManager::probe(xdg.as_deref(), WITHIN).await.expect("this host has a user manager")
}

fn name(test: &str) -> String {
    format!("cm-session-test-{test}-{}", std::process::id())
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

fn spec<'a>(name: &'a str, argv: &'a [String], cwd: &'a str) -> UnitSpec<'a> {
    UnitSpec {
        name,
        description: "cm-agent test",
        argv,
        env: &[],
        cwd,
        limits: UnitLimits::default(),
        start: Start::Runs,
    }
}

async fn state(manager: &UserManager, name: &str) -> UnitState {
    manager.unit_state(name, WITHIN).await.expect("answers")
}

/// Asks until the unit is no longer active.
async fn after(manager: &UserManager, name: &str) -> UnitState {
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        match state(manager, name).await {
            UnitState::Active { .. } | UnitState::Stopping => {}
            other => return other,
        }
        assert!(tokio::time::Instant::now() < deadline, "{name} goes on");
    }
}

#[tokio::test]
async fn a_unit_gets_exactly_what_it_was_given() {
    let (manager, name) = (manager().await, name("exact"));
    let dir = tempfile::tempdir().expect("dir");
    let cwd = dir.path().join("a dir %n $HOME");
    std::fs::create_dir(&cwd).expect("made");
    let odd = r#"$HOME ${HOME} $$ %n %% "q" 'r' \e ; é"#;
    let argv = words(&["/bin/sh", "-c", r#"env > env; printf '%s' "$1" > arg; mv env done"#, "sh", odd]);
    let env = [("ODD".to_owned(), odd.to_owned()), ("PATH".to_owned(), "/bin:/usr/bin".to_owned())];
    let cwd_text = cwd.display().to_string();
    let spec = UnitSpec { env: &env, ..spec(&name, &argv, &cwd_text) };
    manager.start_unit(&spec, WITHIN).await.expect("starts");
    let found = support::eventually("it ran", || std::fs::read_to_string(cwd.join("done")).ok());
    assert_eq!(std::fs::read_to_string(cwd.join("arg")).expect("written"), odd);
    assert!(found.lines().any(|line| line == format!("ODD={odd}")), "{found}");
    let mut names: Vec<_> = found.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["ODD", "PATH", "PWD"], "nothing of the manager's environment");
    assert_eq!(after(&manager, &name).await, UnitState::Gone);
}

#[tokio::test]
async fn a_unit_is_outside_our_group_listed_and_stopped_whole() {
    let (manager, name) = (manager().await, name("stop"));
    let dir = tempfile::tempdir().expect("dir");
    let cwd = dir.path().display().to_string();
    let argv =
        words(&["/bin/sh", "-c", "setsid sh -c 'echo $$ > daemon; exec sleep 1000' & sleep 1000; true"]);
    manager.start_unit(&spec(&name, &argv, &cwd), WITHIN).await.expect("starts");
    let again = manager.start_unit(&spec(&name, &argv, &cwd), WITHIN).await;
    assert!(matches!(again, Err(SystemdError::NameTaken(_))), "{again:?}");
    let UnitState::Active { main_pid: Some(pid), control_group } = state(&manager, &name).await else {
        panic!("it runs");
    };
    assert!(control_group.ends_with(&format!("/{name}.service")), "{control_group}");
    let main = ProcessId::of(pid).expect("runs");
    let daemon = support::eventually("the daemon", || {
        ProcessId::of(std::fs::read_to_string(dir.path().join("daemon")).ok()?.trim().parse().ok()?)
    });
    let listed = manager.list_units("cm-session-test-stop-*", WITHIN).await.expect("listed");
    assert!(listed.iter().any(|(found, _)| *found == name), "{listed:?}");
    assert_eq!(manager.stop_unit(&name, WITHIN).await.expect("stops"), Stopped::Stopped);
    assert!(!main.alive() && !daemon.alive());
    assert_eq!(state(&manager, &name).await, UnitState::Gone);
    assert_eq!(manager.stop_unit(&name, WITHIN).await.expect("nothing to do"), Stopped::WasGone);
}

#[tokio::test]
async fn who_does_not_stop_is_killed() {
    let (manager, name) = (manager().await, name("deaf"));
    let dir = tempfile::tempdir().expect("dir");
    let cwd = dir.path().display().to_string();
    let argv = words(&["/bin/sh", "-c", "trap '' TERM HUP; echo > up; while :; do sleep 1; done"]);
    manager.start_unit(&spec(&name, &argv, &cwd), WITHIN).await.expect("starts");
    support::eventually("it is deaf", || dir.path().join("up").exists().then_some(()));
    let stopped = manager.stop_unit(&name, Duration::from_millis(500)).await;
    assert_eq!(stopped.expect("stops"), Stopped::Killed);
    assert_eq!(state(&manager, &name).await, UnitState::Gone);
}

#[tokio::test]
async fn how_a_unit_ended_is_remembered_until_it_is_stopped() {
    let manager = manager().await;
    for (test, script, expected) in
        [("code", "exit 7", MainExit::Code(7)), ("signal", "kill -SEGV $$", MainExit::Signal(11))]
    {
        let (name, dir) = (name(test), tempfile::tempdir().expect("dir"));
        let script = format!("while [ ! -e go ]; do sleep 0.01; done; {script}");
        let (argv, cwd) = (words(&["/bin/sh", "-c", &script]), dir.path().display().to_string());
        manager.start_unit(&spec(&name, &argv, &cwd), WITHIN).await.expect("starts");
        std::fs::write(dir.path().join("go"), "").expect("written");
        let UnitState::Ended { main, .. } = after(&manager, &name).await else { panic!("it failed") };
        assert_eq!(main, Some(expected));
        manager.stop_unit(&name, WITHIN).await.expect("forgotten");
        assert_eq!(state(&manager, &name).await, UnitState::Gone);
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_the_name_free() {
    let (manager, name) = (manager().await, name("bad"));
    let argv = ["/bin/true".to_owned()];
    let error = manager.start_unit(&spec(&name, &argv, "/nowhere"), WITHIN).await.expect_err("no such place");
    let words = error.to_string();
    assert!(words.contains(&name) && words.contains("working directory cannot be entered"), "{words}");
    assert_eq!(state(&manager, &name).await, UnitState::Gone);
    manager.start_unit(&spec(&name, &argv, "/"), WITHIN).await.expect("the name is free");
}

#[tokio::test]
async fn limits_hold_or_are_named() {
    let (manager, name) = (manager().await, name("limits"));
    let limits = UnitLimits { memory: Some(64 << 20), cpu: Some(0.5), tasks: Some(20) };
    let dir = tempfile::tempdir().expect("dir");
    let cwd = dir.path().display().to_string();
    // 200 MB in a child; the leader survives it and says how it went.
    let script = "head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null; echo $? > code.new; mv code.new code; sleep 1000";
    let argv = words(&["/bin/sh", "-c", script]);
    let spec = UnitSpec { limits, ..spec(&name, &argv, &cwd) };
    manager.start_unit(&spec, WITHIN).await.expect("starts");
    let UnitState::Active { control_group, .. } = state(&manager, &name).await else { panic!("it runs") };
    let code =
        support::eventually("the greedy child", || std::fs::read_to_string(dir.path().join("code")).ok());
    if manager.unenforced(&limits).contains(&"memory") {
        assert_eq!(code.trim(), "0", "said not to be enforced, and it is not");
    } else {
        assert_eq!(code.trim(), "137");
        assert!(oom_kills(&control_group).is_some_and(|kills| kills > 0));
    }
    manager.stop_unit(&name, WITHIN).await.expect("stops");
}

#[tokio::test]
async fn no_manager_is_none() {
    let dir = tempfile::tempdir().expect("dir");
    std::fs::create_dir(dir.path().join("systemd")).expect("made");
    // Something that accepts and never answers, and something that is not there.
    let _mute = std::os::unix::net::UnixListener::bind(dir.path().join("systemd/private")).expect("bound");
    assert!(UserManager::probe(Some(dir.path()), Duration::from_millis(500)).await.is_none());
}
