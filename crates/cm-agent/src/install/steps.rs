//! Going forward: the steps of an installation, in their order, each reported when it is done.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_protocol::deploy::{
    FailureKind, HostAfter, InstallFailure, InstallLine, InstallStep, Installation, Manifest, Pane, Running,
};

use super::audit::{self, Entry};
use super::back::{self, Place};
use super::disk;
use super::host::{Clock, Host, NoManager, Own, UnitNow};
use super::layout::{self, Layout, Memory, Origin, Pending, Stored};
use super::lock::{self, Holder};
use super::sessions::{self, Found};
use super::trouble::{Trouble, at};
use super::{keep, plan, token, unit};

/// Seconds a deployment may still take for its own ends (looking at sessions, writing) before it is undone.
const SLACK: f64 = 10.0;
/// Between two looks at an agent that starts.
const LOOK: Duration = Duration::from_millis(25);
/// Looks at its socket for each question to the service manager, which costs a process.
const LOOKS: u32 = 8;

/// What is asked of a host.
#[derive(Debug, Clone)]
pub struct Order {
    /// The deployment's name.
    pub deployment: String,
    /// The fleet that asks; `None`: whoever is at the host.
    pub fleet: Option<String>,
    /// Who: `user@machine`.
    pub by: String,
    /// Seconds it stays unconfirmed; 0: confirmed at once.
    pub confirm_seconds: u64,
    /// Seconds for the agent to become healthy.
    pub ready_seconds: u64,
    /// Go on although sessions will end.
    pub force: bool,
    /// Take the host from another fleet, or its lock from another deployment.
    pub take_over: bool,
    /// What it is to become.
    pub goal: Goal,
}

/// What a host is to become.
#[derive(Debug, Clone)]
pub enum Goal {
    /// Something new.
    New(Box<Manifest>),
    /// What it was: a generation's number, the first digits of a program, or the one before.
    Old(Option<String>),
}

impl Order {
    /// The order that a manifest is.
    pub fn of(manifest: Manifest) -> Self {
        Self {
            deployment: manifest.deployment.clone(),
            fleet: Some(manifest.fleet.clone()),
            by: manifest.by.clone(),
            confirm_seconds: manifest.confirm_seconds,
            ready_seconds: manifest.ready_seconds,
            force: manifest.force,
            take_over: manifest.take_over,
            goal: Goal::New(Box::new(manifest)),
        }
    }

    fn act(&self) -> &'static str {
        match self.goal {
            Goal::New(_) => "install",
            Goal::Old(_) => "rollback",
        }
    }
}

/// Where the report goes.
pub type Report<'a> = &'a mut dyn FnMut(InstallLine);

/// An installation under way.
struct Run<'a> {
    host: &'a mut dyn Host,
    layout: &'a Layout,
    order: &'a Order,
    report: Report<'a>,
    step: InstallStep,
    began: f64,
    /// Since when the new agent may have written something, Unix seconds.
    activated_at: Option<f64>,
    /// The generation directory that this run has made.
    made: Option<u64>,
    /// Lingering was switched on by this run.
    lingering: bool,
    /// A line that goes with the step.
    note: Option<String>,
}

