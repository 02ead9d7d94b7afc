//! The shell's grammar: lists, pipelines, compound commands, redirections (PURE).

use super::here::Here;
use super::{Chain, Command, Join, List, Pipeline, Redirect, Simple, Unclear, Word};

/// The longest command line that is read, in bytes.
const LONGEST: usize = 32 * 1024;

/// How deep commands may nest.
const DEEPEST: usize = 24;

/// Reads a whole command line.
pub(in super::super) fn parse(text: &str, depth: usize) -> Result<List, Unclear> {
    if text.len() > LONGEST {
        return Err(Unclear("it is too long"));
    }
    if text.chars().any(cannot_be_seen) {
        return Err(Unclear("it has characters that cannot be seen"));
    }
    if text.contains('…') {
        return Err(Unclear("it may have been cut short"));
    }
    let mut parser = Parser { text, at: 0, depth, here: None };
    let list = parser.list()?;
    match parser.peek() {
        None if parser.here.is_none() => Ok(list),
        None => Err(Unclear("a here-document does not end")),
        Some(_) => Err(Unclear("a bracket or a keyword stands alone")),
    }
}

/// Control characters, and those that hide or turn text round.
fn cannot_be_seen(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || (c.is_whitespace() && !c.is_ascii())
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{AD}')
        || matches!(
            c,
            '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{2800}' | '\u{E0000}'..='\u{E0FFF}'
        )
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// A here-document that begins after this line.
    pub(super) here: Option<Here>,
}

/// Words that mean something where a command may begin.
const CLOSING: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

