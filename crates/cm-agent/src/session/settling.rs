//! A person's answer to a prompt, made ready to be given: which options it means, and what is typed. PURE.

use cm_protocol::{Answer, AnswerDecision, ErrorReply, Meaning, Prompt, PromptOption};

/// How options are called behind which words can be written.
const FREE_TEXT: [&str; 6] = ["type something", "other", "type your", "enter your", "custom", "write your"];

/// An answer, made ready to be given.
#[derive(Debug, PartialEq)]
pub(super) struct Settling {
    pub(super) prompt: Prompt,
    pub(super) way: Way,
    pub(super) verdict: &'static str,
    /// Typed after it.
    pub(super) then: Option<String>,
}

/// How a prompt is answered.
#[derive(Debug, PartialEq)]
pub(super) enum Way {
    /// The option of this label is taken.
    Take(String),
    /// The boxes of these labels are ticked, and no others; then it is submitted.
    Tick(Vec<String>),
    /// Words are typed.
    Type,
}

/// `typed`: its answer is typed at the cursor, whatever options it names.
pub(super) fn settling(prompt: Prompt, asked: &Answer, typed: bool) -> Result<Settling, ErrorReply> {
    let bad = |field: &str, why: String| Err(ErrorReply::bad_request(field, why));
    let labels = || prompt.options.iter().map(|o| format!("{:?}", o.label)).collect::<Vec<_>>().join(", ");
    let mut then = asked.text.clone();
    let take = |option: &PromptOption| Way::Take(option.label.clone());
    let (way, verdict) = match asked.decision {
        AnswerDecision::Allow => match with_meaning(&prompt, Meaning::Once) {
            Some(option) => (take(option), "allow"),
            None => {
                return bad(
                    "decision",
                    format!("no option surely allows it once; choose one of {}", labels()),
                );
            }
        },
        AnswerDecision::Deny => match with_meaning(&prompt, Meaning::Refuse) {
            Some(option) => (take(option), "deny"),
            None => {
                return bad("decision", format!("no option surely refuses it; choose one of {}", labels()));
            }
        },
        AnswerDecision::Choose => {
            if asked.options.is_empty() {
                return bad("options", format!("options: give one of {}", labels()));
            }
            let mut wanted = Vec::with_capacity(asked.options.len());
            for word in &asked.options {
                match named(&prompt.options, word) {
                    Some(option) => wanted.push(option),
                    None => return bad("options", format!("{word:?} is none, or several, of {}", labels())),
                }
            }
            (chosen(&wanted).map_err(|why| ErrorReply::bad_request("options", why))?, "choose")
        }
        AnswerDecision::Text => {
            let Some(text) = asked.text.as_deref().filter(|text| !text.trim().is_empty()) else {
                return bad("text", "text: missing".into());
            };
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                return bad("text", "text: control characters cannot be typed".into());
            }
            match prompt.options.iter().find(|option| takes_words(option)) {
                Some(option) if option.checked.is_some() => {
                    return bad("text", "words beside boxes can only be written in its terminal".into());
                }
                Some(option) => (take(option), "text"),
                None if typed || prompt.options.is_empty() => (Way::Type, "text"),
                None => return bad("text", format!("it takes no words, only one of {}", labels())),
            }
        }
    };
    if matches!(asked.decision, AnswerDecision::Allow | AnswerDecision::Choose) {
        then = None;
    }
    Ok(Settling { prompt, way, verdict, then })
}

/// How these options are taken together.
fn chosen(wanted: &[&PromptOption]) -> Result<Way, String> {
    match wanted {
        [one] if one.checked.is_none() => Ok(Way::Take(one.label.clone())),
        _ => {
            if let Some(other) = wanted.iter().find(|option| option.checked.is_none() || takes_words(option))
            {
                let label = &other.label;
                return Err(format!("{label:?} cannot be taken together with others, nor ticked"));
            }
            Ok(Way::Tick(wanted.iter().map(|option| option.label.clone()).collect()))
        }
    }
}

/// Whether words can be written behind an option.
fn takes_words(option: &PromptOption) -> bool {
    let label = option.label.to_lowercase();
    FREE_TEXT.iter().any(|words| label.starts_with(words))
}

/// The first option with a meaning. A yes-or-no question of a line-oriented program has none drawn.
fn with_meaning(prompt: &Prompt, meaning: Meaning) -> Option<&PromptOption> {
    prompt.options.iter().find(|option| option.meaning == meaning)
}

