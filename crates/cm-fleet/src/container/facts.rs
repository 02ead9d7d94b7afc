//! What a host's containers are: read off an engine's answers, and told as the facts every host has. PURE.

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary, HostConfig, ImageInspect};
use cm_protocol::deploy::{Binary, Facts, Generation, Installed, Running, Unit};
use serde::Deserialize;

use super::wanted::{Limits, Names, Role, label};

/// One container, as the engine has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// The id of its image, there.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The engine's word: `running`, `exited`, `created`.
    pub state: String,
    /// Its first process, in the host's numbers.
    pub pid: u32,
    /// What it ended with.
    pub exit_code: i64,
    /// The engine's own error about it; a text where it could not be started.
    pub error: String,
    /// When it was started, as the engine writes it.
    pub started: String,
    /// The restart policy's word.
    pub restarts: String,
    /// The limits.
    pub limits: Limits,
    /// How often it was restarted.
    pub restart_count: i64,
    /// What its newest health check said.
    pub health: Option<Health>,
}

/// What `cm-agent health --json` says of a running agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Its version.
    pub version: String,
    /// Its program.
    pub sha256: String,
    /// Its living sessions.
    pub sessions: u32,
    /// Where it listens.
    pub socket: String,
}

/// A container of ours, as the list has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its image.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The engine's word.
    pub state: String,
}

/// An image, as an engine or an archive has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`
    pub id: String,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// Digests of its layers, unpacked.
    pub layers: Vec<String>,
    /// The program's version, by the image's label.
    pub version: String,
    /// Whose its processes are.
    pub user: String,
    /// Names it has.
    pub tags: Vec<String>,
    /// Bytes.
    pub size: u64,
}

/// Everything that was asked of an engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// `docker` or `podman`, and its version.
    pub engine: Option<EngineSeen>,
    /// The container of the agent's name.
    pub agent: Option<Found>,
    /// The container of the keeper's name.
    pub keeper: Option<Found>,
    /// Every container that is marked as this host's.
    pub ours: Vec<Listed>,
    /// The wanted image, where it is there.
    pub image: Option<Image>,
    /// Whether all of this was asked, or only whether all is as it should be.
    pub whole: bool,
}

/// What an engine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineSeen {
    /// `docker` or `podman`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// `linux`, and the kernel.
    pub system: String,
}

impl Found {
    /// A label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Whether it is ours, for this host.
    pub fn is_ours(&self, host: &str, role: Role) -> bool {
        self.label(label::HOST) == Some(host) && self.label(label::ROLE) == Some(role.as_str())
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }

