//! How a task ended, in words: exit, reason, proof, check, changes. PURE.

use cm_protocol::{Changes, CheckResult, Outcome, Proof};

use super::{clock, took};
use crate::report::clean::clean;

/// Digits of a commit's id that are shown.
const COMMIT: usize = 8;

/// How a program ended: `exit 1`, `SIGKILL`, or nothing where neither is known.
pub fn ending(outcome: &Outcome) -> String {
    match (outcome.exit_code, &outcome.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => clean(signal),
        (None, None) => String::new(),
    }
}

/// Why a task ended as it did, where the exit code or signal does not say it already.
pub fn reason(outcome: &Outcome) -> String {
    let reason = outcome.reason.as_deref().map(clean).unwrap_or_default();
    let known = match (outcome.exit_code, &outcome.signal) {
        (Some(code), _) => reason == format!("exit code {code}"),
        (None, Some(signal)) => reason.ends_with(signal.as_str()),
        (None, None) => false,
    };
    match outcome.until {
        _ if known => String::new(),
        Some(until) => format!("{reason} (until {})", clock(until)).trim_start().to_owned(),
        None => reason,
    }
}

/// What stands behind `done`: `verified`, `claimed`, or nothing.
pub fn proof(outcome: &Outcome) -> &'static str {
    match outcome.proof {
        Some(Proof::Verified) => "verified",
        Some(Proof::Claimed) => "claimed",
        None => "",
    }
}

/// Whether the check was run and did not pass.
pub fn failed_check(outcome: &Outcome) -> Option<&CheckResult> {
    outcome.check.as_ref().filter(|check| check.exit_code != Some(0))
}

/// What a check said: `check: cargo test: exit 101 after 3 runs`.
pub fn check(check: &CheckResult) -> String {
    let how = match (check.exit_code, &check.error) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(error)) => clean(error),
        (None, None) => "no exit code".to_owned(),
    };
    let runs = if check.runs > 1 { format!(" after {} runs", check.runs) } else { String::new() };
    format!("check: {}: {how}{runs}", clean(&check.command))
}

/// What changed: `3 files +12 −4 on cm/fix at 9b7e01d4`, `nothing`.
pub fn changes(changes: &Changes) -> String {
    let mut text = match changes.files {
        0 => "nothing".to_owned(),
        1 => format!("1 file +{} −{}", changes.insertions, changes.deletions),
        files => format!("{files} files +{} −{}", changes.insertions, changes.deletions),
    };
    if let Some(branch) = &changes.branch {
        text.push_str(&format!(" on {}", clean(branch)));
    }
    if changes.commit != changes.base
        && let Some(commit) = &changes.commit
    {
        text.push_str(&format!(" at {}", clean(commit).chars().take(COMMIT).collect::<String>()));
    }
    text
}

/// Where the work of a task with a work tree of its own is found, a line each; empty for others.
pub fn places(changes: &Changes) -> Vec<String> {
    let Some(tree) = &changes.worktree else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(branch) = &changes.branch {
        let count = match changes.commits.len() {
            1 => "1 commit".to_owned(),
            count => format!("{count} commits"),
        };
        let open = if changes.uncommitted { ", and work that is not committed" } else { "" };
        lines.push(format!("branch {}: {count}{open}", clean(branch)));
    }
    lines.extend(went_on(changes));
    lines.push(format!("work tree {}", clean(tree)));
    lines.extend(changes.patch.as_ref().map(|patch| format!("patch {}", clean(patch))));
    lines
}

/// Whose work it went on with: `went on with attempt 1 of web-01 at 9b7e01d4`.
fn went_on(changes: &Changes) -> Option<String> {
    let work = changes.continues.as_ref()?;
    let commit: String = clean(&work.commit).chars().take(COMMIT).collect();
    Some(format!("went on with attempt {} of {} at {commit}", work.attempt, clean(&work.host)))
}

/// The parts of the line that tells a task's end.
pub fn note(outcome: &Outcome) -> String {
    let check = failed_check(outcome).map(check).unwrap_or_default();
    // `check_failed: …` says it already, in words of the agent's own.
    let reason = reason(outcome);
    let reason = if !check.is_empty() && reason.starts_with("check_failed") { String::new() } else { reason };
    let changed = outcome.changes.as_ref().filter(|changes| changes.files > 0 || !changes.commits.is_empty());
    let parts = [
        proof(outcome).to_owned(),
        ending(outcome),
        took(outcome.duration),
        changed.map(changes).unwrap_or_default(),
        outcome.changes.as_ref().and_then(went_on).unwrap_or_default(),
        reason,
        check,
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use cm_protocol::{Continues, State};

    use super::*;

    #[test]
    fn what_changed() {
        let base = Changes { base: Some("aaaa".into()), commit: Some("aaaa".into()), ..Changes::default() };
        let some = Changes { files: 3, insertions: 12, deletions: 4, ..base.clone() };
        let branch = Changes { branch: Some("cm/fix\x1b[2J".into()), ..some.clone() };
        let check = |given: &Changes, expected: &str| assert_eq!(changes(given), expected);
        check(&base, "nothing");
        check(&some, "3 files +12 −4");
        check(&Changes { files: 1, ..some.clone() }, "1 file +12 −4");
        check(&branch, "3 files +12 −4 on cm/fix");
        let committed = Changes { commit: Some("9b7e01d4c2a3".into()), ..branch };
        check(&committed, "3 files +12 −4 on cm/fix at 9b7e01d4");
        assert!(places(&committed).is_empty(), "it is the directory the task was sent to");
        let own = Changes {
            worktree: Some("/w".into()),
            patch: Some("/p".into()),
            commits: vec!["9b7e01d x".into()],
            uncommitted: true,
            ..committed
        };
        let continues = Continues { host: "h1".into(), attempt: 1, commit: "1234567890".into(), base: None };
        let later = Changes { continues: Some(continues), ..own.clone() };
        assert_eq!(places(&later)[1], "went on with attempt 1 of h1 at 12345678");
        assert_eq!(
            places(&own),
            ["branch cm/fix: 1 commit, and work that is not committed", "work tree /w", "patch /p"]
        );
    }

    #[test]
    fn an_end_in_one_line() {
        let done = Outcome { state: State::Done, duration: 5.0, ..Outcome::default() };
        let check = |outcome: Outcome, expected: &str| assert_eq!(note(&outcome), expected);
        check(Outcome { exit_code: Some(0), ..done.clone() }, "exit 0, 5.0 s");
        let checked = CheckResult {
            command: "make test".into(),
            exit_code: Some(0),
            runs: 1,
            ..CheckResult::default()
        };
        let verified = Outcome { proof: Some(Proof::Verified), check: Some(checked.clone()), ..done.clone() };
        check(verified, "verified, 5.0 s");
        let failed = CheckResult { exit_code: Some(2), runs: 3, ..checked.clone() };
        check(
            Outcome { reason: Some("check_failed: exit 2".into()), check: Some(failed), ..done.clone() },
            "5.0 s, check: make test: exit 2 after 3 runs",
        );
        let hung = CheckResult { exit_code: None, error: Some("timed out after 600 s".into()), ..checked };
        check(
            Outcome { check: Some(hung), ..done.clone() },
            "5.0 s, check: make test: timed out after 600 s",
        );
        check(
            Outcome { reason: Some("rate_limited: come back".into()), until: Some(3600.0), ..done },
            "5.0 s, rate_limited: come back (until 01:00:00Z)",
        );
    }
}