impl<'a> Parser<'a> {
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    /// Steps over `what` if it comes next.
    pub(super) fn take(&mut self, what: &str) -> bool {
        let there = self.starts(what);
        if there {
            self.at += what.len();
        }
        there
    }

    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Unclear>,
    ) -> Result<T, Unclear> {
        if self.depth >= DEEPEST {
            return Err(Unclear("it nests too deep"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Spaces, line continuations and a comment.
    pub(super) fn blanks(&mut self) {
        loop {
            if self.take(" ") || self.take("\t") || self.take("\\\n") {
                continue;
            }
            if self.starts("#") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            }
            return;
        }
    }

    /// Blanks and line breaks, with the here-documents that follow them.
    pub(super) fn breaks(&mut self) -> Result<(), Unclear> {
        loop {
            self.blanks();
            if !self.line_break()? {
                return Ok(());
            }
        }
    }

    fn line_break(&mut self) -> Result<bool, Unclear> {
        let there = self.starts("\n");
        if there {
            match self.here.take() {
                Some(here) if here.line_end == self.at => self.at = here.body_end,
                Some(_) => return Err(Unclear("a here-document does not begin after its line")),
                None => self.at += 1,
            }
        }
        Ok(there)
    }

    /// Commands up to the end, a `)`, `;;` or a closing keyword.
    pub(super) fn list(&mut self) -> Result<List, Unclear> {
        let mut chains = Vec::new();
        loop {
            self.breaks()?;
            if self.at_end_of_list() {
                return Ok(List(chains));
            }
            chains.push(self.chain()?);
            self.blanks();
            let separated = if self.starts(";;") {
                false
            } else {
                self.take(";") || (!self.starts("&&") && self.take("&")) || self.line_break()?
            };
            if !separated && !self.at_end_of_list() {
                return Err(Unclear("it does not read as commands"));
            }
        }
    }

    fn at_end_of_list(&self) -> bool {
        match self.peek() {
            None | Some(')') => true,
            Some(';') => self.starts(";;") || self.starts(";&"),
            Some(_) => CLOSING.iter().any(|word| self.keyword(word)),
        }
    }

    /// Whether this word comes next, unquoted and whole.
    fn keyword(&self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(ends_word)
    }

    pub(super) fn take_keyword(&mut self, word: &str) -> bool {
        let there = self.keyword(word);
        if there {
            self.at += word.len();
        }
        there
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), Unclear> {
        self.breaks()?;
        if self.take_keyword(word) { Ok(()) } else { Err(Unclear("a compound command does not end")) }
    }

    fn chain(&mut self) -> Result<Chain, Unclear> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let join = if self.take("&&") {
                Join::And
            } else if self.take("||") {
                Join::Or
            } else {
                return Ok(Chain { first, rest });
            };
            self.breaks()?;
            rest.push((join, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Unclear> {
        self.blanks();
        if self.keyword("time") {
            self.bare_time();
        }
        if self.take_keyword("!") {
            let first = self.deeper(Self::pipeline)?;
            let body = List(vec![Chain { first, rest: Vec::new() }]);
            let (words, redirects) = (Vec::new(), Vec::new());
            return Ok(vec![Command::Block { subshell: false, words, bodies: vec![body], redirects }]);
        }
        let mut stages = vec![self.deeper(Self::command)?];
        loop {
            self.blanks();
            if self.starts("||") || !self.take("|") {
                return Ok(stages);
            }
            self.take("&");
            self.breaks()?;
            stages.push(self.deeper(Self::command)?);
        }
    }

    /// The keyword `time`, unless options follow: then it is a program.
    fn bare_time(&mut self) {
        let before = self.at;
        self.take_keyword("time");
        self.blanks();
        if matches!(self.peek(), None | Some('-' | ';' | '&' | '|' | '\n' | ')' | '<' | '>')) {
            self.at = before;
        }
    }

    pub(super) fn command(&mut self) -> Result<Command, Unclear> {
        if self.starts("((") {
            return Err(Unclear("it calculates"));
        }
        if self.take("(") {
            let body = self.list()?;
            if !self.take(")") {
                return Err(Unclear("a bracket does not close"));
            }
            return self.block(true, Vec::new(), vec![body]);
        }
        if self.take_keyword("{") {
            let body = self.list()?;
            self.expect("}")?;
            return self.block(false, Vec::new(), vec![body]);
        }
        if self.take_keyword("if") {
            return self.if_command();
        }
        if self.take_keyword("while") || self.take_keyword("until") {
            let condition = self.list()?;
            let body = self.do_group()?;
            return self.block(false, Vec::new(), vec![condition, body]);
        }
        if self.take_keyword("for") || self.take_keyword("select") {
            return self.for_command();
        }
        if self.take_keyword("case") {
            return self.case_command();
        }
        if self.take_keyword("function") {
            self.blanks();
            let name =
                self.word()?.literal().map(str::to_owned).ok_or(Unclear("a function has no plain name"))?;
            self.blanks();
            if self.take("(") && !self.take(")") {
                return Err(Unclear("a function has no plain name"));
            }
            return self.function(name);
        }
        if self.keyword("coproc") {
            return Err(Unclear("it starts a coprocess"));
        }
        if self.keyword("[[") {
            return self.condition();
        }
        self.simple()
    }

    pub(super) fn block(
        &mut self,
        subshell: bool,
        words: Vec<Word>,
        bodies: Vec<List>,
    ) -> Result<Command, Unclear> {
        Ok(Command::Block { subshell, words, bodies, redirects: self.redirects()? })
    }

    pub(super) fn redirects(&mut self) -> Result<Vec<Redirect>, Unclear> {
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            if !self.at_redirect() {
                return Ok(redirects);
            }
            redirects.extend(self.redirect()?);
        }
    }

    fn simple(&mut self) -> Result<Command, Unclear> {
        let mut simple = Simple::default();
        let mut both = false;
        loop {
            self.blanks();
            if self.at_redirect() {
                both |= self.starts("&>");
                simple.redirects.extend(self.redirect()?);
                continue;
            }
            match self.peek() {
                Some('(') => return self.named_function(simple),
                None | Some(';' | '&' | '|' | '\n' | ')') => break,
                Some(_) => {}
            }
            let name = if simple.words.is_empty() { self.assignment_name() } else { None };
            if both {
                return Err(Unclear("shells differ on words after `&>`"));
            }
            if self.keyword("{") || self.keyword("}") {
                return Err(Unclear("shells differ on a bracket among a command's words"));
            }
            match name {
                Some(name) => simple.assignments.push((name, self.assigned()?)),
                None => simple.words.push(self.word()?),
            }
        }
        if simple == Simple::default() {
            return Err(Unclear("a command is missing"));
        }
        Ok(Command::Simple(simple))
    }

    /// `name=` or `name+=`, stepped over.
    fn assignment_name(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, after) = rest.split_at(length);
        let operator = ["=", "+="].into_iter().find(|operator| after.starts_with(operator))?;
        if !is_name(name) {
            return None;
        }
        self.at += length + operator.len();
        Some(name.to_owned())
    }

    fn assigned(&mut self) -> Result<Word, Unclear> {
        match self.peek() {
            Some('(') => Err(Unclear("it fills an array")),
            Some(c) if !is_meta(c) => self.word(),
            _ if self.starts("<(") || self.starts(">(") => self.word(),
            _ => Ok(Word::default()),
        }
    }
}

/// Whether what follows ends a word.
fn ends_word(rest: &str) -> bool {
    rest.chars().next().is_none_or(is_meta)
}

/// Characters that end a word unless quoted.
pub(super) fn is_meta(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

/// Whether this is a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
