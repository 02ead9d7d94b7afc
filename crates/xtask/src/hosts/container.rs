//! One test host: starting it, waiting until people can log in, removing it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::Failure;
use crate::hosts::docker::Docker;
use crate::hosts::kind::{self, Kind, Reach, Role};
use crate::hosts::network::Inner;
use crate::hosts::{PREFIX, keys, login};
use crate::sh::{self, Run, SHORT};
use crate::workspace::Workspace;

/// The label that says which checkout a container belongs to.
pub const CHECKOUT: &str = "cm-testhost.checkout";
/// The label that says which kind of host it is.
const KIND: &str = "cm-testhost.kind";
/// What the short names of hosts for one run of the tests begin with; the run's process id follows.
const PASSING: &str = "run-";
/// How `docker inspect` is asked, and answers: name, state, checkout, kind, image, fixed address in a
/// network, published address and port.
const FORMAT: &str = "{{.Name}}\t{{.State.Status}}\t{{index .Config.Labels \"cm-testhost.checkout\"}}\t\
    {{index .Config.Labels \"cm-testhost.kind\"}}\t{{.Config.Image}}\t\
    {{range .NetworkSettings.Networks}}{{with .IPAMConfig}}{{.IPv4Address}}{{end}}{{end}}\t\
    {{range $port, $all := .HostConfig.PortBindings}}{{range $all}}{{.HostIp}}{{end}}{{end}}\t\
    {{range $port, $all := .NetworkSettings.Ports}}{{range $all}}{{.HostPort}}{{end}}{{end}}";
/// Docker's socket, for hosts whose agents run in containers: these then stand beside the host.
const ENGINE: [&str; 2] = ["--volume", "/var/run/docker.sock:/run/docker.sock"];
/// How long a TCP connection on loopback may take.
const CONNECT: Duration = Duration::from_millis(500);

/// A container that is a test host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The container's name: `cm-testhost-h7`.
    pub name: String,
    /// Docker's word for how it is: `running`, `paused`, `exited`.
    pub state: String,
    /// The root of the checkout that started it.
    pub checkout: String,
    /// The name of its kind.
    pub kind: String,
    /// The name of the image it was made from.
    pub image: String,
    /// Where its sshd listens, as seen from here or from the host to jump through.
    pub ip: String,
    /// sshd's port there.
    pub port: u16,
}

/// What is needed to start hosts.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Docker.
    pub docker: &'a Docker,
    /// The checkout.
    pub workspace: &'a Workspace,
    /// The image's name.
    pub image: &'a str,
}

/// What a container is started with.
struct Plan<'a> {
    short: &'a str,
    kind: &'static Kind,
    /// How it is on the network.
    network: Vec<String>,
}

impl Container {
    /// The host of this checkout that plays `role`; one that exists is started or left alone.
    pub fn playing(stage: Stage<'_>, role: &Role, inner: Option<&Inner>) -> Result<Self, Failure> {
        let short = role.name();
        let name = format!("{PREFIX}-{short}");
        if let Some(container) = Self::find(stage.docker, &name)? {
            let other = container.checkout != stage.workspace.root.to_string_lossy();
            if other || container.image == stage.image {
                return container.revive(stage.docker, stage.workspace);
            }
            // The recipe has changed since.
            container.remove(stage.docker, stage.workspace)?;
        }
        let mut network = Vec::new();
        match (role.kind.reach, inner) {
            (Reach::Behind(_), Some(inner)) => {
                network.extend(["--network".to_owned(), inner.name.clone()]);
                network.extend(["--ip".to_owned(), inner.address(role.number)]);
                network.extend(["--env".to_owned(), format!("CM_BASTION={}", inner.gateway())]);
            }
            _ => {
                let ip = format!("127.0.1.{}", role.number);
                // A machine with an sshd of its own holds port 22 of every address.
                let there = SocketAddr::from(([127, 0, 1, role.number], 22));
                let taken = TcpStream::connect_timeout(&there, CONNECT).is_ok();
                network
                    .extend(["--publish".to_owned(), format!("{ip}:{}:22", if taken { 2222 } else { 22 })]);
            }
        }
        let started = Self::start(stage, &Plan { short: &short, kind: role.kind, network })?;
        if let (Reach::Gateway, Some(inner)) = (role.kind.reach, inner) {
            let connect = ["network", "connect", "--ip", &inner.gateway(), &inner.name, &name];
            stage.docker.run(connect).capture(SHORT)?;
        }
        Ok(started)
    }

