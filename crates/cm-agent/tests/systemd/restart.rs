//! The agent as a unit: readiness, watchdog, and that its end is no session's end.

use std::process::Command;

use cm_protocol::State;

use crate::agent::{
    AsUnit, ByHand, Place, command, detail, forgotten, good, is_in, outcome, processes, service, session,
    shows, until,
};

#[tokio::test]
async fn restart_stop_and_kill_leave_every_session_alive() {
    let place = Place::new();
    // Everything as a unit has it that says no more: its whole control group is killed when it stops.
    let properties = ["Type=notify", "Restart=on-failure", "RestartSec=100ms", "StartLimitBurst=20"];
    let words = place.words(&[]);
    let mut unit = AsUnit::start("restart", &properties, &words);
    // Ready is ready: nothing is waited for.
    let client = place.client().await;
    assert_eq!(client.agent_info().await.expect("told").placement, "systemd");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let id = session(&client, "while read x; do [ $x = end ] && exit 4; echo got $x; done").await;
        let before = processes(&client, &id).await;
        assert!(before.iter().all(|p| is_in(p.pid, &service(&id)) && !is_in(p.pid, &unit.name)));
        sessions.push((id, before));
    }
    let gate = place.path("gate");
    let meanwhile =
        session(&client, &format!("until [ -e {} ]; do sleep 0.02; done; exit 5", gate.display())).await;
    for round in ["restart", "stop", "kill"] {
        let agent = unit.main_pid();
        match round {
            "restart" => unit.systemctl(&["restart"]),
            "stop" => {
                let [program, _] = processes(&place.client().await, &meanwhile).await;
                unit.systemctl(&["stop"]);
                std::fs::write(&gate, "").expect("written");
                until("one ends while no agent runs", async || (!program.alive()).then_some(())).await;
                drop(unit);
                unit = AsUnit::start("restart", &properties, &words);
            }
            _ => unit.systemctl(&["kill", "--signal=KILL"]),
        }
        until("a new agent", async || (![0, agent].contains(&unit.main_pid())).then_some(())).await;
        let client = place.new_client().await;
        for (id, before) in &sessions {
            assert!(before.iter().all(|p| p.alive()), "{round}");
            assert_eq!(processes(&client, id).await, *before, "{round}: the same pids and start times");
            until("it is taken up", async || client.send_line(id, round).await.ok()).await;
            shows(&client, id, &format!("got {round}")).await;
        }
    }
    let client = place.new_client().await;
    assert_eq!(outcome(&client, &meanwhile).await.exit_code, Some(5), "told by the agent that came after");
    for (id, _) in &sessions {
        client.send_line(id, "end").await.expect("typed");
        let told = outcome(&client, id).await;
        assert_eq!((told.state, told.exit_code), (State::Failed, Some(4)));
    }
    for id in sessions.iter().map(|(id, _)| id).chain([&meanwhile]) {
        client.kill_session(id).await.expect("cleared");
        assert!(forgotten(&service(id)));
    }
}

#[tokio::test]
async fn the_watchdog_is_fed_and_an_agent_that_hangs_is_replaced() {
    let place = Place::new();
    let properties =
        ["Type=notify", "WatchdogSec=2", "WatchdogSignal=SIGKILL", "Restart=on-watchdog", "RestartSec=100ms"];
    let unit = AsUnit::start("watchdog", &properties, &place.words(&[]));
    let client = place.client().await;
    let id = session(&client, "read x; exit 6").await;
    let before = processes(&client, &id).await;
    let fed = || unit.show("WatchdogTimestampMonotonic");
    for _ in 0..2 {
        let last = fed();
        until("it is fed", async || (fed() != last).then_some(())).await;
    }
    assert_eq!(unit.show("NRestarts"), "0");
    let agent = unit.main_pid();
    // It is there and does nothing.
    good(Command::new("kill").args(["-STOP", &agent.to_string()]));
    until("another agent", async || (![0, agent].contains(&unit.main_pid())).then_some(())).await;
    assert_eq!(unit.show("NRestarts"), "1");
    let client = place.new_client().await;
    until("it is taken up", async || client.send_line(&id, "x").await.ok()).await;
    assert!(before[1].alive());
    assert_eq!(outcome(&client, &id).await.exit_code, Some(6));
    client.kill_session(&id).await.expect("cleared");
}

#[tokio::test]
async fn a_login_that_ends_takes_the_agent_it_started_and_no_session() {
    let place = Place::new();
    // A scope holds what was started in it, as that of a login does: stopping it kills all of that.
    let scope = format!("cm-login-test-{}.scope", std::process::id());
    let mut login = Command::new("systemd-run");
    login.args(["--user", "--quiet", "--scope", "--unit", &scope, "--"]).args(place.words(&[]));
    let agent = ByHand::start(login);
    assert!(is_in(agent.pid(), &scope));
    let client = place.client().await;
    let id = session(&client, "read x; exit 8").await;
    let before = processes(&client, &id).await;
    good(Command::new("systemctl").args(["--user", "stop", &scope]));
    until("the agent has gone", async || {
        cm_agent::host::process::ProcessId::of(agent.pid()).is_none_or(|p| !p.alive()).then_some(())
    })
    .await;
    assert!(before.iter().all(|p| p.alive()));
    let _next = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    until("it is taken up", async || client.send_line(&id, "x").await.ok()).await;
    assert_eq!(outcome(&client, &id).await.exit_code, Some(8));
    client.kill_session(&id).await.expect("cleared");
}

#[tokio::test]
async fn sessions_of_another_boot_are_lost_to_the_restart_of_the_host() {
    let place = Place::new();
    let mut agent = ByHand::start(command(&place.words(&[])));
    let client = place.client().await;
    let id = session(&client, "read x").await;
    agent.kill_9();
    // What is left of a session after the host was restarted: what the journal says.
    good(Command::new("systemctl").args(["--user", "stop", &service(&id)]));
    std::fs::remove_dir_all(place.path("run")).expect("a runtime directory does not outlive a boot");
    std::fs::write(place.path("boot_id"), "11111111-2222-3333-4444-555555555555\n").expect("written");
    let script = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;
    let mut other = Command::new("unshare");
    other.args(["--user", "--mount", "--map-current-user", "--keep-caps", "sh", "-c", script]);
    other.arg(place.path("boot_id")).args(place.words(&[]));
    let _next = ByHand::start(other);
    let client = place.client().await;
    let told = outcome(&client, &id).await;
    assert_eq!((told.state, told.reason.as_deref()), (State::Lost, Some("the host was restarted")));
    // Its end is told before what is left of it is cleared away.
    until("it is gone", async || (!detail(&client, &id).await.info.alive).then_some(())).await;
}
