//! Programs whose words follow rules of their own: `find`, `sed`, `awk`, `dd` (PURE).

use super::effects::{Found, starts_unknown};
use super::known::{Operands, Spec};
use super::script;

impl Found<'_> {
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
                "-delete" | "-execdir" | "-ok" | "-okdir" => self.special(at),
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
            takes: "-e -l --expression --line-length",
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
            None => word.starts_with('-') && word.contains('i') && !word.starts_with("-e"),
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
            special: "-f --file -i --include -l --load -e --source -E --exec -o -p -d -D --debug --pretty-print --profile --dump-variables",
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
