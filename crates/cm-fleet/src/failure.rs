//! An error at the edge: what kind it is, the chain of causes, the next move; printed in one place.

use std::error::Error;
use std::fmt;

use crate::exit::Exit;
use crate::report::clean::clean;

/// Why a command ends early. Only the exit code follows from it; the words are in [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task or an act on a session failed.
    Task,
    /// The command line or a file it names is wrong.
    Usage,
    /// No agent could be reached.
    Unreachable,
    /// An agent or a rule said no.
    Refused,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The exit code that tells a script the same.
    pub fn exit(self) -> Exit {
        match self {
            Self::Task => Exit::Failed,
            Self::Usage => Exit::Usage,
            Self::Unreachable => Exit::Unreachable,
            Self::Refused => Exit::Refused,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// A failure as people read it: what was attempted, why it did not work, what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What could not be done, then its causes, outermost first. Never empty.
    pub chain: Vec<String>,
    /// Next moves, one a line.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without causes.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, chain: vec![message.into()], hints: Vec::new() }
    }

    /// The command line or something it names is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds an error and everything under it as causes.
    #[must_use]
    pub fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            let text = error.to_string();
            // An error that repeats its source in its own text would be said twice.
            if !self.chain.last().is_some_and(|last| last.ends_with(&text)) {
                self.chain.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds one cause in words.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.chain.push(cause.into());
        self
    }

    /// Adds a next move.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints it to standard error: the one place where errors are printed.
    pub fn print(&self) {
        use std::io::Write;
        // Standard error being gone leaves nobody to tell.
        let _ = std::io::stderr().lock().write_all(self.to_string().as_bytes());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = std::iter::once("error: ").chain(std::iter::repeat("  caused by: "));
        for (label, text) in labels.zip(&self.chain) {
            write_block(f, label, text)?;
        }
        for hint in &self.hints {
            write_block(f, "  hint: ", hint)?;
        }
        Ok(())
    }
}

/// A label and a text; the text's further lines stand under its first.
fn write_block(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    let indent = " ".repeat(label.len());
    for (number, line) in text.lines().enumerate() {
        let lead = if number == 0 { label } else { &indent };
        writeln!(f, "{lead}{}", clean(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn reads_as_error_causes_hints() {
        let cause = Outer(std::io::Error::other("no such thing\x1b[31m"));
        let failure = Failure::new(Kind::Unreachable, "cannot reach the agent")
            .because(&cause)
            .hint("first line\nsecond line");
        insta::assert_snapshot!(failure.to_string(), @r"
        error: cannot reach the agent
          caused by: outer
          caused by: no such thing
          hint: first line
                second line
        ");
        assert_eq!(failure.kind.exit().code(), 3);
    }

    #[test]
    fn a_repeated_source_is_said_once() {
        let failure = Failure::usage("cannot read x: gone").because(&std::io::Error::other("gone"));
        assert_eq!(failure.chain.len(), 1);
    }
}
