//! Many hosts that are all this machine: an sshd on each of two hundred loopback addresses, looked at in one run.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{Run, SHORT, is_root};
use crate::workspace::Workspace;

use super::timed::{Bench, Took};
use super::ways::Ways;

/// How many.
pub const MANY: u8 = 200;
/// An sshd listens on so many addresses at most.
const EACH: u8 = 16;
/// Where the package puts it; it wants to be called by its full path.
const PLACES: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"];

/// They end with this.
pub struct Many {
    servers: Vec<Child>,
}

impl Drop for Many {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Both fail only if it has ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Many {
    /// Starts them: `127.0.2.1` and up, all on one port, with a key of their own; `many.yaml` names them all.
    pub fn start(workspace: &Workspace, bench: &Bench) -> Result<Self, Failure> {
        need::ensure(workspace, &[Need::Ssh, Need::Sshd])?;
        let sshd = PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
        let sshd = sshd
            .ok_or_else(|| Failure::check("no sshd in the usual places", "apt-get install openssh-server"))?;
        for key in ["many-host", "many-user"] {
            Run::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(bench.path(key))
                .capture(SHORT)?;
        }
        let public = |key: &str| {
            let path = bench.path(&format!("{key}.pub"));
            fs::read_to_string(&path).map_err(Failure::file("read", path))
        };
        bench.write("many-keys", &public("many-user")?)?;
        if is_root() {
            // Its package makes it when its service starts.
            fs::create_dir_all("/run/sshd").map_err(Failure::file("create", "/run/sshd"))?;
        }
        let port = free_port()?;
        let numbers: Vec<u8> = (1..=MANY).collect();
        let mut many = Self { servers: Vec::new() };
        for numbers in numbers.chunks(usize::from(EACH)) {
            many.servers.push(serve(&sshd, bench, port, numbers)?);
        }
        let key = public("many-host")?;
        let key: Vec<&str> = key.split(' ').take(2).collect();
        let key = key.join(" ");
        let user = Run::new("id").arg("-un").capture(SHORT)?;
        let mut text = format!(
            "fleet: many\ndefaults:\n  user: {}\n  port: {port}\n  identity: {}\n  host_key: {}\nhosts:\n",
            user.trim(),
            bench.path("many-user").display(),
            key.trim()
        );
        for number in 1..=MANY {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  many{number}: {{address: 127.0.2.{number}}}");
        }
        bench.write("many.yaml", &text)?;
        Ok(many)
    }

    /// Connects to all of them and asks what they are.
    pub fn look(&self, ways: &Ways) -> Result<Took, Failure> {
        // They have no user manager for us, which it says, and ends with 1.
        let plan = r#""$0" plan many.yaml --json || test $? = 1"#;
        let fleet = ways.fleet.display().to_string();
        let (took, printed) = ways.bench.run(Path::new("sh"), &["-c", plan, &fleet])?;
        let planned = printed.matches("\"host_planned\"").count();
        if planned != usize::from(MANY) {
            return Err(Failure::check(
                format!("{planned} of {MANY} simulated hosts answered"),
                format!("read {}", ways.bench.path("printed").display()),
            ));
        }
        Ok(took)
    }
}

fn serve(sshd: &Path, bench: &Bench, port: u16, numbers: &[u8]) -> Result<Child, Failure> {
    let mut config = format!(
        "Port {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
         PrintMotd no\nMaxStartups 200\n",
        bench.path("many-host").display(),
        bench.path("many-keys").display()
    );
    for number in numbers {
        // Writing to a String cannot fail.
        let _ = writeln!(config, "ListenAddress 127.0.2.{number}");
    }
    let first = numbers.first().copied().unwrap_or_default();
    let path = bench.write(&format!("many-{first}.conf"), &config)?;
    let command = format!("{} -f {}", sshd.display(), path.display());
    let started = Command::new(sshd)
        .args(["-D", "-e", "-f"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|source| Failure::Start { command: command.clone(), source })?;
    let mut lines = child.stderr.take().map(|pipe| BufReader::new(pipe).lines()).into_iter().flatten();
    let ready = lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with("Server listening"));
    if ready.take(numbers.len()).count() < numbers.len() {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Failure::check(format!("`{command}` does not listen"), format!("run `{command} -D -e`")));
    }
    // Its log must go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(child)
}

fn free_port() -> Result<u16, Failure> {
    let bound = std::net::TcpListener::bind(("127.0.2.1", 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| Failure::Start { command: "a listener on 127.0.2.1".into(), source })
}
