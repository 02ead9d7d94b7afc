//! Sessions in the container of a keeper: agents come and go, they stay.

use cm_protocol::Context;

use super::stage::{
    Stage, answers, bridged, docker, exec, health, images, must, outcome, panes, shell, shows, until, words,
};

/// A session that says what it is told, and how it ends is chosen from outside.
const ECHO: &str = "echo begun; while read -r line; do case $line in end*) exit ${line#end};; *) echo \"heard $line\";; esac; done";

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_the_agents_container_and_another_program_takes_them_up() {
    let [one, two] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    let before = stage.agent("one", &one).await;
    let bridge = bridged(&before).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let id = bridge.client.create_session(shell(ECHO)).await.expect("made").session_id;
        shows(&bridge.client, &id, "begun").await;
        sessions.push(id);
    }
    let (known, program) = (panes(&before), health(&before)["sha256"].clone());
    assert_eq!(known.len(), 3);
    assert_eq!(health(&before)["placement"], "keeper");
    drop(bridge);
    must(docker().args(["rm", "--force", &before]));
    assert_eq!(exec(&keeper, &["cm-agent", "keeper", "--living"]).as_deref(), Some(r#"{"living":3}"#));

    // What happens while there is no agent is not lost either: it stands on the terminal.
    let socket = format!("/var/lib/cm-agent/run/{}/tmux.sock", sessions[0]);
    exec(&keeper, &["tmux", "-S", &socket, "send-keys", "meanwhile", "Enter"]).expect("typed");

    let after = stage.agent("two", &two).await;
    assert_ne!(health(&after)["sha256"], program);
    assert_eq!(panes(&after), known, "the same processes");
    let bridge = bridged(&after).await;
    shows(&bridge.client, &sessions[0], "heard meanwhile").await;
    for (number, id) in sessions.iter().enumerate() {
        bridge.client.send_line(id, "again").await.expect("typed");
        shows(&bridge.client, id, "heard again").await;
        bridge.client.send_line(id, format!("end{}", 7 + number)).await.expect("typed");
        let code = i32::try_from(7 + number).expect("small");
        assert_eq!(
            outcome(&bridge.client, id).await.exit_code,
            Some(code),
            "the code of a program in the other container"
        );
    }
    // The old program is gone once nothing runs it any more, and no sooner.
    let programs = || exec(&after, &["sh", "-c", "ls /var/lib/cm-agent/bin | wc -l"]);
    assert_eq!(programs().as_deref(), Some("2"));
    for id in &sessions {
        bridge.client.kill_session(id).await.expect("closed");
    }
    must(docker().args(["restart", "--time", "5", &after]));
    answers(&after).await;
    until("the old program goes", &after, || programs().filter(|count| count == "1")).await;
    assert_eq!(exec(&keeper, &["cm-agent", "keeper", "--living"]).as_deref(), Some(r#"{"living":0}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_outright_loses_nothing() {
    let [one, _] = images();
    let stage = Stage::new();
    stage.keeper(&one).await;
    let agent = stage.agent("one", &one).await;
    let bridge = bridged(&agent).await;
    let id = bridge.client.create_session(shell(ECHO)).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    let known = panes(&agent);
    for _ in 0..3 {
        must(docker().args(["kill", "--signal", "KILL", &agent]));
        must(docker().args(["start", &agent]));
        answers(&agent).await;
        assert_eq!(panes(&agent), known);
    }
    let bridge = bridged(&agent).await;
    bridge.client.send_line(&id, "end3").await.expect("typed");
    assert_eq!(outcome(&bridge.client, &id).await.exit_code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_their_parents_is_reaped_and_ended_with_the_session() {
    let [one, _] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    let agent = stage.agent("one", &one).await;
    let bridge = bridged(&agent).await;
    let script =
        "for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done; setsid sleep 4711 & echo begun; exec sleep 600";
    let id = bridge.client.create_session(shell(script)).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    let count = |what: &str| {
        let script = format!("cat /proc/[0-9]*/stat 2>/dev/null | grep -c '{what}' || true");
        exec(&keeper, &["sh", "-c", &script])
    };
    until("all are reaped", &keeper, || count("(sleep) Z").filter(|count| count == "0")).await;
    bridge.client.kill_session(&id).await.expect("closed");
    until("the stray is ended", &keeper, || count("(sleep)").filter(|count| count == "0")).await;
    assert_eq!(exec(&keeper, &["cm-agent", "keeper", "--living"]).as_deref(), Some(r#"{"living":0}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_a_session_reaches_the_agent_in_the_other_container() {
    let [one, two] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    let agent = stage.agent("one", &two).await;
    let bridge = bridged(&agent).await;
    let script = "cm-agent report working on it && echo told; exec sleep 600";
    let id = bridge.client.create_session(shell(script)).await.expect("made").session_id;
    shows(&bridge.client, &id, "told").await;
    assert_eq!(bridge.client.get_session(&id).await.expect("there").authority, "report");
    // What holds it is the agent's program, not the one of the keeper's image.
    let holder = panes(&agent)[0].1;
    let sha = health(&agent)["sha256"].as_str().expect("said").to_owned();
    let program = exec(&keeper, &["readlink", &format!("/proc/{holder}/exe")]);
    assert_eq!(program, Some(format!("/var/lib/cm-agent/bin/{sha}/cm-agent")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_stopped_waits_for_nobody_if_nothing_lives() {
    let [one, _] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    let begun = std::time::Instant::now();
    must(docker().args(["stop", "--time", "60", &keeper]));
    assert!(begun.elapsed().as_secs() < 30);
    assert_eq!(super::stage::inspect(&keeper, "{{.State.ExitCode}}"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_with_sessions_ends_when_they_have_or_when_told_twice() {
    let [one, _] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    let agent = stage.agent("one", &one).await;
    let bridge = bridged(&agent).await;
    let id = bridge.client.create_session(shell(ECHO)).await.expect("made").session_id;
    shows(&bridge.client, &id, "begun").await;
    must(docker().args(["kill", "--signal", "TERM", &keeper]));
    until("it says so", &keeper, || {
        exec(&keeper, &["cm-agent", "health", "--keeper"]).filter(|said| said.ends_with("ending"))
    })
    .await;
    let refused = bridge.client.create_session(shell("true")).await.expect_err("no more").to_string();
    assert!(refused.contains("takes no more sessions"), "{refused}");
    bridge.client.send_line(&id, "still there").await.expect("typed");
    shows(&bridge.client, &id, "heard still there").await;
    must(docker().args(["kill", "--signal", "TERM", &keeper]));
    let ended =
        || Some(super::stage::inspect(&keeper, "{{.State.Running}}")).filter(|running| running == "false");
    until("it ends", &keeper, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keeper_or_with_another_ones_processes_nothing_is_placed_in_silence() {
    let [one, _] = images();
    let stage = Stage::new();
    let keeper = stage.keeper(&one).await;
    // It need not be told that there is one.
    let pids = format!("container:{keeper}");
    let agent = stage.run("one", &["--pid", &pids], &one, &[]);
    answers(&agent).await;
    assert_eq!(health(&agent)["placement"], "keeper");
    // The keeper is frozen: a start says so, and nothing of it is left.
    must(docker().args(["pause", &keeper]));
    let output = docker().args(["exec", &agent, "cm-agent", "health", "--keeper"]).output().expect("runs");
    assert!(!output.status.success());
    must(docker().args(["unpause", &keeper]));

    let apart = stage.run("apart", &[], &one, &["serve", "--state-dir", "/tmp/state"]);
    let logs = || Some(words(&docker().args(["logs", &apart]).output().expect("runs")));
    let said = until("it refuses", &apart, || logs().filter(|said| said.contains("--pid"))).await;
    assert!(said.contains("sees other processes"), "{said}");

    // Beside a container that keeps nothing, with its processes: it is waited for, and then said.
    let idle = stage.run("idle", &["--entrypoint", "sleep"], &one, &["600"]);
    let pids = format!("container:{idle}");
    let lonely = stage.run(
        "lonely",
        &["--pid", &pids],
        &one,
        &["serve", "--state-dir", "/tmp/state", "--runtime-dir", "/tmp/run"],
    );
    let logs = || Some(words(&docker().args(["logs", &lonely]).output().expect("runs")));
    until("it says so", &lonely, || logs().filter(|said| said.contains("does not answer"))).await;

    let bridge = bridged(&agent).await;
    let mut request = shell("true");
    request.context = Some(Context { path: Some("/srv".into()), ..Context::default() });
    must(docker().args(["exec", "--user", "root", &keeper, "rmdir", "/srv"]));
    let why = bridge.client.create_session(request).await.expect_err("not there").to_string();
    assert!(why.contains("/srv is no directory in the keeper's container"), "{why}");
}
