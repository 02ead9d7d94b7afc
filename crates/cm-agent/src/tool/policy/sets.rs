//! Lists of commands that a policy names as one: `<reading>`, `<git>`, `<files>`, `<building>` (PURE).
//!
//! They are patterns like any other. What makes a listed program more than its name says (`find -delete`,
//! `git -c core.pager=…`) is not covered by their `*`.

/// The names, with the patterns they stand for, one a line.
const SETS: [(&str, &str); 4] = [
    ("<reading>", include_str!("presets/reading.txt")),
    ("<git>", include_str!("presets/git.txt")),
    ("<files>", include_str!("presets/files.txt")),
    ("<building>", include_str!("presets/building.txt")),
];

/// The names there are.
pub(super) const NAMES: [&str; 4] = ["<reading>", "<git>", "<files>", "<building>"];

/// The patterns a name in angle brackets stands for.
pub(super) fn set(name: &str) -> Option<impl Iterator<Item = &'static str>> {
    let (_, text) = SETS.iter().find(|(known, _)| *known == name)?;
    Some(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')))
}
