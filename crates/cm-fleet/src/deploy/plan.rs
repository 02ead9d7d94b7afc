//! What has to be done on a host, and why: what it is to become against what it is. PURE.

use cm_protocol::deploy::{Binary, Endangered, Facts, Lock};
use serde::{Deserialize, Serialize};

use super::wanted::{Manner, Wanted};

/// What is kept free on a host's disk beside the program itself, in bytes.
const SPARE: u64 = 1 << 20;
/// The oldest tmux an agent takes.
const LEAST_TMUX: (u32, u32) = (3, 2);
/// A clock that is further off than this many seconds is worth a word.
const CLOCK: f64 = 120.0;

/// What is to be done on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Plan {
    /// Nothing.
    Nothing {
        /// Living sessions.
        sessions: usize,
        /// What a person should know all the same.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<Note>,
    },
    /// Something.
    Change(Change),
    /// It cannot be done as things are.
    Blocked(Blocked),
}

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Why; never empty.
    pub reasons: Vec<Reason>,
    /// The host's architecture.
    pub arch: String,
    /// Whether the program has to be sent; else the host has it.
    pub send: bool,
    /// How a container host comes by its image; none where there is no container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageComes>,
    /// Living sessions, which go on.
    pub sessions: usize,
    /// Sessions that end by it; only with force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<Endangered>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// How a host comes by the image of its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageComes {
    /// It has it.
    There,
    /// It is sent from here.
    Sent,
    /// The host pulls it from a registry.
    Pulled,
}

/// One reason for a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Reason {
    /// There is no agent.
    Absent,
    /// Another program is installed.
    Program {
        /// The one that is.
        from: Binary,
    },
    /// Its container is made of another image.
    Image {
        /// The one it is made of, its id in place of a program's digest.
        from: Binary,
        /// The one that is wanted.
        reference: String,
    },
    /// Its settings are others.
    Settings,
    /// Its container is to have other mounts, limits, user or network.
    Container,
    /// What keeps its sessions' processes is of an earlier deployment, and free.
    Keeper,
    /// It does not run.
    NotRunning {
        /// systemd's word.
        state: String,
    },
    /// Another program runs than the one that is installed.
    Stale {
        /// Its sha256.
        running: String,
    },
    /// It would not start at the next boot.
    Disabled,
    /// Somebody has changed its files.
    Drift {
        /// How.
        what: Vec<String>,
    },
    /// An earlier deployment was never confirmed.
    Unconfirmed,
    /// It belonged to another fleet.
    TakenOver {
        /// Whose it was.
        from: String,
    },
}

/// Something worth knowing that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What.
    pub what: String,
    /// The next move.
    pub remedy: Option<String>,
}

/// Why a host cannot be deployed to as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "blocked", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Blocked {
    /// It is another fleet's.
    OtherFleet {
        /// Whose.
        fleet: String,
        /// Who put it there.
        by: String,
    },
    /// Somebody deploys to it.
    Locked(Lock),
    /// Sessions would end.
    Sessions(Vec<Endangered>),
    /// No program for it.
    NoBinary {
        /// Why, with the next move.
        why: String,
    },
    /// No user manager.
    NoUserManager,
    /// Programs may not run from there.
    NoExec {
        /// From where.
        dir: String,
    },
    /// Too little room.
    DiskFull {
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// tmux is missing or too old.
    Tmux {
        /// The one there is.
        found: Option<String>,
    },
    /// A container of a name we need is not ours.
    Name {
        /// The name.
        name: String,
    },
    /// The image is for other machines.
    Arch {
        /// The image.
        image: String,
        /// What it is for.
        arch: String,
        /// What the host is.
        host: String,
    },
    /// The image is neither here nor there.
    NoImage {
        /// The image.
        image: String,
        /// Why it is not here.
        why: String,
    },
}

