//! Redirections and here-documents (PURE).

use super::parse::{Parser, is_meta};
use super::{Piece, Redirect, Unclear, Word};

/// A here-document whose line has not ended yet: where the line ends, and where its body does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) line_end: usize,
    pub(super) body_end: usize,
}

impl Parser<'_> {
    pub(super) fn at_redirect(&self) -> bool {
        let rest = self.rest();
        let operator = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if operator.len() == rest.len() && (rest.starts_with("<(") || rest.starts_with(">(")) {
            return false;
        }
        operator.starts_with(['<', '>']) || rest.starts_with("&>")
    }

    /// One redirection; `None` if it only joins what is open.
    pub(super) fn redirect(&mut self) -> Result<Option<Redirect>, Unclear> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        let input = number.is_empty() || number.bytes().all(|b| b == b'0');
        let fed = |word| if input { Redirect::Fed(word) } else { Redirect::Beside(word) };
        if self.take("<<<") {
            return Ok(Some(fed(self.target()?)));
        }
        if self.take("<<") {
            let strip_tabs = self.take("-");
            return Ok(Some(fed(self.here_document(strip_tabs)?)));
        }
        let joins_input = self.starts("<&") || (!number.is_empty() && input);
        if self.take("<&") || self.take(">&") {
            let start = self.at;
            let target = self.target()?;
            if self.text[start..self.at].contains(['"', '\'', '\\']) {
                return Err(Unclear("shells differ on quotes after `>&`"));
            }
            let joins = target.literal().is_some_and(|text| {
                let text = text.strip_suffix('-').unwrap_or(text);
                text.bytes().all(|b| b.is_ascii_digit())
            });
            if joins && joins_input {
                return Ok(Some(Redirect::Fed(Word(vec![Piece::Unknown]))));
            }
            return Ok((!joins).then_some(Redirect::Write(target)));
        }
        let writes = ["&>>", "&>", "<>", ">>", ">|", ">"].into_iter().any(|operator| self.take(operator));
        if writes {
            if self.starts("!") {
                return Err(Unclear("shells differ on `>!`"));
            }
            return Ok(Some(Redirect::Write(self.target()?)));
        }
        self.take("<");
        Ok(Some(Redirect::Read(self.target()?)))
    }

    fn target(&mut self) -> Result<Word, Unclear> {
        self.blanks();
        match self.peek() {
            Some(c) if !is_meta(c) || self.starts("<(") || self.starts(">(") => self.word(),
            _ => Err(Unclear("a redirection goes nowhere")),
        }
    }

    /// `<<WORD`: its body, which begins on the next line.
    fn here_document(&mut self, strip_tabs: bool) -> Result<Word, Unclear> {
        self.blanks();
        let start = self.at;
        let word = self.target()?;
        let delimiter = word.literal().ok_or(Unclear("a here-document has no plain end"))?.to_owned();
        let written = &self.text[start..self.at];
        if written.contains('\n') {
            return Err(Unclear("a here-document has no plain end"));
        }
        let quoted = written.contains(['\'', '"', '\\']);
        let line_end = match self.here {
            Some(here) => here.line_end,
            None => self.at + self.rest().find('\n').ok_or(Unclear("a here-document has no body"))?,
        };
        if self.at > line_end {
            return Err(Unclear("a here-document begins in a strange place"));
        }
        let from = self.here.map_or(line_end + 1, |here| here.body_end);
        let mut body = String::new();
        let mut at = from;
        loop {
            let rest = self.text.get(at..).filter(|rest| !rest.is_empty());
            let Some(rest) = rest else { return Err(Unclear("a here-document does not end")) };
            let line = rest.split('\n').next().unwrap_or_default();
            at += (line.len() + 1).min(rest.len());
            let line = if strip_tabs { line.trim_start_matches('\t') } else { line };
            if line == delimiter {
                break;
            }
            if !quoted && line.ends_with('\\') {
                return Err(Unclear("a here-document's line goes on in the next"));
            }
            body.push_str(line);
            body.push('\n');
        }
        self.here = Some(Here { line_end, body_end: at });
        if quoted {
            let mut word = Word::default();
            word.text(&body);
            return Ok(word);
        }
        let mut inner = Parser { text: &body, at: 0, depth: self.depth + 1, here: None };
        let mut word = Word::default();
        while let Some(c) = inner.peek() {
            inner.quoted(c, &mut word, false)?;
        }
        Ok(word)
    }
}
