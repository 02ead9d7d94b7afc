//! What tasks wrote down on hosts while they ran – who, where, from when to when – and what that proves. PURE.

use std::collections::BTreeMap;

/// Where it is written, in the home of whoever runs the tasks.
pub const FILE: &str = "written";
/// Pause between two lines of one task, seconds.
const TICK: f64 = 0.25;

/// A script of sh for a task of this name that runs for so many seconds, and says all the while that it does. The
/// time is the kernel's own, the same on all hosts of one machine.
pub fn script(task: &str, seconds: f64) -> String {
    // No negative numbers, and no more than fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a test")]
    let ticks = (seconds / TICK).round() as u32;
    format!(
        "w() {{ read up rest </proc/uptime; echo \"{task} $CM_SESSION_ID $up $1\" >>~/{FILE}; }}; \
         w runs; i=0; while [ $i -lt {ticks} ]; do sleep {TICK}; w runs; i=$((i+1)); done; w ends"
    )
}

/// One session's run of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The task's name.
    pub task: String,
    /// Its session.
    pub session: String,
    /// Where.
    pub host: String,
    /// The first line's time, seconds of the kernel's.
    pub first: f64,
    /// The last line's.
    pub last: f64,
    /// How often it got to its end.
    pub ends: usize,
}

/// The attempts that a host's file tells of, by task and session.
pub fn attempts(host: &str, text: &str) -> Vec<Attempt> {
    let mut found: BTreeMap<(&str, &str), Attempt> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [task, session, at, what] = words.as_slice() else { continue };
        let Ok(at) = at.parse::<f64>() else { continue };
        let attempt = found.entry((task, session)).or_insert_with(|| Attempt {
            task: (*task).to_owned(),
            session: (*session).to_owned(),
            host: host.to_owned(),
            first: at,
            last: at,
            ends: 0,
        });
        attempt.first = attempt.first.min(at);
        attempt.last = attempt.last.max(at);
        attempt.ends += usize::from(*what == "ends");
    }
    found.into_values().collect()
}

/// Two attempts at one task that ran at the same time: the one that began first, the other, and until when the
/// first one ran on.
pub fn together(attempts: &[Attempt]) -> Vec<(&Attempt, &Attempt)> {
    let mut by_task: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        by_task.entry(&attempt.task).or_default().push(attempt);
    }
    let mut found = Vec::new();
    for mut all in by_task.into_values() {
        all.sort_by(|a, b| a.first.total_cmp(&b.first));
        for (index, later) in all.iter().enumerate() {
            found.extend(
                all[..index]
                    .iter()
                    .filter(|earlier| earlier.last >= later.first)
                    .map(|earlier| (*earlier, *later)),
            );
        }
    }
    found
}

/// The most attempts that ran at the same time.
pub fn most_at_once<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> usize {
    let mut changes: Vec<(f64, bool)> = attempts
        .into_iter()
        // One that has only said that it runs did so for a moment.
        .flat_map(|attempt| [(attempt.first, true), (attempt.last.max(attempt.first + 0.001), false)])
        .collect();
    // Who leaves at the moment in which another comes has left before.
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_writes_what_is_read_again() {
        let home = tempfile::tempdir().unwrap();
        let run = std::process::Command::new("sh")
            .args(["-c", &script("t7", 0.25)])
            .env("HOME", home.path())
            .env("CM_SESSION_ID", "cm-1")
            .status();
        assert!(run.unwrap().success());
        let text = std::fs::read_to_string(home.path().join(FILE)).unwrap();
        let found = attempts("h1", &text);
        let [attempt] = found.as_slice() else { panic!("{text}") };
        assert_eq!((attempt.task.as_str(), attempt.session.as_str(), attempt.ends), ("t7", "cm-1", 1));
        assert!(attempt.last > attempt.first, "{text}");
    }

    #[test]
    fn who_ran_at_the_same_time() {
        let check = |text: &str, pairs: &str, most: usize| {
            let all = attempts("h", text);
            let words: Vec<String> =
                together(&all).iter().map(|(a, b)| format!("{}+{}", a.session, b.session)).collect();
            assert_eq!((words.join(" ").as_str(), most_at_once(&all)), (pairs, most), "{text}");
        };
        check("", "", 0);
        check("t1 a 1.0 runs\nt1 a 2.0 ends\nt1 b 2.5 runs\nt1 b 3.0 ends\n", "", 1);
        check("t1 a 1.0 runs\nt1 b 1.5 runs\nt1 a 2.0 ends\n", "a+b", 2);
        check("t1 a 1.0 runs\nt2 b 1.5 runs\nt1 a 2.0 ends\nt2 b 1.7 ends\n", "", 2);
        check(
            "t1 b 3.0 runs\nt1 a 1.0 runs\ntorn\nt1 a 3.0 runs\nt1 c 2.0 runs\nt1 c 2.1 ends",
            "a+c a+b",
            2,
        );
    }
}
