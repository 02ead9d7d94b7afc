//! Keeping a deployment: confirmed by name, then what is no longer needed is removed.

use std::path::Path;

use cm_protocol::deploy::FailureKind;

use super::audit::{self, Entry};
use super::disk;
use super::host::Host;
use super::layout::{Layout, Memory};
use super::real::RealHost;
use super::trouble::{Trouble, at};
use super::{lock, plan};

/// Why a deployment is not confirmed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct ConfirmError {
    /// The client is wrong about the host, not the host at fault.
    pub refused: bool,
    /// Why.
    pub why: String,
}

/// Confirms a deployment of the installation in `dir`, from inside the agent it brought; the generation that
/// stays. Blocks for some milliseconds.
///
/// # Errors
/// Another deployment waits, or none, or it is too late.
pub fn confirm_here(dir: &Path, deployment: &str) -> Result<u64, ConfirmError> {
    let failed = |why: String| ConfirmError { refused: false, why };
    let layout = Layout::find(Some(dir), &|name| std::env::var(name).ok()).map_err(failed)?;
    let mut host = RealHost::new().map_err(|e| failed(e.to_string()))?;
    confirm(&mut host, &layout, deployment)
        .map_err(|trouble| ConfirmError { refused: trouble.kind == FailureKind::Refused, why: trouble.why })
}

/// Confirms a deployment; again is no error.
pub fn confirm(host: &mut dyn Host, layout: &Layout, deployment: &str) -> Result<u64, Trouble> {
    let guard = lock::guard(layout)?;
    let memory = layout.remembered();
    let Some(pending) = layout.under_way() else {
        let confirmed = memory.confirmed.as_deref() == Some(deployment);
        return layout.in_use().filter(|_| confirmed).ok_or_else(|| {
            Trouble::refused(format!("no deployment {deployment} waits to be confirmed on this host"))
        });
    };
    if pending.deployment != deployment {
        let why = format!(
            "deployment {} of {} waits to be confirmed, not {deployment}",
            pending.deployment, pending.owner
        );
        return Err(Trouble::refused(why));
    }
    if plan::overdue(&pending, &host.clock()) {
        return Err(Trouble::refused(format!(
            "too late: the host is going back from deployment {deployment}"
        )));
    }
    if !pending.healthy {
        return Err(Trouble::refused(format!(
            "deployment {deployment} is still at work, and not healthy yet"
        )));
    }
    let memory = Memory {
        enabled_linger: memory.enabled_linger || pending.enabled_linger,
        confirmed: Some(deployment.to_owned()),
    };
    disk::write_json(host, &layout.memory(), &memory).map_err(at("write", &layout.memory()))?;
    // From here on it stays: the timer, if it comes, finds nothing to undo.
    disk::remove(host, &layout.pending()).map_err(at("remove", &layout.pending()))?;
    drop(guard);
    host.disarm();
    // While the lock is held: what the next deployment brings is in no generation yet.
    clean(host, layout);
    lock::release(host, layout, deployment).map_err(at("remove", &layout.lock()))?;
    let entry = Entry {
        by: &pending.owner,
        act: "confirm",
        deployment,
        from: pending.previous,
        to: Some(pending.generation),
        result: "kept",
        ..Entry::default()
    };
    audit::write(host, layout, &entry);
    Ok(pending.generation)
}

/// Removes generations beyond those that are kept, and programs that neither a generation nor a living process
/// needs. What cannot be removed now goes the next time.
pub fn clean(host: &mut dyn Host, layout: &Layout) {
    let under_way = layout.under_way();
    let named: Vec<u64> =
        under_way.iter().flat_map(|p| p.previous.into_iter().chain([p.generation])).collect();
    for number in plan::superfluous(&layout.numbers(), layout.in_use(), &named) {
        let _ = disk::remove(host, &layout.generation(number));
    }
    let needed: Vec<String> = layout
        .numbers()
        .into_iter()
        .filter_map(|number| Some(layout.stored(number)?.manifest.binary.sha256))
        .collect();
    // Tools' hooks call the program that their session was started by.
    let mut in_use = host.programs_in_use();
    in_use.extend(std::fs::canonicalize(layout.installer()));
    for sha256 in layout.programs() {
        let program = layout.program(&sha256);
        let real = std::fs::canonicalize(&program).unwrap_or(program);
        if !needed.contains(&sha256) && !in_use.contains(&real) {
            let _ = disk::remove(host, &layout.version(&sha256));
        }
    }
}
