//! The agent installs itself on a real host: sessions live on, what fails goes back, what goes leaves nothing.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cm_client::protocol::deploy::{
    AgentSettings, Binary, Facts, FailureKind, Hidden, HostAfter, InstallFailure, InstallLine, InstallStep,
    Installation, Manifest,
};
use cm_client::{Client, Endpoint};
use cm_protocol::{Action, ConfirmDeployment, SessionId};
use sha2::{Digest, Sha256};

use crate::agent::{PATIENCE, good, processes, program, session, show, turn, until};

const UNIT: &str = "cm-agent.service";
const POISON: &str = "poison-7d2f9a41c3";

/// This user's installation, removed at the end.
struct Home {
    home: PathBuf,
    dir: PathBuf,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// What a run of the agent said.
struct Said {
    code: i32,
    lines: Vec<InstallLine>,
    text: String,
}

impl Home {
    async fn new() -> Self {
        let turn = turn().await;
        let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        let dir = home.join(".local/share/cm-agent");
        let new = Self { home, dir, _turn: turn };
        new.wipe();
        new
    }

    fn wipe(&self) {
        let program = program();
        let all = ["uninstall", "--force", "--purge", "--take-over"];
        let out = Command::new(program).args(all).output().expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }

    /// Puts a program into the directory as a client does: a variant of this one, alike but for its bytes.
    fn push(&self, variant: &str) -> (PathBuf, Binary) {
        let mut bytes = std::fs::read(program()).expect("readable");
        bytes.extend(variant.as_bytes());
        std::fs::create_dir_all(&self.dir).expect("made");
        let path = self.dir.join(format!("upload-{}", variant.len()));
        std::fs::write(&path, &bytes).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
        (path, binary(&bytes))
    }

    /// A program that the host has already: a stand-in, by its script.
    fn stand_in(&self, script: &str) -> Binary {
        let binary = binary(script.as_bytes());
        let dir = self.dir.join("versions").join(&binary.sha256);
        std::fs::create_dir_all(&dir).expect("made");
        let path = dir.join("cm-agent");
        std::fs::write(&path, script).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
        binary
    }

    fn manifest(&self, deployment: &str, binary: Binary) -> Manifest {
        Manifest {
            deployment: deployment.into(),
            fleet: "lab".into(),
            by: "ada@laptop".into(),
            binary,
            settings: AgentSettings::default(),
            confirm_seconds: 0,
            ready_seconds: 20,
            force: false,
            take_over: false,
        }
    }

    /// Deploys a variant of this program.
    fn deploy(&self, deployment: &str, variant: &str, change: impl Fn(&mut Manifest)) -> Said {
        let (path, binary) = self.push(variant);
        let mut manifest = self.manifest(deployment, binary);
        change(&mut manifest);
        install(&path, &manifest)
    }

    fn facts(&self) -> Facts {
        serde_json::from_str(&good(Command::new(program()).arg("facts"))).expect("facts")
    }

    fn socket(&self) -> PathBuf {
        PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("set at login")).join("cm-agent/agent.sock")
    }

    async fn client(&self) -> Client {
        let endpoint = Endpoint::Unix(self.socket());
        until("an agent", async || Client::connect(&endpoint, PATIENCE).await.ok())
            .await
            .with_timeout(PATIENCE)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.wipe();
        }
    }
}

fn binary(bytes: &[u8]) -> Binary {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Binary { sha256, size: bytes.len() as u64, version: "0.1.0".into() }
}

fn install(program: &Path, manifest: &Manifest) -> Said {
    let mut child = Command::new(program)
        .arg("install")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let text = serde_json::to_vec(manifest).expect("JSON");
    child.stdin.take().expect("piped").write_all(&text).expect("taken");
    said(&child.wait_with_output().expect("it ends"))
}

fn run(program: &Path, words: &[&str]) -> Said {
    said(&Command::new(program).args(words).stdin(Stdio::null()).output().expect("it runs"))
}

fn said(out: &std::process::Output) -> Said {
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Said { code: out.status.code().unwrap_or(-1), lines, text }
}

impl Said {
    #[track_caller]
    fn installed(&self) -> Installation {
        match self.lines.last() {
            Some(InstallLine::Installed(installation)) if self.code == 0 => (**installation).clone(),
            _ => panic!("{}: {}", self.code, self.text),
        }
    }

