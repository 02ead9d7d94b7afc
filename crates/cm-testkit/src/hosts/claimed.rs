//! A host that one test has for itself, and what the test can do to it.

use std::fmt::Write as _;
use std::fs::File;
use std::ops::Deref;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::description::{Description, Host};
use super::relay::Relay;
use super::run::{must, run};

/// For anything that is asked of docker or a host.
const ANSWER: Duration = Duration::from_secs(60);
/// From power on to a login.
const BOOT: Duration = Duration::from_secs(90);
/// For one try to log in while a host boots.
const TRY: Duration = Duration::from_secs(15);

/// How often freezing a host is tried before it is a failure.
const FREEZES: usize = 4;

/// Nothing gets through to its sshd or back; docker still reaches it.
const CUT: &str = r#"
for table in iptables iptables-legacy; do
    "$table" -N CUT 2>/dev/null && "$table" -A CUT -p tcp --dport 22 -j DROP &&
        "$table" -A CUT -p tcp --sport 22 -j DROP &&
        "$table" -I INPUT -j CUT && "$table" -I OUTPUT -j CUT && exit 0
done
exit 1"#;
const UNCUT: &str = r#"
for table in iptables iptables-legacy; do
    "$table" -D INPUT -j CUT && "$table" -D OUTPUT -j CUT && "$table" -F CUT && "$table" -X CUT && exit 0
done 2>/dev/null
exit 1"#;

/// All containers see the kernel's own boot id: one that boots gets its own, before anybody's services start.
const BOOT_ID: &str = r"
cat > /etc/systemd/system/cm-testhost-boot-id.service <<'END'
[Unit]
DefaultDependencies=no
Before=basic.target user.slice
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid > /run/boot-id'
ExecStart=/bin/mount --bind /run/boot-id /proc/sys/kernel/random/boot_id
[Install]
WantedBy=basic.target
END
systemctl -q enable cm-testhost-boot-id.service && sync";

/// A host that belongs to this test until it is dropped. Its fields are those of [`Host`].
#[derive(Debug)]
pub struct Claimed {
    host: Host,
    cast: Description,
    paused: AtomicBool,
    /// Held, never looked at.
    _locks: Vec<File>,
}

impl Deref for Claimed {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Claimed {
    pub(super) fn new(host: Host, cast: Description, locks: Vec<File>) -> Self {
        Self { host, cast, paused: false.into(), _locks: locks }
    }

    /// `user@address:port`, as `ssh`-like programs take it.
    pub fn target(&self) -> String {
        format!("{}@{}:{}", self.user, self.address, self.port)
    }

    /// Its ed25519 key's fingerprint: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        let said = must(Command::new("ssh-keygen").args(["-l", "-f", "-"]), self.host_key.as_bytes(), ANSWER);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        said.split_whitespace().nth(1).map_or_else(|| panic!("ssh-keygen said: {said}"), str::to_owned)
    }

