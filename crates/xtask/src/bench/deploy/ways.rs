//! Ways to deploy the same program with an equivalent unit to the same hosts: by hand, with pyinfra, with ansible.

use std::fs;
use std::path::{Path, PathBuf};

use cm_testkit::hosts::another_build;

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run, SHORT};
use crate::workspace::Workspace;

use super::ground::{Ground, inventory};
use super::timed::{Bench, Took};

/// What is compared with, at fixed versions.
const RIVALS: [&str; 2] = ["ansible-core==2.19.4", "pyinfra==3.10.0"];

/// By hand: one connection for each host, all at once, the program streamed into one script.
const BY_HAND: &str = r#"pids=
for host in @HOSTS@; do
  ssh -F @CONFIG@ "$host" '
    set -e
    mkdir -p ~/.local/bin ~/.config/systemd/user
    cat > ~/.local/bin/cm-agent.new
    echo "@SUM@  $HOME/.local/bin/cm-agent.new" | sha256sum --check --quiet
    chmod 755 ~/.local/bin/cm-agent.new
    mv ~/.local/bin/cm-agent.new ~/.local/bin/cm-agent
    cat > ~/.config/systemd/user/cm-agent.service <<"_"
@UNIT@
_
    loginctl enable-linger
    systemctl --user daemon-reload
    systemctl --user enable -q cm-agent
    systemctl --user restart cm-agent
    systemctl --user is-active -q cm-agent' < @AGENT@ &
  pids="$pids $!"
done
for pid in $pids; do wait "$pid" || exit 1; done
"#;
/// `true` on every host, all at once: what reaching them costs.
const TRUE: &str = r#"pids=
for host in @HOSTS@; do
  ssh -F @CONFIG@ "$host" true &
  pids="$pids $!"
done
for pid in $pids; do wait "$pid" || exit 1; done
"#;
const PYINFRA: &str = r#"from pyinfra.operations import files, server, systemd

files.directory(path=".local/bin")
program = files.put(src="@AGENT@", dest=".local/bin/cm-agent", mode="755")
files.directory(path=".config/systemd/user")
unit = files.put(src="cm-agent.service", dest=".config/systemd/user/cm-agent.service")
server.shell(commands=["test -e /var/lib/systemd/linger/$USER || loginctl enable-linger"])
systemd.service(
    service="cm-agent.service", user_mode=True, running=True, enabled=True, daemon_reload=True,
)
"#;
const ANSIBLE: &str = r#"- hosts: all
  gather_facts: false
  tasks:
    - file: {path: ~/.local/bin, state: directory}
    - copy: {src: "@AGENT@", dest: ~/.local/bin/cm-agent, mode: "0755"}
      notify: restart
    - file: {path: ~/.config/systemd/user, state: directory}
    - copy: {src: cm-agent.service, dest: ~/.config/systemd/user/cm-agent.service}
      notify: restart
    - command: loginctl enable-linger
      args: {creates: /var/lib/systemd/linger/deploy}
    - systemd: {name: cm-agent, scope: user, enabled: true, state: started, daemon_reload: true}
  handlers:
    - name: restart
      systemd: {name: cm-agent, scope: user, state: restarted}
"#;
const ANSIBLE_CFG: &str = "[defaults]\nforks = 50\n[ssh_connection]\npipelining = true\n\
    ssh_args = -F @CONFIG@ -o ControlMaster=auto -o ControlPersist=60s\n";

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This project.
    Fleet,
    /// OpenSSH and a script.
    ByHand,
    /// pyinfra.
    Pyinfra,
    /// ansible.
    Ansible,
}

/// Everything it takes to go all the ways.
pub struct Ways {
    /// Where they run.
    pub bench: Bench,
    /// The release build of `cm-fleet`.
    pub fleet: PathBuf,
    /// Two builds of the agent.
    pub agents: [PathBuf; 2],
    /// Where pip has put the programs of the rivals; none, where it could not.
    rivals: Option<PathBuf>,
}

impl Way {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "cm-fleet",
            Self::ByHand => "by hand",
            Self::Pyinfra => "pyinfra",
            Self::Ansible => "ansible",
        }
    }
}

impl Ways {
    /// Installs and writes it all.
    pub fn ready(workspace: &Workspace, ground: &Ground) -> Result<Self, Failure> {
        let agent = workspace.target.join(target()).join("release/cm-agent");
        let bench = Bench::new(workspace.target.join("bench-deploy"))?;
        let agents = [agent.clone(), another_build(&agent, "v2", &bench.path(""))];
        let ways = Self {
            bench,
            fleet: workspace.target.join("release/cm-fleet"),
            agents,
            rivals: rivals(workspace),
        };
        ways.write(workspace, ground)?;
        Ok(ways)
    }

