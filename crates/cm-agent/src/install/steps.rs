//! Going forward: the steps of an installation, in their order, each reported when it is done.

use std::io;
use std::path::Path;

use cm_protocol::deploy::{
    FailureKind, HostAfter, InstallFailure, InstallLine, InstallStep, Installation, Manifest, Pane, Running,
};

use super::audit::{self, Entry};
use super::back::{self, Place};
use super::disk;
use super::health::{NotHealthy, ours, switch, wait_healthy};
use super::host::{Host, Own, UnitNow};
use super::layout::{self, Layout, Memory, Pending, Stored};
use super::lock::{self, Holder};
use super::order::Order;
use super::sessions::Found;
use super::trouble::{Trouble, at};
use super::{keep, plan};

/// Seconds a deployment may still take for its own ends (looking at sessions, writing) before it is undone.
const SLACK: f64 = 10.0;

/// Where the report goes.
pub type Report<'a> = &'a mut dyn FnMut(InstallLine);

/// An installation under way.
pub(super) struct Run<'a> {
    pub(super) host: &'a mut dyn Host,
    pub(super) layout: &'a Layout,
    pub(super) order: &'a Order,
    pub(super) report: Report<'a>,
    pub(super) step: InstallStep,
    pub(super) began: f64,
    /// Since when the new agent may have written something, Unix seconds.
    pub(super) activated_at: Option<f64>,
    /// The generation directory that this run has made.
    pub(super) made: Option<u64>,
    /// Lingering was switched on by this run.
    pub(super) lingering: bool,
    /// A line that goes with the step.
    pub(super) note: Option<String>,
}

/// What has been decided before anything is changed.
pub(super) struct Chosen {
    /// The generation's number.
    pub(super) number: u64,
    pub(super) manifest: Manifest,
    /// It has to be written.
    pub(super) fresh: bool,
    pub(super) previous: Option<Stored>,
    pub(super) own: Own,
    pub(super) unit: UnitNow,
    pub(super) manager: String,
}

/// Makes a host what it is to become. The last line has been reported when this returns.
pub fn run(
    host: &mut dyn Host,
    layout: &Layout,
    order: &Order,
    report: Report<'_>,
) -> Result<Installation, InstallFailure> {
    let began = host.clock().up;
    let step = InstallStep::Lock;
    let mut run = Run {
        host,
        layout,
        order,
        report,
        step,
        began,
        activated_at: None,
        made: None,
        lingering: false,
        note: None,
    };
    let outcome = match run.forward() {
        Ok(installation) => Ok(installation),
        Err(trouble) => Err(run.fail(trouble)),
    };
    let line = match &outcome {
        Ok(installation) => InstallLine::Installed(Box::new(installation.clone())),
        Err(failure) => InstallLine::Failed(Box::new(failure.clone())),
    };
    (run.report)(line);
    outcome
}

