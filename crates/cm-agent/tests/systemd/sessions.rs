//! Sessions as units: where they run, what holds them, what others can see of them, and how they go.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use cm_agent::host::{
    process::ProcessId,
    systemd::{UnitLimits, UserManager},
};
use cm_protocol::{CreateSession, ResourceLimits, State};

use crate::agent::{
    ByHand, PATIENCE, Place, command, detail, forgotten, good, is_in, outcome, processes, service, session,
    shell, show, shows, until,
};

#[tokio::test]
async fn a_session_has_a_unit_of_its_own_and_goes_with_all_it_started() {
    let place = Place::new();
    let agent = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    assert_eq!(client.agent_info().await.expect("told").placement, "systemd");
    let script = format!(
        "setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; trap \"\" TERM HUP; while :; do sleep 1; done' & read x",
        place.path("grandchild").display()
    );
    let id = session(&client, &script).await;
    let unit = service(&id);
    let told = detail(&client, &id).await;
    assert_eq!(told.unit.map(|u| format!("{u}.service")), Some(unit.clone()));
    assert_eq!(show(&unit, "ActiveState"), "active");
    let [program, server] = processes(&client, &id).await;
    let grandchild = until("the grandchild", async || {
        ProcessId::of(std::fs::read_to_string(place.path("grandchild")).ok()?.trim().parse().ok()?)
    })
    .await;
    assert_eq!(show(&unit, "MainPID"), server.pid.to_string());
    for process in [program, server, grandchild] {
        assert!(is_in(process.pid, &unit), "{process:?}");
    }
    assert!(!is_in(agent.pid(), &unit));

    client.kill_session(&id).await.expect("killed");
    for process in [program, server, grandchild] {
        assert!(!process.alive(), "{process:?}");
    }
    assert!(forgotten(&unit));
    assert!(place.session_dirs().is_empty());
    assert_eq!(detail(&client, &id).await.info.state, State::Killed);
}

#[tokio::test]
async fn limits_stand_on_the_unit_and_what_does_not_hold_is_said() {
    let place = Place::new();
    let _agent = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    let limits = ResourceLimits { memory: Some(64 << 20), cpu: Some(1.5), tasks: Some(30) };
    let created = client.create_session(CreateSession { limits: Some(limits), ..shell("read x") }).await;
    let created = created.expect("made");
    let unit = service(&created.session_id);
    let check = |property: &str, expected: &str| assert_eq!(show(&unit, property), expected, "{property}");
    check("MemoryMax", "67108864");
    check("CPUQuotaPerSecUSec", "1.500000s");
    check("TasksMax", "30");

    let manager = UserManager::probe(None, PATIENCE).await.expect("there is one");
    let of_unit = UnitLimits { memory: limits.memory, cpu: limits.cpu, tasks: limits.tasks };
    let unenforced = manager.unenforced(&of_unit);
    let told = detail(&client, &created.session_id).await;
    assert_eq!(told.unenforced, unenforced);
    let warned = created.warnings.join(" ");
    assert_eq!(warned.is_empty(), unenforced.is_empty(), "{warned}");
    assert!(unenforced.iter().all(|limit| warned.contains(limit)), "{warned}");
    client.kill_session(&created.session_id).await.expect("killed");
}

#[tokio::test]
async fn secrets_can_be_seen_in_the_session_and_nowhere_else() {
    let place = Place::new();
    // One that is given with the task, and one that the agent itself has and passes on.
    let (given, passed) = (format!("given{}x", std::process::id()), format!("passed{}x", std::process::id()));
    let mut agent = command(&place.words(&[]));
    agent.env("HTTPS_PROXY", format!("http://me:{passed}@127.0.0.1:1"));
    let _agent = ByHand::start(agent);
    let client = place.client().await;
    let env = BTreeMap::from([("DEPLOY_KEY".to_owned(), given.clone())]);
    let task = r#"echo "key ${#DEPLOY_KEY} proxy ${#HTTPS_PROXY}"; read x"#;
    let created = client.create_session(CreateSession { env, ..shell(task) }).await.expect("made");
    let id = created.session_id;
    let expected = format!("key {} proxy {}", given.len(), format!("http://me:{passed}@127.0.0.1:1").len());
    shows(&client, &id, &expected).await;

    let unit = service(&id);
    let properties = good(Command::new("systemctl").args(["--user", "show", "--all", &unit]));
    assert!(properties.contains("Type=forking"), "these are its properties");
    let file = good(Command::new("systemctl").args(["--user", "cat", &unit]));
    assert!(file.contains("ExecStart="), "this is its file");
    let journal = good(Command::new("journalctl").args(["--quiet", "--no-pager", "--output=export"]));
    assert!(journal.contains(&unit), "the journal can be read and knows of the unit");
    let files = good(Command::new("grep").args(["-rhae", "", "--devices=skip"]).arg(place.dir.path()));
    assert!(files.contains(id.as_str()), "these are the agent's files");
    let lines = command_lines();
    assert!(lines.contains(id.as_str()), "these are the command lines");
    for (place, text) in
        [("properties", properties), ("file", file), ("journal", journal), ("files", files), ("argv", lines)]
    {
        assert!(!text.contains(&given), "the task's secret stands in: {place}");
        assert!(!text.contains(&passed), "the agent's secret stands in: {place}");
    }
    client.kill_session(&id).await.expect("killed");
}

