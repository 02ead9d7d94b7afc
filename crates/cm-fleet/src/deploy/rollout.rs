//! Whose turn it is: canaries, batches, how many at once, when to stop and go back. PURE.
//!
//! A rollout knows hosts as numbers, in the order of the inventory. It is told what became of each and says
//! what is to be done next, until [`Rollout::turn`] says that it has ended.

use std::collections::BTreeSet;
use std::str::FromStr;

/// A number of hosts: so many, or a share of all that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Hosts(usize),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

impl Amount {
    /// Of `all` hosts; a share of some is at least one.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(n) => n,
            Self::Percent(p) => (all * usize::from(p)).div_ceil(100),
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a number of hosts (3) or a share of them (25%), not {text:?}");
        match text.strip_suffix('%') {
            Some(share) => match share.parse() {
                Ok(p @ 0..=100) => Ok(Self::Percent(p)),
                _ => Err(wrong()),
            },
            None => text.parse().map(Self::Hosts).map_err(|_| wrong()),
        }
    }
}

/// How a rollout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Hosts that go first, alone; the others only when all of these have gone well.
    pub canary: Amount,
    /// Hosts of one batch; the next begins when all of these have ended.
    pub batch: Amount,
    /// Hosts that may be under way at the same time.
    pub max_unavailable: Amount,
    /// Failures that are put up with; one more stops the rollout. `None`: any number.
    pub max_failures: Option<Amount>,
    /// Whether hosts that went well go back when the rollout stops.
    pub roll_back: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            canary: Amount::Hosts(0),
            batch: Amount::Percent(100),
            max_unavailable: Amount::Hosts(DEFAULT_AT_ONCE),
            max_failures: None,
            roll_back: true,
        }
    }
}

/// Hosts under way at once unless told otherwise: each is a thread and a transfer of some megabytes.
pub const DEFAULT_AT_ONCE: usize = 32;

/// What became of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Changed, and well.
    Well,
    /// Not reached in the end: no fault of the change.
    Unreached,
    /// Failed.
    Failed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Begin with these; may be none while others are under way.
    Begin(Vec<usize>),
    /// Too much has failed: these never get their turn, and `back` are to go back, the latest first.
    Stop {
        /// Hosts that stay as they are.
        skipped: Vec<usize>,
        /// Hosts to take back.
        back: Vec<usize>,
    },
    /// All have had their turn.
    End,
}

/// A rollout under way.
#[derive(Debug, Clone)]
pub struct Rollout {
    pace: Pace,
    /// Not begun yet, in order.
    waiting: Vec<usize>,
    active: BTreeSet<usize>,
    well: Vec<usize>,
    failed: usize,
    all: usize,
    canaries: usize,
    begun: usize,
    /// Hosts left to begin in the present batch.
    left_in_batch: usize,
    stopped: bool,
}

impl Rollout {
    /// Over `hosts`, in this order.
    pub fn new(hosts: Vec<usize>, pace: Pace) -> Self {
        let all = hosts.len();
        let canaries = pace.canary.of(all).min(all);
        Self {
            pace,
            waiting: hosts,
            active: BTreeSet::new(),
            well: Vec::new(),
            failed: 0,
            all,
            canaries,
            begun: 0,
            left_in_batch: canaries,
            stopped: false,
        }
    }

    /// A host has ended.
    pub fn ended(&mut self, host: usize, fate: Fate) {
        if !self.active.remove(&host) {
            return;
        }
        match fate {
            Fate::Well => self.well.push(host),
            Fate::Failed => self.failed += 1,
            Fate::Unreached => {}
        }
    }

    /// Nobody else gets a turn; what is under way ends.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// What is to be done now.
    pub fn turn(&mut self) -> Next {
        let stopping = self.stopped || self.too_many_failed();
        if stopping && !self.waiting.is_empty() || self.too_many_failed() {
            if !self.active.is_empty() {
                return Next::Begin(Vec::new());
            }
            let skipped = std::mem::take(&mut self.waiting);
            let back = if self.pace.roll_back && self.too_many_failed() {
                self.well.drain(..).rev().collect()
            } else {
                Vec::new()
            };
            self.failed = 0;
            self.stopped = true;
            return if skipped.is_empty() && back.is_empty() {
                Next::End
            } else {
                Next::Stop { skipped, back }
            };
        }
        if self.waiting.is_empty() && self.active.is_empty() {
            return Next::End;
        }
        if self.left_in_batch == 0 && self.active.is_empty() {
            self.left_in_batch = self.pace.batch.of(self.all).max(1);
        }
        let room = self.pace.max_unavailable.of(self.all).max(1).saturating_sub(self.active.len());
        let count = room.min(self.left_in_batch).min(self.waiting.len());
        let begin: Vec<usize> = self.waiting.drain(..count).collect();
        self.left_in_batch -= count;
        self.begun += count;
        self.active.extend(&begin);
        Next::Begin(begin)
    }

