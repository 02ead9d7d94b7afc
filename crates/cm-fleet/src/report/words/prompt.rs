//! A prompt in words: what is asked, what can be chosen, how to answer, what was done about it. PURE.

use cm_protocol::{Meaning, Prompt, PromptOption, Receipt, SessionId};

use super::{Tone, short};
use crate::report::clean::{clean, clean_line, fit, pad, width};

/// Columns of a command or question in one line.
const SUBJECT: usize = 160;
/// Lines of a drawn prompt that are shown.
const DRAWN: usize = 60;

/// How a prompt can be answered from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Allowed or refused.
    Verdict,
    /// One of its options, or several.
    Option,
    /// Words.
    Text,
    /// Only in its terminal.
    Terminal,
}

/// How this one can be answered.
pub fn way(prompt: &Prompt) -> Way {
    let has = |meaning| prompt.options.iter().any(|option| option.meaning == meaning);
    match prompt.kind.as_str() {
        _ if has(Meaning::Once) => Way::Verdict,
        _ if !prompt.options.is_empty() => Way::Option,
        "read" | "edit" | "command" | "network" | "trust" | "plan" | "confirm" | "continue" => Way::Verdict,
        "text" | "question" => Way::Text,
        _ => Way::Terminal,
    }
}

/// What is asked, in one line: `asks to run git push origin main`.
pub fn asks(prompt: &Prompt) -> String {
    let question = question(prompt);
    let subject = prompt.subject.as_deref().map(|subject| fit(&one_line(subject), SUBJECT));
    let about = |verb: &str| match &subject {
        Some(subject) => format!("asks to {verb} {subject}"),
        None => format!("asks to {verb}: {question}"),
    };
    match prompt.kind.as_str() {
        "read" => about("read"),
        "edit" => about("edit"),
        "command" => about("run"),
        "network" => about("reach"),
        "trust" => about("trust"),
        "plan" => format!("has a plan: {question}"),
        "secret" => format!("wants a secret: {question}"),
        "text" => format!("wants words: {question}"),
        _ => format!("asks: {question}"),
    }
}

/// A command or path in one line. Its own lines stay apart: nothing may look like words of the line before.
fn one_line(subject: &str) -> String {
    let lines = subject.lines().map(|line| clean(line).trim().to_owned()).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ⏎ ")
}

/// The whole command, where one line does not hold it; else nothing.
pub fn subject(prompt: &Prompt) -> Vec<String> {
    let Some(subject) = &prompt.subject else { return Vec::new() };
    if subject.trim().lines().nth(1).is_none() && width(&one_line(subject)) <= SUBJECT {
        return Vec::new();
    }
    let lines = subject.lines().count();
    let mut out: Vec<String> =
        subject.lines().take(DRAWN).map(|line| format!("| {}", clean_line(line).trim_end())).collect();
    if lines > DRAWN {
        out.push(format!("| … {} more lines", lines - DRAWN));
    }
    out
}

/// The question's last line: what stands before it is shown elsewhere.
fn question(prompt: &Prompt) -> String {
    let last = prompt.text.lines().map(|line| clean(line).trim().to_owned()).rfind(|line| !line.is_empty());
    fit(&last.unwrap_or_default(), SUBJECT)
}

/// What can be chosen, a line each: a mark before the highlighted one, the key, the label, what it means.
pub fn options(prompt: &Prompt) -> Vec<String> {
    let keys: Vec<String> = prompt.options.iter().zip(1..).map(|(option, n)| key(option, n)).collect();
    let room = keys.iter().map(|key| width(key)).max().unwrap_or(0);
    let line = |(option, key): (&PromptOption, &String)| {
        let mark = if option.selected { ">" } else { " " };
        let tick = option.checked.map_or("", |ticked| if ticked { "[x] " } else { "[ ] " });
        let means = match option.meaning {
            Meaning::Once | Meaning::Answer => "",
            Meaning::Always => "  (from now on)",
            Meaning::Refuse => "  (refuses)",
            Meaning::Mode => "  (changes the tool's mode)",
        };
        format!("{mark} {}  {tick}{}{means}", pad(key, room), clean(&option.label))
    };
    prompt.options.iter().zip(&keys).map(line).collect()
}

/// The key the screen names, or the option's number.
fn key(option: &PromptOption, number: usize) -> String {
    option.key.as_deref().map_or_else(|| number.to_string(), clean)
}

/// The option that `wanted` means: its label or key, its number where it has no key, or the beginning of one
/// label alone. Capitals do not matter.
pub fn option<'a>(prompt: &'a Prompt, wanted: &str) -> Option<&'a PromptOption> {
    let wanted = wanted.trim().to_lowercase();
    let label = |option: &PromptOption| option.label.to_lowercase();
    let exact = prompt.options.iter().find(|option| label(option) == wanted);
    let keyed = prompt.options.iter().zip(1..).find(|(option, n)| key(option, *n).to_lowercase() == wanted);
    let begun: Vec<_> = prompt.options.iter().filter(|option| label(option).starts_with(&wanted)).collect();
    match (exact, keyed, begun.as_slice()) {
        (Some(option), ..) | (None, Some((option, _)), _) => Some(option),
        (None, None, [one]) if !wanted.is_empty() => Some(one),
        _ => None,
    }
}

