//! PURE. Which lease is renewed over a connection, and what was answered last: what need not be said again.

use crate::actions::Renewed;

/// A connection's memory of the leases renewed over it.
#[derive(Debug, Default)]
pub(crate) struct Renewing {
    /// The agent can be told that it is the same again.
    known: bool,
    only: Only,
    /// The last answer; none while one is awaited, and after one that did not come.
    told: Option<Renewed>,
}

/// What was renewed in full.
#[derive(Debug, Default)]
enum Only {
    #[default]
    Nothing,
    /// Always this, so that it is what the agent remembers, whatever became of the answers.
    One { owner: String, seconds: f64 },
    /// One and another: nobody here knows which of them arrived last.
    Several,
}

impl Renewing {
    /// Nothing yet. `known`: the agent can be told that it is the same again.
    pub(crate) fn new(known: bool) -> Self {
        Self { known, ..Self::default() }
    }

    /// What the agent has told last, if it is enough to say that it is the same again. The next answer takes its place.
    pub(crate) fn told(&mut self, owner: &str, seconds: Option<f64>) -> Option<Renewed> {
        self.is(owner, seconds).then(|| self.told.take()).flatten()
    }

    /// It is about to be said in full.
    pub(crate) fn asking(&mut self, owner: &str, seconds: Option<f64>) {
        self.told = None;
        if self.is(owner, seconds) {
            return;
        }
        self.only = match (&self.only, seconds) {
            (Only::Nothing, Some(seconds)) => Only::One { owner: owner.to_owned(), seconds },
            _ => Only::Several,
        };
    }

    /// The answer.
    pub(crate) fn was_told(&mut self, renewed: Renewed) {
        self.told = Some(renewed);
    }

    fn is(&self, wanted: &str, length: Option<f64>) -> bool {
        match &self.only {
            Only::One { owner, seconds } => self.known && owner == wanted && length == Some(*seconds),
            Only::Nothing | Only::Several => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(sessions: usize) -> Renewed {
        Renewed { sessions, load: cm_protocol::Load::default(), clock: None }
    }

    #[test]
    fn only_the_same_is_left_out() {
        let mut memory = Renewing::new(true);
        assert_eq!(memory.told("r", Some(9.0)), None);
        memory.asking("r", Some(9.0));
        assert_eq!(memory.told("r", Some(9.0)), None, "nothing was answered yet");
        memory.was_told(renewed(1));
        for (owner, seconds) in [("x", Some(9.0)), ("r", Some(8.0)), ("r", None)] {
            assert_eq!(memory.told(owner, seconds), None);
        }
        assert_eq!(memory.told("r", Some(9.0)), Some(renewed(1)));
        assert_eq!(memory.told("r", Some(9.0)), None, "the answer has not come: it is said in full");
        memory.asking("r", Some(9.0));
        memory.was_told(renewed(2));
        assert_eq!(memory.told("r", Some(9.0)), Some(renewed(2)));
    }

    #[test]
    fn one_and_another_are_always_said_in_full() {
        for (owner, seconds) in [("x", Some(9.0)), ("r", Some(8.0)), ("r", None)] {
            let mut memory = Renewing::new(true);
            memory.asking("r", Some(9.0));
            memory.asking(owner, seconds);
            memory.was_told(renewed(1));
            memory.asking("r", Some(9.0));
            memory.was_told(renewed(1));
            assert_eq!(memory.told("r", Some(9.0)), None, "{owner} {seconds:?}");
        }
    }

    #[test]
    fn an_agent_that_does_not_know_it_is_told_in_full() {
        let mut memory = Renewing::default();
        memory.asking("r", Some(9.0));
        memory.was_told(renewed(1));
        assert_eq!(memory.told("r", Some(9.0)), None);
    }
}
