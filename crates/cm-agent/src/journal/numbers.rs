//! PURE. Which number the next event gets, so that none is ever given twice.
//!
//! Within one boot the page cache keeps what was written, so numbering goes on after the highest one found.
//! After a power cut lines may be missing whose numbers clients have already seen: numbering then goes on
//! above the ceiling, a number that was on the disk before anything up to it was handed out.

/// How many numbers are reserved at a time.
pub(super) const BLOCK: u64 = 10_000;

/// How far numbering leaps when part of the journal could not be read, and with it perhaps a ceiling. More
/// numbers than any segment can have used, and few enough for two million such accidents below 2^53, the
/// last whole number a JavaScript client can hold.
pub(super) const LEAP: u64 = 1 << 32;

/// The numbers of one journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    handed: u64,
    durable: u64,
    pending: Option<Pending>,
}

/// A block whose line is written and not yet known to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    ceiling: u64,
    position: u64,
}

/// What has to happen before or beside the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Here it is.
    Take(u64),
    /// Here it is, and the block runs low: write a reserve line up to `ceiling` when convenient.
    TakeAndReserve(u64, u64),
    /// None is left: write a reserve line up to this and sync, then ask again.
    Reserve(u64),
    /// None is left, but a reserve line is written: sync, then ask again.
    Sync,
}

/// What recovery found out about numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The highest number on a readable line.
    pub head: u64,
    /// The highest ceiling on a readable line.
    pub ceiling: u64,
    /// Whether the last line that names a boot names this one.
    pub same_boot: bool,
}

impl Numbers {
    /// Where numbering continues. Whatever was read must already be synced.
    pub(super) fn after(found: Found) -> Self {
        let Found { head, ceiling, same_boot } = found;
        let highest = head.max(ceiling);
        if same_boot {
            return Self { handed: head, durable: highest, pending: None };
        }
        Self { handed: highest, durable: highest, pending: None }
    }

    /// The highest number that may have been handed out.
    pub(super) fn handed(&self) -> u64 {
        self.handed
    }

    /// The ceiling a new segment's first line must carry.
    pub(super) fn ceiling(&self) -> u64 {
        self.pending.map_or(self.durable, |pending| pending.ceiling)
    }

    /// Asks for the next number; `synced` is how far the disk is known to have followed.
    pub(super) fn next(&mut self, synced: u64) -> Next {
        if let Some(pending) = self.pending.filter(|pending| pending.position <= synced) {
            self.durable = pending.ceiling;
            self.pending = None;
        }
        let wanted = self.handed + 1;
        if wanted > self.durable {
            return if self.pending.is_some() { Next::Sync } else { Next::Reserve(self.handed + BLOCK) };
        }
        self.handed = wanted;
        if self.pending.is_none() && self.durable - wanted < BLOCK / 2 {
            return Next::TakeAndReserve(wanted, self.durable + BLOCK);
        }
        Next::Take(wanted)
    }

    /// A reserve line was written and ends at `position`.
    pub(super) fn reserved(&mut self, ceiling: u64, position: u64) {
        self.pending = Some(Pending { ceiling, position });
    }

    /// A new segment, whose first line carried [`Self::ceiling`], is on the disk.
    pub(super) fn segment_synced(&mut self) {
        self.durable = self.ceiling();
        self.pending = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: u64, ceiling: u64, same_boot: bool) -> Found {
        Found { head, ceiling, same_boot }
    }

    #[test]
    fn where_numbering_continues() {
        #[track_caller]
        fn check(what: Found, handed: u64) {
            assert_eq!(Numbers::after(what).handed(), handed, "{what:?}");
        }
        check(found(0, 0, true), 0);
        check(found(41, 10_000, true), 41);
        check(found(41, 10_000, false), 10_000);
        check(found(41, 0, false), 41);
    }

    #[test]
    fn a_number_is_handed_out_only_below_a_synced_ceiling() {
        let mut numbers = Numbers::after(found(0, 0, true));
        assert_eq!(numbers.next(0), Next::Reserve(BLOCK));
        numbers.reserved(BLOCK, 50);
        assert_eq!(numbers.next(49), Next::Sync);
        for expected in 1..=BLOCK / 2 {
            assert_eq!(numbers.next(50), Next::Take(expected));
        }
        assert_eq!(numbers.next(50), Next::TakeAndReserve(BLOCK / 2 + 1, 2 * BLOCK));
        numbers.reserved(2 * BLOCK, 99);
        for expected in BLOCK / 2 + 2..=BLOCK {
            assert_eq!(numbers.next(50), Next::Take(expected));
        }
        assert_eq!(numbers.next(50), Next::Sync, "the second block is not on the disk yet");
        assert_eq!(numbers.next(99), Next::Take(BLOCK + 1));
    }
}
