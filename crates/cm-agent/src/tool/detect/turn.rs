//! How the last turn ended, by what stands directly above the input box (PURE).

use super::input::padded;
use super::{Activity, Turn};
use crate::tool::dialog::{Cause, Trouble};
use crate::tool::hooks::clean;
use crate::tool::profile::{Facts, TroubleRule};
use crate::tool::region::{Row, one_line};

/// How many rows above the box are looked at.
const REACH: usize = 90;
/// Rows of a message of trouble that are kept.
const TROUBLE_ROWS: usize = 4;

/// What the newest piece of a transcript is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing has been asked yet.
    Nothing,
    /// What a person has sent; the tool has not answered.
    Sent,
    /// Something the tool wrote, at this row; nothing says that it is over.
    Piece(usize),
    /// The turn is over.
    Over(Turn),
}

/// The newest piece of the transcript in the rows above the box.
pub(super) fn last(facts: &Facts, above: &[Row<'_>]) -> Last {
    let past = &facts.transcript;
    let mut done = false;
    let mut seen = false;
    let mut any = false;
    let mut end = above.len();
    for at in (above.len().saturating_sub(REACH)..above.len()).rev() {
        let row = &above[at];
        let text = padded(row);
        if past.banner.as_ref().is_some_and(|banner| banner.is_match(&text)) {
            break;
        }
        if !row.is_text() {
            continue;
        }
        if past.skip.iter().any(|skip| skip.is_match(&text)) {
            end = at;
            continue;
        }
        if let Some(trouble) =
            trouble(facts, &text, &above[at..end.max(at + 1)]).filter(|_| !(done && facts.turn.well))
        {
            return Last::Over(Turn::Failed(trouble));
        }
        if !done && !seen && facts.turn.unsaid.as_ref().is_some_and(|unsaid| unsaid.is_match(&text)) {
            let said = facts.turn.done.iter().any(|pattern| pattern.is_match(&text));
            return Last::Over(match framed_error(&above[..at]) {
                Some(error) => Turn::Failed(error),
                None if said => Turn::Done,
                None => Turn::Failed(broken_off()),
            });
        }
        if !done && !seen && facts.turn.done.iter().any(|pattern| pattern.is_match(&text)) {
            (done, end) = (true, at);
            continue;
        }
        if past.sent.as_ref().is_some_and(|sent| sent.is_match(&text)) {
            return if done {
                Last::Over(Turn::Done)
            } else if seen {
                Last::Piece(at)
            } else {
                Last::Sent
            };
        }
        if row.depth == 0 && past.piece.as_ref().is_some_and(|piece| piece.is_match(&text)) {
            if done {
                return Last::Over(Turn::Done);
            }
            return if asked(facts, &above[..at]) { Last::Piece(at) } else { Last::Nothing };
        }
        if past.command.as_ref().is_some_and(|command| command.is_match(&text)) {
            if !done && !any {
                return Last::Nothing;
            }
            continue;
        }
        any = true;
        seen |= past.piece.is_none();
    }
    match (done, any && past.banner.is_some() && asked(facts, above)) {
        (true, _) => Last::Over(Turn::Done),
        (false, true) if past.piece.is_some() => Last::Piece(0),
        _ => Last::Nothing,
    }
}

/// The end of a turn that is neither said to be done nor in error: what was refused ends it so.
fn broken_off() -> Trouble {
    Trouble { cause: Cause::Interrupted, text: "the turn ended without a word".into(), until: None }
}

/// The error of a tool that frames what is sent, and below it what went wrong.
fn framed_error(above: &[Row<'_>]) -> Option<Trouble> {
    let last = above.iter().rposition(Row::is_text)?;
    // A frame on the right alone is another window's.
    let framed = |row: &Row<'_>| row.depth > 0 && !(row.closed && row.text.is_empty());
    let start = above[..=last].iter().rposition(|row| !framed(row)).map_or(0, |at| at + 1);
    let before = above[..start].iter().rposition(Row::is_text)?;
    if !framed(&above[last]) || !framed(&above[before]) {
        return None;
    }
    let rows: Vec<Row<'_>> = above[start..=last].iter().filter(|row| row.is_text()).copied().collect();
    let text = clean(&one_line(&rows));
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let cause = if has(&[
        "api key",
        "api-key",
        "401",
        "403",
        "unauthor",
        "not allowed",
        "forbidden",
        "log in",
        "login",
    ]) {
        Cause::LoginRequired
    } else if has(&["rate limit", "quota", "429", "usage limit", "too many requests", "credit", "billing"]) {
        Cause::RateLimited
    } else {
        Cause::ApiError
    };
    Some(Trouble { cause, until: crate::tool::until::words(&text), text })
}

/// Whether a person has sent something: it stands there, or what stands there has pushed the tool's first
/// lines out of sight.
fn asked(facts: &Facts, above: &[Row<'_>]) -> bool {
    let past = &facts.transcript;
    let any = |pattern: &Option<crate::tool::profile::Pattern>| {
        pattern
            .as_ref()
            .is_some_and(|p| above.iter().any(|row| !row.text.is_empty() && p.is_match(&padded(row))))
    };
    any(&past.sent) || !any(&past.banner)
}

/// How the last turn ended; `None` if there was none, or nothing is known of it.
pub(super) fn ended(facts: &Facts, above: &[Row<'_>]) -> Option<Turn> {
    match last(facts, above) {
        Last::Over(turn) => Some(turn),
        Last::Piece(_) if !facts.turn.said => Some(Turn::Done),
        _ => None,
    }
}

/// Whether something a person has sent is on the screen.
pub(super) fn was_sent(facts: &Facts, rows: &[Row<'_>]) -> bool {
    let sent = |row: &Row<'_>| {
        facts.transcript.sent.as_ref().is_some_and(|sent| row.is_text() && sent.is_match(&padded(row)))
            || facts.transcript.piece.as_ref().is_some_and(|p| row.is_text() && p.is_match(&padded(row)))
    };
    rows.iter().any(sent)
}

/// The trouble a row and the ones after it tell of.
pub(super) fn trouble(facts: &Facts, text: &str, rows: &[Row<'_>]) -> Option<Trouble> {
    let whole = || {
        one_line(&rows.iter().take_while(|row| row.is_text()).take(TROUBLE_ROWS).copied().collect::<Vec<_>>())
    };
    let rule =
        facts.troubles.iter().find(|rule| !rule.blocks && !rule.below && rule.pattern.is_match(text))?;
    Some(told(rule, &whole()))
}

/// What the tool is stuck at, with neither dialog nor box on the screen.
pub(super) fn blocked(facts: &Facts, rows: &[Row<'_>]) -> Option<(Trouble, usize)> {
    rows.iter().enumerate().rev().filter(|(_, row)| row.is_text()).find_map(|(at, row)| {
        let rule = facts.troubles.iter().find(|rule| rule.blocks && rule.pattern.is_match(row.text))?;
        Some((told(rule, row.text), at))
    })
}

/// What the tool says below its box that it waits for.
pub(super) fn waits(facts: &Facts, below: &[Row<'_>]) -> Option<Trouble> {
    below.iter().filter(|row| row.is_text()).find_map(|row| {
        let rule = facts.troubles.iter().find(|rule| rule.below && rule.pattern.is_match(row.text))?;
        Some(told(rule, row.text))
    })
}

fn told(rule: &TroubleRule, text: &str) -> Trouble {
    let text = clean(text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '(' && c != '['));
    let until = rule.until.as_ref().and_then(|until| until.first_group(&text));
    let until = until.or_else(|| crate::tool::until::words(&text));
    Trouble { cause: rule.cause, text, until }
}

/// What the tool works at, by its newest tool call.
pub(super) fn activity(facts: &Facts, above: &[Row<'_>]) -> Option<Activity> {
    let past = &facts.transcript;
    for row in above.iter().rev().take(REACH).filter(|row| row.is_text()) {
        let text = padded(row);
        if let Some(rule) = facts.activities.iter().find(|rule| rule.pattern.is_match(&text)) {
            return Some(rule.activity);
        }
        let sent = past.sent.as_ref().is_some_and(|sent| sent.is_match(&text));
        // What a call printed belongs to the call.
        let result = row.text.starts_with(['⎿', '└']);
        let answer = !result && past.piece.as_ref().is_some_and(|piece| piece.is_match(&text));
        if sent || answer {
            return None;
        }
    }
    None
}
