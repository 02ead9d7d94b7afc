//! How often a tool is refused the same before a person sees to it (PURE).
//!
//! Some tools drop a refused turn from what they tell their model, which then asks for the same again, and again.

use cm_protocol::{Prompt, Receipt};

/// So often is the same refused in one task; after that a person is asked.
pub const REFUSALS: usize = 3;

/// Why a refusal is left to a person now, if it is: the same was refused too often by the policy since then
/// (Unix seconds).
pub fn insists(past: &[Receipt], since: f64, prompt: &Prompt) -> Option<String> {
    let by_policy = |receipt: &&Receipt| {
        receipt.at >= since
            && receipt.verdict == "deny"
            && receipt.rule != "person"
            && receipt.outcome == "accepted"
            && is_same(&receipt.prompt, prompt)
    };
    let times = past.iter().filter(by_policy).count();
    (times >= REFUSALS)
        .then(|| format!("refused {times} times, and asked again: it does not take no for an answer"))
}

/// Whether two prompts ask for the same thing, through whatever channel they came.
fn is_same(one: &Prompt, other: &Prompt) -> bool {
    one.kind == other.kind
        && match (&one.subject, &other.subject) {
            (None, None) => one.text == other.text,
            (one, other) => one == other,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(kind: &str, subject: &str) -> Prompt {
        let (subject, text) = subject.split_once('?').map_or((subject, ""), |(text, _)| ("", text));
        let subject = Some(subject.to_owned()).filter(|subject| !subject.is_empty());
        Prompt { kind: kind.into(), subject, text: text.into(), ..Prompt::default() }
    }

    /// `past`: when, verdict, rule, kind, subject (or question?) and outcome of each.
    #[track_caller]
    fn check(past: &str, asked: (&str, &str), expected: bool) {
        let receipt = |line: &str| {
            let [at, verdict, rule, kind, subject, outcome] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            Receipt {
                at: at.parse().expect("a number"),
                prompt: prompt(kind, subject),
                verdict: verdict.into(),
                rule: rule.into(),
                channel: "screen".into(),
                option: None,
                keys: Vec::new(),
                before: Vec::new(),
                after: Vec::new(),
                outcome: outcome.into(),
            }
        };
        let past: Vec<Receipt> = past.split("; ").filter(|line| !line.is_empty()).map(receipt).collect();
        let (kind, subject) = asked;
        assert_eq!(insists(&past, 10.0, &prompt(kind, subject)).is_some(), expected, "{past:?} {asked:?}");
    }

    #[test]
    fn the_same_is_refused_three_times() {
        let no = "11 deny test/never command rm accepted";
        let times = |n: usize| vec![no; n].join("; ");
        check("", ("command", "rm"), false);
        check(&times(2), ("command", "rm"), false);
        check(&times(3), ("command", "rm"), true);
        check(&times(4), ("command", "rm"), true);
        let also = |line: &str| format!("{}; {line}", times(2));
        check(&also("12 deny careful/x command rm accepted"), ("command", "rm"), true);
        // Others, those of an earlier task, a person's, and what came to nothing do not count.
        check(&times(3), ("command", "ls"), false);
        check(&times(3), ("edit", "rm"), false);
        check(&also("9 deny test/never command rm accepted"), ("command", "rm"), false);
        check(&also("12 deny person command rm accepted"), ("command", "rm"), false);
        check(&also("12 deny test/never command rm dropped"), ("command", "rm"), false);
        check(&also("12 allow test/never command rm accepted"), ("command", "rm"), false);
        // Where it is not known what it is about, the question tells.
        let no = "11 deny x plan Really? accepted";
        check(&[no; 3].join("; "), ("plan", "Really?"), true);
        check(&[no; 3].join("; "), ("plan", "Another?"), false);
    }
}