    /// More failures than are put up with; of canaries none is.
    fn too_many_failed(&self) -> bool {
        let canaries_only = self.canaries > 0 && self.begun <= self.canaries;
        let limit = match self.pace.max_failures {
            Some(amount) => amount.of(self.all),
            None if canaries_only => 0,
            None => return false,
        };
        self.failed > limit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays a rollout over `n` hosts in which `bad` fail, all of a step ending together; what was said.
    fn play(n: usize, bad: &[usize], pace: Pace) -> String {
        let mut rollout = Rollout::new((0..n).collect(), pace);
        let mut said = Vec::new();
        loop {
            match rollout.turn() {
                Next::Begin(hosts) => {
                    assert!(!hosts.is_empty(), "nobody is under way and nobody begins: {said:?}");
                    said.push(format!("{hosts:?}"));
                    for host in hosts {
                        let fate = if bad.contains(&host) { Fate::Failed } else { Fate::Well };
                        rollout.ended(host, fate);
                    }
                }
                Next::Stop { skipped, back } => said.push(format!("stop {skipped:?} back {back:?}")),
                Next::End => return said.join(" "),
            }
        }
    }

    #[test]
    fn turns() {
        let pace = Pace::default();
        let check = |n, bad: &[usize], pace, expected: &str| assert_eq!(play(n, bad, pace), expected);
        check(0, &[], pace, "");
        check(3, &[], pace, "[0, 1, 2]");
        check(3, &[0, 1, 2], pace, "[0, 1, 2]");
        let two = Pace { max_unavailable: Amount::Hosts(2), ..pace };
        check(5, &[], two, "[0, 1] [2, 3] [4]");
        let quarter = Pace { batch: Amount::Percent(25), ..pace };
        check(6, &[], quarter, "[0, 1] [2, 3] [4, 5]");
        let canary = Pace { canary: Amount::Hosts(1), ..pace };
        check(4, &[], canary, "[0] [1, 2, 3]");
        check(4, &[0], canary, "[0] stop [1, 2, 3] back []");
        check(4, &[2], canary, "[0] [1, 2, 3]");
        let strict = Pace { max_failures: Some(Amount::Hosts(0)), ..quarter };
        check(6, &[3], strict, "[0, 1] [2, 3] stop [4, 5] back [2, 1, 0]");
        check(6, &[3], Pace { roll_back: false, ..strict }, "[0, 1] [2, 3] stop [4, 5] back []");
        check(2, &[1], strict, "[0] [1] stop [] back [0]");
        let one = Pace { max_failures: Some(Amount::Hosts(1)), ..quarter };
        check(6, &[0], one, "[0, 1] [2, 3] [4, 5]");
        check(6, &[0, 1], one, "[0, 1] stop [2, 3, 4, 5] back []");
    }

    #[test]
    fn a_stop_by_a_person_takes_nothing_back() {
        let mut rollout =
            Rollout::new(vec![0, 1, 2], Pace { max_unavailable: Amount::Hosts(1), ..Pace::default() });
        assert_eq!(rollout.turn(), Next::Begin(vec![0]));
        rollout.stop();
        assert_eq!(rollout.turn(), Next::Begin(vec![]));
        rollout.ended(0, Fate::Well);
        assert_eq!(rollout.turn(), Next::Stop { skipped: vec![1, 2], back: vec![] });
        assert_eq!(rollout.turn(), Next::End);
    }

    #[test]
    fn amounts() {
        let check = |text: &str, expected: Option<(Amount, usize)>| {
            let got = text.parse::<Amount>().ok().map(|amount| (amount, amount.of(10)));
            assert_eq!(got, expected, "{text:?}");
        };
        check("3", Some((Amount::Hosts(3), 3)));
        check("25%", Some((Amount::Percent(25), 3)));
        check("0%", Some((Amount::Percent(0), 0)));
        check("100%", Some((Amount::Percent(100), 10)));
        check("101%", None);
        check("-1", None);
        check("x", None);
        check("%", None);
    }

    proptest! {
        /// Whatever fails, in whatever order: everyone is begun once or skipped, never more at once than
        /// allowed, and only those that went well go back.
        #[test]
        fn every_host_has_one_fate(
            n in 0usize..20, bad in proptest::collection::btree_set(0usize..20, 0..6),
            canary in 0usize..4, batch in 0usize..6, at_once in 0usize..6,
            failures in proptest::option::of(0usize..4), order in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let pace = Pace {
                canary: Amount::Hosts(canary), batch: Amount::Hosts(batch),
                max_unavailable: Amount::Hosts(at_once), max_failures: failures.map(Amount::Hosts),
                roll_back: true,
            };
            let mut rollout = Rollout::new((0..n).collect(), pace);
            let (mut active, mut begun, mut well) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
            let mut order = order.into_iter().cycle();
            for _ in 0..200 {
                match rollout.turn() {
                    Next::Begin(hosts) => {
                        for host in hosts { prop_assert!(begun.insert(host)); active.push(host); }
                        prop_assert!(active.len() <= at_once.max(1));
                        prop_assert!(!active.is_empty());
                        let pick = usize::from(order.next().unwrap_or(0)) % active.len();
                        let host = active.swap_remove(pick);
                        let fate = if bad.contains(&host) { Fate::Failed } else { Fate::Well };
                        if fate == Fate::Well { well.insert(host); }
                        rollout.ended(host, fate);
                    }
                    Next::Stop { skipped, back } => {
                        for host in skipped { prop_assert!(begun.insert(host)); }
                        prop_assert!(back.iter().all(|host| well.contains(host)));
                    }
                    Next::End => { prop_assert_eq!(begun.len(), n); return Ok(()); }
                }
            }
            prop_assert!(false, "it never ended");
        }
    }
}
