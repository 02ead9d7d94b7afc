//! Putting a program and a generation on the disk, not yet in use.

use std::io;
use std::path::{Path, PathBuf};

use cm_protocol::deploy::InstallStep;

use super::layout::Origin;
use super::steps::{Chosen, Run};
use super::trouble::{Trouble, at};
use super::{disk, token, unit};

impl Run<'_> {
    pub(super) fn store(&mut self, chosen: &Chosen) -> Result<Vec<String>, Trouble> {
        let layout = self.layout;
        let own_place = layout.program(&chosen.own.sha256);
        if chosen.own.path != own_place {
            // One that is there and was damaged is replaced.
            if self.stored_program(&chosen.own.sha256).is_err() {
                self.store_program(chosen, &own_place)?;
            } else {
                self.tidy_upload(chosen);
            }
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

    pub(super) fn store_program(&mut self, chosen: &Chosen, place: &Path) -> Result<(), Trouble> {
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

    /// Writes the generation: with all of the hardening, unless this service manager is known not to take some.
    pub(super) fn store_generation(&mut self, chosen: &Chosen) -> Result<Vec<String>, Trouble> {
        let probed = self.host.manager_kind();
        let hardened = chosen.manifest.settings.hardened != Some(false);
        let before = chosen.previous.as_ref().map(|p| &p.origin);
        let known = before.filter(|origin| hardened && origin.probed == probed);
        let dropped = known.map(|origin| origin.dropped.clone()).unwrap_or_default();
        self.write_generation(chosen, &dropped, probed)?;
        Ok(dropped)
    }

    /// After a start that the service manager gave up: finds out what it does not take, and writes the generation
    /// without that. `None`: there is nothing, something else is wrong. (Most take everything: the start itself is
    /// the cheapest way of asking.)
    pub(super) fn soften(&mut self, chosen: &Chosen) -> Result<Option<Vec<String>>, Trouble> {
        if !chosen.fresh || chosen.manifest.settings.hardened == Some(false) {
            return Ok(None);
        }
        let known = self.layout.stored(chosen.number).map(|stored| stored.origin.dropped);
        let dropped = self.host.refused(&unit::HARDENING);
        if dropped.is_empty() || known.as_ref() == Some(&dropped) {
            return Ok(None);
        }
        let probed = self.host.manager_kind();
        self.write_generation(chosen, &dropped, probed)?;
        Ok(Some(dropped))
    }

    fn write_generation(
        &mut self,
        chosen: &Chosen,
        dropped: &[String],
        probed: String,
    ) -> Result<(), Trouble> {
        let layout = self.layout;
        let manifest = &chosen.manifest;
        let hardened = manifest.settings.hardened != Some(false);
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
        // A generation without hardening must not stand for one that was taken with all of it.
        let probed = if hardened { probed } else { String::new() };
        let previous = chosen.previous.as_ref().map(|before| before.number);
        let origin = Origin { deployment, at: at_unix, dropped: dropped.to_vec(), probed, previous };
        disk::write_json(self.host, &dir.join("generation.json"), &origin).map_err(at_dir)
    }
}
