//! What a single program would do with its words: paths read and written, hosts reached, hidden effects (PURE).

use super::act::{Run, places};
use super::git;
use super::known::{self, Operands, Spec, is_interpreter, spec};
use super::network::reached;
use super::pattern::base_name;
use super::place::{ANYTHING, GLOB, NUMBER, PRINTABLE, Place, SECRET, UNKNOWN, has_unknown, is_exact};

/// What a program would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// The words a rule's pattern is compared with.
    pub(super) words: Vec<String>,
    /// Words that make a program do more than its name says; a `*` does not cover them.
    pub(super) special: Vec<usize>,
    pub(super) reads: Vec<Place>,
    pub(super) writes: Vec<Place>,
    /// It reaches other machines.
    pub(super) network: bool,
    pub(super) hosts: Vec<String>,
    /// What it does with its paths is not known: they count as read and written.
    pub(super) unknown_program: bool,
}

/// The effects of a program that is run. `words` is one view of it.
pub(super) fn effects(words: &[String], run: &Run) -> Effects {
    let mut effects = Effects { words: words.to_vec(), ..Effects::default() };
    let Some(first) = words.first() else { return effects };
    let program = base_name(first);
    let mut found = Found { effects: &mut effects, run };
    match program {
        "test" | "[" | "[[" => found.condition(words),
        "printf" => found.printf(words),
        "jq" => found.jq(words),
        "find" | "gfind" => found.find(words),
        "sed" | "gsed" => found.sed(words),
        "awk" | "gawk" | "mawk" | "nawk" => found.awk(words),
        "dd" => found.dd(words),
        "git" => git::effects(words, &mut found),
        _ => found.program(words),
    }
    reached(program, words, &mut effects);
    if run.shows_secret {
        // No pattern has a word there.
        effects.special.push(effects.words.len());
    }
    effects
}

pub(super) struct Found<'a> {
    pub(super) effects: &'a mut Effects,
    run: &'a Run,
}

