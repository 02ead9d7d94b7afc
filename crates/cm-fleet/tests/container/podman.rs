//! The same on Podman: an image that is sent, nothing changed, another image, back, nothing left.

use cm_client::protocol::CreateSession;

use crate::stage::{Podman, Stage, docker, images};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_podman_from_its_first_deployment_to_none() {
    let [one, two] = images();
    let podman = Podman::start();
    let mut stage = Stage::here("podman", &one, &podman.socket());
    let by = |image: &str| format!("engine: podman, image: \"{image}\", network: none");
    stage.container = by(&one);
    let run = stage.deploy().exits(0);
    assert_eq!(run.is("changed")["generation"], 1);
    assert!(run.count("host_sent") > 0, "{run:#?}");
    let before = stage.containers();
    let again = stage.deploy().exits(0);
    again.is("unchanged");
    assert_eq!((again.count("host_step"), again.count("host_sent")), (0, 0));
    assert_eq!(stage.containers(), before);
    stage.run("status", &["--json"]).exits(0).says(&["\"state\":\"good\"", "podman"]);
    stage.run("exec", &["--", "sh", "-c", "echo in $CM_AGENT_CONTAINER"]).exits(0).says(&["in 1"]);

    // A session goes on through an upgrade.
    let client = stage.client().await;
    let shell = CreateSession {
        tool: Some("shell".into()),
        task: Some("exec sleep 600".into()),
        ..CreateSession::default()
    };
    let session = client.create_session(shell).await.expect("a session").session_id;
    let pid = client.get_session(&session).await.expect("the session").pid;
    client.close().await;
    stage.container = by(&two);
    let run = stage.deploy().exits(0);
    assert_eq!((&run.is("changed")["generation"], &run.is("changed")["kept"]), (&2.into(), &1.into()));
    let client = stage.client().await;
    assert_eq!(client.get_session(&session).await.expect("the session").pid, pid);
    client.kill_session(&session).await.expect("ended");
    client.close().await;
    assert_eq!(stage.run("rollback", &["--yes", "--json"]).exits(0).is("changed")["generation"], 3);

    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("removed");
    assert_eq!(stage.containers(), "");
    assert!(!docker(&podman.socket(), &["volume", "inspect", &format!("cm-agent-{}", stage.host)]).0);
}
