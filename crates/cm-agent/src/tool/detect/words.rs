//! What a tool with a screen of its own has said last: its transcript, without box, footer, hints and empty rows (PURE).

use super::input;
use crate::tool::profile::Profile;
use crate::tool::region;
use crate::tool::screen::Screen;

/// The last `n` lines above the box one types into, runs of blank ones as one; all of the screen's where no box
/// is drawn. `None` for tools that print line by line: their text is what they printed.
pub fn last_words(profile: &Profile, screen: &Screen, n: usize) -> Option<Vec<String>> {
    let own = profile.facts.input.as_ref().filter(|_| profile.is_tui())?;
    let rows = region::rows(screen);
    let above = input::find(own, &profile.facts.transcript, screen, &rows)
        .and_then(|input| rows.get(input.top))
        .map_or(screen.lines.len(), |row| row.at);
    let mut lines: Vec<String> = Vec::new();
    let facts = &profile.facts;
    let passing = |line: &str| {
        facts.transcript.skip.iter().chain(&facts.working.line).any(|pattern| pattern.is_match(line))
    };
    for line in screen.lines[..above.min(screen.lines.len())].iter().filter(|line| !passing(line)) {
        let blank = line.trim().is_empty();
        if !blank || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(if blank { String::new() } else { line.trim_end().to_owned() });
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let skip = lines.len().saturating_sub(n);
    Some(lines.split_off(skip))
}
