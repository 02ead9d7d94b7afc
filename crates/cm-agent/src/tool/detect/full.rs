//! Tools that draw on the whole screen: dialogs, an input box, and what stands around it (PURE).

use super::input::{self, Input, padded};
use super::turn::{self, Last};
use super::{NEITHER, Observation, Seen, Turn};
use crate::tool::dialog::{self, FoundPrompt};
use crate::tool::profile::{Facts, InputBox, Profile, PromptKind};
use crate::tool::region::{self, Edge, Row};
use crate::tool::screen::Screen;
use crate::tool::state::Memory;

/// How far above the box a line that says it works may stand.
const REACH: usize = 40;

/// How many lines above the box of a tool nothing is known of may be its spinner and tips.
const NEAR: usize = 4;

/// The longest line that is a sign of work.
const LONGEST_SIGN: usize = 160;

/// Working signs of tools nothing is known of: how the lines end or what they hold.
const SIGNS: [&str; 9] = [
    "esc to interrupt",
    "esc to cancel",
    "esc interrupt",
    "esc to stop",
    "ctrl+c to interrupt",
    "ctrl+c to stop",
    "ctrl-c to interrupt",
    "ctrl+c to cancel",
    "to interrupt)",
];

/// What is seen on the screen of such a tool.
pub(super) fn detect(profile: &Profile, memory: &Memory, screen: &Screen, rows: &[Row<'_>]) -> Observation {
    let facts = &profile.facts;
    if let Some(found) = dialog::find(facts, screen, rows) {
        return Observation { rule: format!("dialog `{}`", found.rule), kind: Seen::Asking(found) };
    }
    let general = InputBox::default();
    let own = facts.input.as_ref().unwrap_or(&general);
    let found = input::find(own, &facts.transcript, screen, rows);
    if let Some(rule) = works(profile, screen, rows, found.as_ref()) {
        let above = found.as_ref().map_or(rows, |found| &rows[..found.top]);
        return Observation { kind: Seen::Working { activity: turn::activity(facts, above) }, rule };
    }
    if let Some(found) = menu(facts, own, rows, found.as_ref()) {
        return Observation { rule: found.rule.clone(), kind: Seen::Asking(found) };
    }
    if let Some(trouble) = found.as_ref().and_then(|found| turn::waits(facts, &rows[found.bottom + 1..])) {
        return Observation { kind: Seen::Blocked(trouble), rule: "a line below the input box".into() };
    }
    match found {
        Some(found) => at_box(profile, own, memory, rows, found),
        None => without_box(profile, memory, rows),
    }
}

/// The tool's box is there, and nothing says that it works.
fn at_box(profile: &Profile, own: &InputBox, memory: &Memory, rows: &[Row<'_>], found: Input) -> Observation {
    let facts = &profile.facts;
    let above = &rows[..found.top];
    if own.needs_text_above
        && memory.is_starting()
        && !above.iter().any(|row| row.is_text() && !skipped(profile, row))
    {
        return Observation { kind: Seen::NotReady, rule: "nothing above the input box yet".into() };
    }
    let turn = match turn::last(facts, above) {
        Last::Nothing if facts.transcript.piece.is_none() => plain_turn(above),
        Last::Nothing => None,
        Last::Sent => return working(profile, above, "sent, not answered"),
        Last::Piece(_) if facts.turn.said => {
            return working(profile, above, "nothing says that the turn is over");
        }
        Last::Piece(_) => Some(Turn::Done),
        Last::Over(turn) => Some(turn),
    };
    Observation {
        kind: Seen::AtPrompt { prompt_text: found.mark, draft: found.draft, turn },
        rule: "the input box".into(),
    }
}

fn working(profile: &Profile, above: &[Row<'_>], rule: &str) -> Observation {
    let activity = turn::activity(&profile.facts, above);
    Observation { kind: Seen::Working { activity }, rule: rule.into() }
}

fn skipped(profile: &Profile, row: &Row<'_>) -> bool {
    let text = padded(row);
    profile.facts.transcript.skip.iter().any(|skip| skip.is_match(&text))
}

/// Of a tool nothing is known of: something was asked if a line like one that was sent stands above.
pub(super) fn plain_turn(above: &[Row<'_>]) -> Option<Turn> {
    let sent = above.iter().rposition(|row| row.is_text() && row.col <= 3 && dialog::begins_input(row))?;
    above[sent + 1..].iter().any(Row::is_text).then_some(Turn::Done)
}

fn without_box(profile: &Profile, memory: &Memory, rows: &[Row<'_>]) -> Observation {
    let facts = &profile.facts;
    if let Some((trouble, _)) = turn::blocked(facts, rows) {
        return Observation { kind: Seen::Blocked(trouble), rule: "a line of [[trouble]]".into() };
    }
    let text = rows.iter().any(Row::is_text);
    let known = facts.input.is_some();
    let kind = if text && (known || !memory.is_starting() || turn::was_sent(facts, rows)) {
        Seen::Working { activity: turn::activity(facts, rows) }
    } else if memory.is_starting() {
        Seen::NotReady
    } else {
        Seen::Working { activity: None }
    };
    Observation { kind, rule: NEITHER.into() }
}

/// A page or window of the tool's in place of its box, with nothing that could be chosen by a program: the
/// last line names the key that leaves it.
fn menu(facts: &Facts, own: &InputBox, rows: &[Row<'_>], found: Option<&Input>) -> Option<FoundPrompt> {
    if let Some(overlay) = &own.overlay
        && let Some(row) = rows.iter().find(|row| row.is_text() && overlay.is_match(&padded(row)))
    {
        return Some(FoundPrompt::plain(PromptKind::Text, row.text, "a window over everything"));
    }
    facts.input.as_ref().filter(|_| found.is_none())?;
    let last = rows.iter().rposition(Row::is_text)?;
    let text = rows[last].text;
    let known = facts.dialogs.iter().find(|rule| rule.bare && rule.pattern.is_match(text));
    if let Some(rule) = known {
        return Some(FoundPrompt::plain(rule.kind, text, rule.name.clone()));
    }
    let foot = (0..=last).rev().take_while(|at| rows[*at].is_text()).last().unwrap_or(last);
    let hint = region::one_line(&rows[foot..=last]);
    if !dialog::is_hint(&hint) && !dialog::is_hint(text) || !dialog::chooses(&hint) {
        return None;
    }
    // Whatever the transcript quotes is indented.
    let bar = rows[last].depth > 0 && !rows[last].closed;
    let start = if bar {
        rows[..last].iter().rposition(|row| row.depth == 0)?
    } else {
        let outer = rows[last].depth.saturating_sub(u8::from(rows[last].closed));
        let line = |edge: Edge| {
            rows[..foot].iter().rposition(|row| row.edge == Some(edge) && row.col <= 2 && row.depth == outer)
        };
        if rows[last].closed { line(Edge::Top) } else { line(Edge::Rule).or_else(|| line(Edge::Top)) }?
    };
    let body = &rows[start + 1..foot];
    Some(dialog::page(facts, body, &hint))
}

/// What says that the tool works: a line between transcript and box, a line below it, the title.
fn works(profile: &Profile, screen: &Screen, rows: &[Row<'_>], found: Option<&Input>) -> Option<String> {
    let facts = &profile.facts;
    let known = facts.input.is_some();
    let (above, below) = match found {
        Some(found) => (&rows[..found.top], &rows[found.bottom + 1..]),
        None => (rows, &rows[rows.len()..]),
    };
    for (nth, row) in above.iter().rev().take(REACH).filter(|row| row.is_text()).enumerate() {
        let text = padded(row);
        let near = nth < NEAR;
        if facts.working.line.iter().any(|pattern| pattern.is_match(&text))
            || (!known && near && general_sign(row))
        {
            return Some(format!("working line `{}`", row.text));
        }
        let over = facts.turn.done.iter().any(|pattern| pattern.is_match(&text))
            || facts.transcript.sent.as_ref().is_some_and(|sent| sent.is_match(&text))
            || turn::trouble(facts, &text, &[]).is_some();
        if over {
            break;
        }
    }
    let footer = |row: &&Row<'_>| {
        facts.working.footer.iter().any(|pattern| pattern.is_match(row.text)) || (!known && general_sign(row))
    };
    if let Some(row) = below.iter().find(footer) {
        return Some(format!("footer `{}`", row.text));
    }
    let title = facts.working.title.iter().any(|title| title.is_match(&screen.title));
    (title || (!known && spinning_title(&screen.title))).then(|| "the title".into())
}

/// Whether a tool nothing is known of says, below the cursor or in a spinner's line directly above it, that
/// it can be interrupted.
pub(super) fn works_near(screen: &Screen, rows: &[Row<'_>]) -> bool {
    let here = usize::from(screen.cursor.row);
    let texts = || rows.iter().filter(|row| row.is_text());
    let spins =
        |row: &&Row<'_>| row.text.chars().next().is_some_and(|c| !c.is_alphanumeric() && !c.is_ascii());
    spinning_title(&screen.title)
        || texts().filter(|row| row.at > here).any(general_sign)
        || texts().rev().filter(|row| row.at < here).take(2).filter(spins).any(general_sign)
}

/// A sign of work of any tool: a line that says how to break off, or a spinner with its time.
fn general_sign(row: &Row<'_>) -> bool {
    let text = row.text.to_lowercase();
    if row.col > 4 || row.text.chars().count() > LONGEST_SIGN {
        return false;
    }
    let symbol = row.text.chars().next().is_some_and(|c| !c.is_alphanumeric() && !"([\"'`-#>❯›".contains(c));
    let says = SIGNS.iter().any(|sign| text.contains(sign));
    // `Esc to cancel` stands below dialogs and menus as well.
    let cancels = text.contains("to cancel") && !(symbol || has_time(&text));
    (says && !cancels) || (symbol && row.col <= 2 && spins(&text))
}

/// `✻ Thinking… (3s`, `⠋ Working...`: words that trail off, with a time or before a spinner's glyph.
fn spins(text: &str) -> bool {
    let glyph = text.chars().next().unwrap_or(' ');
    let trails = text.contains('…') || text.contains("...");
    let braille = ('\u{2801}'..='\u{28ff}').contains(&glyph);
    // Bullets begin what a tool writes, too.
    let bullet = "●⏺•◦■└⎿│".contains(glyph);
    let ends = text.ends_with('…') || text.ends_with("...");
    (trails && has_time(text))
        || (trails && ends && !bullet && text.split(' ').count() <= 4)
        || (braille && trails)
}

/// A time in brackets: `(12s`, `(1m 3s`.
fn has_time(text: &str) -> bool {
    text.match_indices('(').any(|(at, _)| {
        let rest = &text[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(['s', 'm', 'h'])
            || rest.contains(", ") && rest.trim_end_matches(')').ends_with('s')
    })
}

/// A title that spins.
fn spinning_title(title: &str) -> bool {
    let first = title.trim_start().chars().next().unwrap_or(' ');
    ('\u{2801}'..='\u{28ff}').contains(&first) || "◐◑◒◓◴◵◶◷".contains(first)
}
