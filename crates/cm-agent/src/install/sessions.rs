//! This user's sessions as their processes show them, without asking any agent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cm_protocol::deploy::{Endangered, Pane};

use super::host::UnitNow;
use super::layout::UNIT;

use crate::host::process::{Marker, ProcessId, Stat, parse_stat};

/// How much of a process's environment is looked at, in bytes.
const ENVIRON: u64 = 2 << 20;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub session: String,
    /// The socket of the agent it was started by, where its processes say so.
    pub agent: Option<String>,
    /// Its terminal's server.
    pub server: Option<ProcessId>,
    /// Its first process; `None` once that has ended.
    pub first: Option<ProcessId>,
    /// The control groups of what lives of it.
    pub groups: String,
}

impl Found {
    /// Its first process, in the protocol's words.
    pub fn pane(&self) -> Option<Pane> {
        let first = self.first?;
        Some(Pane { session: self.session.clone(), pid: first.pid.cast_unsigned(), start: first.start })
    }
}

/// What one process says of the session it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marked {
    stat: Stat,
    terminal: Option<String>,
    session: Option<String>,
    agent: Option<String>,
}

/// All sessions of this user, in order.
pub fn scan() -> Vec<Found> {
    let uid = rustix::process::getuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let marked: Vec<Marked> = pids.filter_map(|pid| marks(pid, uid)).collect();
    let mut found = fold(&marked);
    for session in &mut found {
        let alive = session.server.into_iter().chain(session.first);
        let groups = alive.filter_map(|p| fs::read_to_string(format!("/proc/{}/cgroup", p.pid)).ok());
        session.groups = groups.collect();
    }
    found
}

/// The programs that processes of this user run from, below a directory.
pub fn programs_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path().join("exe")).ok());
    let mut all: Vec<_> = links.filter(|path| path.starts_with(dir)).collect();
    all.sort();
    all.dedup();
    all
}

fn marks(pid: i32, uid: u32) -> Option<Marked> {
    let dir = format!("/proc/{pid}");
    if fs::metadata(&dir).ok()?.uid() != uid {
        return None;
    }
    let mut environ = Vec::new();
    File::open(format!("{dir}/environ")).ok()?.take(ENVIRON).read_to_end(&mut environ).ok()?;
    let stat = parse_stat(&fs::read(format!("{dir}/stat")).ok()?)?;
    let value = |name: &str| {
        let entry = environ
            .split(|byte| *byte == 0)
            .find_map(|e| e.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        entry.and_then(|value| String::from_utf8(value.to_vec()).ok())
    };
    let (terminal, session) = (value(Marker::TERMINAL), value(Marker::SESSION));
    // A check runs for a session, and not in it.
    let of_session = (terminal.is_some() || session.is_some()) && value(Marker::CHECK).is_none();
    (of_session && !stat.is_dead()).then(|| Marked {
        stat,
        terminal,
        session,
        agent: value("CM_AGENT_SOCKET"),
    })
}

/// PURE. The sessions that would end, or be lost sight of, with the agent's unit; none normally. `socket`: where
/// the new agent will listen; `now`: where the one that runs does.
pub fn endangered(found: &[Found], unit: &UnitNow, socket: &Path, now: Option<&Path>) -> Vec<Endangered> {
    let elsewhere = now.filter(|now| *now != socket).map(|now| now.display().to_string());
    let in_unit = |one: &Found| one.groups.split(['/', '\n']).any(|part| part == UNIT);
    let killed_whole = !matches!(unit.kill_mode.as_str(), "" | "process" | "none");
    let why = |one: &Found| {
        if in_unit(one) && killed_whole {
            Some(format!(
                "it runs in the agent's own control group, which ends whole (KillMode={})",
                unit.kill_mode
            ))
        } else if one.agent.is_some() && one.agent == elsewhere {
            Some(format!(
                "its agent listens on {}, where the new one will not look for it",
                elsewhere.as_deref()?
            ))
        } else {
            None
        }
    };
    let living = found.iter().filter(|one| one.first.is_some());
    living.filter_map(|one| Some(Endangered { session: one.session.clone(), why: why(one)? })).collect()
}

/// PURE. Sessions from their processes: a terminal's server carries one mark only, its child both; that child is
/// the session's first process.
fn fold(marked: &[Marked]) -> Vec<Found> {
    let mut servers: BTreeMap<&str, &Marked> = BTreeMap::new();
    for one in marked.iter().filter(|one| one.session.is_none()) {
        if let Some(id) = &one.terminal {
            // A server forks while it starts its program: the older one is the server.
            let older = servers.get(id.as_str()).is_none_or(|there| one.stat.start < there.stat.start);
            if older {
                servers.insert(id, one);
            }
        }
    }
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for (&id, server) in &servers {
        let inside = |one: &&Marked| one.session.as_deref() == Some(id);
        let first = marked.iter().filter(inside).find(|one| one.stat.parent == server.stat.pid);
        let agent = marked.iter().filter(inside).find_map(|one| one.agent.clone());
        found.insert(
            id,
            Found {
                session: id.to_owned(),
                agent,
                server: Some(server.stat.id()),
                first: first.map(|one| one.stat.id()),
                groups: String::new(),
            },
        );
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_first_process_is_its_servers_child() {
        let one = |pid: i32, parent: i32, terminal: Option<&str>, session: Option<&str>| Marked {
            stat: Stat {
                pid,
                comm: "x".into(),
                state: 'S',
                parent,
                group: pid,
                session: pid,
                start: pid.unsigned_abs().into(),
            },
            terminal: terminal.map(Into::into),
            session: session.map(Into::into),
            agent: session.map(|_| "/run/agent.sock".into()),
        };
        let marked = [
            one(10, 1, Some("cm-a"), None),
            one(12, 11, Some("cm-a"), Some("cm-a")),
            one(11, 10, Some("cm-a"), Some("cm-a")),
            one(13, 10, Some("cm-a"), None),
            one(20, 1, Some("cm-b"), None),
            // Strays of a session whose terminal has gone.
            one(30, 1, Some("cm-c"), Some("cm-c")),
        ];
        let found = fold(&marked);
        let told: Vec<_> =
            found.iter().map(|f| (f.session.as_str(), f.first.map(|p| p.pid), f.agent.as_deref())).collect();
        assert_eq!(told, [("cm-a", Some(11), Some("/run/agent.sock")), ("cm-b", None, None)]);
    }
}