impl Blocked {
    /// Whether a rule says no, as opposed to the host being unfit.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::OtherFleet { .. } | Self::Locked(_) | Self::Sessions(_) | Self::Name { .. })
    }

    /// What is in the way.
    pub fn why(&self) -> String {
        match self {
            Self::OtherFleet { fleet, by } => format!("it belongs to the fleet `{fleet}` (deployed by {by})"),
            Self::Locked(lock) => format!(
                "{} deploys to it since {:.0} s (the lock expires in {:.0} s)",
                lock.owner, lock.held, lock.expires
            ),
            Self::Sessions(ends) => {
                let why = ends.first().map_or("", |one| one.why.as_str());
                format!("{} running sessions would end: {why}", ends.len())
            }
            Self::NoBinary { why } => why.clone(),
            Self::NoUserManager => "no systemd user manager answers for this user".to_owned(),
            Self::NoExec { dir } => format!("programs may not be run from {dir} (mounted noexec)"),
            Self::DiskFull { need, free } => {
                format!("the disk is full: {} are needed, {} are free", size(*need), size(*free))
            }
            Self::Tmux { found: None } => "tmux is not installed".to_owned(),
            Self::Tmux { found: Some(version) } => format!("its tmux is too old: {version}"),
            Self::Name { name } => {
                format!("a container {name} is there that cm-fleet has not made for this host")
            }
            Self::Arch { image, arch, host } => {
                format!("the image {image} is for {arch}, and the host is {host}")
            }
            Self::NoImage { image, why } => {
                format!("the image {image} is neither on the host nor here: {why}")
            }
        }
    }

    /// The next move.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::OtherFleet { .. } => {
                "--take-over makes it this fleet's; else give this fleet's agent another `agent: {dir: …}`"
            }
            Self::Locked(_) => "wait, or --take-over if nobody is at work there any more",
            Self::Sessions(_) => "wait until they have ended, or --force to end them",
            Self::NoBinary { .. } => return None,
            Self::NoUserManager => {
                "on the host: sudo apt-get install dbus-user-session libpam-systemd; \
                 sudo loginctl enable-linger USER"
            }
            Self::NoExec { .. } => {
                "name a directory on another file system in the inventory: agent: {dir: /opt/cm-agent}"
            }
            Self::DiskFull { .. } => "make room, or name a directory on another file system: agent: {dir: …}",
            Self::Tmux { .. } => "on the host: sudo apt-get install tmux (3.2 or newer)",
            Self::Name { .. } => "rename or remove it there, or give this host another name in the inventory",
            Self::Arch { host, .. } => {
                let platform = match host.as_str() {
                    "x86_64" => "amd64",
                    "aarch64" => "arm64",
                    other => other,
                };
                return Some(format!(
                    "build it for the host (docker build --platform linux/{platform} …), and name that one: \
                     container: {{image: …}}"
                ));
            }
            Self::NoImage { .. } => {
                "build or pull it here (docker build --target agent -t …), name a file with it \
                 (container: {archive: …}), or let the host pull it (container: {pull: missing})"
            }
        };
        Some(text.to_owned())
    }
}

/// What is to be done on a host that says `facts` of itself, at `now` (Unix seconds) by our own clock.
/// `binary` is the program for its architecture, or why there is none.
pub fn plan(
    wanted: &Wanted,
    facts: &Facts,
    binary: Result<&Binary, &str>,
    manner: &Manner,
    now: f64,
) -> Plan {
    let binary = match binary {
        Ok(binary) => binary,
        Err(why) => return Plan::Blocked(Blocked::NoBinary { why: why.to_owned() }),
    };
    let reasons = reasons(wanted, facts, binary);
    let notes = notes(facts, now);
    if reasons.is_empty() {
        return Plan::Nothing { sessions: facts.panes.len(), notes };
    }
    // Where another program runs than is installed, the installed one may have been overwritten.
    let stale = reasons.iter().any(|reason| matches!(reason, Reason::Stale { .. }));
    let send = stale || !facts.installed.as_ref().is_some_and(|i| i.stored.contains(&binary.sha256));
    if let Some(blocked) = blocked(wanted, facts, binary, manner, send) {
        return Plan::Blocked(blocked);
    }
    let (arch, sessions, ends) = (facts.arch.clone(), facts.panes.len(), facts.endangered.clone());
    Plan::Change(Change { reasons, arch, send, image: None, sessions, ends, notes })
}

fn reasons(wanted: &Wanted, facts: &Facts, binary: &Binary) -> Vec<Reason> {
    let Some(installed) = &facts.installed else { return vec![Reason::Absent] };
    let mut reasons = Vec::new();
    if installed.fleet != wanted.fleet {
        reasons.push(Reason::TakenOver { from: installed.fleet.clone() });
    }
    if installed.binary.sha256 != binary.sha256 {
        reasons.push(Reason::Program { from: installed.binary.clone() });
    }
    if installed.settings != wanted.settings_digest() {
        reasons.push(Reason::Settings);
    }
    if installed.unconfirmed.is_some() {
        reasons.push(Reason::Unconfirmed);
    }
    match &facts.running {
        Some(running) if running.sha256 != installed.binary.sha256 => {
            reasons.push(Reason::Stale { running: running.sha256.clone() });
        }
        Some(_) => {}
        None => {
            let state = facts.unit.as_ref().map_or("unknown", |unit| unit.active.as_str());
            reasons.push(Reason::NotRunning { state: state.to_owned() });
        }
    }
    if let Some(unit) = &facts.unit {
        if unit.enabled != "enabled" {
            reasons.push(Reason::Disabled);
        }
        if !unit.drift.is_empty() {
            reasons.push(Reason::Drift { what: unit.drift.clone() });
        }
    }
    reasons
}