    #[track_caller]
    fn failed(&self, code: i32) -> InstallFailure {
        match self.lines.last() {
            Some(InstallLine::Failed(failure)) if self.code == code => (**failure).clone(),
            _ => panic!("{}: {}", self.code, self.text),
        }
    }
}

/// Files below, with their modes.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&path, found),
            Ok(_) => found.push(path),
            Err(_) => {}
        }
    }
}

#[tokio::test]
async fn twenty_sessions_live_through_an_upgrade_a_crash_and_a_rollback() {
    let home = Home::new().await;
    let first = home.deploy("d1", "1", |_| {}).installed();
    assert_eq!((first.generation, first.previous, first.dropped.len()), (1, None, 0));
    let client = home.client().await;
    let mut sessions: Vec<(SessionId, _)> = Vec::new();
    for _ in 0..20 {
        let id = session(&client, "read x; exit 7").await;
        sessions.push((id.clone(), processes(&client, &id).await));
    }
    client.close().await;
    let alive = || sessions.iter().all(|(_, before)| before.iter().all(|p| p.alive()));
    let pid = show(UNIT, "MainPID");

    // The same again is not even a restart.
    let again = home.deploy("d2", "1", |_| {}).installed();
    assert_eq!((again.generation, again.before.len()), (1, 20));
    assert_eq!(show(UNIT, "MainPID"), pid);
    assert!(!home.dir.join("upload-1").exists());

    let upgraded = home.deploy("d3", "22", |_| {}).installed();
    assert_eq!((upgraded.generation, upgraded.previous), (2, Some(1)));
    assert_eq!((upgraded.before.len(), &upgraded.before), (20, &upgraded.after));
    assert!(alive() && show(UNIT, "MainPID") != pid);
    let facts = home.facts();
    assert_eq!(facts.panes, upgraded.after);
    assert_eq!(facts.running.map(|r| r.sha256), facts.installed.map(|i| i.binary.sha256));
    assert!(
        facts.unit.is_some_and(|unit| unit.active == "active"
            && unit.enabled == "enabled"
            && unit.drift.is_empty())
    );
    assert!(facts.endangered.is_empty() && facts.lock.is_none());

    // A program that ends at once, of the same installation.
    let crash = home.manifest("d4", home.stand_in("#!/bin/sh\necho these are my last words\nexit 3\n"));
    let current = home.dir.join("current/cm-agent");
    let failure = install(&current, &crash).failed(1);
    assert_eq!((failure.step, &failure.host), (InstallStep::Healthy, &HostAfter::Reverted { generation: 2 }));
    assert!(failure.why.contains("again and again (exit code 3)"), "{}", failure.why);
    assert!(failure.log.iter().any(|line| line.contains("last words")), "{:?}", failure.log);
    assert!(alive());

    let back = run(&current, &["install", "rollback", "--by", "ada@laptop"]).installed();
    assert_eq!((back.generation, back.previous, back.after.len()), (1, Some(2), 20));
    assert!(alive());

    // Somebody uninstalls: not while they live.
    let refused = run(&current, &["uninstall"]);
    assert!(refused.code == 4 && refused.text.contains("sessions are alive"), "{}", refused.text);
    let client = home.client().await;
    for (id, before) in &sessions {
        assert_eq!(processes(&client, id).await, *before);
    }
    let (last, _) = &sessions[0];
    client.send_line(last, "x").await.expect("typed");
    assert_eq!(crate::agent::outcome(&client, last).await.exit_code, Some(7));
    for (id, _) in &sessions {
        client.kill_session(id).await.expect("ended");
    }
    client.close().await;

    let removed = run(&current, &["uninstall", "--purge", "--fleet", "lab"]);
    assert_eq!(removed.code, 0, "{}", removed.text);
    let mut left = Vec::new();
    files(&home.home.join(".config/systemd"), &mut left);
    files(&home.home.join(".local"), &mut left);
    let ours: Vec<_> = left.iter().filter(|path| path.to_string_lossy().contains("cm-agent")).collect();
    assert!(ours.is_empty() && !home.dir.exists() && !home.socket().exists(), "{ours:?}");
    assert_eq!(show(UNIT, "LoadState"), "not-found");
}