/// The prompt as commands name it: the session, and which of its prompts.
pub fn name(session: &SessionId, prompt: &Prompt) -> String {
    format!("{}/{}", short(session), prompt.id)
}

/// The commands that answer it, the first the likeliest.
pub fn commands(session: &SessionId, prompt: &Prompt) -> Vec<String> {
    let name = name(session, prompt);
    match way(prompt) {
        Way::Verdict => vec![format!("cm-fleet approve {name}"), format!("cm-fleet deny {name}")],
        Way::Option if prompt.takes_several() => {
            vec![format!("cm-fleet answer {name} OPTION…"), format!("cm-fleet deny {name}")]
        }
        Way::Option => vec![format!("cm-fleet answer {name} OPTION"), format!("cm-fleet deny {name}")],
        Way::Text => vec![format!("cm-fleet answer {name} --text TEXT")],
        Way::Terminal => vec![format!("cm-fleet attach {}", short(session))],
    }
}

/// The whole of it under its first line: options, the rule that left it to a person, how to answer.
pub fn details(session: &SessionId, prompt: &Prompt) -> Vec<String> {
    let mut lines = subject(prompt);
    lines.extend(options(prompt));
    if let Some(rule) = &prompt.rule {
        lines.push(format!("left to you by {}", clean(rule)));
    }
    lines.push(commands(session, prompt).join("   "));
    lines
}

/// The prompt as it is drawn, or its question where no drawing came with it.
pub fn drawn(prompt: &Prompt) -> Vec<String> {
    let lines: Vec<String> = if prompt.screen.is_empty() {
        prompt.text.lines().map(clean_line).collect()
    } else {
        prompt.screen.iter().map(|line| clean_line(line)).collect()
    };
    let lines: Vec<String> = lines.iter().map(|line| line.trim_end().to_owned()).collect();
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    let shown = &lines[first.min(last)..last];
    let skipped = shown.len().saturating_sub(DRAWN);
    let mut out = if skipped > 0 { vec![format!("… {skipped} lines")] } else { Vec::new() };
    out.extend_from_slice(&shown[skipped..]);
    out
}

