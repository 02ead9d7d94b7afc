//! Tools that ask line by line: what stands directly before a visible cursor (PURE).

use super::turn;
use super::{Observation, Seen, full, input, same_prompt};
use crate::tool::dialog::{self, FoundPrompt, Layout};
use crate::tool::hooks::clean;
use crate::tool::profile::{Facts, Life, Profile, PromptKind};
use crate::tool::region::Row;
use crate::tool::screen::Screen;
use crate::tool::state::Memory;

/// How many lines above a question tell what it is about.
const CONTEXT_LINES: usize = 6;

/// The longest text that can be a tool's prompt: no sentence is one.
const LONGEST_PROMPT: usize = 80;

/// The longest answer to a question with letters.
const LONGEST_ANSWER: usize = 20;

/// What is seen on the screen of such a tool.
pub(super) fn detect(profile: &Profile, memory: &Memory, screen: &Screen, rows: &[Row<'_>]) -> Observation {
    let facts = &profile.facts;
    let Some(text) = screen.before_cursor() else { return elsewhere(profile, memory, screen, rows) };
    if facts.input.is_none() && full::works_near(screen, rows) {
        return Observation {
            kind: Seen::Working { activity: None },
            rule: "a line that says how to break off".into(),
        };
    }
    let at_prompt = |rule: String, draft: bool| {
        let prompt_text = text.clone();
        let above =
            rows.iter().position(|row| row.at >= usize::from(screen.cursor.row)).unwrap_or(rows.len());
        let turn = turn::ended(facts, &rows[..above]);
        Observation { kind: Seen::AtPrompt { prompt_text, draft, turn }, rule }
    };
    if memory.ready_prompt().is_some_and(|prompt| same_prompt(prompt, &text)) {
        return at_prompt("the tool's prompt".into(), false);
    }
    if let Some(found) = question(profile, screen, &text) {
        return Observation { rule: format!("prompt `{}`", found.rule), kind: Seen::Asking(found) };
    }
    if let Some(found) = half_answered(profile, screen, &text) {
        return Observation { rule: format!("prompt `{}`", found.rule), kind: Seen::Asking(found) };
    }
    if let Some(draft) = facts.input.as_ref().and_then(|own| input::at_cursor(own, screen, rows)) {
        return Observation {
            kind: Seen::AtPrompt {
                prompt_text: draft.mark,
                draft: draft.draft,
                turn: turn::ended(facts, &rows[..draft.top]),
            },
            rule: "the input line".into(),
        };
    }
    match &profile.life {
        Life::Screen { ready, .. } if memory.may_learn_prompt() && text.chars().count() <= LONGEST_PROMPT => {
            match ready.patterns.iter().position(|pattern| pattern.is_match(&text)) {
                Some(n) => at_prompt(format!("ready pattern {}", n + 1), false),
                None => elsewhere(profile, memory, screen, rows),
            }
        }
        Life::Screen { .. } | Life::Process => elsewhere(profile, memory, screen, rows),
    }
}

/// Nothing known stands at the cursor: a program that draws dialogs may run in the terminal.
fn elsewhere(profile: &Profile, memory: &Memory, screen: &Screen, rows: &[Row<'_>]) -> Observation {
    if let Some(found) = dialog::find(&profile.facts, screen, rows) {
        return Observation { rule: found.rule.clone(), kind: Seen::Asking(found) };
    }
    if profile.facts.input.is_none() && !profile.life_is_process() && !screen.cursor.visible {
        return full::detect(profile, memory, screen, rows);
    }
    let sent = turn::was_sent(&profile.facts, rows);
    let kind = if memory.is_starting() && !sent { Seen::NotReady } else { Seen::Working { activity: None } };
    Observation { kind, rule: "no prompt at the cursor".into() }
}

fn question(profile: &Profile, screen: &Screen, text: &str) -> Option<FoundPrompt> {
    if !screen.nothing_after_cursor() {
        return None;
    }
    let rule = profile.prompts.iter().find(|rule| {
        (!rule.last_row || screen.on_last_row())
            && rule.pattern.is_match(text)
            && !rule.unless_above.as_ref().is_some_and(|grave| {
                screen.tail_above_cursor(CONTEXT_LINES).iter().any(|line| grave.is_match(line))
            })
    })?;
    let found = FoundPrompt {
        press: rule.press.clone(),
        ..FoundPrompt::plain(rule.kind, clean(text), rule.name.clone())
    };
    Some(if rule.kind == PromptKind::Confirm {
        with_letters(&profile.facts, screen, text, found)
    } else {
        found
    })
}

/// A question the profile knows, with something typed behind it that is not sent.
fn half_answered(profile: &Profile, screen: &Screen, text: &str) -> Option<FoundPrompt> {
    let (asked, typed) = text.rsplit_once("]: ")?;
    let asked = format!("{asked}]:");
    let known = dialog::letters(&asked).is_some_and(|letters| {
        profile.facts.dialogs.iter().any(|rule| rule.pattern.is_match(&letters.question))
    });
    (known && typed.chars().count() <= LONGEST_ANSWER).then(|| {
        let found = FoundPrompt::plain(PromptKind::Confirm, clean(&asked), "letter-menu");
        with_letters(&profile.facts, screen, &asked, found)
    })
}

/// Adds what the letters in a question mean, and what a profile knows of it.
fn with_letters(facts: &Facts, screen: &Screen, text: &str, mut found: FoundPrompt) -> FoundPrompt {
    let Some(typed) = dialog::letters(text) else { return found };
    if let Some(rule) = facts.dialogs.iter().find(|rule| rule.pattern.is_match(&typed.question)) {
        found.kind = rule.kind;
        found.text = clean(&typed.question);
        found.rule.clone_from(&rule.name);
        let above = screen.tail_above_cursor(1);
        let about = above.first().map(|line| line.trim().to_owned());
        found.subject = rule
            .subject
            .as_ref()
            .map_or(about, |pattern| {
                pattern
                    .first_group(text)
                    .or_else(|| block_above(screen).and_then(|b| pattern.first_group(&b)))
            })
            .filter(|subject| !subject.is_empty());
    }
    found.options = dialog::options_of(facts, found.kind, &typed.choices);
    found.layout = Layout::Typed;
    found.lines = screen.tail_above_cursor(CONTEXT_LINES).into_iter().map(str::to_owned).collect();
    found.lines.push(text.to_owned());
    found
}

/// The lines directly above the cursor's, up to a blank one.
fn block_above(screen: &Screen) -> Option<String> {
    let above = screen.above_cursor();
    let start = above.iter().rposition(|line| line.trim().is_empty()).map_or(0, |at| at + 1);
    Some(above[start..].iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n"))
        .filter(|block| !block.is_empty())
}