impl Found<'_> {
    pub(super) fn read(&mut self, text: &str) {
        self.effects.reads.extend(places(text, &self.run.directories));
    }

    pub(super) fn write(&mut self, text: &str) {
        self.effects.writes.extend(places(text, &self.run.directories));
    }

    pub(super) fn special(&mut self, at: usize) {
        self.effects.special.push(at);
    }

    /// A program as far as it is known.
    pub(super) fn program(&mut self, words: &[String]) {
        let program = base_name(&words[0]);
        if is_interpreter(program) && words.get(1).is_some_and(|word| word == "-m") {
            return self.module(words);
        }
        match spec(program) {
            Some(spec) => self.by_spec(&spec, words),
            None => self.by_guess(words),
        }
    }

    /// Options and operands as the program's description says.
    pub(super) fn by_spec(&mut self, spec: &Spec, words: &[String]) {
        let mut operands: Vec<usize> = Vec::new();
        let mut options = true;
        let mut first_given = false;
        let mut at = 1;
        while at < words.len() {
            let word = words[at].as_str();
            let option = options && word.starts_with('-') && word.len() > 1;
            if !option {
                let could_be_option = options
                    && spec.operands != Operands::Condition
                    && !spec.is_grep()
                    && starts_unknown(word);
                if could_be_option && !(spec.special.is_empty() && spec.writes.is_empty()) {
                    self.special(at);
                }
                operands.push(at);
                at += 1;
                continue;
            }
            if word == "--" {
                options = false;
                at += 1;
                continue;
            }
            let taken = if word.starts_with("--") {
                self.long_option(spec, words, at, &mut first_given)
            } else {
                self.short_options(spec, words, at, &mut first_given)
            };
            at += taken;
        }
        self.operands(spec, words, &operands, first_given);
    }

    /// `--name`, `--name=value`; any beginning of a name counts as the name.
    fn long_option(&mut self, spec: &Spec, words: &[String], at: usize, first_given: &mut bool) -> usize {
        let word = words[at].as_str();
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let among = |list: &str| {
            list.split(' ').any(|known| {
                known.starts_with("--") && (known == name || (name.len() > 2 && known.starts_with(name)))
            })
        };
        *first_given |= among(spec.first_by);
        if among(spec.special) || !is_exact(name) {
            self.special(at);
        }
        let next = words.get(at + 1).map(String::as_str);
        let given = value.or(next);
        let separate = usize::from(value.is_none());
        if among(spec.writes) {
            self.write(given.unwrap_or_default());
            return 1 + separate;
        }
        if among(spec.reads) {
            self.read(given.unwrap_or_default());
            return 1 + separate;
        }
        if among(spec.takes) {
            return if self.takes(spec, name, given) { 1 + separate } else { 1 };
        }
        if let Some(value) = value.filter(|value| looks_like_path(value)) {
            self.read(value);
        }
        1
    }

    /// `-abc`, `-ovalue`, `-o value`.
    fn short_options(&mut self, spec: &Spec, words: &[String], at: usize, first_given: &mut bool) -> usize {
        let word = words[at].as_str();
        let name = word.split('=').next().unwrap_or(word);
        if !spec.words.is_empty() {
            if known::among(spec.words, name) {
                self.special(at);
            }
            candidates(word).into_iter().for_each(|path| self.read(path));
            return 1;
        }
        for (i, letter) in word.char_indices().skip(1) {
            let is = |known: &str| {
                let mut letters = known.chars();
                letters.next() == Some('-') && letters.next() == Some(letter) && letters.next().is_none()
            };
            let among = |list: &str| list.split(' ').any(is);
            *first_given |= among(spec.first_by);
            if among(spec.special) || has_unknown(letter.encode_utf8(&mut [0; 4])) || letter == GLOB {
                self.special(at);
            }
            let rest = &word[i + letter.len_utf8()..];
            let value = if rest.is_empty() { words.get(at + 1).map(String::as_str) } else { Some(rest) };
            let taken = if rest.is_empty() { 2 } else { 1 };
            if among(spec.writes) {
                self.write(value.unwrap_or_default());
                return taken;
            }
            if among(spec.reads) {
                self.read(value.unwrap_or_default());
                return taken;
            }
            if among(spec.takes) {
                let name = ['-', letter].iter().collect::<String>();
                return if self.takes(spec, &name, value) { taken } else { 1 };
            }
            if looks_like_path(rest) && rest.starts_with(['/', '~', '.']) {
                self.read(rest);
            }
        }
        1
    }

    /// Whether an option really takes the value that follows. Systems differ on options, so a value that looks
    /// like a path elsewhere counts as read, and numbers have to be numbers where a mistake would hide an operand.
    fn takes(&mut self, spec: &Spec, option: &str, value: Option<&str>) -> bool {
        const NUMBERS: &str = "-A -B -C -m --context --after-context --before-context --max-count";
        let value = value.unwrap_or_default();
        let is_number = value.chars().all(|c| c.is_ascii_digit() || c == NUMBER);
        if spec.operands == Operands::TextThenRead && known::among(NUMBERS, option) && !is_number {
            return false;
        }
        let is_text = known::among(spec.first_by, option) || value == "/";
        if !is_text && (value.starts_with(['/', '~']) || value.contains("..") || starts_unknown(value)) {
            self.read(value);
        }
        true
    }

    fn operands(&mut self, spec: &Spec, words: &[String], operands: &[usize], first_given: bool) {
        let text = |at: &usize| words[*at].as_str();
        match spec.operands {
            Operands::Condition => {}
            Operands::Text => {
                operands.iter().filter(|at| text(at).contains(SECRET)).for_each(|at| self.special(*at));
            }
            Operands::Read => operands.iter().for_each(|at| self.read(text(at))),
            Operands::Write => operands.iter().for_each(|at| self.write(text(at))),
            Operands::TextThenRead => {
                operands.iter().skip(usize::from(!first_given)).for_each(|at| self.read(text(at)));
            }
            Operands::TextThenWrite => {
                operands.iter().skip(usize::from(!first_given)).for_each(|at| self.write(text(at)));
            }
            Operands::InOut => {
                operands.iter().take(1).for_each(|at| self.read(text(at)));
                operands.iter().skip(1).for_each(|at| self.write(text(at)));
            }
            Operands::CopyTo | Operands::MoveTo => {
                let Some((last, sources)) = operands.split_last() else { return };
                for source in sources {
                    self.read(text(source));
                    if spec.operands == Operands::MoveTo {
                        self.write(text(source));
                    }
                    let name = match base_name(text(source)) {
                        "." | ".." | "" => ANYTHING.to_owned(),
                        _ if text(source).ends_with('/') => ANYTHING.to_owned(),
                        name => name.to_owned(),
                    };
                    self.write(&format!("{}/{name}", text(last)));
                }
                self.write(text(last));
            }
            Operands::Guess => {
                self.effects.unknown_program = true;
                operands.iter().flat_map(|at| candidates(text(at))).for_each(|path| self.read(path));
            }
            Operands::Numbers => {
                let is_number = |at: &&usize| text(at).chars().all(|c| c.is_ascii_digit() || c == NUMBER);
                operands.iter().filter(|at| !is_number(at)).for_each(|at| self.special(*at));
            }
            Operands::Format => {
                for at in operands.iter().filter(|at| !text(at).starts_with('+')) {
                    self.special(*at);
                }
            }
            Operands::None => operands.iter().for_each(|at| self.special(*at)),
        }
    }

    /// A program nothing is known of: every word may be a path, and every path may be read or written.
    fn by_guess(&mut self, words: &[String]) {
        self.effects.unknown_program = true;
        for word in &words[1..] {
            for path in candidates(word) {
                self.read(path);
            }
        }
    }
}

/// Whether it may begin with anything, a dash too.
pub(super) fn starts_unknown(word: &str) -> bool {
    word.starts_with([UNKNOWN, PRINTABLE, SECRET, GLOB])
}

/// Whether a value is more than a bare word.
fn looks_like_path(text: &str) -> bool {
    text.contains('/') || text.starts_with(['.', '~']) || starts_unknown(text)
}

/// The paths a word of an unknown program may hold.
pub(super) fn candidates(word: &str) -> Vec<&str> {
    let mut result = Vec::new();
    match word.strip_prefix('-') {
        None => result.push(word),
        Some(letters) => {
            let flags = letters.trim_start_matches('-').trim_start_matches(|c: char| c.is_ascii_alphabetic());
            if flags.starts_with(['/', '~']) || flags.starts_with("..") || starts_unknown(flags) {
                result.push(flags);
            }
        }
    }
    let after = |sign: char| word.split_once(sign);
    result.extend(after('=').map(|(_, value)| value));
    result.extend(
        after('@').filter(|(before, _)| before.is_empty() || before.ends_with('=')).map(|(_, value)| value),
    );
    for (i, _) in word.match_indices([':', ',', '@']) {
        let rest = &word[i + 1..];
        if (rest.starts_with(['/', '~']) || rest.starts_with("..")) && !rest.starts_with("//") {
            result.push(rest);
        }
    }
    result
}
