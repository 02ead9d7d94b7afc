//! What a host says of itself, quickly: what can be read is read, and what must be asked is asked all at once.

use std::path::{Path, PathBuf};

use cm_protocol::deploy::{Binary, Facts, Generation, Installed, Pane, Unit};

use super::host::{Host, UnitNow};
use super::layout::{self, Layout, Stored, UNIT};
use super::probe;
use super::program::{self, Said};
use super::real::RealHost;
use super::sessions::{self, Found};
use super::{doctor, health, lock};
use crate::host::{identity, limits, systemd};

/// Everything that can be told of this host.
pub fn gather(host: &mut RealHost, layout: &Layout, closer: bool) -> Facts {
    let machine = identity::machine();
    let account = host.account().clone();
    let manager = host.manager();
    let xdg = host.xdg().to_path_buf();
    let socket = host.listener(layout).map_or_else(|| layout.socket(), |(_, socket)| socket);
    let scan = std::thread::spawn(sessions::scan);
    let managed = manager.is_ok();
    let words = |program: &'static str, args: &'static [&'static str]| {
        let xdg = xdg.clone();
        async move { program::said(&xdg, program, args).await.ok() }
    };
    let ((unit, version), tmux, git, running) = host.block(async {
        tokio::join!(
            manager_says(managed, &xdg),
            words("tmux", &["-V"]),
            words("git", &["--version"]),
            probe::running(&socket),
        )
    });
    let found = scan.join().unwrap_or_default();
    let clock = probe::clock();
    let (load, cpus) = (load(), std::thread::available_parallelism().ok());
    let dir = existing(&layout.dir);
    let mut facts = Facts {
        host: machine.hostname,
        arch: rustix::system::uname().machine().to_string_lossy().into_owned(),
        os: machine.os,
        user: account.name.clone(),
        home: account.home.map(|home| home.display().to_string()).unwrap_or_default(),
        boot_id: machine.boot_id,
        now: clock.unix,
        user_manager: managed && unit.is_some(),
        systemd: version,
        linger: Path::new("/run/systemd/system").exists().then(|| systemd::lingers(&account.name)),
        tmux: tmux.and_then(|said| second_word(&said)),
        git: git.and_then(|said| Some(said.out.split_whitespace().nth(2)?.to_owned())),
        disk_free: limits::free_bytes(&dir),
        exec: can_execute(&dir),
        zstd: in_path("zstd").is_some(),
        cpus: cpus.and_then(|n| u32::try_from(n.get()).ok()),
        load,
        memory_available: memory("MemAvailable:"),
        memory_total: memory("MemTotal:"),
        installed: installed(layout),
        running,
        lock: lock::told(layout, &clock, probe::lives),
        panes: panes(&found, layout),
        endangered: Vec::new(),
        unit: None,
        doctor: None,
    };
    if let Some(now) = &unit {
        let there = facts.running.as_ref().map(|running| PathBuf::from(&running.socket));
        facts.endangered = sessions::endangered(&found, now, &layout.socket(), there.as_deref());
        facts.unit = Some(told(now, layout));
    }
    if closer {
        facts.doctor = Some(doctor::look(&facts, layout, unit.as_ref(), &found));
    }
    facts
}

/// How the agent's unit is, and the service manager's version.
async fn manager_says(managed: bool, xdg: &Path) -> (Option<UnitNow>, Option<String>) {
    match if managed { probe::unit(xdg).await.ok() } else { None } {
        Some((unit, Some(version))) => (Some(unit), Some(version.to_string())),
        other => {
            let version = program::said(xdg, "systemctl", &["--version"]).await.ok();
            (other.map(|(unit, _)| unit), version.and_then(|said| second_word(&said)))
        }
    }
}

fn panes(found: &[Found], layout: &Layout) -> Vec<Pane> {
    health::ours(found, layout).filter_map(Found::pane).collect()
}

fn installed(layout: &Layout) -> Option<Installed> {
    let now = layout.installed()?;
    let all: Vec<Stored> = layout.numbers().into_iter().filter_map(|n| layout.stored(n)).collect();
    // One that was damaged must be sent again.
    let whole = |binary: &Binary| {
        std::fs::metadata(layout.program(&binary.sha256)).is_ok_and(|meta| meta.len() == binary.size)
    };
    let damaged: Vec<String> = all
        .iter()
        .map(|stored| &stored.manifest.binary)
        .filter(|binary| !whole(binary))
        .map(|binary| binary.sha256.clone())
        .collect();
    let stored = layout.programs().into_iter().filter(|sha256| !damaged.contains(sha256)).collect();
    Some(Installed {
        fleet: now.manifest.fleet.clone(),
        generation: now.number,
        settings: layout::digest(&now.manifest),
        binary: now.manifest.binary,
        at: now.origin.at,
        by: now.manifest.by,
        unconfirmed: layout.under_way().map(|pending| pending.deployment),
        generations: all.into_iter().map(generation).collect(),
        stored,
    })
}

