//! A command line of the POSIX shell, bash or zsh as a tree: what would run, with which words (PURE).
//!
//! The parser is strict: what it does not know for certain is an error, never a guess. It expands nothing;
//! a word keeps its pieces, so that a reader can tell a literal `*` from one the shell would expand.

mod compound;
mod here;
mod parse;
mod word;

pub(super) use parse::parse;

/// Commands one after another, in whatever way they are joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List(pub(super) Vec<Chain>);

/// `a && b || c`: pipelines, each with how it is joined to the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) first: Pipeline,
    pub(super) rest: Vec<(Join, Pipeline)>,
}

/// How a pipeline is joined to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// `a | b`.
pub(super) type Pipeline = Vec<Command>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Simple(Simple),
    /// `( )`, `{ }`, `if`, `while`, `until`, `case`: everything in it may run.
    Block {
        /// It runs in a shell of its own.
        subshell: bool,
        /// The word of a `case`, and its patterns.
        words: Vec<Word>,
        bodies: Vec<List>,
        redirects: Vec<Redirect>,
    },
    /// `for name in words; do body; done`.
    For {
        name: String,
        words: Vec<Word>,
        body: List,
        redirects: Vec<Redirect>,
    },
    Function {
        name: String,
        body: Box<Command>,
    },
}

/// Assignments, words, redirections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    Read(Word),
    Write(Word),
    /// A here-document or here-string: what is fed in.
    Fed(Word),
    /// The same, not as the standard input.
    Beside(Word),
}

/// One word, before expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// `~` at the start of a word.
    Home,
    /// `*`, `?`, `[`, or a brace expansion of numbers, unquoted: any part of a file name.
    Glob,
    /// `{a,b}`: each in its turn.
    Braces(Vec<String>),
    /// `$name`.
    Variable { name: String, quoted: bool },
    /// `$( )` or backticks.
    Output(List),
    /// `<( )` or `>( )`.
    Process(List),
    /// A number.
    Number,
    /// Anything whose text only the shell knows.
    Unknown,
}

impl Word {
    /// Its text, if the shell would change nothing about it.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }
}

/// Why a command line could not be understood with certainty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unclear(pub(super) &'static str);
