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
    let words = |program: &'static str, args: &'static [&'static str], wanted: bool| {
        let xdg = xdg.clone();
        async move { if wanted { program::said(&xdg, program, args).await.ok() } else { None } }
    };
    let question = probe::unit_question();
    let (unit, version, tmux, git, running) = host.block(async {
        let unit =
            async { if managed { program::said(&xdg, "systemctl", &question).await.ok() } else { None } };
        tokio::join!(
            unit,
            words("systemctl", &["--version"], true),
            words("tmux", &["-V"], true),
            words("git", &["--version"], true),
            probe::running(&socket),
        )
    });
    let unit = unit.filter(|said| said.good).map(|said| probe::unit_now(&said.out));
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
        systemd: version.and_then(|said| second_word(&said)),
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

fn panes(found: &[Found], layout: &Layout) -> Vec<Pane> {
    health::ours(found, layout).filter_map(Found::pane).collect()
}

fn installed(layout: &Layout) -> Option<Installed> {
    let now = layout.installed()?;
    let all: Vec<Stored> = layout.numbers().into_iter().filter_map(|n| layout.stored(n)).collect();
    Some(Installed {
        fleet: now.manifest.fleet.clone(),
        generation: now.number,
        settings: layout::digest(&now.manifest),
        binary: now.manifest.binary,
        at: now.origin.at,
        by: now.manifest.by,
        unconfirmed: layout.under_way().map(|pending| pending.deployment),
        generations: all.into_iter().map(generation).collect(),
        stored: layout.programs(),
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
    Unit { active: now.active.clone(), enabled, drift: drift(now, layout), restarts: Some(now.restarts) }
}

fn drift(now: &UnitNow, layout: &Layout) -> Vec<String> {
    let Some(installed) = layout.installed() else { return Vec::new() };
    let mut drift = Vec::new();
    let dir = layout.generation(installed.number);
    let same = |a: &Path, b: &Path| layout::bytes(a) == layout::bytes(b);
    match layout::bytes(&layout.unit_file()) {
        None => drift.push(format!("{} is missing", layout.unit_file().display())),
        Some(_) if !same(&layout.unit_file(), &dir.join("unit")) => {
            drift.push(format!("{} was edited", layout.unit_file().display()));
        }
        Some(_) => {}
    }
    drift.extend(now.drop_ins.iter().map(|file| format!("{file} changes the unit")));
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