#[tokio::test]
async fn a_first_deployment_that_fails_leaves_no_agent() {
    let home = Home::new().await;
    for (script, words) in
        [("#!/bin/sh\nexit 3\n", "again and again"), ("#!/bin/sh\nexec sleep 1000\n", "not healthy")]
    {
        let mut manifest = home.manifest("d1", home.stand_in(script));
        manifest.ready_seconds = 4;
        let failure = install(&program(), &manifest).failed(1);
        assert_eq!(failure.host, HostAfter::Removed);
        assert!(failure.why.contains(words), "{}", failure.why);
        assert_eq!(show(UNIT, "LoadState"), "not-found");
        assert!(!home.home.join(".config/systemd/user/cm-agent.service").exists());
        let facts = home.facts();
        assert!(facts.installed.is_none() && facts.running.is_none() && facts.lock.is_none(), "{facts:?}");
    }
}

#[tokio::test]
async fn who_does_not_confirm_is_undone_by_the_host_itself() {
    let home = Home::new().await;
    home.deploy("d1", "1", |_| {}).installed();
    let waiting = home.deploy("d2", "22", |m| m.confirm_seconds = 3).installed();
    assert_eq!(waiting.generation, 2);
    let facts = home.facts();
    assert_eq!(facts.installed.and_then(|i| i.unconfirmed).as_deref(), Some("d2"));
    assert_eq!(facts.lock.map(|lock| lock.deployment).as_deref(), Some("d2"));
    let other = home.deploy("d3", "333", |_| {}).failed(4);
    assert!(other.why.contains("d2 of ada@laptop waits to be confirmed"), "{}", other.why);
    assert_eq!((other.kind, &other.host), (FailureKind::Refused, &HostAfter::Untouched));
    let first =
        until("it goes back", async || home.facts().installed.filter(|i| i.unconfirmed.is_none())).await;
    assert_eq!((first.generation, first.generations.len()), (1, 1));
    let client = home.client().await;
    assert_eq!(client.agent_info().await.expect("told").sha256, first.binary.sha256);
    let late = client.confirm_deployment("d2").await.expect_err("too late");
    assert!(late.to_string().contains("d2"), "{late}");
    let line = r#""by":"timer","act":"revert","deployment":"d2""#;
    until("it is written down", async || home.read("deploy.log").contains(line).then_some(())).await;

    // Confirmed by the new agent, through a new tunnel.
    home.deploy("d4", "4444", |m| m.confirm_seconds = 60).installed();
    let client = home.client().await;
    let another = ConfirmDeployment { deployment: "d4".into(), sha256: Some("0".repeat(64)) };
    let another = client.call(Action::ConfirmDeployment(another)).await.expect_err("it is another");
    assert!(another.to_string().contains("another program answers here"), "{another}");
    assert_eq!(client.confirm_deployment("d4").await.expect("kept"), 2);
    assert_eq!(client.confirm_deployment("d4").await.expect("again"), 2);
    client.close().await;
    assert_eq!(show("cm-agent-revert.timer", "ActiveState"), "inactive");
    assert!(home.facts().lock.is_none());
}

#[tokio::test]
async fn a_deployment_that_is_cut_off_goes_on_or_goes_back() {
    let home = Home::new().await;
    home.deploy("d1", "1", |_| {}).installed();
    for cut in [5_u64, 20, 60, 150, 400] {
        let (path, binary) = home.push(&"c".repeat(usize::try_from(cut).expect("small")));
        let mut manifest = home.manifest(&format!("cut-{cut}"), binary.clone());
        manifest.confirm_seconds = 2;
        manifest.ready_seconds = 5;
        let mut child = Command::new(&path)
            .arg("install")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        let text = serde_json::to_vec(&manifest).expect("JSON");
        child.stdin.take().expect("piped").write_all(&text).expect("taken");
        tokio::time::sleep(Duration::from_millis(cut)).await;
        child.kill().expect("killed");
        child.wait().expect("waited for");
        let stored = home.dir.join("versions").join(&binary.sha256).join("cm-agent");
        let from = if path.exists() { path } else { stored };
        manifest.confirm_seconds = 0;
        let done = install(&from, &manifest).installed();
        assert_eq!(done.running.sha256, binary.sha256, "cut after {cut} ms");
        let facts = home.facts();
        assert!(facts.lock.is_none() && facts.installed.is_some_and(|i| i.unconfirmed.is_none()));
    }
}