    /// The generation.
    pub fn generation(&self) -> u64 {
        self.label(label::GENERATION).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Whether it was never confirmed.
    pub fn unconfirmed(&self) -> bool {
        self.restarts == "no" || self.restarts.is_empty()
    }
}

/// A container's inspection.
pub fn found(answer: ContainerInspectResponse) -> Found {
    let state = answer.state.unwrap_or_default();
    let host_config = answer.host_config.unwrap_or_default();
    let newest = state.health.and_then(|health| health.log).and_then(|mut log| log.pop());
    let health = newest.filter(|log| log.exit_code == Some(0)).and_then(|log| log.output);
    Found {
        id: answer.id.unwrap_or_default(),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: answer.image.unwrap_or_default(),
        labels: answer.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        state: state.status.map(|status| status.to_string()).unwrap_or_default(),
        pid: state.pid.and_then(|pid| pid.try_into().ok()).unwrap_or(0),
        exit_code: state.exit_code.unwrap_or(0),
        error: state.error.unwrap_or_default(),
        started: state.started_at.unwrap_or_default(),
        restarts: policy(&host_config),
        limits: limits(&host_config),
        restart_count: answer.restart_count.unwrap_or(0),
        health: health.map(|text| said(&text)),
    }
}

/// What a health check printed. Engines keep 4 KiB of it: with many sessions its end is missing.
fn said(text: &str) -> Health {
    let whole = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    whole.unwrap_or_else(|| Health {
        sessions: u32::try_from(text.matches("\"session\":").count()).unwrap_or(u32::MAX),
        ..Health::default()
    })
}

fn policy(host_config: &HostConfig) -> String {
    let name = host_config.restart_policy.as_ref().and_then(|policy| policy.name);
    name.map(|name| name.to_string()).unwrap_or_default()
}

/// The limits of a container, however they were set (`docker update --cpus` and Podman write a quota).
fn limits(host_config: &HostConfig) -> Limits {
    let nano_cpus = match (host_config.nano_cpus.unwrap_or(0), host_config.cpu_quota, host_config.cpu_period)
    {
        (0, Some(quota @ 1..), Some(period @ 1..)) => quota.saturating_mul(1_000_000_000) / period,
        (nano, ..) => nano,
    };
    Limits {
        nano_cpus,
        memory: host_config.memory.unwrap_or(0),
        // Engines write `unlimited` as -1 and as 0. Podman's default of 2048 is no limit that was asked for.
        pids: host_config.pids_limit.unwrap_or(0).max(0),
    }
}

/// A container of a list.
pub fn listed(answer: ContainerSummary) -> Listed {
    let names = answer.names.unwrap_or_default();
    Listed {
        id: answer.id.unwrap_or_default(),
        name: names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        image: answer.image_id.unwrap_or_default(),
        labels: answer.labels.unwrap_or_default().into_iter().collect(),
        state: answer.state.map(|state| state.to_string()).unwrap_or_default(),
    }
}

/// An image's inspection.
pub fn image(answer: ImageInspect) -> Image {
    let config = answer.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    Image {
        id: with_algorithm(answer.id.unwrap_or_default()),
        arch: answer.architecture.unwrap_or_default(),
        layers: answer.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        version: version(labels.get("org.opencontainers.image.version")),
        user: config.user.unwrap_or_default(),
        tags: answer.repo_tags.unwrap_or_default(),
        size: answer.size.and_then(|size| size.try_into().ok()).unwrap_or(0),
    }
}

/// A version's label; builds that know none say `unknown`.
pub fn version(label: Option<&String>) -> String {
    label.filter(|version| *version != "unknown").cloned().unwrap_or_default()
}

/// Podman leaves out which digest it is.
fn with_algorithm(id: String) -> String {
    if id.is_empty() || id.contains(':') { id } else { format!("sha256:{id}") }
}

/// An image's id without the name of the digest.
pub fn bare(id: &str) -> &str {
    id.rsplit_once(':').map_or(id, |(_, digest)| digest)
}

/// `amd64` as the kernel says it.
pub fn kernel_arch(arch: &str) -> &str {
    match arch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "arm" => "armv7l",
        other => other,
    }
}

/// Told as every host's facts are: the image is what is installed, the container what runs.
pub fn facts(host: &str, seen: &Seen, drift: Vec<String>, now: f64) -> Facts {
    let agent = seen.agent.as_ref().filter(|found| found.is_ours(host, Role::Agent));
    let engine = seen.engine.clone().unwrap_or_default();
    let installed = agent.map(|agent| Installed {
        fleet: agent.label(label::FLEET).unwrap_or_default().to_owned(),
        generation: agent.generation(),
        binary: program(&agent.labels, &agent.image, agent.health.as_ref()),
        settings: agent.label(label::SETTINGS).unwrap_or_default().to_owned(),
        at: agent.label(label::AT).and_then(|at| at.parse().ok()).unwrap_or(0.0),
        by: agent.label(label::BY).unwrap_or_default().to_owned(),
        unconfirmed: agent
            .unconfirmed()
            .then(|| agent.label(label::DEPLOYMENT).unwrap_or_default().to_owned()),
        generations: generations(host, seen),
        stored: Vec::new(),
    });
    let running = agent.filter(|agent| agent.runs()).map(|agent| Running {
        sha256: program(&agent.labels, &agent.image, None).sha256,
        version: agent.health.as_ref().map(|health| health.version.clone()).unwrap_or_default(),
        pid: agent.pid,
        socket: agent.health.as_ref().map(|health| health.socket.clone()).unwrap_or_default(),
        uptime: started(&agent.started).map_or(0.0, |at| (now - at).max(0.0)),
        sessions: agent.health.as_ref().map_or(0, |health| health.sessions),
    });
    let unit = agent.map(|agent| Unit {
        active: if agent.runs() { "active".to_owned() } else { agent.state.clone() },
        enabled: if agent.restarts == "no" { "disabled" } else { "enabled" }.to_owned(),
        drift,
        drop_ins: Vec::new(),
        restarts: u32::try_from(agent.restart_count).ok(),
    });
    Facts {
        host: host.to_owned(),
        arch: kernel_arch(&engine.arch).to_owned(),
        os: format!("{} {}", engine.kind, engine.version).trim().to_owned(),
        now,
        installed,
        running,
        unit,
        ..Facts::default()
    }
}

