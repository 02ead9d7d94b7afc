//! Sessions go on, whatever is done to the agent: the same processes, by pid and start time.

use std::time::Duration;

use cm_client::{Client, Token};
use cm_protocol::CreateSession;
use cm_ssh::{Keys, NoSecrets, Remote, Ssh, Target};
use cm_testkit::hosts::{Cast, Claimed, another_build};
use serde_json::Value;

use crate::support::{Fleet, PATIENCE, wait_until};

/// Starts so many sessions with the agent of a host, over a tunnel; each sleeps.
pub fn start_sessions(host: &Claimed, status: &Value, count: usize) {
    let socket = status["facts"]["running"]["socket"].as_str().unwrap().to_owned();
    let mut target = Target::new(&host.name, &host.address, &host.user);
    (target.port, target.identities) = (host.port, vec![host.identity.clone()]);
    target.known_hosts = vec![host.known_hosts.clone()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ssh = Ssh::connect(&target, &Keys::new(NoSecrets)).await.unwrap();
        let stream = ssh.stream(Remote::Unix(socket.into())).await.unwrap();
        let client = Client::over(stream, &Token::new(""), PATIENCE).await.unwrap();
        let client = client.with_timeout(PATIENCE);
        for number in 0..count {
            let task = format!("exec sleep {}", 70_000 + number);
            let session =
                CreateSession { tool: Some("shell".into()), task: Some(task), ..CreateSession::default() };
            client.create_session(session).await.unwrap();
        }
        client.close().await;
    });
    wait_until("all sessions sleep", Duration::from_secs(30), || sleepers(host).lines().count() == count);
}

/// The processes of these sessions: pid and start time, as the kernel has them.
pub fn sleepers(host: &Claimed) -> String {
    host.root_says("for p in $(pgrep -u deploy -f '^sleep 70'); do cut -d' ' -f1,22 /proc/$p/stat; done")
}

#[test]
fn twenty_sessions_live_through_five_upgrades_a_crash_and_a_rollback() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.settings = ", max_sessions: 64".into();
    fleet.deploy(&[]).exits(0);
    start_sessions(&host, &fleet.status(&host.name), 20);
    let before = sleepers(&host);
    let first = fleet.agent.clone();
    for upgrade in 2..=6 {
        fleet.agent = another_build(&first, &format!("v{upgrade}"), &fleet.path(""));
        let run = fleet.deploy(&[]).exits(0);
        let changed = run.is(&host.name, "changed");
        assert_eq!((&changed["kept"], &changed["generation"]), (&20.into(), &upgrade.into()));
        assert_eq!(changed.get("lost"), None);
        assert_eq!(run.summary()["sessions_kept"], 20);
        assert_eq!(sleepers(&host), before, "upgrade {upgrade}");
    }
    let pid = &fleet.status(&host.name)["facts"]["running"]["pid"];
    host.root_says(&format!("kill -9 {pid}"));
    wait_until("the agent is back", Duration::from_secs(30), || {
        let now = fleet.status(&host.name);
        now["state"] == "good" && now["facts"]["running"]["pid"] != *pid
    });
    assert_eq!(sleepers(&host), before);
    let run = fleet.run("rollback", &["--yes", "--json"]).exits(0);
    assert_eq!(run.is(&host.name, "changed")["kept"], 20);
    assert_eq!(sleepers(&host), before);
    let status = fleet.status(&host.name);
    assert_eq!(status["state"], "outdated");
    assert_eq!(status["facts"]["running"]["sessions"], 20, "{status:#}");
    // What would end them is refused, and said.
    let run = fleet.run("uninstall", &["--yes", "--json"]).exits(4);
    run.is(&host.name, "refused");
    assert_eq!(sleepers(&host), before);
    fleet.run("uninstall", &["--yes", "--json", "--force"]).exits(0);
    assert_eq!(sleepers(&host), "");
}
