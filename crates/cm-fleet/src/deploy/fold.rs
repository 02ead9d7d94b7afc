//! Where every host stands: the events so far, folded. PURE.

use super::event::{DeployEvent, DeployEventKind, Outcome, Summary, Verb};
use super::plan::Plan;

/// Where a run stands.
#[derive(Debug, Clone, Default)]
pub struct DeployState {
    /// What is done.
    pub verb: Option<Verb>,
    /// The fleet's name.
    pub fleet: String,
    /// When it began, Unix seconds.
    pub began: f64,
    /// The hosts, in the order of the inventory.
    pub hosts: Vec<HostState>,
    /// What it has led to, once it is over.
    pub summary: Option<Summary>,
}

/// Where one host stands.
#[derive(Debug, Clone)]
pub struct HostState {
    /// Its name.
    pub name: String,
    /// What it is at.
    pub phase: Phase,
    /// What is to be done on it, once that is known.
    pub plan: Option<Plan>,
}

/// What a host is at.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Being reached.
    Connecting,
    /// Being asked what it is.
    Asking,
    /// Waiting for its turn.
    Waiting,
    /// Being worked on, since then.
    Working {
        /// Unix seconds.
        since: f64,
        /// What has just been done.
        step: String,
        /// How much of the program is there: bytes, of so many.
        sent: Option<(u64, u64)>,
    },
    /// Done with.
    Finished(Outcome),
}

impl DeployState {
    /// One more event.
    pub fn apply(&mut self, event: &DeployEvent) {
        let at = event.at;
        match &event.kind {
            DeployEventKind::RunStarted { verb, fleet, hosts, .. } => {
                let host =
                    |name: &String| HostState { name: name.clone(), phase: Phase::Connecting, plan: None };
                *self = Self {
                    verb: Some(*verb),
                    fleet: fleet.clone(),
                    began: at,
                    hosts: hosts.iter().map(host).collect(),
                    summary: None,
                };
            }
            DeployEventKind::HostConnected { host, .. } => self.set(host, Phase::Asking),
            DeployEventKind::HostPlanned { host, plan } => {
                self.set(host, Phase::Waiting);
                if let Some(state) = self.host(host) {
                    state.plan = Some(plan.clone());
                }
            }
            DeployEventKind::HostBegun { host } => {
                self.set(host, Phase::Working { since: at, step: "begin".into(), sent: None });
            }
            DeployEventKind::HostSent { host, bytes, total } => {
                if let Some(Phase::Working { sent, .. }) = self.host(host).map(|state| &mut state.phase) {
                    *sent = Some((*bytes, *total));
                }
            }
            DeployEventKind::HostStep { host, step: done, .. } => {
                if let Some(Phase::Working { step, sent, .. }) = self.host(host).map(|state| &mut state.phase)
                {
                    *step = done.clone();
                    *sent = None;
                }
            }
            DeployEventKind::HostFinished { host, outcome, .. } => {
                self.set(host, Phase::Finished(outcome.clone()));
            }
            DeployEventKind::RunFinished(summary) => self.summary = Some(*summary),
            DeployEventKind::HostWarning { .. } | DeployEventKind::Stopped { .. } => {}
        }
    }

    /// A host by its name.
    fn host(&mut self, name: &str) -> Option<&mut HostState> {
        self.hosts.iter_mut().find(|host| host.name == name)
    }

    fn set(&mut self, name: &str, phase: Phase) {
        if let Some(host) = self.host(name) {
            host.phase = phase;
        }
    }

    /// Hosts that are done with.
    pub fn finished(&self) -> usize {
        self.hosts.iter().filter(|host| matches!(host.phase, Phase::Finished(_))).count()
    }
}
