//! Reads questions answered by a letter: `(Y)es/(N)o [Yes]:`, `[y/N]`, `[a] Trust  [q] Quit` (PURE).

use super::item::item;
use super::list::{By, Choice, List};
use super::read::{body_of, kind_by_labels, options_of, pair, prompt, rule_for};
use super::{FoundPrompt, Layout, about, judge};
use crate::tool::profile::Facts;
use crate::tool::region::Row;
use crate::tool::screen::Screen;

/// How far above the last text the keys may stand.
const REACH: usize = 12;
/// The longest label of a letter.
const LONGEST_LABEL: usize = 60;

/// A question and what a letter each answers it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The question without the choices.
    pub question: String,
    /// The choices.
    pub choices: Vec<Choice>,
}

/// The dialog at the bottom of a screen whose options are taken by a letter at once.
pub fn find(facts: &Facts, screen: &Screen, rows: &[Row<'_>]) -> Option<FoundPrompt> {
    if screen.cursor.visible {
        // What is typed at a cursor is judged by the line it is on.
        return None;
    }
    for at in (rows.len().saturating_sub(REACH)..rows.len()).rev() {
        let (first, question, choices) = match letters(rows[at].text) {
            Some(typed) if rows[at].is_text() => (at, typed.question, typed.choices),
            _ => match bracketed(rows, at) {
                Some((first, choices)) => (first, String::new(), choices),
                None => continue,
            },
        };
        let labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
        if pair(&labels) != (true, true) {
            continue;
        }
        let (left, depth) = (rows[first].col, rows[first].depth);
        let list =
            List { first, last: at, left, depth, options: choices.clone(), by: By::Colour, scrolled: false };
        let evidence = judge::below(rows, &list)?;
        let framed = facts.input.as_ref().is_some_and(|input| input.framed_dialogs);
        let top = judge::top(rows, &list, framed)?;
        let body = body_of(rows, top, first);
        let question = Some(question).filter(|text| !text.is_empty()).or_else(|| about::question(body));
        let asked = question.clone().unwrap_or_default();
        let asks = asked.ends_with(['?', ':']);
        if !(asks && (evidence.hint || evidence.boxed || first < at)) || judge::in_code(rows, top, &list) {
            return None;
        }
        let rule = rule_for(facts, &asked, body, &rows[..top], labels[0]);
        let kind = rule.map_or_else(|| kind_by_labels(&labels, &asked, body), |rule| rule.kind);
        let options = options_of(facts, kind, &list.options);
        let found = prompt(rule, kind, question, body, &rows[top..=at], options);
        return Some(FoundPrompt { layout: Layout::Keys, ..found });
    }
    None
}

/// Lines under each other with a letter in brackets each; `at` is the last of them.
fn bracketed(rows: &[Row<'_>], at: usize) -> Option<(usize, Vec<Choice>)> {
    let choice = |row: &Row<'_>| {
        let it = item(row);
        let key = super::hints::key_name(it.bracket?)?;
        let pointer = it.pointer;
        (row.is_text() && row.depth == rows[at].depth).then(|| Choice {
            label: it.text.to_owned(),
            keys: vec![key],
            selected: pointer,
            ..Choice::default()
        })
    };
    let mut choices: Vec<Choice> = Vec::new();
    let mut first = at;
    while let Some(found) = choice(&rows[first]) {
        choices.insert(0, found);
        match first.checked_sub(1) {
            Some(above) if choice(&rows[above]).is_some() => first = above,
            _ => break,
        }
    }
    (choices.len() >= 2).then_some((first, choices))
}

/// Letters to answer with on one line, of any of the ways they are written.
pub fn letters(line: &str) -> Option<Typed> {
    marked_letters(line).or_else(|| slashed(line))
}

/// `Question? (Y)es/(N)o/(D)on't ask again [Yes]:`, `[y] yes  [n] no`.
fn marked_letters(line: &str) -> Option<Typed> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut question = None;
    let mut at = 0;
    while let Some(found) = line[at..].find(['(', '[']) {
        let open = at + found;
        let close = if line[open..].starts_with('(') { ')' } else { ']' };
        let mut chars = line[open + 1..].chars();
        let (Some(letter), Some(end)) = (chars.next(), chars.next()) else { break };
        at = open + 1;
        if end != close || !letter.is_ascii_alphabetic() {
            continue;
        }
        let rest = chars.as_str();
        let cut = rest.find(['/', ',', '|', '[', '(', ':']).unwrap_or(rest.len());
        let cut = rest.find("  ").filter(|gap| rest[..*gap].trim() != "").map_or(cut, |gap| gap.min(cut));
        let text = rest[..cut].trim_end_matches(['?', ' ']);
        let label = if text.starts_with(' ') { text.trim().to_owned() } else { format!("{letter}{text}") };
        if label.is_empty() || label.chars().count() > LONGEST_LABEL {
            return None;
        }
        question.get_or_insert(line[..open].trim());
        choices.push(Choice { label, keys: vec![letter.to_string()], ..Choice::default() });
        at = line.len() - rest.len() + cut;
    }
    if choices.len() < 2 {
        return None;
    }
    // The default stands in brackets at the end: `[Yes]:`.
    let default =
        line.trim_end_matches([':', ' ', '>', '?']).strip_suffix(']').and_then(|l| l.rsplit('[').next());
    for choice in &mut choices {
        choice.selected = default.is_some_and(|d| d.eq_ignore_ascii_case(&choice.label));
    }
    Some(Typed { question: question.unwrap_or_default().to_owned(), choices })
}

