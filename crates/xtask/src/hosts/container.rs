//! One test host: starting it, waiting until people can log in, removing it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::Failure;
use crate::hosts::docker::Docker;
use crate::hosts::{PREFIX, login};
use crate::sh::{self, Run, SHORT};
use crate::workspace::Workspace;

/// The label that says which checkout a container belongs to.
const CHECKOUT: &str = "cm-testhost.checkout";
/// What the short names of hosts for one run of the tests begin with; the run's process id follows.
const PASSING: &str = "run-";
/// How `docker inspect` is asked, and answers: name, state, checkout, published address and port.
const FORMAT: &str = "{{.Name}}\t{{.State.Status}}\t{{index .Config.Labels \"cm-testhost.checkout\"}}\t\
    {{range $port, $all := .HostConfig.PortBindings}}{{range $all}}{{.HostIp}}{{end}}{{end}}\t\
    {{range $port, $all := .NetworkSettings.Ports}}{{range $all}}{{.HostPort}}{{end}}{{end}}";
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
    ip: String,
    port: u16,
}

impl Container {
    /// Host `number` of this checkout on 127.0.1.`number`; one that exists is started or left alone.
    pub fn numbered(
        docker: &Docker,
        workspace: &Workspace,
        image: &str,
        number: u8,
    ) -> Result<Self, Failure> {
        let short = format!("h{number}");
        let name = format!("{PREFIX}-{short}");
        if let Some(container) = Self::find(docker, &name)? {
            return container.revive(docker, workspace);
        }
        let ip = format!("127.0.1.{number}");
        // A machine with an sshd of its own holds port 22 of every address.
        let taken = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 1, number], 22)), CONNECT).is_ok();
        let publish = format!("{ip}:{}:22", if taken { 2222 } else { 22 });
        Self::start(docker, workspace, image, &short, &publish)
    }

    /// A host for one run of the tests, at any port that is free.
    pub fn passing(docker: &Docker, workspace: &Workspace, image: &str) -> Result<Self, Failure> {
        for left in Self::list(docker, Some(workspace))? {
            if left.is_stale() {
                left.remove(docker, workspace)?;
            }
        }
        let short = format!("{PASSING}{}", std::process::id());
        Self::start(docker, workspace, image, &short, "127.0.0.1::22")
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
        let keys = sh::until(deadline, || login::host_keys(docker, &self.name));
        let Some(keys) = keys else {
            return Err(self.not_ready("its host keys were never made".to_owned()));
        };
        login::authorize(docker, workspace, &self.name)?;
        login::remember(workspace, self.short(), &self.ip, self.port, &keys)?;
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
        Run::new("ssh").arg("-F").arg(login::config_file(workspace)).arg(self.short()).args(command)
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
        docker.run(["rm", "--force", "--volumes", &self.name]).capture(SHORT)?;
        login::forget(workspace, self.short())
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

    fn start(
        docker: &Docker,
        workspace: &Workspace,
        image: &str,
        short: &str,
        publish: &str,
    ) -> Result<Self, Failure> {
        let name = format!("{PREFIX}-{short}");
        let label = format!("{CHECKOUT}={}", workspace.root.display());
        // systemd wants its cgroups, its /run and one capability; `--privileged` is refused on some machines.
        docker
            .run(["run", "--detach", "--name", &name, "--hostname", short, "--label", &label])
            .args(["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"])
            .args(["--security-opt", "apparmor=unconfined", "--cgroupns=host"])
            .args(["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"])
            .args(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--publish", publish, image])
            .capture(SHORT)
            .map_err(|failure| {
                // A container whose start failed exists all the same.
                let _ = docker.run(["rm", "--force", &name]).capture(SHORT);
                Failure::Host {
                    host: name.clone(),
                    act: format!("start it on {publish}"),
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
        let (state, checkout, ip) = (fields.next()?, fields.next()?, fields.next()?);
        // A host that is not running has no port.
        let port = fields.next()?.parse().unwrap_or(0);
        Some(Self { name, state, checkout, ip, port })
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
        check("/cm-testhost-h7\trunning\t/src\t127.0.1.7\t22", Some(("h7", "running", "127.0.1.7:22")));
        check("/cm-testhost-run-9\texited\t/src\t127.0.0.1\t", Some(("run-9", "exited", "127.0.0.1:0")));
        check("", None);
    }
}
