//! Which closed sessions are forgotten, so that others can be remembered. PURE.

use cm_protocol::SessionId;

/// How much is remembered of what has ended.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Closed sessions whose result nobody waits for.
    pub closed: usize,
    /// Closed sessions whose result was not fetched by whoever dispatched them.
    pub unfetched: usize,
    /// Bytes of those: all that is remembered must fit into one line of the journal and into one frame.
    pub unfetched_bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { closed: 500, unfetched: 10_000, unfetched_bytes: 24 << 20 }
    }
}

/// A closed session.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    pub(super) id: SessionId,
    /// When it was closed, Unix seconds.
    pub(super) at: f64,
    /// Where it stands in the order of creation.
    pub(super) order: u64,
    /// Somebody is to fetch its result.
    pub(super) awaited: bool,
    /// What it takes to remember it.
    pub(super) bytes: usize,
}

/// What is forgotten, and how many results are lost to those who should have fetched them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) sessions: Vec<SessionId>,
    pub(super) unfetched: usize,
}

/// Those first that were closed first: how long one has lived says nothing about whether its result was
/// fetched yet.
pub(super) fn forgotten(mut closed: Vec<Closed>, keep: &Retention) -> Forgotten {
    closed.sort_by(|a, b| b.at.total_cmp(&a.at).then(b.order.cmp(&a.order)));
    let (mut others, mut awaited, mut bytes) = (0, 0, 0);
    let mut forgotten = Forgotten::default();
    for one in closed {
        let goes = if one.awaited {
            awaited += 1;
            bytes += one.bytes;
            let over = awaited > keep.unfetched || bytes > keep.unfetched_bytes;
            forgotten.unfetched += usize::from(over);
            over
        } else {
            others += 1;
            others > keep.closed
        };
        if goes {
            forgotten.sessions.push(one.id);
        }
    }
    forgotten.sessions.reverse();
    forgotten
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions by the order in which they were closed; `!`: its result is awaited. Each takes ten bytes.
    fn check(closed: &str, [plain, unfetched, bytes]: [usize; 3], expected: &str, lost: usize) {
        let keep = Retention { closed: plain, unfetched, unfetched_bytes: bytes };
        let all = closed.split(' ').filter(|word| !word.is_empty()).enumerate();
        let all = all.map(|(at, word)| Closed {
            id: SessionId::from(word.trim_end_matches('!')),
            at: at as f64,
            order: 100 - at as u64,
            awaited: word.ends_with('!'),
            bytes: 10,
        });
        let found = forgotten(all.collect(), &keep);
        let ids: Vec<String> = found.sessions.into_iter().map(|id| id.0).collect();
        assert_eq!((ids.join(" ").as_str(), found.unfetched), (expected, lost), "{closed}");
    }

    #[test]
    fn what_was_closed_first_is_forgotten_first_and_awaited_results_last() {
        check("", [0, 0, 0], "", 0);
        check("a b c", [3, 9, 900], "", 0);
        check("a b c", [1, 9, 900], "a b", 0);
        check("a! b c! d", [1, 9, 900], "b", 0);
        check("a! b c! d", [0, 9, 900], "b d", 0);
        check("a! b c! d", [1, 1, 900], "a b", 1);
        check("a! b! c!", [0, 9, 25], "a", 1);
        check("a! b! c!", [0, 0, 900], "a b c", 3);
    }
}
