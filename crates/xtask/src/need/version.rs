//! PURE. Version numbers in what programs print about themselves.

use std::fmt;

/// The first two numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The first `N.N` in a line: `tmux 3.3a`, `tmux next-3.5`, `cargo-nextest 0.9.143 (…)`.
    pub fn find(line: &str) -> Option<Self> {
        line.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
            let mut parts = word.split('.').map(str::parse);
            match (parts.next(), parts.next()) {
                (Some(Ok(major)), Some(Ok(minor))) => Some(Self { major, minor }),
                _ => None,
            }
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_with_a_dot_is_the_version() {
        let check = |line: &str, expected: Option<(u32, u32)>| {
            let expected = expected.map(|(major, minor)| Version::new(major, minor));
            assert_eq!(Version::find(line), expected, "{line}");
        };
        check("tmux 3.3a", Some((3, 3)));
        check("tmux next-3.5", Some((3, 5)));
        check("tmux 3.10", Some((3, 10)));
        check("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)", Some((0, 9)));
        check("tmux master", None);
        check("", None);
    }

    #[test]
    fn ten_is_more_than_nine() {
        assert!(Version::new(3, 10) > Version::new(3, 9));
        assert!(Version::new(3, 1) < Version::new(3, 2));
        assert!(Version::new(4, 0) > Version::new(3, 2));
    }
}
