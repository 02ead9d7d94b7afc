//! One container with agent and sessions: what it says, what it takes, how it ends.

use std::time::Instant;

use super::stage::{
    Stage, answers, bridged, docker, exec, health, images, inspect, must, outcome, shell, shows, until, words,
};

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_and_docker_says_healthy() {
    let [one, _] = images();
    let stage = Stage::new();
    let name = stage.run("agent", &[], &one, &[]);
    until("healthy", &name, || {
        Some(inspect(&name, "{{.State.Health.Status}}")).filter(|said| said == "healthy")
    })
    .await;
    assert_eq!(exec(&name, &["id", "-un"]).as_deref(), Some("agent"));
    assert_eq!(exec(&name, &["cat", "/proc/1/comm"]).as_deref(), Some("tini"));
    assert_eq!(health(&name)["placement"], "detached");
    let bridge = bridged(&name).await;
    let id =
        bridge.client.create_session(shell("pwd; git --version; exit 4")).await.expect("made").session_id;
    let ended = outcome(&bridge.client, &id).await;
    assert_eq!(ended.exit_code, Some(4));
    assert!(ended.tail.iter().any(|line| line == "/var/lib/cm-agent/home"), "{:?}", ended.tail);
    println!("{one}: {} MB", inspect(&one, "{{.Size}}").parse::<u64>().expect("a size") / 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_no_rights() {
    let [one, _] = images();
    let stage = Stage::new();
    let options = [
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--pids-limit",
        "200",
    ];
    let name = stage.run("agent", &options, &one, &[]);
    answers(&name).await;
    let bridge = bridged(&name).await;
    let id = bridge.client.create_session(shell("exit 5")).await.expect("made").session_id;
    assert_eq!(outcome(&bridge.client, &id).await.exit_code, Some(5));
}

#[test]
fn what_is_missing_is_said_with_the_way_to_it() {
    let [one, _] = images();
    #[track_caller]
    fn check(options: &[&str], image: &str, args: &[&str], code: i32, expected: &[&str]) {
        let output = docker()
            .args(["run", "--rm", "--network", "none"])
            .args(options)
            .arg(image)
            .args(args)
            .output()
            .expect("runs");
        let said = words(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(expected.iter().all(|word| said.contains(word)), "{said}");
    }
    let listen = "CM_AGENT_LISTEN=0.0.0.0:9876";
    check(&["-e", listen], &one, &[], 2, &["token", "CM_AGENT_TOKEN_FILE=", "bridge"]);
    check(&[], &one, &["serve", "--listen", "0.0.0.0:9876"], 2, &["token", "CM_AGENT_TOKEN_FILE="]);
    check(&["-e", listen, "-e", "CM_AGENT_TOKEN_FILE=/nowhere"], &one, &[], 2, &["/nowhere", "No such file"]);
    check(&["-e", "CM_AGENT_LISTEN=9876"], &one, &[], 2, &["CM_AGENT_LISTEN", "ADDRESS:PORT"]);
    check(&["-e", "CM_AGENT_DRAIN=soon"], &one, &[], 2, &["CM_AGENT_DRAIN", "seconds"]);
    check(&["--user", "4711"], &one, &[], 2, &["/var/lib/cm-agent", "user 4711", "chown 4711"]);
    check(&["--tmpfs", "/var/lib/cm-agent"], &one, &[], 2, &["/var/lib/cm-agent", "user 1000", "chown"]);
    check(
        &["--tmpfs", "/var/lib/cm-agent:uid=1000,mode=0700,noexec"],
        &one,
        &[],
        1,
        &["run programs from the volume", "noexec"],
    );
    check(&[], &one, &["serve", "--placement", "keeper"], 1, &["keeper", "cm-agent keeper"]);
    check(&[], &one, &["bridge"], 3, &["no agent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_token_are_found_in_the_volume_and_in_secrets() {
    let [one, _] = images();
    let stage = Stage::new();
    let token = "a-token-long-enough-for-tests";
    let mount = format!("{}:/var/lib/cm-agent", stage.volume());
    // As a fleet does it: before the container is started, with the archive's own owner and mode.
    let write = r#"umask 077; echo '{"listen":"0.0.0.0:9876","token":"a-token-long-enough-for-tests","maxSessions":3,"env":{"FROM_SETTINGS":"yes"}}' > /var/lib/cm-agent/config.json"#;
    must(docker().args([
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &mount,
        "--entrypoint",
        "sh",
        &one,
        "-c",
        write,
    ]));
    let name = stage.run("agent", &[], &one, &[]);
    answers(&name).await;
    let url = "ws://127.0.0.1:9876";
    let said = exec(&name, &["sh", "-c", &format!("CM_AGENT_TOKEN={token} cm-agent health --url {url}")]);
    assert!(said.as_deref().is_some_and(|said| said.starts_with("ok")), "{said:?}");
    assert_eq!(
        exec(&name, &["sh", "-c", &format!("CM_AGENT_TOKEN=wrong cm-agent health --url {url}")]),
        None
    );
    assert!(!inspect(&name, "{{json .}}").contains(token), "docker inspect shows the token");
    let bridge = bridged(&name).await;
    assert_eq!(bridge.client.agent_info().await.expect("said").capacity.max_sessions, 3);
    let id =
        bridge.client.create_session(shell("echo $FROM_SETTINGS; sleep 600")).await.expect("made").session_id;
    shows(&bridge.client, &id, "yes").await;
    drop(bridge);

    let other = Stage::new();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, token).expect("written");
    let secret = format!("{}:/run/secrets/cm-agent-token:ro", file.display());
    let options = [
        "--volume",
        &secret,
        "-e",
        "CM_AGENT_TOKEN_FILE=/run/secrets/cm-agent-token",
        "-e",
        "CM_AGENT_LISTEN=0.0.0.0:9876",
    ];
    let name = other.run("agent", &options, &one, &[]);
    answers(&name).await;
    let script = format!("cm-agent health --url {url} --token-file /run/secrets/cm-agent-token");
    assert!(exec(&name, &["sh", "-c", &script]).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_it_waits_for_running_tasks_for_a_while() {
    let [one, _] = images();
    let stage = Stage::new();
    let name = stage.run("agent", &["-e", "CM_AGENT_DRAIN=50"], &one, &[]);
    answers(&name).await;
    let bridge = bridged(&name).await;
    let script = "echo begun; until test -e /tmp/go; do sleep 0.1; done; exit 6";
    let id = bridge.client.create_session(shell(script)).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    must(docker().args(["kill", "--signal", "TERM", &name]));
    until("it drains", &name, || Some(health(&name)).filter(|health| health["draining"] == true)).await;
    assert!(bridge.client.create_session(shell("true")).await.is_err());
    exec(&name, &["touch", "/tmp/go"]).expect("made");
    let running =
        || Some(inspect(&name, "{{.State.Running}} {{.State.ExitCode}}")).filter(|said| said == "false 0");
    until("it ends", &name, running).await;
    // What became of the task is known to the next one.
    must(docker().args(["start", &name]));
    answers(&name).await;
    let bridge = bridged(&name).await;
    assert_eq!(outcome(&bridge.client, &id).await.exit_code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_known_to_have_gone_with_the_container() {
    let [one, _] = images();
    let stage = Stage::new();
    let name = stage.run("agent", &["-e", "CM_AGENT_DRAIN=0.5"], &one, &[]);
    answers(&name).await;
    let bridge = bridged(&name).await;
    let id =
        bridge.client.create_session(shell("echo begun; exec sleep 600")).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    let begun = Instant::now();
    must(docker().args(["stop", "--time", "60", &name]));
    assert!(begun.elapsed().as_secs() < 30, "it does not wait for what never ends");
    assert_eq!(inspect(&name, "{{.State.ExitCode}}"), "0");
    must(docker().args(["start", &name]));
    answers(&name).await;
    let bridge = bridged(&name).await;
    let ended = outcome(&bridge.client, &id).await;
    assert_eq!(ended.state, cm_protocol::State::Lost, "{ended:?}");
    let reason = ended.reason.unwrap_or_default();
    assert!(reason.contains("its terminal is gone"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_so_does_a_kill() {
    let [one, _] = images();
    let stage = Stage::new();
    let name = stage.run("agent", &["-e", "CM_AGENT_DRAIN=3600"], &one, &[]);
    answers(&name).await;
    let bridge = bridged(&name).await;
    let id =
        bridge.client.create_session(shell("echo begun; exec sleep 600")).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    must(docker().args(["kill", "--signal", "TERM", &name]));
    until("it drains", &name, || Some(health(&name)).filter(|health| health["draining"] == true)).await;
    must(docker().args(["kill", "--signal", "TERM", &name]));
    let ended = || Some(inspect(&name, "{{.State.Running}}")).filter(|running| running == "false");
    until("it ends", &name, ended).await;
    must(docker().args(["start", &name]));
    answers(&name).await;
    must(docker().args(["kill", "--signal", "KILL", &name]));
    must(docker().args(["start", &name]));
    answers(&name).await;
    let bridge = bridged(&name).await;
    assert_eq!(outcome(&bridge.client, &id).await.state, cm_protocol::State::Lost);
}
