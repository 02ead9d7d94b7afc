//! The agent without units: told so, or where no user manager answers.

use std::process::Command;

use crate::agent::{
    AsUnit, ByHand, Place, command, detail, forgotten, is_in, outcome, processes, service, session, until,
};

#[tokio::test]
async fn detached_works_here_too_and_outlives_the_unit_that_leaves_its_processes_alone() {
    let place = Place::new();
    let properties = ["Type=notify", "KillMode=process"];
    let unit = AsUnit::start("detached", &properties, &place.words(&["--placement", "detached"]));
    let client = place.client().await;
    assert_eq!(client.agent_info().await.expect("told").placement, "detached");
    let id = session(&client, "read x; exit 3").await;
    assert_eq!(detail(&client, &id).await.unit, None);
    assert!(forgotten(&service(&id)));
    let before = processes(&client, &id).await;
    assert!(before.iter().all(|p| is_in(p.pid, &unit.name)), "that is why KillMode matters");
    unit.systemctl(&["restart"]);
    let client = place.client().await;
    until("it is taken up", async || client.send_line(&id, "x").await.ok()).await;
    assert!(before[1].alive());
    assert_eq!(outcome(&client, &id).await.exit_code, Some(3));
    client.kill_session(&id).await.expect("killed");
    assert!(place.session_dirs().is_empty());
}

#[tokio::test]
async fn the_manager_is_found_without_being_told_where() {
    let place = Place::new();
    let mut agent = command(&place.words(&[]));
    agent.env_remove("XDG_RUNTIME_DIR").env_remove("DBUS_SESSION_BUS_ADDRESS").env("HOME", place.dir.path());
    let _agent = ByHand::start(agent);
    let client = place.client().await;
    assert_eq!(client.agent_info().await.expect("told").placement, "systemd");
    let id = session(&client, "exit 2").await;
    assert_eq!(outcome(&client, &id).await.exit_code, Some(2));
    client.kill_session(&id).await.expect("cleared");
}

/// A user that has no manager: in a name space of its own it has another number.
fn nobody(place: &Place, more: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).args(place.words(more));
    command.env_remove("XDG_RUNTIME_DIR").env_remove("DBUS_SESSION_BUS_ADDRESS");
    command
}

#[tokio::test]
async fn without_a_manager_sessions_are_detached_or_the_agent_says_what_is_missing() {
    let place = Place::new();
    {
        let _agent = ByHand::start(nobody(&place, &[]));
        let client = place.client().await;
        assert_eq!(client.agent_info().await.expect("told").placement, "detached");
        let id = session(&client, "exit 9").await;
        assert_eq!(detail(&client, &id).await.unit, None);
        assert_eq!(outcome(&client, &id).await.exit_code, Some(9));
        client.kill_session(&id).await.expect("cleared");
    }
    let refused = nobody(&place, &["--placement", "systemd"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        words.contains("no systemd user manager answers") && words.contains("--placement detached"),
        "{words}"
    );
}
