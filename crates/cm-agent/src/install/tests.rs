//! Support of the tests in this room.

use cm_protocol::deploy::{AgentSettings, Binary, Manifest};

use super::layout::Pending;

/// A manifest of a program with this digest.
pub fn manifest(deployment: &str, sha256: &str) -> Manifest {
    Manifest {
        deployment: deployment.into(),
        fleet: "lab".into(),
        by: "ada@laptop".into(),
        binary: Binary { sha256: sha256.into(), size: 3, version: "0.1.0".into() },
        settings: AgentSettings::default(),
        confirm_seconds: 30,
        ready_seconds: 10,
        force: false,
        take_over: false,
    }
}

/// A deployment under way.
pub fn pending(deployment: &str, generation: u64, previous: Option<u64>, deadline: f64) -> Pending {
    Pending {
        deployment: deployment.into(),
        owner: "ada@laptop".into(),
        generation,
        fresh: true,
        previous,
        foreign_unit: None,
        deadline,
        boot_id: "b".into(),
        manager: "m".into(),
        confirm_seconds: 30,
        enabled_linger: false,
        before: Vec::new(),
        activated: false,
        healthy: false,
        reverting: false,
    }
}
