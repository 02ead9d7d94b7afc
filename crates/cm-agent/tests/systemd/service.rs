//! The unit file that people install by hand: as it is delivered, it does what it says.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use cm_client::{Client, Endpoint, Token};

use crate::agent::{
    ByHand, PATIENCE, command, detail, good, is_in, outcome, processes, program, service, session, show,
    until,
};

const UNIT_FILE: &str = include_str!("../../../../deploy/systemd/cm-agent.service");
const UNIT: &str = "cm-agent.service";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The service, installed in this user's home as the file's first lines say; removed at the end.
struct Installed {
    home: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        let installed = Self { home };
        write(&installed.unit_file(), UNIT_FILE, 0o644);
        std::fs::create_dir_all(installed.agent().parent().expect("a directory")).expect("made");
        std::fs::copy(program(), installed.agent()).expect("installed");
        installed
    }

    fn unit_file(&self) -> PathBuf {
        self.home.join(".config/systemd/user").join(UNIT)
    }

    fn drop_in(&self) -> PathBuf {
        self.home.join(format!(".config/systemd/user/{UNIT}.d/tcp.conf"))
    }

    fn agent(&self) -> PathBuf {
        self.home.join(".local/bin/cm-agent")
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
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["--user", "disable", "--now", UNIT]).output();
        let _ = std::fs::remove_dir_all(self.drop_in().parent().expect("a directory"));
        let _ = std::fs::remove_file(self.unit_file());
        let _ = std::fs::remove_file(self.agent());
        let _ = std::fs::remove_dir_all(self.home.join(".local/state/cm-agent"));
        let _ = Command::new("systemctl").args(["--user", "daemon-reload"]).output();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
}

fn systemctl(words: &[&str]) -> String {
    good(Command::new("systemctl").arg("--user").args(words))
}

fn main_pid() -> i32 {
    show(UNIT, "MainPID").parse().expect("a pid")
}

#[tokio::test]
async fn the_delivered_unit_file_works_as_written() {
    let _turn = crate::agent::turn().await;
    let installed = Installed::new();
    let verified =
        Command::new("systemd-analyze").args(["--user", "verify"]).arg(installed.unit_file()).output();
    let verified = verified.expect("it runs");
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !complaints.contains("cm-agent"), "{complaints}");
    systemctl(&["daemon-reload"]);
    systemctl(&["enable", "--quiet", "--now", UNIT]);
    let client = installed.client().await;
    assert_eq!(client.agent_info().await.expect("told").placement, "systemd");
    let id = session(&client, r#"case "$PATH" in "$HOME/.local/bin:"*) read x; exit 7;; esac"#).await;
    let before = processes(&client, &id).await;
    assert!(before.iter().all(|p| is_in(p.pid, &service(&id))));

    for words in [["restart", UNIT].as_slice(), &["kill", "--kill-who=main", "--signal=KILL", UNIT]] {
        let agent = main_pid();
        systemctl(words);
        until("another agent", async || (![0, agent].contains(&main_pid())).then_some(())).await;
        assert_eq!(processes(&installed.client().await, &id).await, before);
    }
    over_tcp(&installed).await;

    let client = installed.client().await;
    until("it is taken up", async || client.send_line(&id, "x").await.ok()).await;
    assert_eq!(outcome(&client, &id).await.exit_code, Some(7));
    client.kill_session(&id).await.expect("cleared");
    let log =
        good(Command::new("journalctl").args(["-q", "-o", "cat", "_SYSTEMD_USER_UNIT=cm-agent.service"]));
    assert!(log.contains("ending; sessions go on") && log.contains("ready") && !log.contains(TOKEN), "{log}");
    // What is coloured is shown as "blob data".
    assert!(!log.contains('\x1b'), "{log}");
    another_agent_is_in_the_way(&installed).await;
}

/// Does what the file's comments say about TCP.
async fn over_tcp(installed: &Installed) {
    write(&installed.home.join(".config/cm-agent/token"), TOKEN, 0o600);
    let mut drop_in = "[Service]\n".to_owned();
    for line in UNIT_FILE.lines().filter_map(|line| line.strip_prefix('#')) {
        if line.starts_with("ExecStart=") || line.starts_with("LoadCredential=") {
            drop_in += &format!("{line}\n");
        }
    }
    write(&installed.drop_in(), &drop_in, 0o644);
    systemctl(&["daemon-reload"]);
    systemctl(&["restart", UNIT]);
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port: 9876, token: Token::new(TOKEN) };
    let client = Client::connect(&endpoint, PATIENCE).await.expect("the token is the credential");
    let id = session(&client, "read x").await;
    assert!(detail(&client, &id).await.info.alive);
    client.kill_session(&id).await.expect("killed");
    std::fs::remove_file(installed.drop_in()).expect("removed");
    std::fs::remove_dir_all(installed.home.join(".config/cm-agent")).expect("removed");
    systemctl(&["daemon-reload"]);
    systemctl(&["restart", UNIT]);
}

/// The service gives up at once where an agent runs already, and says so.
async fn another_agent_is_in_the_way(installed: &Installed) {
    systemctl(&["stop", UNIT]);
    let words = [installed.agent().display().to_string(), "serve".to_owned()];
    let _other = ByHand::start(command(&words));
    let started = Command::new("systemctl").args(["--user", "start", UNIT]).output().expect("it runs");
    assert!(!started.status.success());
    assert_eq!(show(UNIT, "ActiveState"), "failed");
    assert_eq!((show(UNIT, "ExecMainStatus").as_str(), show(UNIT, "NRestarts").as_str()), ("4", "0"));
    systemctl(&["reset-failed", UNIT]);
}
