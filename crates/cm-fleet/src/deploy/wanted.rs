//! What one host is to become: program, settings and where they go. PURE.

use cm_protocol::deploy::{AgentSettings, Binary, Manifest};
use sha2::{Digest, Sha256};

use super::script::Dir;

/// What a host is to become, secrets and all.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The fleet it belongs to.
    pub fleet: String,
    /// Where the agent is installed.
    pub dir: Dir,
    /// What the agent is started with.
    pub settings: AgentSettings,
}

/// How a deployment is to be done, on every host alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// Who deploys: `user@machine`.
    pub by: String,
    /// Seconds a host waits for its confirmation before it goes back.
    pub confirm_seconds: u64,
    /// Seconds a new agent has to become healthy.
    pub ready_seconds: u64,
    /// Go on although sessions will end.
    pub force: bool,
    /// Take hosts from other fleets, and locks from other deployments.
    pub take_over: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { by: String::new(), confirm_seconds: 60, ready_seconds: 30, force: false, take_over: false }
    }
}

impl Wanted {
    /// The digest of the settings, as the host knows it.
    pub fn settings_digest(&self) -> String {
        // Texts and numbers always serialize; a host would only be told again what it knows.
        hex(self.settings.digest_text().unwrap_or_default().as_bytes())
    }

    /// What the host is told.
    pub fn manifest(&self, binary: Binary, manner: &Manner, deployment: String) -> Manifest {
        Manifest {
            deployment,
            fleet: self.fleet.clone(),
            by: manner.by.clone(),
            binary,
            settings: self.settings.clone(),
            confirm_seconds: manner.confirm_seconds,
            ready_seconds: manner.ready_seconds,
            force: manner.force,
            take_over: manner.take_over,
        }
    }
}

/// SHA-256 in hex.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use cm_protocol::deploy::Hidden;

    use super::*;

    #[test]
    fn other_settings_are_another_digest() {
        let wanted = |env: &[(&str, &str)]| Wanted {
            fleet: "f".into(),
            dir: Dir::default(),
            settings: AgentSettings {
                env: env.iter().map(|(k, v)| ((*k).into(), Hidden((*v).into()))).collect(),
                ..AgentSettings::default()
            },
        };
        let (a, b) = (wanted(&[("K", "s3cret"), ("L", "x")]), wanted(&[("L", "x"), ("K", "s3cret")]));
        assert_eq!(a.settings_digest(), b.settings_digest());
        assert_ne!(a.settings_digest(), wanted(&[("K", "two"), ("L", "x")]).settings_digest());
        assert!(!format!("{a:?}").contains("s3cret"), "{a:?}");
    }
}
