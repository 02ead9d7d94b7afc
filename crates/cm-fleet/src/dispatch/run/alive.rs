//! Whether hosts are alive and what they have: signs of life that renew leases, probes, fences.

use std::collections::BTreeSet;
use std::io;

use cm_client::protocol::{Hello, Lease, Load, RepoFound, SessionId, ToolFound};
use cm_client::{ClientError, Probed, Renewed};
use tokio::time::Instant;

use super::super::leases;
use super::asking;
use super::{ACKNOWLEDGE_AFTER, Run};
use crate::report::event::{RunEventKind, Stop};
use crate::report::fold::{Link, Status};

/// What is known of a host's agent beside the run's own state.
#[derive(Debug, Default)]
pub(super) struct Agent {
    release: String,
    slots: Option<u32>,
    has_leases: bool,
    has_fence: bool,
    has_probe: bool,
    has_repos: bool,
    /// When it was last heard, Unix seconds.
    heard: f64,
    /// The newest time it has told, by its own clock: what leases are counted from.
    clock: Option<f64>,
    /// A sign of life has been asked for and has not come.
    asked: bool,
    /// It had been connected before in this process.
    known: bool,
}

impl Agent {
    fn meet(&mut self, hello: Option<&Hello>) {
        let has = |word: &str| hello.is_some_and(|hello| hello.agent.features.iter().any(|f| f == word));
        self.has_leases = has("leases");
        self.has_fence = has("fence");
        self.has_probe = has("probe");
        self.has_repos = has("repo");
        self.slots = hello.and_then(|hello| hello.agent.capacity.slots);
        self.release = hello.map_or_else(String::new, |hello| hello.agent.version.clone());
        self.clock = hello.and_then(|hello| hello.clock);
        self.asked = false;
    }
}

/// How busy a host is, from 0 to 4: what others do there counts, and memory that runs out most of all.
fn busy(load: &Load) -> u8 {
    let cpu = match load.cpu {
        cpu if cpu < 1.0 => 0,
        cpu if cpu < 1.5 => 1,
        cpu if cpu < 3.0 => 2,
        _ => 3,
    };
    let pressure = load.memory_pressure.unwrap_or(0.0);
    match load.memory_available {
        _ if pressure > 20.0 => 4,
        free if free < 0.05 => 4,
        free if free < 0.10 || pressure > 5.0 => cpu.max(3),
        _ => cpu,
    }
}

