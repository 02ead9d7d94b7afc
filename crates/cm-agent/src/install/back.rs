//! Going back: to the generation before, or, where there was none, to a host without an agent.

use std::time::Duration;

use cm_protocol::deploy::HostAfter;

use super::audit::{self, Entry};
use super::disk;
use super::host::Host;
use super::layout::{Layout, Memory, Pending, UNIT};
use super::trouble::{Trouble, at};
use super::{health, lock, plan, uninstall};

/// How long somebody else who goes back is waited for.
const OTHERS: Duration = Duration::from_secs(120);
/// Seconds the generation before may take to be healthy again.
const READY: f64 = 60.0;

/// Where going back is done from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Outside,
    /// The start of the agent's own unit, which must not wait for itself.
    UnitStart,
}

/// Undoes a deployment that was not confirmed, and gives its lock back. `None`: no such deployment is under way.
///
/// # Errors
/// It could not even begin. Once it has begun, what came of it is the answer.
pub fn go_back(
    host: &mut dyn Host,
    layout: &Layout,
    deployment: &str,
    by: &str,
    place: Place,
) -> Result<Option<HostAfter>, Trouble> {
    let patience = if place == Place::Outside { OTHERS } else { Duration::ZERO };
    if !layout.dir.is_dir() {
        return Ok(None);
    }
    let Some(_alone) = lock::hold(&layout.file("going-back"), patience)? else { return Ok(None) };
    let pending = {
        let _guard = lock::guard(layout)?;
        let Some(mut pending) = layout.under_way().filter(|p| p.deployment == deployment) else {
            return Ok(None);
        };
        if !pending.reverting {
            pending.reverting = true;
            disk::write_json(host, &layout.pending(), &pending).map_err(at("write", &layout.pending()))?;
        }
        pending
    };
    let previous = pending.previous.filter(|number| layout.stored(*number).is_some());
    let after = match previous {
        Some(number) => back_to(host, layout, &pending, number, place)
            .map(|()| HostAfter::Reverted { generation: number }),
        None => away(host, layout, &pending, place).map(|()| HostAfter::Removed),
    };
    let after = match after.and_then(|after| settle(host, layout, &pending, place).map(|()| after)) {
        Ok(after) => after,
        Err(trouble) => {
            // The next one finds the host free, and the deployment still to be undone.
            let _ = lock::release(host, layout, deployment);
            HostAfter::Broken { why: trouble.why }
        }
    };
    let result = match &after {
        HostAfter::Reverted { .. } => "went back",
        HostAfter::Removed => "stopped and removed",
        HostAfter::Broken { .. } => "going back failed",
        HostAfter::Untouched => "untouched",
    };
    let entry = Entry {
        by,
        act: "revert",
        deployment,
        from: Some(pending.generation),
        to: pending.previous,
        result,
        ..Entry::default()
    };
    audit::write(host, layout, &entry);
    Ok(Some(after))
}

/// Uses the generation before again.
fn back_to(
    host: &mut dyn Host,
    layout: &Layout,
    pending: &Pending,
    number: u64,
    place: Place,
) -> Result<(), Trouble> {
    if !pending.activated {
        return Ok(());
    }
    let changed = health::switch(host, layout, number)?;
    if place == Place::UnitStart {
        // The start that is under way runs what the link leads to now; the unit's other words count from the
        // next start on.
        return if changed { host.reload_later().map_err(Trouble::failed) } else { Ok(()) };
    }
    let before = host.unit().map_err(Trouble::failed)?;
    if changed || before.stale {
        host.reload().map_err(Trouble::failed)?;
    }
    if before.active == "activating" {
        // It was never ready, and need not be waited for.
        host.kill_main().map_err(Trouble::failed)?;
    }
    if before.active != "active" || before.restarts > 0 {
        // Also the count of its restarts, which says whether the one before crashes in turn.
        host.forget_failure().map_err(Trouble::failed)?;
    }
    let since = host.clock().unix;
    host.restart().map_err(Trouble::failed)?;
    let wanted = layout.stored(number).map(|s| s.manifest.binary.sha256).unwrap_or_default();
    health::wait_healthy(host, layout, &wanted, before.main_pid, READY).map(|_| ()).map_err(|not| {
        let (log, why) = (host.log(since).join("\n"), not.trouble.why);
        Trouble::failed(format!("generation {number} does not become healthy again: {why}\n{log}"))
    })
}

