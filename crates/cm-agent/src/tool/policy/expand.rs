//! Words as texts: what the shell would make of them, with marks for what only it knows (PURE).

use super::act::Directory;
use super::place::{GLOB, NUMBER, PRINTABLE, SECRET, UNKNOWN};
use super::shell::{Chain, Command, List, Piece, Unclear, Word};
use super::variables::{ANY, is_printable};
use super::walk::Walk;

/// The most words that one word with braces may stand for.
const MOST_ALTERNATIVES: usize = 64;

impl Walk<'_> {
    /// A word's text, with marks for what only the shell knows. What it runs become acts.
    pub(super) fn text(&mut self, word: &Word, directories: &[Directory]) -> Result<String, Unclear> {
        let mut text = String::new();
        for piece in &word.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Home => text.push_str(self.ground.home),
                Piece::Glob | Piece::Braces(_) => text.push(GLOB),
                Piece::Unknown => text.push(UNKNOWN),
                Piece::Number => text.push(NUMBER),
                Piece::Variable { name, quoted } => {
                    let value = self.variable(name, *quoted, &text);
                    text.push_str(&value);
                }
                Piece::Process(list) => {
                    self.nested(list, directories)?;
                    text.push_str("/dev/fd/63");
                }
                Piece::Output(list) => {
                    self.nested(list, directories)?;
                    let here = is_pwd(list) && begins_path(&text);
                    text.push(if here { '.' } else { UNKNOWN });
                }
            }
        }
        // Some shells know `~` after these signs too; quoted or not makes no difference here.
        for sign in ['=', ':'] {
            text = text.replace(&format!("{sign}~/"), &format!("{sign}{}/", self.ground.home));
        }
        Ok(text)
    }

    fn nested(&mut self, list: &List, directories: &[Directory]) -> Result<(), Unclear> {
        let outer = self.pipe;
        self.pipes += 1;
        self.pipe = (self.pipes, 0);
        let done = self.list(list, &mut directories.to_vec());
        self.pipe = outer;
        done
    }

    pub(super) fn is_assigned(&self, name: &str) -> bool {
        self.assigned.contains(name) || self.assigned.contains(ANY)
    }

    fn variable(&self, name: &str, quoted: bool, before: &str) -> String {
        if let Some(value) = self.known.get(name).filter(|_| !self.is_assigned(name)) {
            let splits =
                !quoted && (value.contains([' ', '\t', '\n', GLOB, '*', '?', '[']) || value.is_empty());
            return if splits { UNKNOWN.to_string() } else { value.clone() };
        }
        match name {
            "HOME" if !self.is_assigned(name) => self.ground.home.to_owned(),
            "PWD" if !self.is_assigned(name) && begins_path(before) => ".".to_owned(),
            "?" | "#" | "$" | "!" | "RANDOM" | "SECONDS" | "LINENO" => NUMBER.to_string(),
            name if is_printable(name) => PRINTABLE.to_string(),
            _ => SECRET.to_string(),
        }
    }
}

/// The words a word with braces stands for.
pub(super) fn alternatives(word: &Word) -> Result<Vec<Word>, Unclear> {
    let mut words = vec![Word::default()];
    for piece in &word.0 {
        match piece {
            Piece::Braces(texts) => {
                let with = |word: &Word, text: &String| {
                    let mut word = word.clone();
                    word.0.push(Piece::Text(text.clone()));
                    word
                };
                words = words
                    .iter()
                    .flat_map(|word| texts.iter().map(|text| with(word, text)).collect::<Vec<_>>())
                    .collect();
            }
            other => words.iter_mut().for_each(|word| word.0.push(other.clone())),
        }
        if words.len() > MOST_ALTERNATIVES {
            return Err(Unclear("it stands for too many words"));
        }
    }
    Ok(words)
}

/// Whether a path may begin after this text, so that `.` can stand for the present directory.
fn begins_path(before: &str) -> bool {
    before.is_empty() || before.ends_with('=') || matches!(before, "-I" | "-L" | "-C")
}

fn is_pwd(list: &List) -> bool {
    let [Chain { first, rest }] = list.0.as_slice() else { return false };
    let [Command::Simple(simple)] = first.as_slice() else { return false };
    let [word] = simple.words.as_slice() else { return false };
    rest.is_empty()
        && word.literal() == Some("pwd")
        && simple.redirects.is_empty()
        && simple.assignments.is_empty()
}
