//! Removing everything an installation made, in an order that can be repeated: the directory with this program last.

use serde::Serialize;

use super::disk;
use super::host::Host;
use super::layout::{Layout, UNIT};
use super::sessions::Found;
use super::trouble::{Trouble, at};
use super::{health, lock};

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// The agent's state, too: journal, transcripts, recordings.
    pub purge: bool,
    /// Although sessions live, which end.
    pub force: bool,
    /// Only if it belongs to this fleet.
    pub fleet: Option<String>,
    /// Who: `user@machine`.
    pub by: String,
    /// Take the lock from another deployment.
    pub take_over: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Each in a few words.
    pub removed: Vec<String>,
    /// What is left on purpose, or could not be removed, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// Removes the agent.
pub fn run(host: &mut dyn Host, layout: &Layout, removal: &Removal) -> Result<Removed, Trouble> {
    let mut told = Removed::default();
    let anything = layout.dir.is_dir() || layout.unit_file().exists();
    if !anything {
        told.left.push("nothing is installed here".into());
        if removal.purge {
            purge(host, layout, &mut told)?;
        }
        return Ok(told);
    }
    if let (Some(there), Some(fleet)) = (layout.installed(), &removal.fleet)
        && there.manifest.fleet != *fleet
        && !removal.force
    {
        let why = format!("this host belongs to fleet {:?}, not {fleet:?}", there.manifest.fleet);
        return Err(
            Trouble::refused(why).remedy("remove it with that fleet's inventory, or force it (--force)")
        );
    }
    if layout.dir.is_dir() {
        lock::take(host, layout, "uninstall", &removal.by, removal.take_over, 10.0)?;
    }
    end_sessions(host, layout, removal, &mut told).inspect_err(|_| {
        // Refused: everything stays as it is.
        let _ = lock::release(host, layout, "uninstall");
    })?;
    stop(host, layout, &mut told)?;
    if layout.remembered().enabled_linger {
        match host.linger(false) {
            Ok(()) => told.removed.push("lingering, which a deployment had switched on".into()),
            Err(why) => told
                .left
                .push(format!("lingering is still on ({why}): sudo loginctl disable-linger {}", host.user())),
        }
    }
    sockets(host, layout, &mut told)?;
    if removal.purge {
        purge(host, layout, &mut told)?;
    } else if layout.state.exists() {
        told.left.push(format!("{} (journal, transcripts; --purge removes it)", layout.state.display()));
    }
    directory(host, layout)?;
    told.removed.push(layout.dir.display().to_string());
    Ok(told)
}

/// Directories of the user's units that are empty now: of no use to anyone, and most likely ours.
pub fn forget_dirs(host: &mut dyn Host, layout: &Layout) {
    let above = layout.units.parent().filter(|dir| dir.ends_with("systemd"));
    let own = [layout.units.join("default.target.wants"), layout.units.clone()];
    for dir in own.into_iter().chain(above.map(std::path::Path::to_path_buf)) {
        if std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none()) {
            let _ = disk::remove(host, &dir);
        }
    }
}

fn end_sessions(
    host: &mut dyn Host,
    layout: &Layout,
    removal: &Removal,
    told: &mut Removed,
) -> Result<(), Trouble> {
    let living: Vec<Found> = health::ours(&host.sessions(), layout)
        .filter(|one| removal.force || one.first.is_some())
        .cloned()
        .collect();
    if living.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = living.iter().map(|one| one.session.as_str()).collect();
    if !removal.force {
        let why = format!("sessions are alive: {}", names.join(", "));
        return Err(Trouble::refused(why).remedy("let them finish, or end them too (--force)"));
    }
    for name in names {
        host.end_session(&layout.socket(), name).map_err(Trouble::failed)?;
        told.removed.push(format!("session {name}"));
    }
    Ok(())
}

fn stop(host: &mut dyn Host, layout: &Layout, told: &mut Removed) -> Result<(), Trouble> {
    // Without a manager nothing of the unit runs.
    let managed = host.manager().is_ok();
    if managed {
        host.disarm();
        host.stop(true).map_err(Trouble::failed)?;
    }
    for path in [layout.wanted(), layout.unit_file()] {
        disk::remove(host, &path).map_err(at("remove", &path))?;
    }
    told.removed.push(UNIT.into());
    if managed {
        host.reload().map_err(Trouble::failed)?;
        host.forget_failure().map_err(Trouble::failed)?;
    }
    let drop_ins = layout.units.join(format!("{UNIT}.d"));
    if drop_ins.exists() {
        told.left.push(format!("{}, which no deployment made", drop_ins.display()));
    }
    forget_dirs(host, layout);
    Ok(())
}

/// The runtime directory, unless sessions or strangers still have something there.
fn sockets(host: &mut dyn Host, layout: &Layout, told: &mut Removed) -> Result<(), Trouble> {
    let Ok(entries) = std::fs::read_dir(&layout.runtime) else { return Ok(()) };
    let names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    let others: Vec<&String> = names.iter().filter(|name| *name != "agent.sock").collect();
    let alive = host.sessions();
    let living = |name: &&String| alive.iter().any(|one| one.session == **name);
    if others.iter().any(|name| living(name) || !name.starts_with("cm-")) {
        told.left.push(format!("{}: something is still there", layout.runtime.display()));
        return Ok(());
    }
    disk::remove(host, &layout.runtime).map_err(at("remove", &layout.runtime))?;
    told.removed.push(layout.runtime.display().to_string());
    Ok(())
}

fn purge(host: &mut dyn Host, layout: &Layout, told: &mut Removed) -> Result<(), Trouble> {
    if layout.state.exists() {
        disk::remove(host, &layout.state).map_err(at("remove", &layout.state))?;
        told.removed.push(layout.state.display().to_string());
    }
    Ok(())
}

/// Everything but the programs first: as long as one is there, this can be repeated.
fn directory(host: &mut dyn Host, layout: &Layout) -> Result<(), Trouble> {
    let entries = std::fs::read_dir(&layout.dir).map_err(at("list", &layout.dir))?;
    let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    // What is remembered of lingering is acted upon by now; the lock protects to the end.
    let last = |path: &std::path::Path| {
        *path == layout.lock() || *path == layout.versions() || *path == layout.installer()
    };
    all.sort_by_key(|path| last(path));
    for path in all {
        disk::remove(host, &path).map_err(at("remove", &path))?;
    }
    disk::remove(host, &layout.dir).map_err(at("remove", &layout.dir))?;
    // Where we have made the directories above it.
    Ok(())
}