#[tokio::test]
async fn a_secret_stands_nowhere_but_in_our_own_files() {
    let home = Home::new().await;
    let settings = |m: &mut Manifest| {
        m.settings.env.insert("API_KEY".into(), Hidden(POISON.into()));
        m.settings.listen = Some("127.0.0.1:9877".into());
        m.settings.slots = Some(3);
        m.settings.policy = Some("read-only".into());
    };
    home.deploy("d1", "1", settings).installed();
    let token = home.read("token").trim().to_owned();
    assert_eq!(token.len(), 64);
    let client = home.client().await;
    assert_eq!(client.agent_info().await.expect("told").capacity.slots, Some(3));
    let id = session(&client, r#"[ "$API_KEY" = poison-7d2f9a41c3 ] && read x"#).await;
    assert!(crate::agent::detail(&client, &id).await.info.alive);
    let over_tcp = |token: &str| Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port: 9877,
        token: cm_client::Token::new(token),
    };
    Client::connect(&over_tcp(&token), PATIENCE).await.expect("the token that was made").close().await;

    let mut seen = good(Command::new("ps").args(["-eo", "args"]));
    seen += &good(Command::new("journalctl").args(["-q", "-o", "export", "-n", "20000"]));
    seen += &good(Command::new("systemctl").args(["--user", "show", UNIT]));
    seen += &good(Command::new("systemctl").args(["--user", "show-environment"]));
    let agent = show(UNIT, "MainPID");
    seen += &String::from_utf8_lossy(&std::fs::read(format!("/proc/{agent}/environ")).expect("ours"));
    let mut all = Vec::new();
    for dir in [&home.home, Path::new("/tmp"), home.socket().parent().expect("a directory")] {
        files(dir, &mut all);
    }
    for path in all {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_file() && meta.len() < 1 << 20 && meta.permissions().mode() & 0o077 != 0 {
            seen += &String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default());
        }
    }
    // The session's own command quotes it, which is this test's doing.
    let told = seen
        .lines()
        .filter(|line| line.contains(POISON) && !line.contains("API_KEY\" ="))
        .collect::<Vec<_>>();
    assert!(told.is_empty() && !seen.contains(&token), "{told:?}");

    // Kept over deployments, changed when asked.
    home.deploy("d2", "22", settings).installed();
    assert_eq!(home.read("token").trim(), token);
    let rotated = run(&home.dir.join("current/cm-agent"), &["rotate-token"]);
    assert_eq!(rotated.code, 0, "{}", rotated.text);
    let fresh = home.read("token").trim().to_owned();
    assert!(fresh.len() == 64 && fresh != token);
    Client::connect(&over_tcp(&fresh), PATIENCE).await.expect("the new one").close().await;
    assert!(Client::connect(&over_tcp(&token), PATIENCE).await.is_err());
    home.client().await.kill_session(&id).await.expect("ended");
}

#[tokio::test]
async fn a_unit_edited_by_hand_is_seen_and_set_right() {
    let home = Home::new().await;
    home.deploy("d1", "1", |_| {}).installed();
    let file = home.home.join(".config/systemd/user").join(UNIT);
    let text = std::fs::read_to_string(&file).expect("a unit");
    std::fs::write(&file, text.replace("RestartSec=1", "RestartSec=9")).expect("written");
    let drift = home.facts().unit.expect("a unit").drift;
    assert!(drift.iter().any(|what| what.contains("cm-agent.service was edited")), "{drift:?}");
    let set_right = home.deploy("d2", "1", |_| {}).installed();
    assert_eq!(set_right.generation, 2);
    assert!(home.facts().unit.is_some_and(|unit| unit.drift.is_empty()));
    let findings: Facts =
        serde_json::from_str(&good(Command::new(program()).args(["facts", "--doctor"]))).expect("facts");
    let findings = findings.doctor.expect("findings");
    assert!(findings.iter().any(|f| f.what == "tmux") && findings.iter().any(|f| f.what == "tool claude"));
}
