//! Who gets the next place where several want one. PURE.
//!
//! An agent with a number of slots refuses what is beyond them; whoever was refused comes again. Without more,
//! the one that asks most often would get everything. So those that were refused lately are remembered, and a
//! place that becomes free is kept for the one of them with the fewest living sessions.

use std::time::Duration;

/// How long an owner that was refused counts as waiting.
const WAITS: Duration = Duration::from_secs(30);
/// Owners that are remembered as waiting; of more, those that were refused first go.
const WAITING: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Owners and when they were refused last, in that order.
    waiting: Vec<(String, Duration)>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// All are taken.
    Full,
    /// The next one is another owner's.
    NotItsTurn,
}

impl Share {
    /// Asks for a place. `running`: tasks that run now, of `slots` that may; `living`: how many an owner has.
    pub(super) fn admit(
        &mut self,
        owner: &str,
        running: usize,
        slots: u32,
        living: impl Fn(&str) -> usize,
        now: Duration,
    ) -> Result<(), Refused> {
        self.waiting.retain(|(other, at)| other != owner && now.saturating_sub(*at) < WAITS);
        let mine = living(owner);
        let refused = if running >= slots as usize {
            Refused::Full
        } else if self.waiting.iter().any(|(other, _)| living(other) < mine) {
            Refused::NotItsTurn
        } else {
            return Ok(());
        };
        if self.waiting.len() >= WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push((owner.to_owned(), now));
        Err(refused)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Owners that ask one after another, at a second each: `a` asks, `-a` is the end of one of its sessions,
    /// `.` is a second in which nothing happens. With `slots` of them; what comes of each that asks.
    fn check(slots: u32, asks: &str, expected: &str) {
        let (mut share, mut living, mut told) = (Share::default(), BTreeMap::new(), Vec::new());
        for (second, word) in asks.split(' ').enumerate() {
            let (now, ends) = (Duration::from_secs(second as u64), word.strip_prefix('-'));
            if let Some(owner) = ends {
                *living.entry(owner).or_insert(0usize) -= 1;
            } else if word != "." {
                let running = living.values().sum();
                let count = |owner: &str| living.get(owner).copied().unwrap_or(0);
                told.push(match share.admit(word, running, slots, count, now) {
                    Ok(()) => "yes",
                    Err(Refused::Full) => "full",
                    Err(Refused::NotItsTurn) => "turn",
                });
                if told.last() == Some(&"yes") {
                    *living.entry(word).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(told.join(" "), expected, "{asks}");
    }

    #[test]
    fn those_with_the_fewest_come_first() {
        check(0, "a", "full");
        check(2, "a a a -a a", "yes yes full yes");
        // b was refused and has none: the next place is its own, however often a asks.
        check(2, "a a b -a a a b a", "yes yes full turn turn yes full");
        // As many each: whoever asks first.
        check(2, "a b a b -a b", "yes yes full full turn");
        check(2, "a b a b -a a", "yes yes full full yes");
        check(3, "a b c a b c -a -b c a b", "yes yes yes full full full turn yes yes");
    }

    #[test]
    fn one_that_comes_no_more_is_not_waited_for() {
        let pause = [" ."; 30].concat();
        check(2, &format!("a a b -a{pause} a"), "yes yes full yes");
        let less = [" ."; 20].concat();
        check(2, &format!("a a b -a{less} a"), "yes yes full turn");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut share = Share::default();
        for n in 0..WAITING * 2 {
            let _ = share.admit(&n.to_string(), 1, 1, |_| 0, Duration::ZERO);
        }
        assert_eq!(share.waiting.len(), WAITING);
    }
}
