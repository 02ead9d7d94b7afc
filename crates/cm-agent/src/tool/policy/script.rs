//! The small languages of sed and awk, as far as it takes to know a harmless script (PURE).

use super::place::is_exact;

/// The words of `sed` that hold a script, with the script.
pub(super) fn sed_scripts(words: &[String]) -> Vec<(usize, String)> {
    let mut scripts = Vec::new();
    let mut operand = None;
    let mut given = false;
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let next = || (at + 1, words.get(at + 1).cloned().unwrap_or_default());
        if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if "expression".starts_with(name) {
                given = true;
                match value {
                    Some(value) => scripts.push((at, value.to_owned())),
                    None => {
                        scripts.push(next());
                        at += 1;
                    }
                }
            }
            given |= "file".starts_with(name);
        } else if let Some(letters) =
            word.strip_prefix('-').filter(|letters| !letters.is_empty() && *letters != "-")
        {
            if let Some(i) = letters.find(['e', 'f', 'i', 'I']) {
                let rest = letters[i + 1..].to_owned();
                let letter = &letters[i..=i];
                given |= matches!(letter, "e" | "f");
                if letter == "e" {
                    scripts.push(if rest.is_empty() { next() } else { (at, rest.clone()) });
                }
                at += usize::from(rest.is_empty() && !matches!(letter, "i" | "I"));
            }
        } else if operand.is_none() && word != "--" {
            operand = Some((at, word.clone()));
        }
        at += 1;
    }
    if !given {
        scripts.extend(operand);
    }
    scripts
}

/// The word of `awk` that holds the program.
pub(super) fn awk_program(words: &[String]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "--" => return Some(at + 1),
            "-F" | "-v" | "--field-separator" | "--assign" => at += 2,
            option if option.starts_with('-') && option.len() > 1 => at += 1,
            _ => return Some(at),
        }
    }
    None
}

/// Whether an awk program only computes and prints: it runs nothing, opens nothing, shows no environment.
pub(super) fn is_plain_awk(text: &str) -> bool {
    let rest = text.replace("||", "").replace(">=", "");
    is_exact(text)
        && !rest.contains(['|', '>', '@'])
        && !rest.contains("\\\n")
        && !["system", "getline", "ENVIRON", "PROCINFO", "ARGV", "ARGC", "FILENAME="]
            .iter()
            .any(|word| rest.contains(word))
}

/// Whether a sed script only changes and prints text: it neither runs, nor reads or writes other files.
pub(super) fn is_plain_sed(text: &str) -> bool {
    is_exact(text) && Sed { rest: text }.script().is_some()
}

/// `Some` from its functions: read, and harmless.
struct Sed<'a> {
    rest: &'a str,
}

impl Sed<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn skip(&mut self, what: &str) {
        self.rest = self.rest.trim_start_matches(|c| what.contains(c));
    }

    fn script(&mut self) -> Option<()> {
        loop {
            self.skip(" \t\n;{}");
            if self.rest.is_empty() {
                return Some(());
            }
            self.address()?;
            if self.peek() == Some(',') {
                self.next();
                self.skip(" +~");
                self.address()?;
            }
            self.skip(" \t!");
            self.command()?;
        }
    }

    fn address(&mut self) -> Option<()> {
        match self.peek()? {
            '$' => {
                self.next();
            }
            '/' => {
                self.next();
                self.up_to('/')?;
                self.skip("IM");
            }
            _ => self.skip("0123456789~+"),
        }
        Some(())
    }

    /// Steps over the next `end` that no backslash escapes.
    fn up_to(&mut self, end: char) -> Option<()> {
        loop {
            match self.next()? {
                '\\' => {
                    self.next()?;
                }
                '\n' => return None,
                c if c == end => return Some(()),
                _ => {}
            }
        }
    }

    fn command(&mut self) -> Option<()> {
        match self.next()? {
            command @ ('s' | 'y') => {
                let delimiter = self.next().filter(char::is_ascii_punctuation).filter(|c| *c != '\\')?;
                self.up_to(delimiter)?;
                self.up_to(delimiter)?;
                if command == 's' {
                    self.skip("gpiI0123456789");
                }
                self.end()
            }
            'p' | 'd' | '=' | 'n' | 'N' | 'g' | 'G' | 'h' | 'H' | 'x' | 'D' | 'P' | 'l' | 'z' => self.end(),
            'q' | 'Q' => {
                self.skip(" 0123456789");
                self.end()
            }
            '#' => {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
                Some(())
            }
            'a' | 'i' | 'c' => {
                // Text to the end of the line, and on after a backslash.
                loop {
                    let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                    self.rest = rest;
                    match line.len() - line.trim_end_matches('\\').len() {
                        0 => return Some(()),
                        1 if rest.is_empty() => return Some(()),
                        1 => {}
                        _ => return None,
                    }
                }
            }
            'b' | 't' | 'T' | ':' => {
                self.rest =
                    self.rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ');
                self.end()
            }
            _ => None,
        }
    }

    /// A command ends here.
    fn end(&mut self) -> Option<()> {
        self.skip(" \t");
        matches!(self.peek(), None | Some(';' | '\n' | '}')).then_some(())
    }
}
