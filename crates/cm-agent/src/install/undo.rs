//! When a step has failed: what was done is undone, and the report says how the host is now.

use cm_protocol::deploy::{HostAfter, InstallFailure, InstallStep};

use super::audit::{self, Entry};
use super::back::{self, Place};
use super::layout::{self, Memory};
use super::lock::{self, Holder};
use super::steps::Run;
use super::trouble::Trouble;
use super::{disk, keep};

impl Run<'_> {
    /// Undoes what was done, and says how the host is now.
    pub(super) fn fail(&mut self, trouble: Trouble) -> InstallFailure {
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