/// Stops and removes the agent that was the first here.
fn away(host: &mut dyn Host, layout: &Layout, pending: &Pending, place: Place) -> Result<(), Trouble> {
    if pending.activated {
        if place == Place::Outside {
            host.stop(true).map_err(Trouble::failed)?;
        }
        disk::remove(host, &layout.wanted()).map_err(at("remove", &layout.wanted()))?;
        match &pending.foreign_unit {
            Some(text) => disk::write(host, &layout.unit_file(), text.as_bytes(), 0o644),
            None => disk::remove(host, &layout.unit_file()),
        }
        .map_err(at("restore", &layout.unit_file()))?;
        disk::remove(host, &layout.current()).map_err(at("remove", &layout.current()))?;
        uninstall::forget_dirs(host, layout);
        if place == Place::Outside {
            host.reload().map_err(Trouble::failed)?;
            // Nothing has failed any more; that it had is no news.
            let _ = host.forget_failure();
        }
    }
    if pending.enabled_linger {
        // Refused is no reason to stop: it was not needed before, and does no harm.
        let _ = host.linger(false);
    }
    Ok(())
}

/// Forgets the deployment: last, so that everything before it is done again if this process does not get here.
fn settle(host: &mut dyn Host, layout: &Layout, pending: &Pending, place: Place) -> Result<(), Trouble> {
    if pending.fresh {
        let dir = layout.generation(pending.generation);
        disk::remove(host, &dir).map_err(at("remove", &dir))?;
    }
    let memory = layout.remembered();
    if memory.confirmed.as_deref() == Some(&pending.deployment) {
        let memory = Memory { confirmed: None, ..memory };
        disk::write_json(host, &layout.memory(), &memory).map_err(at("write", &layout.memory()))?;
    }
    if pending.previous.is_none() {
        for path in made_by_the_first(layout) {
            disk::remove(host, &path).map_err(at("remove", &path))?;
        }
    }
    disk::remove(host, &layout.pending()).map_err(at("remove", &layout.pending()))?;
    lock::release(host, layout, &pending.deployment).map_err(at("remove", &layout.lock()))?;
    if place == Place::UnitStart && pending.previous.is_none() && pending.activated {
        // The manager forgets the unit after that. Refused, it does so at its next start.
        let _ = host.reload_later();
        host.disarm();
        // This process is part of the unit's start and ends with it.
        return host.stop(false).map_err(|why| Trouble::failed(format!("{UNIT} cannot be stopped: {why}")));
    }
    host.disarm();
    Ok(())
}

/// What the first deployment makes, and takes along if it comes to nothing.
pub fn made_by_the_first(layout: &Layout) -> [std::path::PathBuf; 5] {
    [layout.generations(), layout.versions(), layout.token(), layout.memory(), layout.installer()]
}

/// What the agent's unit asks before each start: whether a deployment that nobody confirmed is to be undone first.
/// If it is not, its timer must be there, which the service manager may have lost.
///
/// # Errors
/// Going back could not begin.
pub fn if_overdue(host: &mut dyn Host, layout: &Layout) -> Result<Option<HostAfter>, Trouble> {
    let Some(pending) = layout.under_way() else { return Ok(None) };
    let now = host.clock();
    if plan::overdue(&pending, &now) {
        return go_back(host, layout, &pending.deployment, "start", Place::UnitStart);
    }
    if let Ok(manager) = host.manager()
        && manager != pending.manager
    {
        let left = (pending.deadline - now.up).max(1.0);
        let program = std::fs::canonicalize(layout.installer()).map_err(at("follow", &layout.installer()))?;
        host.arm(&program, layout, &pending.deployment, left).map_err(Trouble::failed)?;
    }
    Ok(None)
}

/// What the timer does: waits until the deadline as it is written down now, then goes back, unless the deployment
/// was confirmed meanwhile.
///
/// # Errors
/// Going back could not begin.
pub fn at_deadline(
    host: &mut dyn Host,
    layout: &Layout,
    deployment: &str,
) -> Result<Option<HostAfter>, Trouble> {
    loop {
        let Some(pending) = layout.under_way().filter(|p| p.deployment == deployment) else {
            return Ok(None);
        };
        if plan::overdue(&pending, &host.clock()) {
            return go_back(host, layout, deployment, "timer", Place::Outside);
        }
        host.sleep(Duration::from_millis(200));
    }
}
