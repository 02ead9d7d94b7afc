//! PURE: which answer belongs to which command.
//!
//! Commands carry marks, and answers repeat them. The original agent repeats none but answers in order;
//! there, a command nobody waits for any more keeps its place in the line.

use std::collections::BTreeMap;

/// The number of entries from which abandoned ones are looked for.
const SWEEP_FROM: usize = 64;

/// Commands without an answer yet, by mark; marks grow, so their order is the order of sending.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    waiting: BTreeMap<i64, T>,
    last: i64,
    sweep_at: usize,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), last: 0, sweep_at: SWEEP_FROM }
    }
}

impl<T> Pending<T> {
    /// Takes a command in and gives it its mark.
    pub(crate) fn insert(&mut self, entry: T) -> i64 {
        self.last += 1;
        self.waiting.insert(self.last, entry);
        self.last
    }

    /// The command an answer with this mark belongs to.
    pub(crate) fn take(&mut self, mark: i64) -> Option<T> {
        self.waiting.remove(&mark)
    }

    /// The command an answer without a mark belongs to: the oldest.
    pub(crate) fn take_oldest(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, entry)| entry)
    }

    /// Forgets what nobody waits for, once enough has gathered that looking costs little per command.
    pub(crate) fn sweep_if_due(&mut self, abandoned: impl Fn(&T) -> bool) {
        if self.waiting.len() >= self.sweep_at {
            self.waiting.retain(|_, entry| !abandoned(entry));
            self.sweep_at = SWEEP_FROM.max(self.waiting.len() * 2);
        }
    }

    /// All of them, when no answer will come.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.waiting).into_values()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_mark_or_in_order() {
        let mut pending = Pending::default();
        let marks: Vec<i64> = ["a", "b", "c"].into_iter().map(|name| pending.insert(name)).collect();
        assert_eq!(marks, [1, 2, 3]);
        assert_eq!(pending.take(2), Some("b"));
        assert_eq!(pending.take(2), None);
        assert_eq!(pending.take_oldest(), Some("a"));
        assert_eq!(pending.take_oldest(), Some("c"));
        assert_eq!(pending.take_oldest(), None);
    }

    #[test]
    fn abandoned_commands_do_not_gather() {
        let mut pending = Pending::default();
        for n in 0..100_000 {
            pending.sweep_if_due(|n| n % 10_000 != 0);
            pending.insert(n);
            assert!(pending.len() <= 2 * SWEEP_FROM, "{}", pending.len());
        }
        pending.sweep_at = 0;
        pending.sweep_if_due(|n| n % 10_000 != 0);
        assert_eq!(pending.len(), 10);
        assert_eq!(pending.drain().count(), 10);
    }
}