fn blocked(wanted: &Wanted, facts: &Facts, binary: &Binary, manner: &Manner, send: bool) -> Option<Blocked> {
    if let (Some(lock), false) = (&facts.lock, manner.take_over) {
        return Some(Blocked::Locked(lock.clone()));
    }
    if let Some(installed) = facts.installed.as_ref().filter(|i| i.fleet != wanted.fleet && !manner.take_over)
    {
        return Some(Blocked::OtherFleet { fleet: installed.fleet.clone(), by: installed.by.clone() });
    }
    if !facts.user_manager {
        return Some(Blocked::NoUserManager);
    }
    if facts.exec == Some(false) {
        return Some(Blocked::NoExec { dir: wanted.dir.to_string() });
    }
    // On the disk it stands twice for a moment: as it came, and where it belongs.
    let need = binary.size + SPARE;
    if let Some(free) = facts.disk_free.filter(|free| send && *free < need) {
        return Some(Blocked::DiskFull { need, free });
    }
    if !facts.tmux.as_deref().is_some_and(good_tmux) {
        return Some(Blocked::Tmux { found: facts.tmux.clone() });
    }
    if !facts.endangered.is_empty() && !manner.force {
        return Some(Blocked::Sessions(facts.endangered.clone()));
    }
    None
}

fn notes(facts: &Facts, now: f64) -> Vec<Note> {
    let mut notes = Vec::new();
    if facts.linger == Some(false) && facts.installed.is_some() {
        notes.push(Note {
            what: "everything of this user's ends at its last logout, sessions included (no linger)"
                .to_owned(),
            remedy: Some(format!("on the host: sudo loginctl enable-linger {}", facts.user)),
        });
    }
    if let Some(file) = facts.unit.as_ref().and_then(|unit| unit.drop_ins.first()) {
        let what = format!("a drop-in changes its unit, which deployments leave as it is: {file}");
        notes.push(Note { what, remedy: None });
    }
    let off = facts.now - now;
    if facts.now > 0.0 && off.abs() > CLOCK {
        let way = if off > 0.0 { "ahead" } else { "behind" };
        notes.push(Note {
            what: format!("its clock is {} {way}", duration(off.abs())),
            remedy: Some("on the host: sudo timedatectl set-ntp true".to_owned()),
        });
    }
    notes
}

/// `3.3a`, `3.5`, `next-3.6`: whether this is new enough. What cannot be read is given the benefit of the doubt.
pub fn good_tmux(version: &str) -> bool {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let mut parts = digits.split('.');
    match (parts.next().and_then(number), parts.next().and_then(number)) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) >= LEAST_TMUX,
        (None, _) => true,
    }
}