/// What was done about a prompt: a word, the rest, and how it is to be understood.
pub fn receipt(receipt: &Receipt) -> (String, String, Tone) {
    let word = match receipt.verdict.as_str() {
        "allow" => "allowed".to_owned(),
        "deny" => "denied".to_owned(),
        "choose" | "text" => "answered".to_owned(),
        other => clean(other),
    };
    let subject = match &receipt.prompt.subject {
        Some(subject) => fit(&one_line(subject), SUBJECT),
        None => question(&receipt.prompt),
    };
    let option = match (&receipt.option, receipt.verdict.as_str()) {
        (Some(option), "choose") => format!(": {}", clean(option)),
        _ => String::new(),
    };
    let who = if receipt.rule == "person" { "a person".to_owned() } else { clean(&receipt.rule) };
    let came = match receipt.outcome.as_str() {
        "accepted" => "",
        "no_effect" => "; no effect was seen",
        "dropped" => "; it had gone, nothing was pressed",
        _ => "; what came of it is not known",
    };
    let tone = match (came, word.as_str()) {
        ("", "denied") => Tone::Normal,
        ("", _) => Tone::Quiet,
        _ => Tone::Attention,
    };
    (word, format!("{subject}{option}, by {who}{came}"), tone)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn permission() -> Prompt {
        let option = |label: &str, key: &str, selected, meaning| PromptOption {
            label: label.into(),
            key: Some(key.into()),
            selected,
            checked: None,
            meaning,
        };
        Prompt {
            id: 3,
            kind: "command".into(),
            text: "Do you want to proceed?".into(),
            subject: Some("git push\n origin main".into()),
            options: vec![
                option("Yes", "1", true, Meaning::Once),
                option("Yes, and don't ask again", "2", false, Meaning::Always),
                option("No, and say why", "Esc", false, Meaning::Refuse),
            ],
            screen: ["", "Bash command", "  git push\x1b[2J", "Do you want to proceed?", "> 1. Yes", ""]
                .map(str::to_owned)
                .into(),
            rule: Some("careful/other commands".into()),
            class: Some("claude command git push".into()),
        }
    }

    pub(crate) fn question() -> Prompt {
        let option = |label: &str| PromptOption {
            label: label.into(),
            key: None,
            selected: false,
            checked: None,
            meaning: Meaning::Answer,
        };
        Prompt {
            id: 4,
            kind: "question".into(),
            text: "Header\nWhich database?\n".into(),
            options: vec![option("SQLite"), option("Postgres"), option("Postgres, replicated")],
            ..Prompt::default()
        }
    }

    fn session() -> SessionId {
        SessionId::from_bits(u128::MAX / 6)
    }

    #[test]
    fn what_is_asked_and_how_to_answer() {
        let check = |prompt: Prompt, line: &str, command: &str| {
            assert_eq!(asks(&prompt), line);
            assert_eq!(commands(&session(), &prompt)[0], command, "{prompt:?}");
        };
        let bare =
            |kind: &str| Prompt { id: 1, kind: kind.into(), text: "a\nReally?".into(), ..Prompt::default() };
        let about = |kind: &str| Prompt { subject: Some("X".into()), ..bare(kind) };
        check(permission(), "asks to run git push ⏎ origin main", "cm-fleet approve 2aaaaaaa/3");
        check(question(), "asks: Which database?", "cm-fleet answer 2aaaaaaa/4 OPTION");
        check(about("edit"), "asks to edit X", "cm-fleet approve 2aaaaaaa/1");
        check(about("read"), "asks to read X", "cm-fleet approve 2aaaaaaa/1");
        check(about("network"), "asks to reach X", "cm-fleet approve 2aaaaaaa/1");
        check(about("trust"), "asks to trust X", "cm-fleet approve 2aaaaaaa/1");
        check(bare("command"), "asks to run: Really?", "cm-fleet approve 2aaaaaaa/1");
        check(bare("plan"), "has a plan: Really?", "cm-fleet approve 2aaaaaaa/1");
        check(bare("confirm"), "asks: Really?", "cm-fleet approve 2aaaaaaa/1");
        check(bare("question"), "asks: Really?", "cm-fleet answer 2aaaaaaa/1 --text TEXT");
        check(bare("text"), "wants words: Really?", "cm-fleet answer 2aaaaaaa/1 --text TEXT");
        check(bare("secret"), "wants a secret: Really?", "cm-fleet attach 2aaaaaaa");
        check(bare("report"), "asks: Really?", "cm-fleet attach 2aaaaaaa");
    }

    #[test]
    fn the_whole_of_it() {
        insta::assert_snapshot!(details(&session(), &permission()).join("\n"), @r"
        | git push
        |  origin main
        > 1    Yes
          2    Yes, and don't ask again  (from now on)
          Esc  No, and say why  (refuses)
        left to you by careful/other commands
        cm-fleet approve 2aaaaaaa/3   cm-fleet deny 2aaaaaaa/3
        ");
        assert_eq!(
            drawn(&permission()),
            ["Bash command", "  git push", "Do you want to proceed?", "> 1. Yes"]
        );
        assert_eq!(drawn(&question()), ["Header", "Which database?"]);
        assert!(drawn(&Prompt::default()).is_empty());
        let long = Prompt { screen: (0..100).map(|n| n.to_string()).collect(), ..Prompt::default() };
        assert_eq!((drawn(&long).len(), drawn(&long)[0].as_str()), (DRAWN + 1, "… 40 lines"));
    }

    #[test]
    fn several_can_be_ticked() {
        let mut several = question();
        several.options[..2].iter_mut().for_each(|option| option.checked = Some(false));
        several.options[1].checked = Some(true);
        insta::assert_snapshot!(details(&session(), &several).join("\n"), @r"
          1  [ ] SQLite
          2  [x] Postgres
          3  Postgres, replicated
        cm-fleet answer 2aaaaaaa/4 OPTION…   cm-fleet deny 2aaaaaaa/4
        ");
    }

    #[test]
    fn options_by_label_key_number_and_beginning() {
        let check = |prompt: Prompt, wanted: &str, expected: Option<usize>| {
            let expected = expected.map(|index| &prompt.options[index]);
            assert_eq!(option(&prompt, wanted), expected, "{wanted:?}");
        };
        check(permission(), "1", Some(0));
        check(permission(), "esc", Some(2));
        check(permission(), "Yes", Some(0));
        check(permission(), "yes, and", Some(1));
        check(permission(), "n", Some(2));
        check(permission(), "3", None);
        check(permission(), "", None);
        check(question(), "2", Some(1));
        check(question(), "postgres", Some(1));
        check(question(), "Postgres, r", Some(2));
        check(question(), "post", None);
    }

    #[test]
    fn what_was_done() {
        let check = |verdict: &str, rule: &str, outcome: &str, expected: &str| {
            let given = Receipt {
                at: 0.0,
                prompt: permission(),
                verdict: verdict.into(),
                rule: rule.into(),
                channel: "screen".into(),
                option: Some("Yes".into()),
                keys: Vec::new(),
                before: Vec::new(),
                after: Vec::new(),
                outcome: outcome.into(),
            };
            let (word, text, _) = receipt(&given);
            assert_eq!(format!("{word} {text}"), expected);
        };
        check("allow", "careful/harmless", "accepted", "allowed git push ⏎ origin main, by careful/harmless");
        check("deny", "person", "accepted", "denied git push ⏎ origin main, by a person");
        check(
            "choose",
            "person",
            "no_effect",
            "answered git push ⏎ origin main: Yes, by a person; no effect was seen",
        );
        check(
            "allow",
            "x",
            "dropped",
            "allowed git push ⏎ origin main, by x; it had gone, nothing was pressed",
        );
    }
}
