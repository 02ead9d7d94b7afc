//! Versions of tools, and which of them a profile is about (PURE).

use std::fmt;

/// A version as numbers: `2.1.330 (Claude Code)` is 2, 1, 330. What is no number ends it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(Vec<u64>);

impl Version {
    /// Reads the first version in a text; `None` if there is no digit.
    pub fn parse(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let end =
            text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |n| start + n);
        let mut numbers: Vec<u64> =
            text[start..end].split('.').map_while(|n| n.parse().ok()).take(6).collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// The versions a profile is about: bounds, all of which hold. `>=2.1.300, <3`; empty: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range(Vec<(Bound, Version)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Least,
    Above,
    Most,
    Below,
    Exactly,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (bound, version)) in self.0.iter().enumerate() {
            let sign = match bound {
                Bound::Least => ">=",
                Bound::Above => ">",
                Bound::Most => "<=",
                Bound::Below => "<",
                Bound::Exactly => "=",
            };
            write!(f, "{}{sign}{version}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl Range {
    /// Reads a range.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bound = |part: &str| {
            let part = part.trim();
            let signs = [
                (">=", Bound::Least),
                ("<=", Bound::Most),
                (">", Bound::Above),
                ("<", Bound::Below),
                ("=", Bound::Exactly),
            ];
            let (bound, rest) = signs
                .into_iter()
                .find_map(|(sign, bound)| part.strip_prefix(sign).map(|rest| (bound, rest.trim())))
                .unwrap_or((Bound::Exactly, part));
            let plain = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            Version::parse(rest)
                .filter(|_| plain)
                .map(|version| (bound, version))
                .ok_or_else(|| format!("`{part}` is no bound like \">=2.1.300\" or \"<3\""))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(bound).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a version is within it.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|(bound, limit)| match bound {
            Bound::Least => version >= limit,
            Bound::Above => version > limit,
            Bound::Most => version <= limit,
            Bound::Below => version < limit,
            Bound::Exactly => version == limit,
        })
    }

    /// Whether every version within it is older.
    pub fn is_below(&self, version: &Version) -> bool {
        self.0.iter().any(|(bound, limit)| match bound {
            Bound::Below => limit <= version,
            Bound::Most | Bound::Exactly => limit < version,
            Bound::Least | Bound::Above => false,
        })
    }

    /// How new it is: without an upper bound newest, then by its lower bound.
    pub(super) fn newness(&self) -> (bool, Version) {
        let open =
            !self.0.iter().any(|(bound, _)| matches!(bound, Bound::Most | Bound::Below | Bound::Exactly));
        (open, self.0.iter().map(|(_, version)| version.clone()).max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |range: &str, version: &str, expected: bool| {
            let range = Range::parse(range).unwrap();
            assert_eq!(range.contains(&Version::parse(version).unwrap()), expected, "{range:?} {version}");
        };
        check(">=2.1.300", "2.1.330 (Claude Code)", true);
        check(">=2.1.300", "2.1.197", false);
        check(">=2.1.300", "v2.1.300", true);
        check("<2.1.300", "2.1.299", true);
        check(">=1, <2", "1.18.33", true);
        check(">=1, <2", "2.0.0", false);
        check("=0.86.2", "aider 0.86.2", true);
        check("", "9", true);
        check("<=2", "2.0", true);
        for bad in [">=", "new", ">=2.x", "~1"] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Version::parse("none"), None);
    }
}
