//! Created, left alone, upgraded under living sessions, taken back, removed; and what is not ours is not touched.

use cm_client::protocol::CreateSession;
use serde_json::Value;

use crate::stage::{DOCKER, Stage, docker, images, must};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_from_its_first_deployment_to_none() {
    let [one, two] = images();
    let mut stage = Stage::over_ssh("life", &one);
    stage.more = "    agent: {listen: \"127.0.0.1:9876\", token: \"env:CM_TEST_TOKEN\"}\n    \
                  env: {SOME_KEY: \"env:CM_TEST_TOKEN\"}\n"
        .to_owned();
    let host = stage.host.clone();
    let similar = format!("cm-agent-{host}-of-mine");
    must(DOCKER, &["create", "--name", &similar, "--network", "none", &one]);

    stage.run("plan", &["--json"]).exits(0).is("would_change");
    let run = stage.deploy().exits(0);
    assert_eq!((&run.is("changed")["generation"], &run.is("changed")["previous"]), (&1.into(), &Value::Null));

    // Nothing is sent, nothing made.
    let before = stage.containers();
    let again = stage.deploy().exits(0);
    again.is("unchanged");
    assert_eq!((again.count("host_step"), again.count("host_sent")), (0, 0));
    assert_eq!(stage.containers(), before);

    // No inspection shows the token, and nobody else reads the file.
    let (agent, keeper) = (format!("cm-agent-{host}"), format!("cm-keeper-{host}"));
    assert!(!must(DOCKER, &["inspect", &agent, &keeper]).contains("t0ken-of-a-test"));
    let file = must(DOCKER, &["exec", &agent, "stat", "-c", "%a %U", "/etc/cm-agent/config.json"]);
    assert_eq!(file, "600 agent");

    // A session goes on through an upgrade, in the same process.
    let client = stage.client().await;
    let shell = CreateSession {
        tool: Some("shell".into()),
        task: Some("exec sleep 600".into()),
        ..CreateSession::default()
    };
    let session = client.create_session(shell).await.expect("a session").session_id;
    let pid = client.get_session(&session).await.expect("the session").pid;
    client.close().await;
    let kept = must(DOCKER, &["inspect", "-f", "{{.Id}}", &keeper]);
    stage.image(&two);
    let run = stage.deploy().exits(0);
    assert_eq!((&run.is("changed")["generation"], &run.is("changed")["kept"]), (&2.into(), &1.into()));
    run.says(&["it stays as it is"]);
    assert_eq!(must(DOCKER, &["inspect", "-f", "{{.Id}}", &keeper]), kept);
    let client = stage.client().await;
    assert_eq!(client.get_session(&session).await.expect("the session").pid, pid);
    stage.run("sessions", &[]).exits(0).says(&["shell"]);
    stage.run("uninstall", &["--yes", "--json"]).exits(4).is("refused");
    client.kill_session(&session).await.expect("ended");
    client.close().await;

    // Back, and what is kept is listed.
    let run = stage.run("rollback", &["--yes", "--json"]).exits(0);
    assert_eq!(run.is("changed")["generation"], 3);
    let versions = stage.run("versions", &["--json"]).exits(0);
    assert_eq!(versions.events.len(), 3, "{versions:#?}");
    stage.run("status", &["--json"]).exits(0).says(&["\"state\":\"outdated\""]);
    stage.run("logs", &["--agent"]).exits(0).says(&["ready"]);
    stage.run("exec", &["--", "sh", "-c", "echo in $CM_AGENT_CONTAINER"]).exits(0).says(&["in 1"]);

    let run = stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0);
    run.is("removed");
    assert_eq!(stage.containers(), "");
    assert!(!docker(DOCKER, &["volume", "inspect", &format!("cm-agent-{host}")]).0);
    stage.run("uninstall", &["--yes", "--json"]).exits(0).is("nothing");
    assert!(docker(DOCKER, &["inspect", &similar]).0, "a container of somebody's own was removed");
    must(DOCKER, &["rm", &similar]);
}

#[test]
fn what_was_changed_by_hand_is_seen_and_set_right() {
    let [one, _] = images();
    let mut stage = Stage::here("drift", &one, DOCKER);
    stage.container += ", memory: 512M, cpus: 1";
    let agent = format!("cm-agent-{}", stage.host);
    stage.deploy().exits(0).is("changed");

    must(DOCKER, &["update", "--memory", "600m", "--memory-swap", "1200m", &agent]);
    stage.run("plan", &[]).exits(0).says(&["changed by hand", "memory"]);
    stage.run("status", &["--json"]).says(&["\"state\":\"drift\""]);
    let run = stage.deploy().exits(0);
    // Mended, not made anew.
    assert_eq!(run.is("changed")["generation"], 1);
    stage.deploy().exits(0).is("unchanged");

    must(DOCKER, &["stop", "-t", "3", &agent]);
    stage.run("status", &["--json"]).exits(1).says(&["\"state\":\"down\""]);
    stage.run("doctor", &[]).exits(1).says(&["exited", "cm-fleet deploy"]);
    assert_eq!(stage.deploy().exits(0).is("changed")["generation"], 1);
    must(DOCKER, &["rm", "-f", &agent]);
    stage.deploy().exits(0).is("changed");
    stage.deploy().exits(0).is("unchanged");
}
