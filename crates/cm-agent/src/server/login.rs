//! Who may come in: the token, compared in constant time, and a brake on guessing it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Failed log-ins of one address before it must wait.
pub(super) const FREE_FAILURES: u32 = 5;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond, the one that failed longest ago is forgotten.
const ADDRESSES: usize = 1024;
/// A shorter token is warned of.
const SHORTEST: usize = 16;

/// What a client on TCP must know. Only its digest is kept, and nothing prints it.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A token as it stands in a file or variable; blanks around it do not count. `None`: nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let token = text.trim();
        (!token.is_empty()).then(|| Self(Sha256::digest(token.as_bytes()).into()))
    }

    /// What to say of a token that can be guessed. The original took any, so it is no error.
    pub fn weakness(text: &str) -> Option<String> {
        let length = text.trim().chars().count();
        (length < SHORTEST).then(|| {
            format!(
                "the token has only {length} characters and can be guessed; make one: openssl rand -hex 32"
            )
        })
    }

    /// Whether this is it. Takes as long for a wrong one as for the right one.
    pub fn is(&self, offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered.trim().as_bytes()).into();
        self.0.ct_eq(&offered).into()
    }
}

/// Failed log-ins by address.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<Failures>);

impl Logins {
    /// A log-in from there failed; how long it must wait for the answer, and how many it has had.
    pub(super) fn failed(&self, from: Option<IpAddr>, now: Duration) -> Verdict {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).failed(from, now)
    }

    /// A log-in from there worked.
    pub(super) fn worked(&self, from: Option<IpAddr>) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).by_address.remove(&from);
    }
}

/// What a failed log-in is answered with. Right tokens are never made to wait: the brake must not let
/// one local process lock all others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Before the answer.
    pub(super) wait: Duration,
    /// Too many: said as `limit`.
    pub(super) limited: bool,
}

#[derive(Debug, Default)]
struct Failures {
    by_address: HashMap<Option<IpAddr>, (u32, Duration)>,
}

impl Failures {
    fn failed(&mut self, from: Option<IpAddr>, now: Duration) -> Verdict {
        let (count, last) = self.by_address.get(&from).copied().unwrap_or((0, now));
        // A quiet minute for every failure wears it off.
        let worn = u32::try_from((now.saturating_sub(last)).as_secs() / 60).unwrap_or(u32::MAX);
        let count = count.saturating_sub(worn).saturating_add(1);
        if self.by_address.len() >= ADDRESSES
            && let Some(oldest) = self.by_address.iter().min_by_key(|(_, (_, at))| *at).map(|(a, _)| *a)
        {
            self.by_address.remove(&oldest);
        }
        self.by_address.insert(from, (count, now));
        match count.checked_sub(FREE_FAILURES + 1) {
            None => Verdict { wait: Duration::ZERO, limited: false },
            Some(over) => {
                let wait = FIRST_WAIT.saturating_mul(1 << over.min(10)).min(LONGEST_WAIT);
                Verdict { wait, limited: true }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new("  0123456789abcdef\n").expect("long enough");
        let check = |offered: &str, expected| assert_eq!(token.is(offered), expected, "{offered:?}");
        check("0123456789abcdef", true);
        check("0123456789abcdef\n", true);
        check("0123456789abcdeF", false);
        check("0123456789abcde", false);
        check("", false);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn nothing_is_no_token_and_little_is_warned_of() {
        assert!(Token::new(" \n").is_none());
        assert!(Token::new("changeme").is_some_and(|t| t.is("changeme")));
        assert!(Token::weakness("changeme\n").is_some_and(|w| w.contains("only 8 characters")));
        assert_eq!(Token::weakness("0123456789abcdef"), None);
    }

    /// Each step is the second of a failure and what it must wait.
    fn check(steps: &[(u64, u64)]) {
        let mut failures = Failures::default();
        let from = Some(IpAddr::from([127, 0, 0, 1]));
        for &(at, wait) in steps {
            let verdict = failures.failed(from, Duration::from_secs(at));
            assert_eq!(verdict.wait.as_secs(), wait, "at {at}");
            assert_eq!(verdict.limited, wait > 0, "at {at}");
        }
    }

    #[test]
    fn guessing_gets_slower() {
        check(&[
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 8),
            (5, 16),
            (6, 32),
            (7, 60),
            (8, 60),
        ]);
    }

    #[test]
    fn failures_wear_off() {
        check(&[(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 1), (600, 0), (600, 0)]);
    }

    #[test]
    fn addresses_are_bounded() {
        let mut failures = Failures::default();
        for n in 0..5000u32 {
            failures.failed(Some(IpAddr::from(n.to_be_bytes())), Duration::from_secs(n.into()));
        }
        assert!(failures.by_address.len() <= ADDRESSES);
    }
}