/// The option that is meant: by its label, its key, or an unambiguous beginning.
fn named<'a>(options: &'a [PromptOption], wanted: &str) -> Option<&'a PromptOption> {
    let wanted = wanted.trim().to_lowercase();
    let is = |option: &&PromptOption| option.label.to_lowercase() == wanted;
    let key = |option: &&PromptOption| option.key.as_deref().is_some_and(|k| k.to_lowercase() == wanted);
    if let Some(option) = options.iter().find(is).or_else(|| options.iter().find(key)) {
        return Some(option);
    }
    let mut begun = options.iter().filter(|option| option.label.to_lowercase().starts_with(&wanted));
    match (begun.next(), begun.next(), wanted.is_empty()) {
        (Some(option), None, false) => Some(option),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(options: &[(&str, &str, Meaning)]) -> Prompt {
        let options = options.iter().map(|(key, label, meaning)| PromptOption {
            label: (*label).into(),
            key: Some((*key).to_owned()).filter(|k| !k.is_empty()),
            selected: false,
            checked: None,
            meaning: *meaning,
        });
        Prompt { id: 3, kind: "command".into(), options: options.collect(), ..Prompt::default() }
    }

    fn check(prompt: &Prompt, decision: AnswerDecision, words: &str, expected: Result<(&str, &str), &str>) {
        let (options, text) = match decision {
            AnswerDecision::Choose => (words.split("; ").map(str::to_owned).collect(), None),
            _ => (Vec::new(), Some(words.to_owned()).filter(|w| !w.is_empty())),
        };
        let asked = Answer { decision, options, text, ..Answer::default() };
        let got = settling(prompt.clone(), &asked, false);
        let shown = |way: &Way| match way {
            Way::Take(label) => label.clone(),
            Way::Tick(labels) => format!("[{}]", labels.join("] [")),
            Way::Type => "-".into(),
        };
        let got = match &got {
            Ok(settled) => Ok((shown(&settled.way), settled.verdict)),
            Err(error) => Err(error.field.as_deref().unwrap_or_default()),
        };
        assert_eq!(got, expected.map(|(way, verdict)| (way.to_owned(), verdict)), "{decision:?} {words:?}");
    }

    #[test]
    fn permissions_are_settled_by_meaning() {
        use AnswerDecision::{Allow, Choose, Deny, Text};
        let asks = prompt(&[
            ("1", "Yes", Meaning::Once),
            ("2", "Yes, and don't ask again", Meaning::Always),
            ("3", "No", Meaning::Refuse),
        ]);
        check(&asks, Allow, "", Ok(("Yes", "allow")));
        check(&asks, Deny, "use rg", Ok(("No", "deny")));
        check(&asks, Choose, "yes, and", Ok(("Yes, and don't ask again", "choose")));
        check(&asks, Choose, "YES", Ok(("Yes", "choose")));
        check(&asks, Choose, "3", Ok(("No", "choose")));
        check(&asks, Choose, "y", Err("options"));
        check(&asks, Choose, "", Err("options"));
        check(&asks, Choose, "1; 3", Err("options"));
        check(&asks, Text, "hello", Err("text"));
        let unsure = prompt(&[("", "Maybe", Meaning::Answer), ("", "Later", Meaning::Answer)]);
        check(&unsure, Allow, "", Err("decision"));
        check(&unsure, Deny, "", Err("decision"));
    }

    #[test]
    fn questions_are_settled_by_name_or_words() {
        use AnswerDecision::{Choose, Text};
        let asks = prompt(&[
            ("1", "PostgreSQL", Meaning::Answer),
            ("2", "SQLite", Meaning::Answer),
            ("3", "Type something.", Meaning::Answer),
        ]);
        check(&asks, Choose, "post", Ok(("PostgreSQL", "choose")));
        check(&asks, Text, "MariaDB", Ok(("Type something.", "text")));
        check(&asks, Text, " ", Err("text"));
        check(&asks, Text, "a\u{1b}b", Err("text"));
        check(&prompt(&[]), Text, "MariaDB", Ok(("-", "text")));
    }
    #[test]
    fn several_are_ticked_where_they_have_boxes() {
        use AnswerDecision::{Choose, Deny, Text};
        let mut asks = prompt(&[
            ("1", "Prices", Meaning::Answer),
            ("2", "Stock", Meaning::Answer),
            ("3", "Type something", Meaning::Answer),
            ("", "Submit", Meaning::Answer),
            ("4", "Chat about this", Meaning::Refuse),
        ]);
        asks.options[..3].iter_mut().for_each(|option| option.checked = Some(false));
        check(&asks, Choose, "1; stock", Ok(("[Prices] [Stock]", "choose")));
        check(&asks, Choose, "2", Ok(("[Stock]", "choose")));
        check(&asks, Choose, "1; 7", Err("options"));
        check(&asks, Choose, "1; 3", Err("options"));
        check(&asks, Choose, "1; 4", Err("options"));
        check(&asks, Choose, "4", Ok(("Chat about this", "choose")));
        check(&asks, Deny, "", Ok(("Chat about this", "deny")));
        check(&asks, Text, "all of it", Err("text"));
    }
}