/// The command lines of all processes.
fn command_lines() -> String {
    let processes = std::fs::read_dir("/proc").expect("mounted").flatten();
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ") + "\n").collect()
}

#[tokio::test]
async fn a_unit_killed_by_somebody_else_is_a_lost_session_and_the_cause_names_it() {
    let place = Place::new();
    let _agent = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    for (verb, cause) in [(["kill", "--signal=KILL"].as_slice(), "SIGKILL"), (&["stop"], "is gone")] {
        let id = session(&client, "read x").await;
        let unit = service(&id);
        good(Command::new("systemctl").arg("--user").args(verb).arg(&unit));
        let outcome = outcome(&client, &id).await;
        let reason = outcome.reason.expect("a cause");
        assert_eq!(outcome.state, State::Lost, "{reason}");
        assert!(reason.contains(unit.trim_end_matches(".service")) && reason.contains(cause), "{reason}");
        until("nothing is left of the unit", async || forgotten(&unit).then_some(())).await;
        until("nor of its directory", async || place.session_dirs().is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn a_launch_that_fails_says_why_and_leaves_nothing() {
    let place = Place::new();
    let bin = place.path("bin");
    std::fs::create_dir(&bin).expect("made");
    // A tmux that says its version and starts nothing, but leaves something running.
    let fake = format!(
        "#!/bin/sh\ncase \"$*\" in -V) echo 'tmux 3.3a'; exit;; esac\necho \"$*\" > {}\nsleep 1000 &\necho 'no terminal today' >&2\nexit 1\n",
        place.path("asked").display()
    );
    std::fs::write(bin.join("tmux"), fake).expect("written");
    std::fs::set_permissions(bin.join("tmux"), PermissionsExt::from_mode(0o755)).expect("executable");
    let mut agent = command(&place.words(&[]));
    agent.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let _agent = ByHand::start(agent);
    let client = place.client().await;
    let error = client.create_session(shell("read x")).await.expect_err("no tmux");
    assert!(error.to_string().contains("no terminal today"), "{error}");
    let asked = std::fs::read_to_string(place.path("asked")).expect("it was asked");
    let id = asked.split('/').find(|part| part.starts_with("cm-") && part.len() > 30).expect("its socket");
    assert!(forgotten(&service(&id.into())), "{id}");
    assert!(place.session_dirs().is_empty());
    assert!(client.list_sessions().await.expect("listed").is_empty());
}

#[tokio::test]
async fn fifty_sessions_at_once_all_live() {
    const MANY: usize = 50;
    let place = Place::new();
    let _agent = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    let made =
        futures_util::future::join_all((0..MANY).map(|_| client.create_session(shell("read x")))).await;
    let ids: Vec<_> = made.into_iter().map(|created| created.expect("made").session_id).collect();
    for id in &ids {
        let [program, _] = processes(&client, id).await;
        assert!(is_in(program.pid, &service(id)));
    }
    let living = client.list_sessions().await.expect("listed");
    assert_eq!(living.iter().filter(|s| s.alive && s.state == State::Running).count(), MANY);
    let killed = futures_util::future::join_all(ids.iter().map(|id| client.kill_session(id))).await;
    assert!(killed.iter().all(Result::is_ok), "{killed:?}");
    let manager = UserManager::probe(None, PATIENCE).await.expect("there is one");
    let units = manager.list_units("cm-session-*", Duration::from_secs(10)).await.expect("listed");
    assert!(!ids.iter().any(|id| units.iter().any(|(unit, _)| format!("{unit}.service") == service(id))));
}
