//! Which attempts at which tasks are over for good, whatever still asks for them. PURE.

use std::collections::{BTreeMap, HashMap};

use cm_protocol::{Fence, TaskRef};

/// Fences that are remembered; of more, the oldest go.
const REMEMBERED: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// The oldest first.
    all: BTreeMap<u64, Fence>,
    places: HashMap<String, u64>,
    next: u64,
}

impl Fences {
    /// Attempts of the task below this number are over. A fence only ever rises; whether it did.
    pub(super) fn raise(&mut self, task_id: &str, below: u32) -> bool {
        let old = self.places.get(task_id).and_then(|place| self.all.get(place));
        if below <= old.map_or(1, |fence| fence.below) {
            // Attempts are counted from 1: a fence below 2 keeps nothing out.
            return false;
        }
        if let Some(place) = self.places.insert(task_id.to_owned(), self.next) {
            self.all.remove(&place);
        }
        self.all.insert(self.next, Fence { task_id: task_id.to_owned(), below });
        self.next += 1;
        if self.all.len() > REMEMBERED
            && let Some((_, oldest)) = self.all.pop_first()
        {
            self.places.remove(&oldest.task_id);
        }
        true
    }

    /// Whether an attempt is over: the first one that is not.
    pub(super) fn over(&self, task: &TaskRef) -> Option<u32> {
        let below = self.all.get(self.places.get(&task.task_id)?)?.below;
        (task.attempt < below).then_some(below)
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<Fence> {
        self.all.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(task_id: &str, attempt: u32) -> TaskRef {
        TaskRef { task_id: task_id.into(), attempt }
    }

    #[test]
    fn a_fence_only_rises() {
        let mut fences = Fences::default();
        let mut check = |below: u32, rises: bool, (over, free): (u32, u32)| {
            assert_eq!(fences.raise("t", below), rises, "{below}");
            assert!(over == 0 || fences.over(&task("t", over)).is_some(), "{below}");
            assert_eq!(fences.over(&task("t", free)), None, "{below}");
            assert_eq!(fences.over(&task("u", 1)), None, "{below}");
        };
        check(0, false, (0, 1));
        check(1, false, (0, 1));
        check(3, true, (2, 3));
        check(2, false, (2, 3));
        check(4, true, (3, 4));
        assert_eq!(fences.all().len(), 1);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut fences = Fences::default();
        for n in 0..=REMEMBERED {
            fences.raise(&format!("t-{n}"), 2);
            // One that is raised again is new again.
            fences.raise("t-0", u32::try_from(n).expect("small") + 2);
        }
        assert_eq!(fences.all().len(), REMEMBERED);
        assert!(fences.over(&task("t-0", 1)).is_some() && fences.over(&task("t-1", 1)).is_none());
        let mut again = Fences::default();
        for fence in fences.all() {
            again.raise(&fence.task_id, fence.below);
        }
        assert_eq!(again.all(), fences.all());
    }
}
