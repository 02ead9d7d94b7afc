//! Words: quotes, escapes, expansions (PURE).

use super::parse::{Parser, is_meta, is_name, parse};
use super::{Piece, Unclear, Word};

/// Characters of arithmetic that reads no variable: a variable's value may itself run commands.
const PLAIN_SUM: &str = "0123456789+-*/%() <>=!&|^~?:,";

/// Why a condition is refused that is a list of commands to a shell without conditions.
const DIFFER: Unclear = Unclear("shells differ on this condition");

impl Parser<'_> {
    /// One word. It begins here.
    pub(super) fn word(&mut self) -> Result<Word, Unclear> {
        let start = self.at;
        let mut word = Word::default();
        if self.take("~") {
            let whole = self.peek().is_none_or(|c| is_meta(c) || c == '/');
            word.0.push(if whole { Piece::Home } else { Piece::Unknown });
        }
        let next = self.rest().strip_prefix('=').and_then(|rest| rest.chars().next());
        if next.is_some_and(|c| !is_meta(c) && c != '=') {
            // Some shells take this for a program's path.
            self.at += 1;
            word.0.push(Piece::Unknown);
        }
        while let Some(c) = self.peek() {
            if self.starts("<(") || self.starts(">(") {
                self.at += 2;
                let list = self.inner_list()?;
                word.0.push(Piece::Process(list));
            } else if is_meta(c) {
                break;
            } else {
                self.piece(c, &mut word)?;
            }
        }
        if self.at == start {
            return Err(Unclear("a word is missing"));
        }
        Ok(word)
    }

    /// A word of `[[ … ]]`, and brackets and operators as text; `]]` is told by [`Word::literal`].
    pub(super) fn condition_word(&mut self) -> Result<Word, Unclear> {
        let mut word = Word::default();
        if self.starts("]]") && self.text[self.at + 2..].chars().next().is_none_or(is_meta) {
            self.at += 2;
            word.text("]]");
            return Ok(word);
        }
        // An opening bracket within a word is an error to shells that do not know conditions.
        let mut bracket = false;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' => break,
                '(' if self.starts("(#") => return Err(Unclear("a pattern may run commands")),
                '(' if word.0.is_empty() => return Err(DIFFER),
                '(' => {
                    bracket = true;
                    self.at += 1;
                    word.text("(");
                }
                '|' | '&' if word.0.is_empty() && (self.take("||") || self.take("&&")) => {
                    word.text(if c == '|' { "||" } else { "&&" });
                    break;
                }
                ';' | '<' | '>' => return Err(DIFFER),
                c if is_meta(c) && !bracket => return Err(DIFFER),
                c if is_meta(c) => {
                    self.at += 1;
                    word.text(c.encode_utf8(&mut [0; 4]));
                }
                c => self.piece(c, &mut word)?,
            }
        }
        if word.literal() == Some("]]") {
            return Err(Unclear("a condition holds a quoted end"));
        }
        Ok(word)
    }

    /// What begins with this unquoted character.
    fn piece(&mut self, c: char, word: &mut Word) -> Result<(), Unclear> {
        match c {
            '\\' => {
                self.at += 1;
                let escaped = self.peek().ok_or(Unclear("it ends in a backslash"))?;
                self.at += escaped.len_utf8();
                if escaped != '\n' {
                    word.text(escaped.encode_utf8(&mut [0; 4]));
                }
            }
            '\'' => self.single_quotes(word)?,
            '"' => self.double_quotes(word)?,
            '$' => self.dollar(word, false)?,
            '`' => self.backticks(word, false)?,
            '[' if word.0.is_empty() && self.text[self.at + 1..].chars().next().is_none_or(is_meta) => {
                self.at += 1;
                word.text("[");
            }
            '*' | '?' | '[' => {
                self.at += 1;
                word.0.push(Piece::Glob);
            }
            '{' => self.brace(word),
            c => {
                self.at += c.len_utf8();
                word.text(c.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(())
    }

    fn single_quotes(&mut self, word: &mut Word) -> Result<(), Unclear> {
        self.at += 1;
        let end = self.rest().find('\'').ok_or(Unclear("a quote does not close"))?;
        let inside = &self.rest()[..end];
        if inside.ends_with('\\') {
            // Some shells take this for an escaped quote.
            return Err(Unclear("a backslash stands before a closing quote"));
        }
        word.text(inside);
        self.at += end + 1;
        Ok(())
    }

    fn double_quotes(&mut self, word: &mut Word) -> Result<(), Unclear> {
        self.at += 1;
        word.text("");
        loop {
            match self.peek() {
                None => return Err(Unclear("a quote does not close")),
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(c) => self.quoted(c, word, true)?,
            }
        }
    }

    /// What begins with this character between double quotes, or in a here-document.
    pub(super) fn quoted(&mut self, c: char, word: &mut Word, quotes: bool) -> Result<(), Unclear> {
        match c {
            '$' => self.dollar(word, true),
            '`' => self.backticks(word, quotes),
            '\\' => {
                self.at += 1;
                match self.peek() {
                    Some('\n') => self.at += 1,
                    Some(c) if matches!(c, '$' | '`' | '\\') || (c == '"' && quotes) => {
                        self.at += 1;
                        word.text(c.encode_utf8(&mut [0; 4]));
                    }
                    _ => word.text("\\"),
                }
                Ok(())
            }
            c => {
                self.at += c.len_utf8();
                word.text(c.encode_utf8(&mut [0; 4]));
                Ok(())
            }
        }
    }

    /// Commands up to the bracket that closes.
    fn inner_list(&mut self) -> Result<super::List, Unclear> {
        self.deeper(|parser| {
            let before = parser.here.is_some();
            let list = parser.list()?;
            if !parser.take(")") {
                return Err(Unclear("a bracket does not close"));
            }
            if parser.here.is_some() && !before {
                return Err(Unclear("a here-document begins after its bracket"));
            }
            Ok(list)
        })
    }

    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), Unclear> {
        self.at += 1;
        if self.starts("\\\n") {
            return Err(Unclear("an expansion goes over a line's end"));
        }
        if self.starts("((") {
            return self.sum(word);
        }
        if self.take("(") {
            let list = self.inner_list()?;
            word.0.push(Piece::Output(list));
            return Ok(());
        }
        if self.take("{") {
            return self.parameter(word, quoted);
        }
        match self.peek() {
            Some('\'') if !quoted => self.escaped_quotes(word),
            Some('"') if !quoted => Ok(()),
            Some('[') => Err(Unclear("it calculates")),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name: String =
                    self.rest().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                self.at += name.len();
                if self.starts("[") {
                    return Err(Unclear("a variable has an index"));
                }
                word.0.push(Piece::Variable { name, quoted });
                Ok(())
            }
            Some(c) if c.is_ascii_digit() || "?#$!@*-".contains(c) => {
                self.at += 1;
                word.0.push(Piece::Variable { name: c.to_string(), quoted });
                Ok(())
            }
            Some(c) if !quoted && "=^~+:".contains(c) => {
                Err(Unclear("a variable is expanded in a strange way"))
            }
            _ => {
                word.text("$");
                Ok(())
            }
        }
    }

    /// `$(( … ))` with numbers only.
    fn sum(&mut self, word: &mut Word) -> Result<(), Unclear> {
        let end = self.rest().find("))").ok_or(Unclear("a bracket does not close"))?;
        if !self.rest()[..end].chars().all(|c| PLAIN_SUM.contains(c)) {
            return Err(Unclear("it calculates with variables"));
        }
        self.at += end + 2;
        while self.take(")") {}
        word.0.push(Piece::Number);
        Ok(())
    }

    /// `${ … }`, in its plain forms.
    fn parameter(&mut self, word: &mut Word, quoted: bool) -> Result<(), Unclear> {
        const STRANGE: Unclear = Unclear("a variable is expanded in a strange way");
        let end = self.rest().find('}').ok_or(Unclear("a bracket does not close"))?;
        let inside = &self.rest()[..end];
        if inside.contains(['$', '`', '\\', '"', '\'', '<', '>', '{', '(', '\n']) {
            return Err(STRANGE);
        }
        self.at += end + 1;
        if inside.strip_prefix('#').is_some_and(is_name) {
            word.0.push(Piece::Number);
            return Ok(());
        }
        let length = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, operation) = inside.split_at(length);
        if operation.is_empty() && (is_name(name) || name.parse::<u16>().is_ok()) {
            word.0.push(Piece::Variable { name: name.to_owned(), quoted });
            return Ok(());
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let index = operation.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let plain = match (index, operation.strip_prefix(':')) {
            (Some(index), _) => index == "@" || index == "*" || digits(index),
            (None, Some(rest)) if rest.starts_with(['-', '+', '?']) => true,
            (None, Some(rest)) => rest.split(':').all(digits),
            (None, None) => operation.starts_with(['-', '+', '?', '%', '#', '/', ',', '^']),
        };
        if !plain || !is_name(name) {
            return Err(STRANGE);
        }
        word.0.push(Piece::Unknown);
        Ok(())
    }

    /// `$'…'`: known only if it escapes nothing.
    fn escaped_quotes(&mut self, word: &mut Word) -> Result<(), Unclear> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return Err(Unclear("a quote does not close")),
                Some('\'') => break,
                Some('\\') => {
                    escaped = true;
                    self.at += 1;
                    if self.starts("'") {
                        return Err(Unclear("shells differ on an escaped quote"));
                    }
                    self.at += self.peek().map_or(0, char::len_utf8);
                }
                Some(c) => self.at += c.len_utf8(),
            }
        }
        if escaped {
            word.0.push(Piece::Unknown);
        } else {
            word.text(&self.text[start..self.at]);
        }
        self.at += 1;
        Ok(())
    }

    fn backticks(&mut self, word: &mut Word, quotes: bool) -> Result<(), Unclear> {
        self.at += 1;
        let mut inside = String::new();
        loop {
            let c = self.peek().ok_or(Unclear("a backtick does not close"))?;
            self.at += c.len_utf8();
            match c {
                '`' => break,
                '\\' => match self.peek() {
                    Some(c) if matches!(c, '$' | '`' | '\\') || (c == '"' && quotes) => {
                        self.at += 1;
                        inside.push(c);
                    }
                    _ => inside.push('\\'),
                },
                c => inside.push(c),
            }
        }
        word.0.push(Piece::Output(parse(&inside, self.depth + 1)?));
        Ok(())
    }

    /// `{a,b}` and `{1..5}` of plain text stand for parts of a name; other braces for themselves, or are unknown.
    fn brace(&mut self, word: &mut Word) {
        let inside: &str = self.rest()[1..].split(is_meta).next().unwrap_or_default();
        let Some(end) = inside.find('}') else {
            let expands = inside.contains(',') || inside.contains("..");
            if expands {
                word.0.push(Piece::Unknown);
            } else {
                word.text("{");
            }
            self.at += 1;
            return;
        };
        let content = &inside[..end];
        let plain = |c: char| c.is_alphanumeric() || "_-.+,".contains(c);
        let expands = content.contains(',') || content.contains("..");
        if !expands && !content.contains(['{', '"', '\'', '\\', '$', '`']) {
            self.at += 1;
            word.text("{");
        } else if content.chars().all(plain) && !content.split(',').any(dots) {
            self.at += end + 2;
            word.0.push(match content.contains("..") {
                true => Piece::Glob,
                false => Piece::Braces(content.split(',').map(str::to_owned).collect()),
            });
        } else {
            self.at += 1;
            word.0.push(Piece::Unknown);
        }
    }
}

/// Whether this may end up as a path's `..`.
fn dots(part: &str) -> bool {
    let ends = part.split("..").map(str::trim).collect::<Vec<_>>();
    let sequence = ends.len() == 2
        && ends.iter().all(|end| !end.is_empty() && end.bytes().all(|b| b.is_ascii_alphanumeric()));
    part.chars().all(|c| c == '.') && !part.is_empty() || part.contains("..") && !sequence
}
