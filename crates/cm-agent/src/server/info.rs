//! What the agent says of itself.

use cm_protocol::{AgentInfo, Capacity, Hello, PROTOCOL_VERSION};

use super::Server;
use crate::host::clock;
use crate::session::Engine;

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Release.
    pub version: String,
    /// Source revision.
    pub build: String,
    /// SHA-256 of the running binary.
    pub sha256: String,
    /// The host's name.
    pub host: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Unix seconds.
    pub started_at: f64,
}

/// What this agent can do beyond the original, as stable words.
const FEATURES: &[&str] = &[
    "correlation",
    "error_codes",
    "replay",
    "snapshot",
    "idempotent_create",
    "pause",
    "watch_screen",
    "transcript",
    "report",
    "drain",
    "confirm_deployment",
    "limits",
    "leases",
    "renew",
    "fence",
    "probe",
    "repo",
    "slots",
];

impl Server {
    /// What stands beside `"status":"authenticated"`.
    pub(super) fn hello(&self) -> Hello {
        let clock = Some(clock::told());
        Hello { agent: self.info(), seq: *self.engine.hub.head().borrow(), clock }
    }

    /// The answer to `agent_info`.
    pub(super) fn info(&self) -> AgentInfo {
        let engine = &self.engine;
        AgentInfo {
            version: self.facts.version.clone(),
            build: self.facts.build.clone(),
            sha256: self.facts.sha256.clone(),
            protocol: PROTOCOL_VERSION,
            features: FEATURES.iter().map(|&f| f.to_owned()).collect(),
            host: self.facts.host.clone(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            boot_id: self.facts.boot_id.clone(),
            pid: std::process::id(),
            started_at: self.facts.started_at,
            tmux: engine.tmux.version.to_string(),
            placement: placement(engine).into(),
            draining: engine.hub.is_draining(),
            problems: engine.hub.problems(),
            capacity: Capacity {
                sessions: engine.hub.open_sessions(),
                max_sessions: engine.max_sessions,
                clients: self.client_count(),
                max_clients: self.max_clients,
                slots: engine.slots,
            },
            limits: engine.limits,
        }
    }
}

/// Where sessions' terminals live.
fn placement(engine: &Engine) -> &'static str {
    match (&engine.keeper, &engine.manager) {
        (Some(_), _) => "keeper",
        (None, Some(_)) => "systemd",
        (None, None) => "detached",
    }
}
