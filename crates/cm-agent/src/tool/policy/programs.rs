//! Programs whose words follow rules of their own: `find`, `sed`, `awk`, `dd` (PURE).

use super::effects::{Found, starts_unknown};
use super::known::{Operands, Spec, among};
use super::place::{NUMBER, has_unknown, is_exact};
use super::script;

impl Found<'_> {
    /// `test`, `[` and `[[`. Some shells calculate for `-eq` and its like, and what is calculated may run.
    pub(super) fn condition(&mut self, words: &[String]) {
        const COMPARES: &str = "-eq -ne -lt -le -gt -ge";
        let is_number = |word: Option<&String>| {
            word.is_some_and(|word| {
                word.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == NUMBER)
            })
        };
        for (at, word) in words.iter().enumerate().skip(1) {
            let compares =
                among(COMPARES, word) && !(is_number(words.get(at - 1)) && is_number(words.get(at + 1)));
            if compares || word == "-v" || word == "-R" || hides_command(word) {
                self.special(at);
            }
        }
    }

    /// `printf`: the same for numbers.
    pub(super) fn printf(&mut self, words: &[String]) {
        self.program(words);
        if words.get(1).is_some_and(|first| first.starts_with("-v") || starts_unknown(first)) {
            self.special(1);
        }
        let format = words.iter().skip(1).find(|word| !word.starts_with('-') || word.contains('%'));
        let numbers = format.is_none_or(|format| {
            let plain = format.replace("%%", "");
            !is_exact(format)
                || plain.split('%').skip(1).any(|rest| {
                    !rest
                        .trim_start_matches(|c: char| c.is_ascii_digit() || "-.".contains(c))
                        .starts_with(['s', 'b', 'q'])
                })
        });
        for (at, word) in words.iter().enumerate().skip(1) {
            if hides_command(word) || (numbers && has_unknown(word)) {
                self.special(at);
            }
        }
    }

    /// `jq`, whose language can show the environment and read modules.
    pub(super) fn jq(&mut self, words: &[String]) {
        self.program(words);
        for (at, word) in words.iter().enumerate().skip(1) {
            let lower = word.to_lowercase();
            if ["env", "import", "include", "input_filename", "$__"].iter().any(|name| lower.contains(name))
                || !is_exact(word) && !word.contains('/')
            {
                self.special(at);
            }
        }
    }

    /// `python -m module …`: what follows are the module's words.
    pub(super) fn module(&mut self, words: &[String]) {
        let start = self.effects.special.len();
        self.program(words.get(2..).filter(|rest| !rest.is_empty()).unwrap_or(&["-m".to_owned()]));
        self.effects.special[start..].iter_mut().for_each(|at| *at += 2);
        self.effects.unknown_program = true;
    }

    pub(super) fn find(&mut self, words: &[String]) {
        let roots = find_roots(words);
        let deletes = words.iter().any(|word| word == "-delete");
        for root in &roots {
            self.read(root);
            if deletes {
                self.write(root);
            }
        }
        let mut inside = false;
        for (at, word) in words.iter().enumerate().skip(1) {
            match word.as_str() {
                "-exec" => inside = true,
                ";" | "+" => inside = false,
                _ if inside => {}
                "-delete" | "-execdir" | "-ok" | "-okdir" | "-f" => self.special(at),
                "-fprint" | "-fprint0" | "-fls" | "-fprintf" => {
                    self.special(at);
                    self.write(words.get(at + 1).map_or("", String::as_str));
                }
                "-newer" | "-anewer" | "-cnewer" | "-samefile" | "-files0-from" => {
                    self.read(words.get(at + 1).map_or("", String::as_str));
                }
                word if starts_unknown(word) => self.special(at),
                _ => {}
            }
        }
    }

    pub(super) fn sed(&mut self, words: &[String]) {
        const SED: Spec = Spec {
            operands: Operands::TextThenRead,
            takes: "-e --expression",
            reads: "-f --file",
            writes: "",
            special: "-f --file",
            words: "",
            first_by: "-e -f --expression --file",
        };
        let in_place = words.iter().skip(1).any(|word| match word.strip_prefix("--") {
            Some(long) => {
                !long.is_empty() && "in-place".starts_with(long.split('=').next().unwrap_or_default())
            }
            None => word.starts_with('-') && word.contains(['i', 'I']) && !word.starts_with("-e"),
        });
        for (at, script) in script::sed_scripts(words) {
            if !script::is_plain_sed(&script) {
                self.special(at.min(words.len() - 1));
            }
        }
        if in_place {
            self.by_spec(&Spec { operands: Operands::TextThenWrite, ..SED }, words);
        }
        self.by_spec(&SED, words);
    }

    pub(super) fn awk(&mut self, words: &[String]) {
        const AWK: Spec = Spec {
            operands: Operands::TextThenRead,
            takes: "-F -v --field-separator --assign",
            reads: "-f --file",
            writes: "-o -p -d --pretty-print --profile --dump-variables",
            special: "-f --file -i --include -l --load -e --source -E --exec -o -p -d -D -W --debug --pretty-print --profile --dump-variables",
            words: "",
            first_by: "-f --file",
        };
        let program = script::awk_program(words)
            .filter(|at| words.get(*at).is_some_and(|text| !script::is_plain_awk(text)));
        program.into_iter().for_each(|at| self.special(at));
        self.by_spec(&AWK, words);
    }

    pub(super) fn dd(&mut self, words: &[String]) {
        for word in &words[1..] {
            match word.split_once('=') {
                Some(("if", path)) => self.read(path),
                Some(("of", path)) => self.write(path),
                _ => {}
            }
        }
    }
}

/// Whether a text holds what a shell would run if it took the text for a calculation.
fn hides_command(word: &str) -> bool {
    word.contains("$(") || word.contains('`')
}

/// Where `find` looks.
pub(super) fn find_roots(words: &[String]) -> Vec<String> {
    let roots: Vec<String> = words
        .iter()
        .skip(1)
        .skip_while(|word| {
            matches!(word.as_str(), "-H" | "-L" | "-P") || word.starts_with("-O") || word.starts_with("-D")
        })
        .take_while(|word| !word.starts_with(['-', '(', '!', ',']))
        .cloned()
        .collect();
    if roots.is_empty() { vec![".".to_owned()] } else { roots }
}
