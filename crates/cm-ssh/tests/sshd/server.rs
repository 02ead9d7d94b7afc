//! An sshd of a test's own: its keys, its configuration, its port, in a directory that goes with it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use cm_ssh::{AgentUse, Keys, NoSecrets, Ssh, Target};

/// A running sshd.
pub struct Server {
    /// Everything that belongs to it.
    pub home: tempfile::TempDir,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Child,
}

/// How an sshd differs from the plain one.
#[derive(Default)]
pub struct Plan<'a> {
    /// Lines put before its own configuration; the first of equal ones counts.
    pub config: &'a str,
    /// Types of its host keys, as in `ssh-keygen -t`. None: ed25519.
    pub host_keys: &'a [&'a str],
    /// Makes a certificate for each host key, named as ssh-keygen does. Gets the directory.
    pub certify: Option<&'a dyn Fn(&Path)>,
}

impl Server {
    /// A plain sshd that lets the key `client` in.
    pub fn start() -> Self {
        Self::with(&Plan::default())
    }

    /// An sshd by `plan`.
    pub fn with(plan: &Plan<'_>) -> Self {
        let home = tempfile::Builder::new().prefix("sshd").tempdir().unwrap();
        keygen(&home.path().join("client"), &[]);
        fs::copy(home.path().join("client.pub"), home.path().join("authorized_keys")).unwrap();
        let kinds = if plan.host_keys.is_empty() { &["ed25519"] } else { plan.host_keys };
        for kind in kinds {
            let short: &[&str] = if *kind == "rsa" { &["-b", "2048"] } else { &[] };
            keygen(&home.path().join(format!("host_{kind}")), &[&["-t", *kind], short].concat());
        }
        if let Some(certify) = plan.certify {
            certify(home.path());
        }
        if rustix::process::getuid().is_root() {
            // sshd's own package makes it when its service starts.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Another process may take the port before sshd does: then there is another one.
        let (child, port) = (0..10).find_map(|_| launch(home.path(), plan, kinds)).expect("no sshd started");
        Self { home, port, child }
    }

    /// A file of this server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The public host key of this type, as in a known_hosts file: type and key.
    pub fn host_key(&self, kind: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("host_{kind}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Writes a known_hosts file.
    pub fn known_hosts(&self, text: &str) -> PathBuf {
        let path = self.path("known_hosts");
        fs::write(&path, text).unwrap();
        path
    }

    /// The way to this server: with the key `client`, without an agent, its host keys known.
    pub fn target(&self) -> Target {
        let mut known = String::new();
        for entry in fs::read_dir(self.home.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(kind) = name.strip_prefix("host_").and_then(|name| name.strip_suffix(".pub")) {
                known += &format!("[127.0.0.1]:{} {}\n", self.port, self.host_key(kind));
            }
        }
        let mut target = Target::new("test", "127.0.0.1", user());
        target.port = self.port;
        target.identities = vec![self.path("client")];
        target.agent = AgentUse::None;
        target.known_hosts = vec![self.known_hosts(&known)];
        target
    }

    /// A connection to it.
    pub async fn connect(&self) -> Ssh {
        Ssh::connect(&self.target(), &Keys::new(NoSecrets)).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one; `None` if it ends at once.
fn launch(home: &Path, plan: &Plan<'_>, kinds: &[&str]) -> Option<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = home.display();
    let keys: String = kinds.iter().map(|kind| format!("HostKey {dir}/host_{kind}\n")).collect();
    let extra = plan.config;
    let certificates: String = kinds
        .iter()
        .filter(|_| plan.certify.is_some())
        .map(|kind| format!("HostCertificate {dir}/host_{kind}-cert.pub\n"))
        .collect();
    let config = format!(
        "{extra}\n{certificates}ListenAddress 127.0.0.1\nPort {port}\n{keys}AuthorizedKeysFile {dir}/authorized_keys\n\
         StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nPrintMotd no\n"
    );
    fs::write(home.join("sshd_config"), config).unwrap();
    let mut child = Command::new(program())
        .args(["-D", "-e", "-f"])
        .arg(home.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sshd is needed: apt-get install openssh-server");
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::<Mutex<String>>::default();
    let writer = Arc::clone(&log);
    let (ready, wait) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            *writer.lock().unwrap() += &format!("{line}\n");
            if line.starts_with("Server listening") {
                let _ = ready.send(());
            }
        }
    });
    if wait.recv_timeout(Duration::from_secs(20)).is_ok() {
        return Some((child, port));
    }
    let _ = child.kill();
    let _ = child.wait();
    eprintln!("sshd: {}", log.lock().unwrap());
    None
}

/// sshd wants to be called by its full path, which is often in no PATH.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin"), PathBuf::from("/sbin")])
        .map(|dir| dir.join("sshd"))
        .find(|file| file.exists())
        .expect("sshd is needed: apt-get install openssh-server")
}

/// Makes a key without a passphrase, ed25519 unless `more` says otherwise.
pub fn keygen(path: &Path, more: &[&str]) {
    let kind: &[&str] = if more.contains(&"-t") { &[] } else { &["-t", "ed25519"] };
    let secret: &[&str] = if more.contains(&"-N") { &[] } else { &["-N", ""] };
    run(Command::new("ssh-keygen")
        .args(["-q", "-C", "test", "-f"])
        .arg(path)
        .args(kind)
        .args(secret)
        .args(more));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Who runs the tests.
pub fn user() -> String {
    run(Command::new("id").arg("-un")).trim().to_owned()
}
