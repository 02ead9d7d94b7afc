//! How long a tool waits for leave: through its hook, and through the dialog it draws.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cm_client::Client;
use cm_protocol::{Context, CreateSession, Policy, PolicyChoice, PolicyRule, PolicyVerdict, Size, State};
use cm_testkit::scripted::{self, Entry};

use super::room::{Room, until};
use crate::bench::Row;
use crate::bench::agent::BenchError;
use crate::bench::measure::Samples;
use crate::bench::subject::{Running, Subject};

const HOOKS: usize = 50;
const DIALOGS: usize = 20;
const PROFILE: &str = include_str!("scripted.toml");
const RULE: &str = "────────────────────────────────────────────────────────────";

/// A hook asks for leave, as a process, inside of an idle session.
pub async fn hook(subject: &Subject, agent: &Running, room: &Room) -> Result<Row, BenchError> {
    let client = agent.unix().await?;
    let session = room.begin(&client, "").await?;
    until(&client, &session, &[State::Idle]).await?;
    let event = serde_json::json!({
        "session_id": "00000000-0000-4000-8000-000000000001", "cwd": room.project(),
        "permission_mode": "default", "hook_event_name": "PermissionRequest", "tool_name": "Bash",
        "tool_input": { "command": "touch made.txt", "description": "a command" },
    });
    let event = event.to_string();
    let mut samples = Samples::default();
    for _ in 0..HOOKS {
        let start = Instant::now();
        let mut child = Command::new(subject.binary())
            .arg("hook")
            .env("CM_SESSION_ID", session.to_string())
            .env("CM_AGENT_SOCKET", agent.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(event.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        samples.push(start.elapsed());
        if !String::from_utf8_lossy(&output.stdout).contains("allow") {
            return Err(format!("the hook was not given leave: {output:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.kill_session(&session).await?;
    Ok(Row {
        what: "leave through a hook: `cm-agent hook` from start to end, p50 / p95".into(),
        good: samples.quantile(0.5) <= 30.0,
        measured: two(&mut samples),
        goal: "p50 ≤ 30 ms",
        original: "",
    })
}

/// A scripted tool draws dialogs; the clock runs from a dialog drawn until the key that decides is read.
pub async fn screen(subject: &Subject, program: &Path) -> Result<Row, BenchError> {
    let dir = std::env::temp_dir().join(format!("cm-bench-scripted-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let (profiles, project, log) =
        (dir.join("home/.config/cm-agent/tools"), dir.join("project"), dir.join("log"));
    std::fs::create_dir_all(&profiles)?;
    std::fs::create_dir_all(&project)?;
    std::fs::write(dir.join("script.toml"), script())?;
    let start = dir.join("scripted-tool");
    let words = format!(
        "#!/bin/sh\nexec {} {} --log {}\n",
        program.display(),
        dir.join("script.toml").display(),
        log.display()
    );
    std::fs::write(&start, words)?;
    std::fs::set_permissions(&start, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(profiles.join("scripted.toml"), PROFILE.replace("PROGRAM", &start.display().to_string()))?;
    let config = dir.join("home/.config");
    let agent = subject.start_with(&[("HOME", &dir.join("home")), ("XDG_CONFIG_HOME", &config)])?;
    let client = agent.unix().await?;
    let played = play(&client, &project).await;
    agent.end().await?;
    played?;
    let mut samples = samples(&scripted::read(&log)?);
    let _ = std::fs::remove_dir_all(&dir);
    if samples.len() != DIALOGS {
        return Err(format!("{} of {DIALOGS} dialogs were answered", samples.len()).into());
    }
    Ok(Row {
        what: "leave through a dialog: drawn → the deciding key read, p50 / p95".into(),
        good: samples.quantile(0.5) <= 120.0,
        measured: two(&mut samples),
        goal: "p50 ≤ 120 ms",
        original: "",
    })
}

async fn play(client: &Client, project: &Path) -> Result<(), BenchError> {
    let rule =
        PolicyRule { kind: vec!["command".into()], then: PolicyVerdict::Allow, ..PolicyRule::default() };
    let policy = Policy { name: "bench".into(), extends: None, rules: vec![rule] };
    let request = CreateSession {
        tool: Some("scripted".into()),
        task: Some("do it".into()),
        context: Some(Context { path: Some(project.display().to_string()), ..Context::default() }),
        size: Some(Size { cols: 120, rows: 40 }),
        policy: Some(PolicyChoice::Rules(policy)),
        ..CreateSession::default()
    };
    let session = client.create_session(request).await?.session_id;
    until(client, &session, &[State::Done, State::Failed]).await?;
    Ok(())
}

fn samples(log: &[Entry]) -> Samples {
    let mut samples = Samples::default();
    for n in 0..DIALOGS {
        let asked = format!("ask-{n}");
        let drawn = log.iter().find_map(|entry| match entry {
            Entry::Frame { t, name } if *name == asked => Some(*t),
            _ => None,
        });
        let decided = log.iter().find_map(|entry| match entry {
            Entry::Key { t, frame, key, .. } if *frame == asked && key == "Enter" => Some(*t),
            _ => None,
        });
        if let (Some(drawn), Some(decided)) = (drawn, decided) {
            samples.push(Duration::from_micros(decided.saturating_sub(drawn)));
        }
    }
    samples
}

/// Its box, then in turn work and a question about another command, then done.
fn script() -> String {
    let boxed = |above: &str| {
        let mut lines: Vec<&str> = above.lines().collect();
        lines.resize(6, "");
        format!("{}\n{RULE}\n❯ \n{RULE}\n  ? for shortcuts\n", lines.join("\n"))
    };
    let frame = |name: &str, more: &str, text: &str| {
        let types = more.contains("echo =");
        format!("[[frame]]\nname = \"{name}\"\ncursor_visible = {types}\n{more}\ntext = '''\n{text}'''\n")
    };
    let echo = "echo = { at = [2, 7] }";
    let mut frames = vec![
        "about = \"Twenty questions.\"\n".to_owned(),
        frame(
            "idle",
            &format!("{echo}\nthen = [{{ line = '', goto = 'work-0' }}]"),
            &boxed(" scripted tool 1.0"),
        ),
    ];
    for n in 0..DIALOGS {
        let spin = "spin = { at = [0, 2], every_ms = 100, texts = ['✻ Working… ({s}s · esc to interrupt)', '✽ Working… ({s}s · esc to interrupt)'] }";
        // Uneven, so that no rhythm of the agent's is met by accident.
        let after = 500 + n * 37 % 190;
        let next = if n + 1 < DIALOGS { format!("work-{}", n + 1) } else { "done".to_owned() };
        frames.push(frame(
            &format!("work-{n}"),
            &format!("{spin}\n{echo}\nthen = [{{ after = {after}, goto = 'ask-{n}' }}]"),
            &boxed("❯ do it\n\n✻ Working… (0s · esc to interrupt)"),
        ));
        let asks = format!(
            "❯ do it\n\n{RULE}\n Bash command\n\n   touch made-{n}.txt\n\n Do you want to proceed?\n ❯ 1. Yes\n   2. Yes, and don't ask again\n   3. No\n\n Esc to cancel\n"
        );
        frames.push(frame(
            &format!("ask-{n}"),
            &format!("then = [{{ on = 'Enter', goto = '{next}' }}]"),
            &asks,
        ));
    }
    frames.push(frame("done", echo, &boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s")));
    frames.concat()
}

fn two(samples: &mut Samples) -> String {
    format!("{:.1} / {:.1} ms", samples.quantile(0.5), samples.quantile(0.95))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_script_is_sound() {
        cm_testkit::scripted::parse("bench", &super::script()).unwrap();
    }
}