/// What has been decided before anything is changed.
struct Chosen {
    /// The generation's number.
    number: u64,
    manifest: Manifest,
    /// It has to be written.
    fresh: bool,
    previous: Option<Stored>,
    own: Own,
    unit: UnitNow,
    manager: String,
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
        let dropped = self.store(&chosen)?;
        let enabled_linger = self.linger()?;
        lock::still_ours(self.layout, &holder)?;
        let pending = self.arm(&chosen, enabled_linger)?;
        lock::still_ours(self.layout, &holder)?;
        self.activate(&chosen, &pending)?;
        let running = self.healthy(&chosen)?;
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
        })
    }

    fn done(&mut self, step: InstallStep) {
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

    fn warn(&mut self, what: String, remedy: Option<String>) {
        (self.report)(InstallLine::Warning { what, remedy });
    }

    fn say(&mut self, note: String) {
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

    fn verify(&mut self, own: Own) -> Result<Chosen, Trouble> {
        let layout = self.layout;
        let previous = layout.installed();
        self.belongs(previous.as_ref())?;
        let (number, manifest, fresh) = match &self.order.goal {
            Goal::New(manifest) => {
                self.program_is_what_was_sent(manifest, &own)?;
                crate::settings::check(&manifest.settings)
                    .map_err(|why| Trouble::failed(format!("the settings cannot be used: {why}")))?;
                // What a run of this deployment that was cut off has left is written anew.
                let same = layout.numbers().into_iter().rev().find(|n| {
                    layout.stored(*n).is_some_and(|s| s.origin.deployment == self.order.deployment)
                });
                let next = layout.numbers().last().map_or(1, |last| last + 1);
                (same.unwrap_or(next), (**manifest).clone(), true)
            }
            Goal::Old(to) => {
                let all: Vec<Stored> =
                    layout.numbers().into_iter().filter_map(|n| layout.stored(n)).collect();
                let number =
                    plan::rollback_target(&all, layout.in_use(), to.as_deref()).map_err(Trouble::refused)?;
                let target = all.into_iter().find(|s| s.number == number);
                let target = target.ok_or_else(|| Trouble::failed("the generation is not whole"))?;
                self.stored_program(&target.manifest.binary.sha256)?;
                (number, target.manifest, false)
            }
        };
        let manager = self.host.manager().map_err(|no| no_manager(&no, &self.host.user()))?;
        if !self.host.can_execute(&layout.dir) {
            let why = format!(
                "{} is on a file system mounted noexec: no program runs from there",
                layout.dir.display()
            );
            return Err(Trouble::failed(why).remedy(
                "name a directory elsewhere for the agent (--dir; in the inventory: the agent's directory)",
            ));
        }
        if !self.host.tmux() {
            return Err(Trouble::failed("tmux is not installed, or not where services look for programs")
                .remedy(
                    "install it: sudo apt-get install tmux (or the like), or add its directory to `path`",
                ));
        }
        let unit = self.host.unit().map_err(|why| no_manager(&NoManager::Mute(why), &self.host.user()))?;
        self.endangered(&unit)?;
        self.done(InstallStep::Verify);
        Ok(Chosen { number, manifest, fresh, previous, own, unit, manager })
    }

    fn belongs(&self, previous: Option<&Stored>) -> Result<(), Trouble> {
        let (Some(there), Some(fleet)) = (previous, &self.order.fleet) else { return Ok(()) };
        if there.manifest.fleet == *fleet || self.order.take_over {
            return Ok(());
        }
        let why = format!(
            "this host belongs to fleet {:?} (deployed by {}), not {fleet:?}",
            there.manifest.fleet, there.manifest.by
        );
        Err(Trouble::refused(why).remedy("remove it from that fleet, or take it over (--take-over)"))
    }

    /// The bytes that run, or else those that are kept here, are the ones that were sent.
    fn program_is_what_was_sent(&self, manifest: &Manifest, own: &Own) -> Result<(), Trouble> {
        let wanted = &manifest.binary;
        if !plan::good_digest(&wanted.sha256) {
            return Err(Trouble::failed("the manifest's sha256 is none: 64 hex digits are needed"));
        }
        if own.sha256 == wanted.sha256 {
            return Ok(());
        }
        let program = self.layout.program(&wanted.sha256);
        if !program.is_file() {
            return Err(Trouble::failed(format!(
                "the program was corrupted in transit: {} bytes with sha256 {} arrived, {} bytes with {} were sent",
                own.size, own.sha256, wanted.size, wanted.sha256
            ))
            .remedy("deploy again; if it happens again, look at the network and at the disk"));
        }
        self.stored_program(&wanted.sha256)
    }

    fn stored_program(&self, sha256: &str) -> Result<(), Trouble> {
        let program = self.layout.program(sha256);
        let there = crate::host::identity::sha256_of(&program).map_err(at("read", &program))?;
        if there == sha256 {
            return Ok(());
        }
        Err(Trouble::failed(format!("{} is damaged: its sha256 is {there}", program.display()))
            .remedy(format!("remove {} and deploy again", self.layout.version(sha256).display())))
    }

    /// Sessions that this would end, and agents that are in the way.
    fn endangered(&mut self, unit: &UnitNow) -> Result<(), Trouble> {
        let found = self.host.sessions();
        let listener = self.host.listener(self.layout);
        let other = listener.as_ref().map(|(_, socket)| socket.as_path());
        let endangered = sessions::endangered(&found, unit, &self.layout.socket(), other);
        if !endangered.is_empty() && !self.order.force {
            let list: Vec<String> = endangered.iter().map(|e| format!("{}: {}", e.session, e.why)).collect();
            let why = format!("{} would end: {}", counted(endangered.len()), list.join("; "));
            return Err(Trouble::refused(why).remedy("let them finish, or force it (--force)"));
        }
        for one in endangered {
            self.warn(format!("session {} will end: {}", one.session, one.why), None);
        }
        if let Some((pid, socket)) = listener
            && pid != unit.main_pid
        {
            if !self.order.force {
                let why =
                    format!("another agent (process {pid}), which no unit runs, has this user's sessions");
                return Err(Trouble::refused(why)
                    .remedy(format!("end it, its sessions go on: kill {pid}; or force it (--force)")));
            }
            self.host.shut_down(&socket).map_err(Trouble::failed)?;
            self.warn(
                format!("the agent that ran as process {pid} was asked to end; its sessions go on"),
                None,
            );
        }
        Ok(())
    }

    /// Where the host is what it is to become already, nothing is done.
    fn unchanged(&mut self, chosen: &Chosen) -> Result<Option<Installation>, Trouble> {
        let layout = self.layout;
        let Some(there) = chosen.previous.as_ref() else { return Ok(None) };
        let same = there.manifest.binary.sha256 == chosen.manifest.binary.sha256
            && there.manifest.settings == chosen.manifest.settings
            && there.manifest.fleet == chosen.manifest.fleet
            && (chosen.fresh || there.number == chosen.number);
        let text = layout::bytes(&layout.generation(there.number).join("unit"));
        let whole = text.is_some() && text == layout::bytes(&layout.unit_file()) && layout.wanted().exists();
        if !same || !whole || chosen.unit.active != "active" || chosen.unit.stale {
            return Ok(None);
        }
        let Some(running) = self.host.agent(&layout.socket()) else { return Ok(None) };
        if running.sha256 != there.manifest.binary.sha256 || running.pid != chosen.unit.main_pid {
            return Ok(None);
        }
        let panes: Vec<Pane> = ours(&self.host.sessions(), layout).filter_map(Found::pane).collect();
        match layout.under_way() {
            // It waits to be confirmed, as it did before.
            Some(pending) => {
                let mine = layout::read::<Holder>(&layout.lock())
                    .ok_or_else(|| Trouble::refused("the lock has gone"))?;
                lock::wait_until(self.host, layout, &mine, pending.deadline + plan::LOCK_AFTER)?;
            }
            None => lock::release(self.host, layout, &self.order.deployment)
                .map_err(at("remove", &layout.lock()))?,
        }
        self.tidy_upload(chosen);
        Ok(Some(Installation {
            generation: there.number,
            previous: None,
            socket: running.socket.clone(),
            running,
            before: panes.clone(),
            after: panes,
            dropped: there.origin.dropped.clone(),
        }))
    }

    /// A program that was pushed into our directory and is not needed.
    fn tidy_upload(&mut self, chosen: &Chosen) {
        if chosen.own.path.parent() == Some(&self.layout.dir) {
            let _ = disk::remove(self.host, &chosen.own.path);
        }
    }

    fn store(&mut self, chosen: &Chosen) -> Result<Vec<String>, Trouble> {
        let layout = self.layout;
        let own_place = layout.program(&chosen.own.sha256);
        if !own_place.is_file() {
            self.store_program(chosen, &own_place)?;
        } else if chosen.own.path != own_place {
            self.tidy_upload(chosen);
        }
        let installer = PathBuf::from(format!("versions/{}/cm-agent", chosen.own.sha256));
        disk::link(self.host, &installer, &layout.installer()).map_err(at("link", &layout.installer()))?;
        if chosen.manifest.settings.listen.is_some() && chosen.manifest.settings.token.is_none() {
            token::ensure(self.host, layout)?;
        }
        let dropped = if chosen.fresh {
            self.store_generation(chosen)?
        } else {
            layout.stored(chosen.number).map(|s| s.origin.dropped).unwrap_or_default()
        };
        self.done(InstallStep::Store);
        Ok(dropped)
    }

    fn store_program(&mut self, chosen: &Chosen, place: &Path) -> Result<(), Trouble> {
        let own = &chosen.own;
        let dir = self.layout.version(&own.sha256);
        disk::make_dir(self.host, &dir).map_err(at("make", &dir))?;
        // Pushed into our directory, it is on this disk already, and is moved.
        let pushed = own.path.parent() == Some(&self.layout.dir);
        let stored = if pushed {
            disk::take(self.host, &own.path, place)
        } else {
            let free = crate::host::limits::free_bytes(&self.layout.dir);
            match free.filter(|free| *free < own.size + (1 << 20)) {
                Some(_) => Err(io::ErrorKind::StorageFull.into()),
                None => disk::copy(self.host, &own.path, place),
            }
        };
        stored.map_err(|error| {
            let _ = disk::remove(self.host, &dir);
            let full = error.kind() == io::ErrorKind::StorageFull;
            let trouble = at("store", place)(error);
            if !full {
                return trouble;
            }
            let free = crate::host::limits::free_bytes(&self.layout.dir).unwrap_or(0);
            let why = format!(
                "the disk is full: the program needs {} bytes in {}, {free} are free",
                own.size,
                self.layout.dir.display()
            );
            Trouble { why, ..trouble }
        })
    }

    fn store_generation(&mut self, chosen: &Chosen) -> Result<Vec<String>, Trouble> {
        let layout = self.layout;
        let manifest = &chosen.manifest;
        let probed = self.host.manager_kind();
        let hardened = manifest.settings.hardened != Some(false);
        let before = chosen.previous.as_ref().map(|p| &p.origin).filter(|o| o.probed == probed);
        let dropped = match before {
            _ if !hardened => Vec::new(),
            Some(origin) => origin.dropped.clone(),
            None => self.host.refused(&unit::HARDENING),
        };
        let used: Vec<&str> = unit::HARDENING
            .into_iter()
            .filter(|one| hardened && !dropped.iter().any(|gone| gone == one))
            .collect();
        let own_token = manifest.settings.listen.is_some() && manifest.settings.token.is_none();
        let text = unit::render(unit::Parts { dir: &layout.dir, own_token, hardening: &used });
        let dir = layout.generation(chosen.number);
        self.made = Some(chosen.number);
        let at_dir = |e| at("write", &dir)(e);
        disk::make_dir(self.host, &dir).map_err(at_dir)?;
        disk::write_json(self.host, &dir.join("agent.json"), &manifest.settings).map_err(at_dir)?;
        disk::write_json(self.host, &dir.join("manifest.json"), manifest).map_err(at_dir)?;
        disk::write(self.host, &dir.join("unit"), text.as_bytes(), 0o600).map_err(at_dir)?;
        let program = PathBuf::from(format!("../../versions/{}/cm-agent", manifest.binary.sha256));
        disk::link(self.host, &program, &dir.join("cm-agent")).map_err(at_dir)?;
        let deployment = self.order.deployment.clone();
        let at_unix = self.host.clock().unix;
        // A run that recorded no probe (hardening off) must not stand for one that found nothing refused.
        let probed = if hardened { probed } else { String::new() };
        let origin = Origin { deployment, at: at_unix, dropped: dropped.clone(), probed };
        disk::write_json(self.host, &dir.join("generation.json"), &origin).map_err(at_dir)?;
        Ok(dropped)
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
        let changed = switch(self.host, layout, chosen.number)?;
        if changed || chosen.unit.stale || !chosen.unit.loaded {
            self.host.reload().map_err(Trouble::failed)?;
        }
        if chosen.unit.active == "failed" || chosen.unit.restarts > 0 {
            // Also the count of its restarts, which says whether the new one crashes.
            self.host.forget_failure().map_err(Trouble::failed)?;
        }
        self.host.restart().map_err(Trouble::failed)?;
        self.done(InstallStep::Activate);
        Ok(())
    }

    fn healthy(&mut self, chosen: &Chosen) -> Result<Running, Trouble> {
        let sha256 = &chosen.manifest.binary.sha256;
        let seconds = self.order.ready_seconds as f64;
        let running = wait_healthy(self.host, self.layout, sha256, chosen.unit.main_pid, seconds)?;
        self.done(InstallStep::Healthy);
        Ok(running)
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

    /// Undoes what was done, and says how the host is now.
    fn fail(&mut self, trouble: Trouble) -> InstallFailure {
        let step = self.step;
        let log = match self.activated_at {
            Some(since) => self.host.log(since),
            None => Vec::new(),
        };
        let host = self.undo();
        let order = self.order;
        let entry = Entry {
            by: &order.by,
            act: order.act(),
            deployment: &order.deployment,
            to: self.made,
            result: &format!("failed: {}", trouble.why),
            ..Entry::default()
        };
        audit::write(self.host, self.layout, &entry);
        InstallFailure { step, kind: trouble.kind, why: trouble.why, remedy: trouble.remedy, host, log }
    }

    fn undo(&mut self) -> HostAfter {
        let (layout, order) = (self.layout, self.order);
        let mine = layout.under_way().is_some_and(|p| p.deployment == order.deployment);
        // Refused for somebody else's lock, nothing here is ours to undo.
        let held = layout::read::<Holder>(&layout.lock()).is_some_and(|h| h.deployment == order.deployment);
        if mine && held && (self.step > InstallStep::Linger) {
            let back = back::go_back(self.host, layout, &order.deployment, &order.by, Place::Outside);
            return match back {
                Ok(Some(after)) if self.activated_at.is_some() => after,
                Ok(Some(HostAfter::Broken { why })) => HostAfter::Broken { why },
                Ok(_) => HostAfter::Untouched,
                Err(trouble) => HostAfter::Broken { why: trouble.why },
            };
        }
        if held && !mine {
            if self.lingering && self.host.linger(false).is_ok() {
                let memory = Memory { enabled_linger: false, ..layout.remembered() };
                let _ = disk::write_json(self.host, &layout.memory(), &memory);
            }
            if let Some(number) = self.made.filter(|number| layout.in_use() != Some(*number)) {
                let _ = disk::remove(self.host, &layout.generation(number));
            }
            if layout.in_use().is_none() {
                for path in back::made_by_the_first(layout) {
                    let _ = disk::remove(self.host, &path);
                }
            } else {
                keep::clean(self.host, layout);
            }
            let _ = lock::release(self.host, layout, &order.deployment);
        }
        HostAfter::Untouched
    }
}

/// Puts a generation in use: link and unit file. Whether the unit file has changed.
pub fn switch(host: &mut dyn Host, layout: &Layout, number: u64) -> Result<bool, Trouble> {
    let source = layout.generation(number).join("unit");
    let text = layout::bytes(&source)
        .ok_or_else(|| Trouble::failed(format!("{} cannot be read", source.display())))?;
    let target = PathBuf::from(format!("generations/{number}"));
    disk::link(host, &target, &layout.current()).map_err(at("link", &layout.current()))?;
    let file = layout.unit_file();
    let changed = layout::bytes(&file).as_deref() != Some(&text);
    let wanted = layout.wanted();
    if let Some(dir) = wanted.parent() {
        disk::make_dir(host, dir).map_err(at("make", dir))?;
    }
    if changed {
        disk::write(host, &file, &text, 0o644).map_err(at("write", &file))?;
    }
    let linked = std::fs::read_link(&wanted).is_ok();
    disk::link(host, &file, &wanted).map_err(at("link", &wanted))?;
    Ok(changed || !linked)
}

/// Waits until the agent that was sent answers, in another process than before.
pub fn wait_healthy(
    host: &mut dyn Host,
    layout: &Layout,
    sha256: &str,
    old_pid: u32,
    seconds: f64,
) -> Result<Running, Trouble> {
    let began: Clock = host.clock();
    let mut other = None;
    for round in 1_u32.. {
        let socket = layout.socket();
        let running = host.agent(&socket).filter(|running| running.pid != old_pid);
        let is_it = running.as_ref().is_some_and(|running| running.sha256 == sha256);
        if is_it || round % LOOKS == 0 {
            let unit = host.unit().map_err(Trouble::failed)?;
            match running {
                Some(running) if is_it && unit.active == "active" && unit.main_pid == running.pid => {
                    return Ok(running);
                }
                Some(running) => other = Some(running),
                None => {}
            }
            if let Some(why) = plan::start_failed(&unit) {
                return Err(Trouble::failed(why));
            }
        }
        if host.clock().up - began.up >= seconds {
            break;
        }
        host.sleep(LOOK);
    }
    let what = match other {
        Some(other) if other.sha256 != sha256 => {
            format!("process {} answers, whose program has sha256 {}", other.pid, other.sha256)
        }
        Some(other) => format!("process {} answers, which is not the unit's", other.pid),
        None => "nobody answers on its socket".into(),
    };
    Err(Trouble::failed(format!("the new agent is not healthy after {seconds} s: {what}")))
}

/// The sessions of the agent that is deployed, among all of this user.
pub fn ours<'a>(found: &'a [Found], layout: &Layout) -> impl Iterator<Item = &'a Found> {
    let socket = layout.socket().display().to_string();
    found.iter().filter(move |one| one.agent.as_ref().is_none_or(|agent| *agent == socket))
}

fn no_manager(no: &NoManager, user: &str) -> Trouble {
    let trouble = match no {
        NoManager::NoSystemd => {
            return Trouble::failed("this host has no systemd: the agent cannot be a service here").remedy(
                "deploy it as a container (runtime: container), or start it in another way (runtime: local)",
            );
        }
        NoManager::NotRunning => Trouble::failed(format!("no systemd user manager runs for {user}")),
        NoManager::Mute(why) => {
            Trouble::failed(format!("the systemd user manager of {user} does not answer: {why}"))
        }
    };
    trouble.remedy(format!(
        "sudo loginctl enable-linger {user}; where that does not help: sudo apt-get install dbus-user-session \
         libpam-systemd, and UsePAM yes in sshd_config"
    ))
}

fn counted(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}

/// The exit code of an outcome: 0 installed, 1 failed, 4 refused.
pub fn exit_code(outcome: &Result<Installation, InstallFailure>) -> u8 {
    match outcome {
        Ok(_) => 0,
        Err(failure) if failure.kind == FailureKind::Refused => 4,
        Err(_) => 1,
    }
}