    /// OpenSSH with the configuration of the test hosts, ready to be given more arguments.
    pub fn ssh_command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.cast.ssh_config);
        // Only asked for the key that has a passphrase.
        command.env("SSH_ASKPASS", &self.cast.keys.askpass).env("SSH_ASKPASS_REQUIRE", "force");
        command
    }

    /// A command run by its user, logged in with OpenSSH. ssh joins the words with spaces, and the login shell reads that.
    pub fn ssh(&self, command: &[&str]) -> Output {
        run(self.ssh_command().arg(&self.name).args(command), &[], ANSWER)
    }

    /// A script for `sh` run by its user, logged in with OpenSSH, whatever the login shell is.
    pub fn as_user(&self, script: &str) -> Output {
        run(self.ssh_command().args([&self.name, "sh -s"]), script.as_bytes(), ANSWER)
    }

    /// A script for `sh` run by root, not through ssh: it works while the host is cut off (not while paused).
    pub fn as_root(&self, script: &str) -> Output {
        run(&mut self.docker(&["exec", "-i", &self.container, "sh", "-s"]), script.as_bytes(), ANSWER)
    }

    /// As [`Claimed::as_root`]: what it printed; panics if it fails.
    pub fn root_says(&self, script: &str) -> String {
        let output = self.as_root(script);
        said(&self.name, script, &output)
    }

    /// As [`Claimed::as_user`]: what it printed; panics if it fails.
    pub fn user_says(&self, script: &str) -> String {
        let output = self.as_user(script);
        said(&self.name, script, &output)
    }

    /// Copies a file of this machine into it; root owns it there, with the mode it has here.
    pub fn put(&self, from: &std::path::Path, to: &str) {
        must(self.docker(&["cp"]).arg(from).arg(format!("{}:{to}", self.container)), &[], ANSWER);
    }

    /// Freezes it: connections stay and stall.
    pub fn pause(&self) {
        // While processes begin and end, the kernel may not get them all to stand still at once ("unable to freeze").
        let frozen = |_| run(&mut self.docker(&["pause", &self.container]), &[], ANSWER).status.success();
        if !(0..FREEZES).any(frozen) {
            must(&mut self.docker(&["pause", &self.container]), &[], ANSWER);
        }
        self.paused.store(true, Ordering::Relaxed);
    }

    /// Goes on as if nothing had been.
    pub fn unpause(&self) {
        must(&mut self.docker(&["unpause", &self.container]), &[], ANSWER);
        self.paused.store(false, Ordering::Relaxed);
    }

    /// Pulls the plug.
    pub fn kill(&self) {
        if !self.paused.load(Ordering::Relaxed) {
            self.root_says(BOOT_ID);
        }
        must(&mut self.docker(&["kill", "--signal", "KILL", &self.container]), &[], ANSWER);
        self.paused.store(false, Ordering::Relaxed);
    }

    /// Boots it and waits until people can log in.
    pub fn start(&self) {
        must(&mut self.docker(&["start", &self.container]), &[], ANSWER);
        self.wait_for_login();
    }

    /// Cuts the network: packets to and from its sshd vanish, also those of connections that are open.
    pub fn cut(&self) {
        self.root_says(CUT);
    }

    /// Mends the network.
    pub fn uncut(&self) {
        self.root_says(UNCUT);
    }

    /// Makes its answers late, in the kernel (`tc netem`). `Err` where this machine's kernel cannot;
    /// [`Claimed::relay`] can everywhere. A claim of the host ends it.
    pub fn delay(&self, by: Duration) -> Result<(), String> {
        let output =
            self.as_root(&format!("tc qdisc replace dev eth0 root netem delay {}us", by.as_micros()));
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// A second address under which it is `round_trip` away, as long as the relay lives.
    pub fn relay(&self, round_trip: Duration) -> Relay {
        assert!(self.jump.is_none(), "{} is reached through another host: relay that one", self.name);
        Relay::start(&self.host, round_trip)
    }

    /// Waits until its user can log in; panics after a minute and a half.
    pub fn wait_for_login(&self) {
        let end = Instant::now() + BOOT;
        loop {
            let options =
                ["-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"];
            let mut command = self.ssh_command();
            command.args(options).args([&self.name, "true"]);
            let output = run(&mut command, &[], TRY);
            if output.status.success() {
                return;
            }
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                Instant::now() < end,
                "{}: nobody can log in {BOOT:?} after it was started: {why}",
                self.name
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Makes it like new, whatever the last test did to it.
    pub(super) fn renew(&self) {
        let format = ["inspect", "--format", "{{.State.Status}}", &self.container];
        let state = must(&mut self.docker(&format), &[], ANSWER);
        match String::from_utf8_lossy(&state.stdout).trim() {
            "running" => {}
            "paused" => self.unpause(),
            _ => self.start_for_renewal(),
        }
        must(&mut self.docker(&["exec", &self.container, "/usr/local/lib/cm-testhost/clean"]), &[], ANSWER);
        if self.kind == super::engine::KIND {
            self.remove_deployed();
        }
    }

    /// A login may need what cleaning repairs: it is enough that its service manager is up.
    fn start_for_renewal(&self) {
        must(&mut self.docker(&["start", &self.container]), &[], ANSWER);
        let up = "i=0; until systemctl is-active --quiet ssh.service && test ! -e /run/nologin; \
                  do i=$((i+1)); test $i -lt 600 || exit 1; sleep 0.1; done";
        must(&mut self.docker(&["exec", &self.container, "sh", "-c", up]), &[], BOOT);
    }

    pub(super) fn docker(&self, args: &[&str]) -> Command {
        let mut words = self.cast.docker.iter();
        let mut command = Command::new(words.next().map_or("docker", String::as_str));
        command.args(words).args(args);
        command
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if self.paused.load(Ordering::Relaxed) {
            // Not `must`: this may run while a panic unwinds. Who claims it next sees to it otherwise.
            let _ = self.docker(&["unpause", &self.container]).output();
        }
    }
}

fn said(name: &str, script: &str, output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{name}: `{script}` failed ({}): {out}{err}", output.status);
    out
}

/// The `hosts:` of an inventory with these hosts. A host is reached through its jump host by name where that
/// is among them, else by address.
pub fn inventory_yaml(hosts: &[&Claimed]) -> String {
    let mut text = "hosts:\n".to_owned();
    for host in hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {}:\n    address: {}\n    port: {}\n    user: {}\n    identity: {}\n    known_hosts: {}\n    \
             host_key: {}",
            host.name,
            host.address,
            host.port,
            host.user,
            host.identity.display(),
            host.known_hosts.display(),
            host.host_key,
        );
        if let Some(jump) = &host.jump {
            let by_name = hosts.iter().any(|other| other.name == *jump);
            let there = host.cast.host(jump).filter(|_| !by_name);
            let jump = there.map_or_else(
                || jump.clone(),
                |there| format!("{}@{}:{}", there.user, there.address, there.port),
            );
            let _ = writeln!(text, "    jump: {jump}");
        }
    }
    text
}