    /// A host for one run of the tests, at any port that is free.
    pub fn passing(docker: &Docker, workspace: &Workspace, image: &str) -> Result<Self, Failure> {
        for left in Self::list(docker, Some(workspace))? {
            if left.is_stale() {
                left.remove(docker, workspace)?;
            }
        }
        let short = format!("{PASSING}{}", std::process::id());
        let network = vec!["--publish".to_owned(), "127.0.0.1::22".to_owned()];
        let plan = Plan { short: &short, kind: &kind::ORDINARY, network };
        Self::start(Stage { docker, workspace, image }, &plan)
    }

    /// All test hosts, or those of one checkout.
    pub fn list(docker: &Docker, of: Option<&Workspace>) -> Result<Vec<Self>, Failure> {
        let filter = format!("label={CHECKOUT}");
        let filter = match of {
            Some(workspace) => format!("{filter}={}", workspace.root.display()),
            None => filter,
        };
        let names =
            docker.run(["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).capture(SHORT)?;
        let mut all = Vec::new();
        for name in names.lines().filter(|name| name.starts_with(PREFIX)) {
            all.extend(Self::find(docker, name)?);
        }
        all.sort_by_key(|container| (container.name.len(), container.name.clone()));
        Ok(all)
    }

    /// Where its sshd listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// The name in the ssh configuration, and its own host name: `h7`.
    pub fn short(&self) -> &str {
        self.name.strip_prefix(PREFIX).map_or(&self.name, |short| short.trim_start_matches('-'))
    }

    /// Waits until `deploy` can log in over ssh and its user manager answers.
    pub fn wait_until_ready(
        &self,
        docker: &Docker,
        workspace: &Workspace,
        deadline: Duration,
    ) -> Result<(), Failure> {
        let keys = login::admit(docker, workspace, self).map_err(|why| self.not_ready(why.to_string()))?;
        login::remember(workspace, self, &keys)?;
        let mut last = String::new();
        let ready = sh::until(deadline, || {
            match self.ssh(workspace, &["systemctl", "--user", "show-environment"]).capture(SHORT) {
                Ok(_) => Some(()),
                Err(failure) => {
                    last = failure.to_string();
                    None
                }
            }
        });
        ready.ok_or_else(|| self.not_ready(last))
    }

    /// A command run on it by `deploy`, in a login session. The words pass the remote shell as they are.
    pub fn ssh(&self, workspace: &Workspace, command: &[&str]) -> Run {
        Run::new("ssh")
            .arg("-F")
            .arg(login::config_file(workspace))
            .arg(self.short())
            .args(command)
            .env("SSH_ASKPASS", keys::places(workspace).askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
    }

    /// Copies a file into it.
    pub fn put(&self, docker: &Docker, from: &std::path::Path, to: &str) -> Result<(), Failure> {
        docker.run(["cp"]).arg(from).arg(format!("{}:{to}", self.name)).capture(SHORT).map(|_| ())
    }

    /// Runs a command in it as root.
    pub fn as_root<const N: usize>(&self, docker: &Docker, command: [&str; N]) -> Result<String, Failure> {
        docker.run(["exec", &self.name]).args(command).capture(SHORT)
    }

    /// Removes it and what we know of it.
    pub fn remove(&self, docker: &Docker, workspace: &Workspace) -> Result<(), Failure> {
        if self.kind().engine {
            self.remove_deployed(docker)?;
        }
        docker.run(["rm", "--force", "--volumes", &self.name]).capture(SHORT)?;
        login::forget(workspace, self.short())
    }

    /// Removes what a test that died has left of containers it deployed to this host.
    fn remove_deployed(&self, docker: &Docker) -> Result<(), Failure> {
        let labels = cm_testkit::hosts::labels(self.short());
        let filters: Vec<String> =
            labels.iter().flat_map(|label| ["--filter".to_owned(), format!("label={label}")]).collect();
        for id in docker.run(["ps", "--all", "--quiet"]).args(&filters).capture(SHORT)?.lines() {
            docker.run(["rm", "--force", "--volumes", id]).capture(SHORT)?;
        }
        for name in docker.run(["volume", "ls", "--quiet"]).args(&filters).capture(SHORT)?.lines() {
            docker.run(["volume", "rm", name]).capture(SHORT)?;
        }
        Ok(())
    }

    /// What is special about it.
    pub fn kind(&self) -> &'static Kind {
        kind::named(&self.kind)
    }

    /// Whether it was started for one run of the tests.
    pub fn is_passing(&self) -> bool {
        self.short().starts_with(PASSING)
    }

    /// Whether it belongs to a run of the tests that has died.
    fn is_stale(&self) -> bool {
        let pid = self.short().strip_prefix(PASSING).and_then(|pid| pid.parse::<u32>().ok());
        pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    }

    fn revive(self, docker: &Docker, workspace: &Workspace) -> Result<Self, Failure> {
        if self.checkout != workspace.root.to_string_lossy() {
            return Err(Failure::Host {
                host: self.name,
                act: "start it".to_owned(),
                why: format!("there is one already, of the checkout {}", self.checkout),
                next: "cargo xtask hosts down --all (it removes that checkout's hosts)".to_owned(),
            });
        }
        match self.state.as_str() {
            "running" => return Ok(self),
            "paused" => docker.run(["unpause", &self.name]),
            _ => docker.run(["start", &self.name]),
        }
        .capture(SHORT)?;
        Self::found(docker, &self.name)
    }

    fn start(stage: Stage<'_>, plan: &Plan<'_>) -> Result<Self, Failure> {
        let Stage { docker, workspace, image } = stage;
        let name = format!("{PREFIX}-{}", plan.short);
        let label = format!("{CHECKOUT}={}", workspace.root.display());
        // systemd wants its cgroups, its /run and one capability; `--privileged` is refused on some machines.
        // The other capability is for faults of the network.
        docker
            .run(["run", "--detach", "--name", &name, "--hostname", plan.short, "--label", &label])
            .args(["--label", &format!("{KIND}={}", plan.kind.name)])
            .args(["--env", &format!("CM_KIND={}", plan.kind.name)])
            .args([
                "--cap-add",
                "SYS_ADMIN",
                "--cap-add",
                "NET_ADMIN",
                "--security-opt",
                "seccomp=unconfined",
            ])
            .args(["--security-opt", "apparmor=unconfined", "--cgroupns=host"])
            .args(["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"])
            .args(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"])
            .args(plan.kind.engine.then_some(ENGINE).into_iter().flatten())
            .args(&plan.network)
            .arg(image)
            .capture(SHORT)
            .map_err(|failure| {
                // A container whose start failed exists all the same.
                let _ = docker.run(["rm", "--force", &name]).capture(SHORT);
                Failure::Host {
                    host: name.clone(),
                    act: format!("start it ({})", plan.network.join(" ")),
                    why: failure.to_string(),
                    next: "cargo xtask hosts status shows what is up".to_owned(),
                }
            })?;
        Self::found(docker, &name)
    }

    /// Looks again at one that was just started.
    fn found(docker: &Docker, name: &str) -> Result<Self, Failure> {
        let running = Self::find(docker, name)?.filter(|container| container.state == "running");
        running.ok_or_else(|| Failure::Host {
            host: name.to_owned(),
            act: "keep it running".to_owned(),
            why: "it was started and runs no longer".to_owned(),
            next: format!("docker logs {name}; cargo xtask hosts down removes it"),
        })
    }

    fn find(docker: &Docker, name: &str) -> Result<Option<Self>, Failure> {
        match docker.run(["container", "inspect", "--format", FORMAT, name]).capture(SHORT) {
            Ok(line) => Ok(Self::parse(line.trim_end_matches('\n'))),
            Err(Failure::Exit { output, .. }) if output.to_lowercase().contains("no such container") => {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t').map(str::to_owned);
        let name = fields.next()?.trim_start_matches('/').to_owned();
        let (state, checkout, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let image = fields.next()?;
        let (inner, ip) = (fields.next()?, fields.next()?);
        // A host that is not running has no port.
        let port = fields.next()?.parse().unwrap_or(0);
        // One that is not published listens where everybody does.
        let (ip, port) = if ip.is_empty() { (inner, 22) } else { (ip, port) };
        Some(Self { name, state, checkout, kind, image, ip, port })
    }

    fn not_ready(&self, why: String) -> Failure {
        Failure::Host {
            host: self.name.clone(),
            act: "log in and reach the user manager".to_owned(),
            why,
            next: format!("docker logs {0}; docker exec {0} journalctl -b", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_about_a_host() {
        let check = |line: &str, expected: Option<(&str, &str, &str)>| {
            let found = Container::parse(line);
            let found = found.as_ref().map(|c| (c.short().to_owned(), c.state.clone(), c.address()));
            let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        let inner = "/cm-testhost-inner\trunning\t/src\tinner\ti:1\t10.1.1.2\t\t";
        check(
            "/cm-testhost-h7\trunning\t/src\tplain\ti:1\t\t127.0.1.7\t22",
            Some(("h7", "running", "127.0.1.7:22")),
        );
        check(
            "/cm-testhost-run-9\texited\t/src\t\ti:1\t\t127.0.0.1\t",
            Some(("run-9", "exited", "127.0.0.1:0")),
        );
        check(inner, Some(("inner", "running", "10.1.1.2:22")));
        check("", None);
    }
}
