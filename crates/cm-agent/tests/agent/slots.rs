//! What a host has for tasks to come: places and who gets them, tools, load.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cm_client::Client;
use cm_protocol::{ErrorCode, Orphan, RepoFound, SessionId, ToolFound};

use super::leases::owned;
use super::races::{real_tmux, scratch, script};
use super::support::{Agent, shell, until};

/// An agent with two places.
async fn with_two(dir: &Path) -> Agent {
    let config = dir.join("agent.json");
    std::fs::write(&config, r#"{"slots":2}"#).expect("written");
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).expect("set");
    Agent::with(&["--config", &config.display().to_string()]).await
}

async fn asks(client: &Client, owner: &str) -> SessionId {
    let request = owned("read x", owner, 60.0, Orphan::Keep);
    client.create_session(request).await.expect("there is a place").session_id
}

async fn refused(client: &Client, owner: &str, words: &str) {
    let refused = client.create_session(owned("read x", owner, 60.0, Orphan::Keep)).await;
    let refused = refused.expect_err("there is no place");
    assert_eq!(refused.code(), Some(ErrorCode::Limit), "{refused}");
    assert!(refused.to_string().contains(words), "{refused}");
}

#[tokio::test]
async fn places_are_shared_between_those_who_wait() {
    let dir = scratch();
    let agent = with_two(dir.path()).await;
    let client = agent.client().await;
    let hello = client.hello().expect("ours").agent.clone();
    assert_eq!(hello.capacity.slots, Some(2));
    for word in ["leases", "fence", "probe", "repo", "slots"] {
        assert!(hello.features.iter().any(|feature| feature == word), "{word}");
    }
    let first = asks(&client, "r").await;
    asks(&client, "r").await;
    refused(&client, "r", "holds 2 tasks, as many as it may").await;
    refused(&client, "s", "holds 2 tasks").await;
    // Without an owner it is no fleet's.
    let free = client.create_session(shell("sleep 600")).await.expect("made").session_id;
    client.kill_session(&free).await.expect("killed");
    // Its end, not its terminal's, makes room.
    client.send_line(&first, "").await.expect("typed");
    until("its task has ended", async || client.get_session(&first).await.expect("there").info.outcome).await;
    refused(&client, "r", "another run's turn").await;
    let second = asks(&client, "s").await;
    refused(&client, "s", "holds 2 tasks").await;
    client.kill_session(&second).await.expect("killed");
    asks(&client, "s").await;
}

#[tokio::test]
async fn what_a_host_has_is_told_and_nothing_is_started_for_it() {
    let dir = scratch();
    let (home, started) = (dir.path().join("home"), dir.path().join("started"));
    std::fs::create_dir_all(home.join(".claude")).expect("made");
    std::fs::write(home.join(".claude/.credentials.json"), "{}").expect("written");
    for tool in ["claude", "gemini"] {
        script(&dir.path().join(tool), &format!("#!/bin/sh\ntouch {}\n", started.display()));
    }
    let tmux = real_tmux();
    let path =
        format!("{}:{}:/usr/bin:/bin", dir.path().display(), tmux.parent().expect("a directory").display());
    let home = home.display().to_string();
    let env = [("PATH", path.as_str()), ("HOME", &home), ("GEMINI_API_KEY", ""), ("GOOGLE_API_KEY", "")];
    let agent = Agent::with_env(&[], &env).await;
    let client = agent.client().await;
    let url = "ssh://git@git.invalid/shop.git";
    let tools = ["claude", "gemini", "no-such-tool", "-x", "sh"].map(str::to_owned).to_vec();
    let found = client.probe(tools, vec![url.into()]).await.expect("told");
    let path = |name: &str| Some(dir.path().join(name).display().to_string());
    let tool = |tool: &str, path, login| ToolFound { tool: tool.into(), path, login };
    assert_eq!(
        found.tools[..4],
        [
            tool("claude", path("claude"), Some(true)),
            tool("gemini", path("gemini"), Some(false)),
            tool("no-such-tool", None, None),
            tool("-x", None, None),
        ]
    );
    assert!(found.tools[4].path.is_some() && found.tools[4].login.is_none());
    let mirror = agent.state().join("repos");
    let [RepoFound { present: false, directory: Some(directory), .. }] = &found.repos[..] else {
        panic!("{:?}", found.repos)
    };
    assert!(directory.starts_with(&mirror.display().to_string()) && directory.ends_with("/shop.git"));
    assert!(found.load.cores > 0, "{:?}", found.load);
    assert!(!started.exists());
}