/// `Question? [Y/n]`, `(y/n/a)`, `[yes/no]:`.
fn slashed(line: &str) -> Option<Typed> {
    let line = line.trim_end_matches([':', ' ', '>', '?']);
    let close = line.chars().next_back()?;
    let open = match close {
        ')' => '(',
        ']' => '[',
        _ => return None,
    };
    let at = line.rfind(open)?;
    let inner = &line[at + 1..line.len() - 1];
    let tokens: Vec<&str> = inner.split(['/', ',', '|']).map(str::trim).collect();
    if tokens.len() < 2 || tokens.iter().any(|t| t.is_empty() || t.chars().count() > 12 || t.contains(' ')) {
        return None;
    }
    let lower: Vec<String> = tokens.iter().map(|token| token.to_lowercase()).collect();
    let (yes, no) = (["y", "yes"], ["n", "no"]);
    if !lower.iter().any(|t| yes.contains(&t.as_str())) || !lower.iter().any(|t| no.contains(&t.as_str())) {
        return None;
    }
    let upper = |token: &str| token.chars().next().is_some_and(char::is_uppercase);
    let one_upper = tokens.iter().filter(|token| upper(token)).count() == 1;
    let choices = tokens
        .iter()
        .zip(&lower)
        .map(|(token, lower)| Choice {
            label: match lower.as_str() {
                "y" | "yes" => "Yes".to_owned(),
                "n" | "no" => "No".to_owned(),
                _ => (*token).to_owned(),
            },
            keys: vec![lower.clone()],
            selected: one_upper && upper(token),
            ..Choice::default()
        })
        .collect();
    Some(Typed { question: line[..at].trim().to_owned(), choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_on_a_line() {
        let check = |line: &str, question: &str, expected: &[(&str, &str, bool)]| {
            let typed = letters(line).unwrap_or_else(|| panic!("{line:?}"));
            let choices: Vec<_> =
                typed.choices.iter().map(|c| (c.label.as_str(), c.keys[0].as_str(), c.selected)).collect();
            assert_eq!((typed.question.as_str(), choices.as_slice()), (question, expected), "{line:?}");
        };
        check(
            "Run shell command? (Y)es/(N)o/(D)on't ask again [Yes]:",
            "Run shell command?",
            &[("Yes", "Y", true), ("No", "N", false), ("Don't ask again", "D", false)],
        );
        check(
            "Add file? (Y)es/(N)o/(A)ll/(S)kip all [No]: ",
            "Add file?",
            &[("Yes", "Y", false), ("No", "N", true), ("All", "A", false), ("Skip all", "S", false)],
        );
        check("Go on? [Y/n] ", "Go on?", &[("Yes", "y", true), ("No", "n", false)]);
        check("Go on? (y/N):", "Go on?", &[("Yes", "y", false), ("No", "n", true)]);
        check("Sure (yes/no)?", "Sure", &[("Yes", "yes", false), ("No", "no", false)]);
        check("Allow? [y/n/t]:", "Allow?", &[("Yes", "y", false), ("No", "n", false), ("t", "t", false)]);
        check("[y] Allow  [n] Deny", "", &[("Allow", "y", false), ("Deny", "n", false)]);
        for line in ["Pick (1, 2, 3):", "either/or", "(a)", "", "see [1] and [2]", "f(x)"] {
            assert_eq!(letters(line), None, "{line:?}");
        }
    }
}