    fn write(&self, workspace: &Workspace, ground: &Ground) -> Result<(), Failure> {
        let unit = workspace.root.join("deploy/systemd/cm-agent.service");
        let unit = fs::read_to_string(&unit).map_err(Failure::file("read", &unit))?;
        let unit: Vec<&str> =
            unit.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let unit = unit.join("\n");
        let config = ground.description.ssh_config.display().to_string();
        let fill = |text: &str| {
            text.replace("@HOSTS@", &ground.names().join(" "))
                .replace("@CONFIG@", &config)
                .replace("@UNIT@", &unit)
        };
        for (number, agent) in self.agents.iter().enumerate() {
            let name = |suffix: &str| format!("{number}.{suffix}");
            let sum = Run::new("sha256sum").arg(agent).capture(SHORT)?;
            let sum = sum.split_whitespace().next().unwrap_or_default();
            let path = agent.display().to_string();
            let fill = |text: &str| fill(text).replace("@SUM@", sum).replace("@AGENT@", &path);
            self.bench.write(&name("yaml"), &inventory("bench", None, &ground.hosts, agent))?;
            self.bench.write(&name("sh"), &fill(BY_HAND))?;
            self.bench.write(&name("py"), &fill(PYINFRA))?;
            self.bench.write(&name("yml"), &fill(ANSIBLE))?;
        }
        self.bench.write("true.sh", &fill(TRUE))?;
        self.bench.write("cm-agent.service", &format!("{unit}\n"))?;
        self.bench.write("ansible.cfg", &fill(ANSIBLE_CFG))?;
        self.bench.write("hosts.ini", &format!("{}\n", ground.names().join("\n")))?;
        let hosts: Vec<String> = ground
            .hosts
            .iter()
            .map(|host| {
                format!(
                    "({:?}, {{\"ssh_user\": {:?}, \"ssh_config_file\": {config:?}, \"ssh_key\": {:?}, \
                     \"ssh_strict_host_key_checking\": \"yes\", \"ssh_known_hosts_file\": {:?}}})",
                    host.name,
                    host.user,
                    host.identity.display().to_string(),
                    host.known_hosts.display().to_string()
                )
            })
            .collect();
        self.bench.write("hosts.py", &format!("hosts = [\n    {},\n]\n", hosts.join(",\n    ")))?;
        Ok(())
    }

    /// Whether it can be gone here.
    pub fn can(&self, way: Way) -> bool {
        matches!(way, Way::Fleet | Way::ByHand) || self.rivals.is_some()
    }

    /// Deploys one of the two builds to all hosts, wherever they stand.
    pub fn deploy(&self, way: Way, build: usize) -> Result<(Took, String), Failure> {
        let name = |suffix: &str| format!("{build}.{suffix}");
        let rival = |program: &str| self.rivals.as_ref().map(|bin| bin.join(program)).unwrap_or_default();
        match way {
            Way::Fleet => self.bench.run(&self.fleet, &["deploy", &name("yaml"), "--yes"]),
            Way::ByHand => self.bench.run(Path::new("sh"), &[&name("sh")]),
            Way::Pyinfra => self.bench.run(&rival("pyinfra"), &["-y", "hosts.py", &name("py")]),
            Way::Ansible => self.bench.run(&rival("ansible-playbook"), &["-i", "hosts.ini", &name("yml")]),
        }
    }

    /// `ssh HOST true` on all hosts.
    pub fn reach(&self) -> Result<Took, Failure> {
        self.bench.run(Path::new("sh"), &["true.sh"]).map(|(took, _)| took)
    }
}

/// Builds what is measured: `cm-fleet`, and an agent that runs on every host.
pub fn build(workspace: &Workspace) -> Result<(), Failure> {
    Run::cargo().dir(&workspace.root).args(["build", "--release", "-p", "cm-fleet"]).live(LONG)?;
    Run::cargo()
        .dir(&workspace.root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "--release", "-p", "cm-agent", "--bin", "cm-agent", "--target", &target()])
        .live(LONG)
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Installs what is compared with, into the build directory. Without it the comparison has fewer columns.
fn rivals(workspace: &Workspace) -> Option<PathBuf> {
    let dir = workspace.tools().join("deployers");
    let bin = dir.join("bin");
    let there = || bin.join("pyinfra").is_file() && bin.join("ansible-playbook").is_file();
    if there() {
        return Some(bin);
    }
    let install = || -> Result<(), Failure> {
        need::ensure(workspace, &[Need::Python])?;
        Run::new("python3").args(["-m", "venv", "--clear"]).arg(&dir).live(LONG)?;
        Run::new(bin.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(RIVALS)
            .live(LONG)
    };
    if let Err(why) = install() {
        println!("pyinfra and ansible are left out: {why}");
    }
    there().then_some(bin)
}