/// `12.3 MB`.
pub fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // one decimal is shown
    let mb = bytes as f64 / 1e6;
    if mb >= 1000.0 {
        format!("{:.1} GB", mb / 1000.0)
    } else if mb >= 1.0 {
        format!("{mb:.1} MB")
    } else {
        format!("{} kB", bytes / 1000)
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use cm_protocol::deploy::{Installed, Pane, Running, Unit};

    use super::*;
    use crate::deploy::script::Dir;

    fn binary(sha: &str) -> Binary {
        Binary { sha256: sha.into(), size: 3_000_000, version: "0.1.0".into() }
    }

    fn wanted() -> Wanted {
        Wanted { fleet: "f".into(), dir: Dir::default(), settings: Default::default() }
    }

    fn bare() -> Facts {
        Facts {
            arch: "x86_64".into(),
            user: "ada".into(),
            now: 1000.0,
            user_manager: true,
            linger: Some(false),
            tmux: Some("3.3a".into()),
            disk_free: Some(1 << 30),
            ..Facts::default()
        }
    }

    /// As it should be, with program `a`.
    fn settled() -> Facts {
        Facts {
            linger: Some(true),
            installed: Some(Installed {
                fleet: "f".into(),
                generation: 3,
                binary: binary("a"),
                settings: wanted().settings_digest(),
                at: 900.0,
                by: "ada@laptop".into(),
                unconfirmed: None,
                generations: vec![],
                stored: vec!["a".into(), "old".into()],
            }),
            running: Some(Running {
                sha256: "a".into(),
                version: "0.1.0".into(),
                pid: 7,
                socket: "/run/x".into(),
                uptime: 5.0,
                sessions: 1,
            }),
            unit: Some(Unit {
                active: "active".into(),
                enabled: "enabled".into(),
                drift: vec![],
                drop_ins: vec![],
                restarts: Some(0),
            }),
            panes: vec![Pane { session: "cm-1".into(), pid: 9, start: 1 }],
            ..bare()
        }
    }

    fn words(plan: &Plan) -> String {
        match plan {
            Plan::Nothing { notes, .. } => format!("nothing {}", notes.len()),
            Plan::Change(change) => {
                let all: Vec<String> = change.reasons.iter().map(|r| format!("{r:?}")).collect();
                let first: Vec<&str> =
                    all.iter().map(|r| r.split([' ', '(']).next().unwrap_or_default()).collect();
                format!("{}{}", if change.send { "send " } else { "" }, first.join(" "))
            }
            Plan::Blocked(blocked) => blocked.why(),
        }
    }

    #[track_caller]
    fn check(sha: &str, facts: &Facts, manner: &Manner, expected: &str) {
        let made = plan(&wanted(), facts, Ok(&binary(sha)), manner, 1000.0);
        assert_eq!(words(&made), expected, "{made:?}");
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = settled();
        change(&mut facts);
        facts
    }

    #[test]
    fn what_is_to_be_done() {
        let usual = Manner::default();
        check("a", &bare(), &usual, "send Absent");
        check("a", &settled(), &usual, "nothing 0");
        check("b", &settled(), &usual, "send Program");
        check("old", &settled(), &usual, "Program");
        check("a", &with(|f| f.running = None), &usual, "NotRunning");
        check("a", &with(|f| f.linger = Some(false)), &usual, "nothing 1");
        check("a", &with(|f| f.now = 400.0), &usual, "nothing 1");
        check("a", &with(|f| f.running.as_mut().unwrap().sha256 = "z".into()), &usual, "send Stale");
        check("a", &with(|f| f.unit.as_mut().unwrap().enabled = "disabled".into()), &usual, "Disabled");
        check("a", &with(|f| f.unit.as_mut().unwrap().drift = vec!["x".into()]), &usual, "Drift");
        check("a", &with(|f| f.installed.as_mut().unwrap().settings = "other".into()), &usual, "Settings");
        let unconfirmed = with(|f| f.installed.as_mut().unwrap().unconfirmed = Some("d".into()));
        check("a", &unconfirmed, &usual, "Unconfirmed");
        check("b", &with(|f| f.running = None), &usual, "send Program NotRunning");
    }

    #[test]
    fn what_is_in_the_way() {
        let usual = Manner::default();
        let forced = Manner { force: true, take_over: true, ..Manner::default() };
        let check_both = |facts: &Facts, no: &str, yes: &str| {
            check("b", facts, &usual, no);
            check("b", facts, &forced, yes);
        };
        let lock = Lock { deployment: "d".into(), owner: "bob@desk".into(), held: 12.0, expires: 40.0 };
        check_both(
            &with(|f| f.lock = Some(lock.clone())),
            "bob@desk deploys to it since 12 s (the lock expires in 40 s)",
            "send Program",
        );
        check_both(
            &with(|f| f.installed.as_mut().unwrap().fleet = "other".into()),
            "it belongs to the fleet `other` (deployed by ada@laptop)",
            "send TakenOver Program",
        );
        let ends = Endangered { session: "cm-1".into(), why: "it runs in the agent's own unit".into() };
        check_both(
            &with(|f| f.endangered = vec![ends.clone()]),
            "1 running sessions would end: it runs in the agent's own unit",
            "send Program",
        );
        let no = "no systemd user manager answers for this user";
        check_both(&Facts { user_manager: false, ..bare() }, no, no);
        let no = "programs may not be run from ~/.local/share/cm-agent (mounted noexec)";
        check_both(&Facts { exec: Some(false), ..bare() }, no, no);
        let no = "the disk is full: 4.0 MB are needed, 5 kB are free";
        check_both(&Facts { disk_free: Some(5000), ..bare() }, no, no);
        check_both(&Facts { tmux: None, ..bare() }, "tmux is not installed", "tmux is not installed");
        let old = Facts { tmux: Some("2.8".into()), ..bare() };
        check_both(&old, "its tmux is too old: 2.8", "its tmux is too old: 2.8");
        // A full disk does not matter where nothing is sent.
        check("old", &with(|f| f.disk_free = Some(0)), &usual, "Program");
        let none = plan(&wanted(), &bare(), Err("no program for aarch64"), &usual, 0.0);
        assert_eq!(words(&none), "no program for aarch64");
    }

    #[test]
    fn versions_of_tmux() {
        let check = |version: &str, expected| assert_eq!(good_tmux(version), expected, "{version}");
        check("3.3a", true);
        check("3.2", true);
        check("3.1c", false);
        check("2.9", false);
        check("next-3.6", true);
        check("4", true);
        check("master", true);
    }
}
