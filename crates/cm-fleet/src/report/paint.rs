//! Colour, or none: the styles of reports, and the rules that switch them on. PURE.

use cm_protocol::State;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

/// What the environment says about colour.
#[derive(Debug, Clone, Copy, Default)]
pub struct ColourFacts<'a> {
    /// `NO_COLOR`
    pub no_color: Option<&'a str>,
    /// `CLICOLOR`
    pub clicolor: Option<&'a str>,
    /// `CLICOLOR_FORCE`
    pub force: Option<&'a str>,
    /// `TERM`
    pub term: Option<&'a str>,
    /// Whether the text goes to a terminal.
    pub terminal: bool,
}

impl Paint {
    /// No colour.
    pub const OFF: Self = Self { on: false };
    /// Colour.
    pub const ON: Self = Self { on: true };

    /// The rules of no-color.org and bixense.com/clicolors: `NO_COLOR` (not empty) wins, then
    /// `CLICOLOR_FORCE` (not empty, not 0), then a terminal that is not `dumb` unless `CLICOLOR` is 0.
    pub fn decide(facts: ColourFacts<'_>) -> Self {
        let set = |value: Option<&str>| value.is_some_and(|v| !v.is_empty());
        let on = if set(facts.no_color) {
            false
        } else if set(facts.force) && facts.force != Some("0") {
            true
        } else {
            facts.terminal && facts.term != Some("dumb") && facts.clicolor != Some("0")
        };
        Self { on }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Things of lesser weight.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Headings and names.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What went wrong.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// What needs a person.
    pub fn attention(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Text in the colour of a state.
    pub fn state(self, state: State, text: &str) -> String {
        match state {
            State::Done => self.good(text),
            State::Failed | State::Killed | State::Lost => self.bad(text),
            State::Waiting | State::Paused => self.attention(text),
            State::Starting | State::Idle => self.dim(text),
            State::Planning | State::Editing | State::Testing | State::Running => self.wrap("36", text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let tty = ColourFacts { terminal: true, term: Some("xterm"), ..ColourFacts::default() };
        for (facts, on) in [
            (tty, true),
            (ColourFacts { terminal: false, ..tty }, false),
            (ColourFacts { term: Some("dumb"), ..tty }, false),
            (ColourFacts { no_color: Some("1"), ..tty }, false),
            (ColourFacts { no_color: Some(""), ..tty }, true),
            (ColourFacts { clicolor: Some("0"), ..tty }, false),
            (ColourFacts { force: Some("1"), terminal: false, ..tty }, true),
            (ColourFacts { force: Some("0"), terminal: false, ..tty }, false),
            (ColourFacts { force: Some("1"), no_color: Some("1"), ..tty }, false),
        ] {
            assert_eq!(Paint::decide(facts).on, on, "{facts:?}");
        }
    }
}
