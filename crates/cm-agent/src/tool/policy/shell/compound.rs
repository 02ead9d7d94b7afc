//! Compound commands: `if`, loops, `case`, `[[ ]]`, functions (PURE).

use super::parse::{Parser, is_name};
use super::{Command, List, Piece, Simple, Unclear, Word};

impl Parser<'_> {
    pub(super) fn if_command(&mut self) -> Result<Command, Unclear> {
        let mut bodies = vec![self.list()?];
        self.expect("then")?;
        bodies.push(self.list()?);
        loop {
            if self.take_keyword("elif") {
                bodies.push(self.list()?);
                self.expect("then")?;
                bodies.push(self.list()?);
            } else if self.take_keyword("else") {
                bodies.push(self.list()?);
            } else {
                self.expect("fi")?;
                return self.block(false, Vec::new(), bodies);
            }
        }
    }

    pub(super) fn do_group(&mut self) -> Result<List, Unclear> {
        self.expect("do")?;
        let body = self.list()?;
        self.expect("done")?;
        Ok(body)
    }

    pub(super) fn for_command(&mut self) -> Result<Command, Unclear> {
        self.blanks();
        let name = self.word()?;
        let name =
            name.literal().filter(|name| is_name(name)).ok_or(Unclear("a loop has no plain variable"))?;
        let name = name.to_owned();
        self.breaks()?;
        let mut words = Vec::new();
        if self.take_keyword("in") {
            loop {
                self.blanks();
                match self.peek() {
                    None | Some(';' | '\n') => break,
                    Some(_) => words.push(self.word()?),
                }
            }
        } else {
            words.push(Word(vec![Piece::Unknown]));
        }
        self.blanks();
        self.take(";");
        let body = self.do_group()?;
        Ok(Command::For { name, words, body, redirects: self.redirects()? })
    }

    pub(super) fn case_command(&mut self) -> Result<Command, Unclear> {
        self.blanks();
        let mut words = vec![self.word()?];
        self.expect("in")?;
        let mut bodies = Vec::new();
        loop {
            self.breaks()?;
            if self.take_keyword("esac") {
                return self.block(false, words, bodies);
            }
            self.take("(");
            loop {
                self.blanks();
                words.push(self.word()?);
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return Err(Unclear("a pattern of a case does not end"));
            }
            bodies.push(self.list()?);
            let ended = self.take(";;&") || self.take(";;") || self.take(";&");
            if !ended {
                self.expect("esac")?;
                return self.block(false, words, bodies);
            }
        }
    }

    /// `[[ … ]]`: words and operators, all taken as words.
    pub(super) fn condition(&mut self) -> Result<Command, Unclear> {
        self.take("[[");
        let mut simple = Simple::default();
        simple.words.push(Word(vec![Piece::Text("[[".to_owned())]));
        loop {
            while matches!(self.peek(), Some(' ' | '\t')) {
                self.at += 1;
            }
            if matches!(self.peek(), None | Some('\n')) {
                return Err(Unclear("a condition does not end"));
            }
            let word = self.condition_word()?;
            let joins = matches!(word.literal(), Some("&&" | "||"));
            if joins && !self.rest().trim_start_matches(' ').starts_with('-') {
                // To a shell that knows no conditions a command begins here; `-f` is none.
                return Err(Unclear("shells differ on this condition"));
            }
            let last = word.literal() == Some("]]");
            simple.words.push(word);
            if last {
                simple.redirects = self.redirects()?;
                return Ok(Command::Simple(simple));
            }
        }
    }

    pub(super) fn function(&mut self, name: String) -> Result<Command, Unclear> {
        self.breaks()?;
        let body = Box::new(self.deeper(Self::command)?);
        Ok(Command::Function { name, body })
    }

    /// `name() …`, the only way an opening bracket may follow a word.
    pub(super) fn named_function(&mut self, simple: Simple) -> Result<Command, Unclear> {
        let strange = Unclear("a bracket stands where none may");
        let [name] = simple.words.as_slice() else { return Err(strange) };
        let name = name.literal().map(str::to_owned);
        self.take("(");
        self.blanks();
        match name {
            Some(name) if self.take(")") && simple.assignments.is_empty() && simple.redirects.is_empty() => {
                self.function(name)
            }
            _ => Err(strange),
        }
    }
}
