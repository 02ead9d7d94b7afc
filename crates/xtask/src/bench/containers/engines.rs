//! Engines that have nothing in common, and an sshd before them: each is one host.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::need::Need;
use crate::sh::{self, Run, SHORT};

/// What this takes, besides root.
pub const NEEDS: [Need; 5] = [Need::Docker, Need::Iptables, Need::Mmdebstrap, Need::Ssh, Need::Sshd];
/// From its start to an engine's first answer.
const READY: Duration = Duration::from_secs(60);
/// After everything of the last deployment is gone, before the next is measured.
const SETTLE: Duration = Duration::from_secs(1);

/// They, until this is dropped.
#[derive(Debug)]
pub struct Engines {
    dir: PathBuf,
    /// sshd's port on 127.0.0.1.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    hosts: u8,
    running: Vec<Child>,
}

impl Engines {
    /// Starts so many. Their data are in the directory for temporary files: paths of sockets are short.
    pub fn start(hosts: u8) -> Result<Self, Failure> {
        if !sh::is_root() {
            return Err(Failure::check("engines of their own are started by root only", "run it as root"));
        }
        let dir = std::env::temp_dir().join(format!("cm-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        let user = Run::new("id").arg("-un").capture(SHORT)?.trim().to_owned();
        let mut engines = Self { dir, port: 0, user, hosts, running: Vec::new() };
        engines.sshd()?;
        for number in 1..=hosts {
            engines.running.push(engines.engine(number)?);
        }
        for number in 1..=hosts {
            let answers = || engines.docker(number, &["version"]).succeeds().then_some(());
            sh::until(READY, answers).ok_or_else(|| {
                let log = engines.path(&format!("e{number}/log"));
                let said = fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("nothing");
                Failure::check(
                    format!("an engine of its own does not answer; it said: {last}"),
                    "report this",
                )
            })?;
        }
        Ok(engines)
    }

    /// A file of theirs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Their hosts' numbers.
    pub fn numbers(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.hosts
    }

    /// Where one listens.
    pub fn socket(&self, number: u8) -> PathBuf {
        self.path(&format!("e{number}/sock"))
    }

    fn docker(&self, number: u8, args: &[&str]) -> Run {
        Run::new("docker").arg("-H").arg(format!("unix://{}", self.socket(number).display())).args(args)
    }

    /// Removes all there is in all of them.
    pub fn reset(&self) -> Result<(), Failure> {
        thread::scope(|scope| {
            let threads: Vec<_> =
                self.numbers().map(|number| scope.spawn(move || self.empty(number))).collect();
            // A thread that panicked has said why.
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<(), Failure>>()
        })?;
        thread::sleep(SETTLE);
        Ok(())
    }

    fn empty(&self, number: u8) -> Result<(), Failure> {
        let lists: [(&[&str], &[&str]); 3] = [
            (&["ps", "-aq"], &["rm", "-f", "-v"]),
            (&["volume", "ls", "-q"], &["volume", "rm", "-f"]),
            (&["images", "-aq"], &["rmi", "-f"]),
        ];
        for (list, remove) in lists {
            let found = self.docker(number, list).capture(SHORT)?;
            let mut found: Vec<&str> = found.split_whitespace().collect();
            found.dedup();
            if !found.is_empty() {
                self.docker(number, &[remove, &found].concat()).capture(SHORT)?;
            }
        }
        Ok(())
    }

    /// In a network of its own (one without a bridge removes that of the engine that is there), and a name space of its
    /// own where a containerd is shared.
    fn engine(&self, number: u8) -> Result<Child, Failure> {
        let home = self.path(&format!("e{number}"));
        fs::create_dir_all(&home).map_err(Failure::file("create", &home))?;
        let at = |name: &str| home.join(name).display().to_string();
        let log = fs::File::create(at("log")).map_err(Failure::file("write", &home))?;
        let space = format!("cm-bench-{}-{number}", std::process::id());
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd", "--data-root", &at("data"), "--exec-root", &at("exec")]);
        command.args(["--pidfile", &at("pid"), "-H", &format!("unix://{}", at("sock"))]);
        command.args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
        command.args([
            "--containerd-namespace",
            &space,
            "--containerd-plugins-namespace",
            &format!("{space}-p"),
        ]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(|source| Failure::Start { command: "unshare --net dockerd".into(), source })
    }

    /// Keys, and a server that lets one of them in.
    fn sshd(&mut self) -> Result<(), Failure> {
        for name in ["client", "server"] {
            let key = self.path(name);
            Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).capture(SHORT)?;
        }
        let made = "/run/sshd";
        fs::create_dir_all(made).map_err(Failure::file("create", made))?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        self.port = free.map_err(Failure::file("bind", "127.0.0.1"))?.port();
        let (dir, port) = (self.dir.display().to_string(), self.port);
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {dir}/server\nAuthorizedKeysFile {dir}/client.pub\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nMaxStartups 200\n"
        );
        self.write("sshd_config", &config)?;
        let server = fs::read_to_string(self.path("server.pub")).map_err(Failure::file("read", &self.dir))?;
        self.write("known_hosts", &format!("[127.0.0.1]:{port} {server}"))?;
        let hosts: Vec<String> = self.numbers().map(|number| format!("e{number}")).collect();
        let user = &self.user;
        let config = format!(
            "Host {}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {dir}/client\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {dir}/known_hosts\n  \
             GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n",
            hosts.join(" ")
        );
        self.write("ssh_config", &config)?;
        let child = listening(&self.path("sshd_config"))?;
        self.running.push(child);
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        fs::write(&path, text).map_err(Failure::file("write", path))
    }
}

/// An sshd that listens.
fn listening(config: &Path) -> Result<Child, Failure> {
    // It wants to be called by its full path, which is often in no PATH.
    let program = Run::new("sh").args(["-c", "PATH=$PATH:/usr/sbin:/sbin command -v sshd"]).capture(SHORT)?;
    let mut command = Command::new(program.trim());
    command.args(["-D", "-e", "-f"]).arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| Failure::Start { command: "sshd".into(), source })?;
    let mut lines = BufReader::new(
        child
            .stderr
            .take()
            .into_iter()
            .next()
            .ok_or_else(|| Failure::check("sshd has no standard error", "report this"))?,
    )
    .lines()
    .map_while(Result::ok);
    if !lines.any(|line| line.starts_with("Server listening")) {
        return Err(Failure::check("sshd did not start to listen", "report this"));
    }
    // What it says later is read, so that it never waits for us.
    thread::spawn(move || lines.for_each(drop));
    Ok(child)
}

impl Drop for Engines {
    fn drop(&mut self) {
        // Containers first: their processes would outlive the engine.
        if let Err(failure) = self.reset() {
            eprintln!("xtask: {failure}");
        }
        for child in &mut self.running {
            let pid = child.id().to_string();
            let _ = Run::new("kill").args(["-TERM", &pid]).capture(SHORT);
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
