//! What is looked at before anything is changed: the program, whose host it is, who would be hurt, what is there.

use cm_protocol::deploy::{InstallStep, Installation, Manifest, Pane};

use super::health::ours;
use super::host::{NoManager, Own, UnitNow};
use super::layout::{self, Stored};
use super::lock::{self, Holder};
use super::order::Goal;
use super::sessions::{self, Found};
use super::steps::{Chosen, Run, counted};
use super::trouble::{Trouble, at};
use super::{disk, facts, plan};

impl Run<'_> {
    pub(super) fn verify(&mut self, own: Own) -> Result<Chosen, Trouble> {
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

    pub(super) fn belongs(&self, previous: Option<&Stored>) -> Result<(), Trouble> {
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
    pub(super) fn program_is_what_was_sent(&self, manifest: &Manifest, own: &Own) -> Result<(), Trouble> {
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

    pub(super) fn stored_program(&self, sha256: &str) -> Result<(), Trouble> {
        let program = self.layout.program(sha256);
        let there = crate::host::identity::sha256_of(&program).map_err(at("read", &program))?;
        if there == sha256 {
            return Ok(());
        }
        Err(Trouble::failed(format!("{} is damaged: its sha256 is {there}", program.display()))
            .remedy(format!("remove {} and deploy again", self.layout.version(sha256).display())))
    }

    /// Sessions that this would end, and agents that are in the way.
    pub(super) fn endangered(&mut self, unit: &UnitNow) -> Result<(), Trouble> {
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
    pub(super) fn unchanged(&mut self, chosen: &Chosen) -> Result<Option<Installation>, Trouble> {
        let layout = self.layout;
        let Some(there) = chosen.previous.as_ref() else { return Ok(None) };
        let same = there.manifest.binary.sha256 == chosen.manifest.binary.sha256
            && there.manifest.settings == chosen.manifest.settings
            && there.manifest.fleet == chosen.manifest.fleet
            && (chosen.fresh || there.number == chosen.number);
        let whole = layout.wanted().exists() && facts::drift(&chosen.unit, layout).is_empty();
        if !same || !whole || chosen.unit.active != "active" {
            return Ok(None);
        }
        let Some(running) = self.host.agent(&layout.socket()) else { return Ok(None) };
        if running.sha256 != there.manifest.binary.sha256 || running.pid != chosen.unit.main_pid {
            return Ok(None);
        }
        let panes: Vec<Pane> = ours(&self.host.sessions(), layout).filter_map(Found::pane).collect();
        let under_way = layout.under_way();
        let unchanged = under_way.is_none();
        match under_way {
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
            unchanged,
        }))
    }

    /// A program that was pushed into our directory and is not needed.
    pub(super) fn tidy_upload(&mut self, chosen: &Chosen) {
        if chosen.own.path.parent() == Some(&self.layout.dir) {
            let _ = disk::remove(self.host, &chosen.own.path);
        }
    }
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
