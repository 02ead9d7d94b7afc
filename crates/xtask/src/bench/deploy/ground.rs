//! The test hosts that are deployed to, made like new before each first deployment, and the inventory for them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cm_testkit::hosts::{Description, Host};

use crate::failure::Failure;
use crate::hosts;
use crate::sh::{Run, SHORT};
use crate::workspace::Workspace;

/// After everything of the last deployment has ended, before the next is measured.
const SETTLE: Duration = Duration::from_secs(1);
/// Makes a host like new.
const CLEAN: &str = "/usr/local/lib/cm-testhost/clean";

/// Plain hosts, all alike.
#[derive(Debug)]
pub struct Ground {
    /// What is known of them.
    pub description: Description,
    /// They.
    pub hosts: Vec<Host>,
}

impl Ground {
    /// Has `n` of them up.
    pub fn up(workspace: &Workspace, n: u8) -> Result<Self, Failure> {
        hosts::up(workspace, &hosts::Wanted { n, cast: false, kinds: Vec::new() })?;
        let path = hosts::description(workspace);
        let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
        let description: Description = serde_json::from_str(&text).map_err(|error| {
            Failure::check(format!("{}: {error}", path.display()), "cargo xtask hosts up 12")
        })?;
        let ours = |host: &&Host| {
            host.name
                .strip_prefix('h')
                .and_then(|number| number.parse().ok())
                .is_some_and(|number: u8| number <= n)
        };
        let hosts = description.hosts.iter().filter(ours).cloned().collect();
        Ok(Self { description, hosts })
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.hosts.iter().map(|host| host.name.as_str()).collect()
    }

    /// Makes all of them like new.
    pub fn reset(&self) -> Result<(), Failure> {
        self.as_root_everywhere(CLEAN)?;
        thread::sleep(SETTLE);
        Ok(())
    }

    fn as_root_everywhere(&self, script: &str) -> Result<(), Failure> {
        thread::scope(|scope| {
            let one = |host| move || self.as_root(host, script).map(|_| ());
            let threads: Vec<_> = self.hosts.iter().map(|host| scope.spawn(one(host))).collect();
            // A thread that panicked has said why.
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    /// Runs a script on a host as root; what it printed.
    pub fn as_root(&self, host: &Host, script: &str) -> Result<String, Failure> {
        let mut words = self.description.docker.iter();
        Run::new(words.next().map_or("docker", String::as_str))
            .args(words)
            .args(["exec", &host.container, "sh", "-c", script])
            .capture(SHORT)
    }
}

/// PURE. An inventory of these hosts, with this agent, and with so many tasks at a time on each where that is said.
pub fn inventory(fleet: &str, slots: Option<u32>, hosts: &[Host], agent: &Path) -> String {
    let slots = slots.map(|slots| format!("  slots: {slots}\n")).unwrap_or_default();
    let agent = agent.display();
    let mut text = format!("fleet: {fleet}\ndefaults:\n{slots}  agent:\n    binary: {agent}\nhosts:\n");
    for host in hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {}:\n    address: {}\n    port: {}\n    user: {}\n    identity: {}\n    known_hosts: {}",
            host.name,
            host.address,
            host.port,
            host.user,
            host.identity.display(),
            host.known_hosts.display()
        );
    }
    text
}