fn generation(stored: Stored) -> Generation {
    let settings = layout::digest(&stored.manifest);
    let binary: Binary = stored.manifest.binary;
    Generation { number: stored.number, binary, settings, at: stored.origin.at, by: stored.manifest.by }
}

/// The unit, and how what is on the disk differs from what was installed.
fn told(now: &UnitNow, layout: &Layout) -> Unit {
    let enabled = if now.enabled.is_empty() { "not-found".into() } else { now.enabled.clone() };
    let (active, drop_ins) = (now.active.clone(), now.drop_ins.clone());
    Unit { active, enabled, drift: drift(now, layout), drop_ins, restarts: Some(now.restarts) }
}

/// What is not as the generation in use has it. Drop-ins are the user's own.
pub(super) fn drift(now: &UnitNow, layout: &Layout) -> Vec<String> {
    let Some(installed) = layout.installed() else { return Vec::new() };
    let mut drift = Vec::new();
    let dir = layout.generation(installed.number);
    match layout::bytes(&layout.unit_file()) {
        None => drift.push(format!("{} is missing", layout.unit_file().display())),
        Some(now) => {
            let was = layout::bytes(&dir.join("unit")).unwrap_or_default();
            let file = layout.unit_file();
            drift.extend(edits(&was, &now).map(|what| format!("{} was edited: {what}", file.display())));
        }
    }
    if now.stale {
        drift.push("the unit was changed after systemd had read it".into());
    }
    if now.enabled != "enabled" {
        drift.push(format!("{UNIT} does not start at boot"));
    }
    let settings = layout::read(&dir.join("agent.json"));
    if settings.as_ref() != Some(&installed.manifest.settings) {
        drift.push(format!("{} was edited", dir.join("agent.json").display()));
    }
    let program = layout.program(&installed.manifest.binary.sha256);
    let size = std::fs::metadata(&program).map(|meta| meta.len()).ok();
    if size != Some(installed.manifest.binary.size) {
        drift.push(format!("{} is missing or has another size", program.display()));
    }
    drift
}

/// Lines that are told of an edited file.
const TOLD: usize = 3;

/// PURE. How a text differs from what it was, by its lines; none: not at all.
fn edits(was: &[u8], now: &[u8]) -> Option<String> {
    if was == now {
        return None;
    }
    let [was, now] = [was, now].map(String::from_utf8_lossy);
    let missing =
        |from: &str, line: &&str| !line.trim().is_empty() && !from.lines().any(|other| other == *line);
    let short = |line: &str| line.trim().chars().take(100).collect::<String>();
    let added = now.lines().filter(|line| missing(&was, line)).map(|l| format!("`{}` was added", short(l)));
    let gone = was.lines().filter(|line| missing(&now, line)).map(|l| format!("`{}` was removed", short(l)));
    let all: Vec<String> = added.chain(gone).collect();
    let mut told = all.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        told.push_str("lines were moved or doubled");
    } else if all.len() > TOLD {
        told.push_str(&format!(" and {} more", all.len() - TOLD));
    }
    Some(told)
}

/// The nearest directory that exists.
fn existing(dir: &Path) -> PathBuf {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

/// Whether programs run from there, as far as the mount says.
pub fn can_execute(dir: &Path) -> Option<bool> {
    let flags = rustix::fs::statvfs(dir).ok()?.f_flag;
    Some(!flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// A program in this process's `PATH`.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn second_word(said: &Said) -> Option<String> {
    said.out.split_whitespace().nth(1).map(str::to_owned)
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn memory(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_file_was_edited() {
        let check = |was: &str, now: &str, expected: Option<&str>| {
            assert_eq!(edits(was.as_bytes(), now.as_bytes()).as_deref(), expected, "{now:?}");
        };
        check("a=1\nb=2\n", "a=1\nb=2\n", None);
        check("a=1\nb=2\n", "a=1\nb=2\nNice=7\n", Some("`Nice=7` was added"));
        check("a=1\nb=2\n", "a=1\nb=3\n", Some("`b=3` was added, `b=2` was removed"));
        check("a=1\nb=2\n", "b=2\na=1\n", Some("lines were moved or doubled"));
        check("1\n2\n3\n4\n5\n", "", Some("`1` was removed, `2` was removed, `3` was removed and 2 more"));
    }
}