impl Run<'_> {
    /// A host was heard.
    pub(super) fn heard(&mut self, host: usize) {
        let now = self.clock.now();
        if let Some(agent) = self.agents.get_mut(host) {
            agent.heard = now;
        }
    }

    /// A connection stands: the agent is asked what it has, where it can say.
    pub(super) fn meet(&mut self, host: usize, hello: Option<&Hello>) -> io::Result<()> {
        let Some(agent) = self.agents.get_mut(host) else { return Ok(()) };
        agent.meet(hello);
        match self.links.client(host).filter(|_| agent.has_probe) {
            Some(client) => {
                let again = agent.known;
                let repos = if agent.has_repos { self.repos.clone() } else { Vec::new() };
                self.asked.push(asking::probe(client, host, self.tools.clone(), repos));
                // What it has been known to have it will have again.
                if again { self.connected(host) } else { Ok(()) }
            }
            None => self.connected(host),
        }
    }

    /// What an agent has; until it is known for the first time, nothing is placed there.
    pub(super) fn probed(&mut self, host: usize, result: Result<Probed, ClientError>) -> io::Result<()> {
        let known = self.agents.get(host).is_some_and(|agent| agent.known);
        match result {
            Ok(Probed { tools, repos, load }) => {
                for found in tools {
                    self.found(host, &found)?;
                }
                self.has(host, repos)?;
                if let Some(agent) = self.agents.get_mut(host) {
                    agent.slots = agent.slots.or(Some(load.cores.max(1)));
                }
                if !known {
                    self.connected(host)?;
                }
                self.loaded(host, &load)
            }
            // The connection is gone again, and another one will be probed.
            Err(error) if asking::is_lost(&error) && self.links.client(host).is_none() => Ok(()),
            Err(error) => {
                tracing::debug!(host, %error, "an agent did not say what it has");
                if known { Ok(()) } else { self.connected(host) }
            }
        }
    }

    /// Whether a host can run a tool. Alone it is asked all the same, and its own refusal says more. That nobody
    /// seems to be logged in counts only where somebody is elsewhere: it cannot be told for certain.
    fn found(&mut self, host: usize, found: &ToolFound) -> io::Result<()> {
        if self.agents.len() < 2 {
            return Ok(());
        }
        let tool = &found.tool;
        if found.login == Some(true) && self.logged_in.insert(tool.clone()) {
            for doubtful in self.doubtful.remove(tool).unwrap_or_default() {
                self.unfit(doubtful, tool, format!("nobody is logged in to {tool}"))?;
            }
        }
        match (&found.path, found.login) {
            (None, _) => self.unfit(host, tool, format!("tool not found: {tool}")),
            (Some(_), Some(false)) if self.logged_in.contains(tool) => {
                self.unfit(host, tool, format!("nobody is logged in to {tool}"))
            }
            (Some(_), Some(false)) => {
                self.doubtful.entry(tool.clone()).or_default().insert(host);
                Ok(())
            }
            _ if self.state.hosts[host].unfit.contains_key(tool) => {
                let name = self.name(host);
                self.emit(RunEventKind::HostFit { host: name, tool: tool.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Which repositories a host has, if that is news.
    fn has(&mut self, host: usize, repos: Vec<RepoFound>) -> io::Result<()> {
        let asked = |url: &String| self.repos.binary_search(url).is_ok();
        let there = repos.into_iter().filter(|found| found.present).map(|found| found.url).filter(asked);
        let repos: BTreeSet<String> = there.collect();
        if self.state.hosts[host].repos == repos {
            return Ok(());
        }
        let (name, repos) = (self.name(host), repos.into_iter().collect());
        self.emit(RunEventKind::HostHas { host: name, repos })
    }

    fn unfit(&mut self, host: usize, tool: &str, error: String) -> io::Result<()> {
        let name = self.name(host);
        self.emit(RunEventKind::HostUnfit { host: name, tool: tool.to_owned(), error, until: None })
    }

    fn connected(&mut self, host: usize) -> io::Result<()> {
        let Some(agent) = self.agents.get_mut(host) else { return Ok(()) };
        let again = std::mem::replace(&mut agent.known, true);
        let (release, slots) = (agent.release.clone(), agent.slots);
        let name = self.name(host);
        self.emit(RunEventKind::HostConnected { host: name, agent: release, again, slots })?;
        self.fence(host)?;
        // What is left of the leases may be less than the time until the next sign of life is asked for.
        self.renew(host);
        self.look_after(host, !again);
        match self.state.stop {
            Some(Stop::Cancel) => self.end_all(host),
            _ => self.ask_again(host),
        }
        Ok(())
    }

    /// Watches the sessions on a host again, and asks how they are where it is not certain that all their news
    /// is going to come.
    pub(super) fn look_after(&mut self, host: usize, look: bool) {
        let Some(client) = self.links.client(host) else { return };
        let sessions: Vec<(usize, SessionId)> = self
            .state
            .on_host(host)
            .filter_map(|task| Some((task.plan.number, task.status.session()?.clone())))
            .collect();
        for (task, session) in sessions {
            if look {
                self.asked.push(asking::look(client.clone(), task, session.clone()));
            }
            self.watch(&client, session);
        }
    }

    /// Tells a host which attempts are not wanted any more.
    pub(super) fn fence(&mut self, host: usize) -> io::Result<()> {
        let stale: Vec<usize> = self.state.hosts[host].stale.iter().copied().collect();
        if !self.agents.get(host).is_some_and(|agent| agent.has_fence) {
            // It cannot be told: nothing waits for that.
            let name = self.name(host);
            let told = |task| RunEventKind::HostFenced { host: name.clone(), task, ended: Vec::new() };
            return self.emit_all(stale.into_iter().map(told).collect());
        }
        for number in stale {
            let Some(below) = self.state.task(number).map(leases::below) else { continue };
            self.fence_off(host, number, below);
        }
        Ok(())
    }

    /// Tells a host that attempts at a task do not count any more: those before `below`.
    pub(super) fn fence_off(&mut self, host: usize, number: usize, below: u32) {
        let Some(client) = self.links.client(host) else { return };
        let Some(id) = self.state.task(number).map(|task| task.plan.task_id.clone()) else { return };
        if self.agents.get(host).is_some_and(|agent| agent.has_fence) {
            self.asked.push(asking::fence(client, host, number, id, below));
        }
    }

    pub(super) fn fenced(
        &mut self,
        host: usize,
        task: usize,
        result: Result<Vec<SessionId>, ClientError>,
    ) -> io::Result<()> {
        let Some(name) = self.state.hosts.get(host).map(|host| host.name.clone()) else { return Ok(()) };
        match result {
            Ok(ended) => {
                let unknown = ended.iter().find(|id| self.state.attempt_of(id).is_none()).cloned();
                self.emit(RunEventKind::HostFenced { host: name, task, ended })?;
                self.cancelled(host, task, unknown)
            }
            // It is told again with the next connection.
            Err(error) => {
                tracing::debug!(host = name, task, %error, "an attempt could not be fenced off");
                Ok(())
            }
        }
    }

    /// A task whose host was asked for a session by an earlier process of this run, which has not written down the
    /// answer, is cancelled by a fence: it had this session, or none.
    fn cancelled(&mut self, host: usize, task: usize, session: Option<SessionId>) -> io::Result<()> {
        let waits = self.state.task(task).is_some_and(|task| matches!(task.status, Status::Placed { .. }));
        let there = self.state.hosts[host].tasks.contains(&task);
        if self.state.stop != Some(Stop::Cancel) || !(waits && there) || self.creating.contains(&task) {
            return Ok(());
        }
        let Some(session_id) = session else {
            return self.emit(RunEventKind::TaskQueued { task, fence: false });
        };
        if let Some(client) = self.links.client(host) {
            self.asked.push(asking::look(client, task, session_id.clone()));
        }
        let warnings = Vec::new();
        self.emit(RunEventKind::TaskStarted { task, session_id, existing: true, warnings, base: None })
    }

    /// The lease a session on this host gets; none where nobody is going to renew it.
    pub(super) fn lease(&self, host: usize) -> Option<Lease> {
        let (owner, seconds) = self.owner(host)?;
        Some(Lease { owner, seconds, orphan: self.plan.orphan, as_of: self.clock_of(host) })
    }

    /// Asks every host for a sign of life. One that has not answered the last time is lost.
    pub(super) fn beat(&mut self) -> io::Result<()> {
        let pause = leases::every(self.state.grace);
        self.beat_at = Some(Instant::now() + pause);
        for host in 0..self.agents.len() {
            if !self.is_up(host) {
                continue;
            }
            let Some(client) = self.links.client(host) else { continue };
            if std::mem::replace(&mut self.agents[host].asked, true) {
                let seconds = pause.as_secs_f64();
                self.lose(host, format!("it has not answered for {seconds:.1} s"))?;
                // A new connection may find it where this one does not.
                self.asked.push(asking::close(client));
                continue;
            }
            let owner = self.owner(host);
            self.asked.push(asking::beat(client, host, owner, self.clock_of(host), pause));
            // What was not answered the last time is said again.
            self.fence(host)?;
        }
        Ok(())
    }

    /// Renews the leases on a host at once.
    fn renew(&mut self, host: usize) {
        if let (Some(client), Some(owner)) = (self.links.client(host), self.owner(host)) {
            let pause = leases::every(self.state.grace);
            self.asked.push(asking::beat(client, host, Some(owner), self.clock_of(host), pause));
        }
    }

    /// The newest time a host has told, by its own clock. Whatever is sent now is younger, however late it arrives.
    pub(super) fn clock_of(&self, host: usize) -> Option<f64> {
        self.agents.get(host)?.clock
    }

    /// Whose leases are renewed on a host, and for how long; none where there are none.
    fn owner(&self, host: usize) -> Option<(String, f64)> {
        let lease = self.agents.get(host).is_some_and(|agent| agent.has_leases) && !self.state.detach;
        lease.then(|| (self.plan.run.clone(), leases::seconds(self.state.grace)))
    }

    pub(super) fn beaten(
        &mut self,
        host: usize,
        result: Result<Option<Renewed>, ClientError>,
    ) -> io::Result<()> {
        // A refusal is a sign of life, too.
        let alive = match &result {
            Ok(_) => true,
            Err(error) => !asking::is_lost(error),
        };
        if !alive {
            return Ok(());
        }
        self.agents[host].asked = false;
        self.heard(host);
        match result {
            Ok(Some(renewed)) => {
                // One of an earlier connection may come late.
                if let (Some(agent), Some(told)) = (self.agents.get_mut(host), renewed.clock) {
                    agent.clock = agent.clock.map(|clock| clock.max(told));
                }
                self.loaded(host, &renewed.load)
            }
            _ => Ok(()),
        }
    }

    fn loaded(&mut self, host: usize, load: &Load) -> io::Result<()> {
        let busy = busy(load);
        if self.state.hosts[host].busy == busy {
            return Ok(());
        }
        let name = self.name(host);
        self.emit(RunEventKind::HostLoad { host: name, busy })
    }

    /// The connection to a host is gone.
    pub(super) fn lose(&mut self, host: usize, error: String) -> io::Result<()> {
        // Only the first of a row is news.
        let Some(known) = self.state.hosts.get(host) else { return Ok(()) };
        if matches!(known.link, Link::Lost { .. } | Link::GivenUp { .. }) {
            return Ok(());
        }
        let name = known.name.clone();
        let heard = self.agents.get(host).map(|agent| agent.heard).filter(|at| *at > 0.0);
        // One that has never been heard is silent since it is waited for, not since the first try has failed.
        let heard = heard.or(match known.link {
            Link::Unknown { since } => Some(since),
            _ => None,
        });
        self.emit(RunEventKind::HostLost { host: name, error, heard })
    }

    /// A task's result is known: its agent may forget it, soon.
    pub(super) fn result(&mut self, host: usize, session: SessionId) {
        if !self.agents.get(host).is_some_and(|agent| agent.has_leases) {
            return;
        }
        self.results.entry(host).or_default().push(session);
        self.acknowledge_at.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE_AFTER);
    }

    pub(super) fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        let kept = self.record.kept();
        for (host, sessions) in std::mem::take(&mut self.results) {
            if let Some(client) = self.links.client(host) {
                self.asked.push(asking::acknowledge(client, kept.clone(), sessions));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_busy() {
        let check = |cpu: f64, memory_available: f64, memory_pressure: Option<f64>, expected: u8| {
            let load = Load { cpu, cores: 4, memory_available, memory_pressure };
            assert_eq!(busy(&load), expected, "{load:?}");
        };
        check(0.2, 0.8, None, 0);
        check(1.2, 0.8, Some(0.0), 1);
        check(2.0, 0.8, None, 2);
        check(9.0, 0.8, None, 3);
        check(0.2, 0.04, None, 4);
        check(0.2, 0.08, None, 3);
        check(0.2, 0.8, Some(6.0), 3);
        check(0.2, 0.8, Some(30.0), 4);
    }
}