/// The image as the program that runs.
fn program(labels: &BTreeMap<String, String>, image: &str, health: Option<&Health>) -> Binary {
    let id = labels.get(label::IMAGE).map_or(image, String::as_str);
    let version = health.map(|health| health.version.clone()).unwrap_or_default();
    Binary { sha256: bare(id).to_owned(), size: 0, version }
}

/// The generations that are kept, oldest first.
fn generations(host: &str, seen: &Seen) -> Vec<Generation> {
    let mut all: Vec<Generation> = seen
        .ours
        .iter()
        .filter(|one| one.labels.get(label::ROLE).is_some_and(|role| role == Role::Agent.as_str()))
        .filter(|one| one.name != Names::new(host).next(Role::Agent))
        .map(|one| {
            let get = |key: &str| one.labels.get(key).cloned().unwrap_or_default();
            Generation {
                number: get(label::GENERATION).parse().unwrap_or(0),
                binary: program(&one.labels, &one.image, None),
                settings: get(label::SETTINGS),
                at: get(label::AT).parse().unwrap_or(0.0),
                by: get(label::BY),
            }
        })
        .collect();
    all.sort_by_key(|generation| generation.number);
    all
}

/// `2026-11-30T10:00:00.123456789Z` as Unix seconds.
pub fn started(text: &str) -> Option<f64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let time = time.get(..8)?;
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days since 1970 by the civil calendar, with March as the first month.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    #[allow(clippy::cast_precision_loss)] // seconds of some decades
    (year > 1960).then_some((days * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(started(text), expected, "{text}");
        check("1970-01-01T00:00:00Z", Some(0.0));
        check("2026-11-30T10:00:01.123456789Z", Some(1_796_032_801.0));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800.0));
        check("0001-01-01T00:00:00Z", None);
        check("", None);
    }

    #[test]
    fn what_a_health_check_printed() {
        let whole = r#"{"ok":true,"panes":[{"session":"a"}],"sessions":3,"sha256":"ab","version":"0.1.0","socket":"/s"}"#;
        let health = said(whole);
        assert_eq!((health.sessions, health.version.as_str(), health.socket.as_str()), (3, "0.1.0", "/s"));
        // Cut off by the engine.
        assert_eq!(said(r#"{"ok":true,"panes":[{"session":"a","pid":1},{"session":"b","#).sessions, 2);
        assert_eq!(said("").sessions, 0);
    }

    #[test]
    fn ids_and_architectures() {
        assert_eq!((bare("sha256:ab"), bare("ab")), ("ab", "ab"));
        assert_eq!(
            (with_algorithm("ab".into()), with_algorithm("sha256:ab".into())),
            ("sha256:ab".into(), "sha256:ab".into())
        );
        assert_eq!((kernel_arch("arm64"), kernel_arch("riscv64")), ("aarch64", "riscv64"));
    }

    #[test]
    fn limits_however_they_were_set() {
        let of = |nano, quota, period| {
            limits(&HostConfig {
                nano_cpus: nano,
                cpu_quota: quota,
                cpu_period: period,
                ..HostConfig::default()
            })
            .nano_cpus
        };
        assert_eq!(of(Some(1_500_000_000), None, None), 1_500_000_000);
        assert_eq!(of(Some(0), Some(150_000), Some(100_000)), 1_500_000_000);
        assert_eq!(of(None, None, None), 0);
    }
}