impl Run<'_> {
    fn forward(&mut self) -> Result<Installation, Trouble> {
        // Read first: undoing what an earlier attempt left may remove the file it came from.
        let own = self.host.own().map_err(at("read", Path::new("/proc/self/exe")))?;
        let holder = self.lock()?;
        let own = Own { path: self.host.own().map_or(own.path, |now| now.path), ..own };
        let chosen = self.verify(own)?;
        if let Some(unchanged) = self.unchanged(&chosen)? {
            return Ok(unchanged);
        }
        lock::still_ours(self.layout, &holder)?;
        let mut dropped = self.store(&chosen)?;
        let enabled_linger = self.linger()?;
        lock::still_ours(self.layout, &holder)?;
        let pending = self.arm(&chosen, enabled_linger)?;
        lock::still_ours(self.layout, &holder)?;
        self.activate(&chosen, &pending)?;
        let running = match self.healthy(&chosen) {
            Err(NotHealthy { trouble, not_set_up: true }) => {
                dropped = self.soften(&chosen)?.ok_or(trouble)?;
                self.host.forget_failure().map_err(Trouble::failed)?;
                self.switch(&chosen)?;
                self.healthy(&chosen)?
            }
            done => done?,
        };
        self.done(InstallStep::Healthy);
        let (before, after) = self.sessions(&pending, Path::new(&running.socket))?;
        self.finish(&holder, pending)?;
        Ok(Installation {
            generation: chosen.number,
            previous: chosen.previous.map(|p| p.number).filter(|n| *n != chosen.number),
            socket: running.socket.clone(),
            running,
            before,
            after,
            dropped,
            unchanged: false,
        })
    }

    pub(super) fn done(&mut self, step: InstallStep) {
        let now = self.host.clock().up;
        let ms = ((now - self.began).max(0.0) * 1000.0) as u64;
        self.began = now;
        let note = self.note.take();
        (self.report)(InstallLine::Step { step, ms, note });
        self.step = match step {
            InstallStep::Lock => InstallStep::Verify,
            InstallStep::Verify => InstallStep::Store,
            InstallStep::Store => InstallStep::Linger,
            InstallStep::Linger => InstallStep::Arm,
            InstallStep::Arm => InstallStep::Activate,
            InstallStep::Activate => InstallStep::Healthy,
            InstallStep::Healthy => InstallStep::Sessions,
            InstallStep::Sessions => InstallStep::Confirm,
            InstallStep::Confirm | InstallStep::Clean => InstallStep::Clean,
        };
    }

    pub(super) fn warn(&mut self, what: String, remedy: Option<String>) {
        (self.report)(InstallLine::Warning { what, remedy });
    }

    pub(super) fn say(&mut self, note: String) {
        self.note = Some(match self.note.take() {
            Some(before) => format!("{before}; {note}"),
            None => note,
        });
    }

    fn lock(&mut self) -> Result<Holder, Trouble> {
        if !plan::good_name(&self.order.deployment) {
            let why =
                format!("{:?} is no name for a deployment ([0-9a-z-], at most 40)", self.order.deployment);
            return Err(Trouble::refused(why));
        }
        let dir = &self.layout.dir;
        let no_dir = |e: io::Error| {
            at("make", dir)(e).remedy("name a directory this user can write to as the agent's directory")
        };
        disk::make_dir(self.host, dir).map_err(no_dir)?;
        disk::close_dir(self.host, dir).map_err(at("close to others", dir))?;
        let order = self.order;
        let patience = order.ready_seconds as f64 + SLACK;
        let (holder, note) =
            lock::take(self.host, self.layout, &order.deployment, &order.by, order.take_over, patience)?;
        if let Some(note) = note {
            self.say(note);
        }
        self.leftovers()?;
        self.done(InstallStep::Lock);
        Ok(holder)
    }

    /// A deployment that did not come to its end is undone first, whoever's it was: that is the state that was
    /// last known to be good.
    fn leftovers(&mut self) -> Result<(), Trouble> {
        let Some(left) = self.layout.under_way() else { return Ok(()) };
        if left.deployment == self.order.deployment && !left.reverting && left.healthy {
            return Ok(());
        }
        let after = back::go_back(self.host, self.layout, &left.deployment, &self.order.by, Place::Outside)?;
        match after {
            Some(HostAfter::Broken { why }) => {
                self.warn(format!("deployment {} could not be undone: {why}", left.deployment), None);
                // This deployment may be the cure.
                disk::remove(self.host, &self.layout.pending())
                    .map_err(at("remove", &self.layout.pending()))?;
            }
            _ => self.say(format!("deployment {}, which nobody had confirmed, was undone", left.deployment)),
        }
        // Its lock, if it had one, went with it; ours is needed.
        let (_, _) = lock::take(
            self.host,
            self.layout,
            &self.order.deployment,
            &self.order.by,
            self.order.take_over,
            SLACK,
        )?;
        Ok(())
    }

    fn linger(&mut self) -> Result<bool, Trouble> {
        if self.host.lingers() {
            self.done(InstallStep::Linger);
            return Ok(false);
        }
        // Remembered first: it must be taken back by whoever removes the agent, whatever happens here.
        let memory = Memory { enabled_linger: true, ..self.layout.remembered() };
        let path = self.layout.memory();
        disk::write_json(self.host, &path, &memory).map_err(at("write", &path))?;
        let enabled = self.host.linger(true);
        self.lingering = enabled.is_ok();
        if enabled.is_err() {
            let memory = Memory { enabled_linger: false, ..memory };
            disk::write_json(self.host, &path, &memory).map_err(at("write", &path))?;
        }
        if let Err(why) = &enabled {
            let user = self.host.user();
            let remedy = format!("sudo loginctl enable-linger {user}");
            let what = format!(
                "services of {user} end at the last logout, the agent and its sessions with them: \
                 lingering is off and was refused ({why})"
            );
            let living = ours(&self.host.sessions(), self.layout).filter(|s| s.first.is_some()).count();
            if living > 0 && !self.order.force {
                let why = format!("{what}; {} would be lost", counted(living));
                return Err(Trouble::refused(why).remedy(remedy));
            }
            self.warn(what, Some(remedy));
        }
        self.done(InstallStep::Linger);
        Ok(enabled.is_ok())
    }

    fn arm(&mut self, chosen: &Chosen, enabled_linger: bool) -> Result<Pending, Trouble> {
        let layout = self.layout;
        let now = self.host.clock();
        let order = self.order;
        let deadline = now.up + order.ready_seconds as f64 + order.confirm_seconds as f64 + SLACK;
        let unit_file = layout::bytes(&layout.unit_file());
        let foreign = unit_file.filter(|_| chosen.previous.is_none());
        let pending = Pending {
            deployment: order.deployment.clone(),
            owner: order.by.clone(),
            generation: chosen.number,
            fresh: chosen.fresh,
            previous: chosen.previous.as_ref().map(|p| p.number),
            foreign_unit: foreign.and_then(|text| String::from_utf8(text).ok()),
            deadline,
            boot_id: now.boot_id,
            manager: chosen.manager.clone(),
            confirm_seconds: order.confirm_seconds,
            enabled_linger,
            before: ours(&self.host.sessions(), layout).filter_map(Found::pane).collect(),
            activated: false,
            healthy: false,
            reverting: false,
        };
        disk::write_json(self.host, &layout.pending(), &pending).map_err(at("write", &layout.pending()))?;
        // It wakes early and looks at the deadline, which moves when the agent is healthy.
        let wake = if order.confirm_seconds == 0 { deadline - now.up } else { order.confirm_seconds as f64 };
        let program = layout.program(&chosen.own.sha256);
        self.host
            .arm(&program, layout, &order.deployment, wake)
            .map_err(|why| Trouble::failed(format!("the revert timer cannot be started: {why}")))?;
        self.done(InstallStep::Arm);
        Ok(pending)
    }

    fn activate(&mut self, chosen: &Chosen, pending: &Pending) -> Result<(), Trouble> {
        let layout = self.layout;
        self.activated_at = Some(self.host.clock().unix);
        let pending = Pending { activated: true, ..pending.clone() };
        disk::write_json(self.host, &layout.pending(), &pending).map_err(at("write", &layout.pending()))?;
        self.switch(chosen)?;
        self.done(InstallStep::Activate);
        Ok(())
    }

    fn switch(&mut self, chosen: &Chosen) -> Result<(), Trouble> {
        let changed = switch(self.host, self.layout, chosen.number)?;
        if changed || chosen.unit.stale || !chosen.unit.loaded {
            self.host.reload().map_err(Trouble::failed)?;
        }
        if chosen.unit.active == "failed" || chosen.unit.restarts > 0 {
            // Also the count of its restarts, which says whether the new one crashes.
            self.host.forget_failure().map_err(Trouble::failed)?;
        }
        self.host.restart().map_err(Trouble::failed)
    }

    fn healthy(&mut self, chosen: &Chosen) -> Result<Running, NotHealthy> {
        let sha256 = &chosen.manifest.binary.sha256;
        let seconds = self.order.ready_seconds as f64;
        wait_healthy(self.host, self.layout, sha256, chosen.unit.main_pid, seconds)
    }

    /// Every session's first process before is there after, unless its program has ended by itself.
    fn sessions(&mut self, pending: &Pending, socket: &Path) -> Result<(Vec<Pane>, Vec<Pane>), Trouble> {
        let found = self.host.sessions();
        let after: Vec<Pane> = ours(&found, self.layout).filter_map(Found::pane).collect();
        let mut before = pending.before.clone();
        let mut lost = Vec::new();
        for gone in plan::missing(&before, &after) {
            // A terminal that is still there shows that its program ended, not that something ended it.
            let terminal = found.iter().any(|f| f.session == gone.session && f.server.is_some());
            let told = self.host.ended_by_itself(socket, &gone.session);
            match told {
                Some(how) => self.say(format!("{} ended meanwhile: {how}", gone.session)),
                None if terminal => self.say(format!("{} ended meanwhile", gone.session)),
                None => lost.push(gone.session.clone()),
            }
            before.retain(|pane| *pane != gone);
        }
        if !lost.is_empty() && !self.order.force {
            let why = format!("{} did not survive: {}", counted(lost.len()), lost.join(", "));
            return Err(Trouble::failed(why));
        }
        self.say(format!("{} go on", counted(before.len())));
        self.done(InstallStep::Sessions);
        Ok((before, after))
    }

    /// From here on it waits to be confirmed, or is.
    fn finish(&mut self, holder: &Holder, pending: Pending) -> Result<(), Trouble> {
        let layout = self.layout;
        let order = self.order;
        let now = self.host.clock();
        let deadline =
            if order.confirm_seconds == 0 { pending.deadline } else { now.up + order.confirm_seconds as f64 };
        let pending = Pending { activated: true, healthy: true, deadline, ..pending };
        {
            let _guard = lock::guard(layout)?;
            let still = layout.under_way().filter(|p| p.deployment == order.deployment && !p.reverting);
            if still.is_none() {
                return Err(Trouble::failed("it took too long: the host is going back already"));
            }
            disk::write_json(self.host, &layout.pending(), &pending)
                .map_err(at("write", &layout.pending()))?;
        }
        let sha256 = self.layout.stored(pending.generation).map(|s| s.manifest.binary.sha256);
        let entry = Entry {
            by: &order.by,
            act: order.act(),
            deployment: &order.deployment,
            from: pending.previous,
            to: Some(pending.generation),
            sha256: sha256.as_deref(),
            result: "installed",
            ..Entry::default()
        };
        audit::write(self.host, layout, &entry);
        if order.confirm_seconds > 0 {
            return lock::wait_until(self.host, layout, holder, deadline + plan::LOCK_AFTER);
        }
        keep::confirm(self.host, layout, &order.deployment)?;
        self.done(InstallStep::Confirm);
        self.done(InstallStep::Clean);
        Ok(())
    }
}

/// The exit code of an outcome: 0 installed, 1 failed, 4 refused.
pub fn exit_code(outcome: &Result<Installation, InstallFailure>) -> u8 {
    match outcome {
        Ok(_) => 0,
        Err(failure) if failure.kind == FailureKind::Refused => 4,
        Err(_) => 1,
    }
}

/// So many sessions, in words.
pub(super) fn counted(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}
