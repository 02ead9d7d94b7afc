//! Programs whose options are known: which read, which write, which do something else altogether (PURE).

/// What a program's operands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// Text; no paths. It may be printed.
    Text,
    /// Text that is compared.
    Condition,
    Read,
    Write,
    /// The first is text, the rest is read.
    TextThenRead,
    /// The first is text, the rest is written.
    TextThenWrite,
    /// The first is read, the second written.
    InOut,
    /// All are read, the last is written.
    CopyTo,
    /// All are written.
    MoveTo,
    /// All may be read and written.
    Guess,
    /// Only numbers are harmless: some shells calculate with what is given, and what is calculated may run.
    Numbers,
    /// Only `+FORMAT` is harmless.
    Format,
    /// Any operand is more than the name says.
    None,
}

/// Whether a word is one of a list with spaces between.
pub(super) fn among(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == word)
}

/// A program's description. Options are written as `-o` and `--output`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) operands: Operands,
    /// Options with a value that is no path.
    pub(super) takes: &'static str,
    /// Options whose value is read.
    pub(super) reads: &'static str,
    /// Options whose value is written.
    pub(super) writes: &'static str,
    /// Options that make the program do something else than its name says.
    pub(super) special: &'static str,
    /// The same, with one dash and a whole word. Where there are some, short options do not group.
    pub(super) words: &'static str,
    /// Options that take the place of the first operand.
    pub(super) first_by: &'static str,
}

impl Spec {
    /// Whether it is grep, which does nothing but read whatever it is told.
    pub(super) fn is_grep(&self) -> bool {
        self.special == GREP.special
    }
}

const fn with(operands: Operands) -> Spec {
    Spec { operands, takes: "", reads: "", writes: "", special: "", words: "", first_by: "" }
}

const TEXT: Spec = with(Operands::Text);
const READ: Spec = with(Operands::Read);
const WRITE: Spec = with(Operands::Write);
const GUESS: Spec = with(Operands::Guess);

const GREP: Spec = Spec {
    // Where another program stands in for grep.
    special: "--pre --filter --pager --view --hostname-bin",
    takes: "-A -B -C -m -d -D -e --regexp --context --after-context --before-context --max-count --include --label",
    reads: "-f --file --exclude-from",
    first_by: "-e -f --regexp --file",
    ..with(Operands::TextThenRead)
};

const RIPGREP: Spec = Spec {
    takes: "-A -B -C -E -g -j -M -m -r -t -T -d -e --regexp --glob --iglob --type --type-not --replace --context --after-context --before-context --max-count --max-depth --sort --sortr --color",
    reads: "-f --file --ignore-file",
    special: "--pre --hostname-bin -z --search-zip",
    first_by: "-e -f --regexp --file --files --type-list",
    ..with(Operands::TextThenRead)
};

const SORT: Spec = Spec {
    takes: "-k -t -S --key --field-separator --buffer-size --parallel --batch-size",
    reads: "--files0-from --random-source",
    writes: "-o --output -T --temporary-directory",
    special: "--compress-program",
    ..READ
};

const TAR: Spec = Spec {
    writes: "-C --directory",
    special: "--checkpoint-action --to-command -I --use-compress-program -F --info-script --new-volume-script --rsh-command --rmt-command --remove-files -P --absolute-names",
    ..GUESS
};

/// What is known of a program.
pub(super) fn spec(program: &str) -> Option<Spec> {
    looking(program).or_else(|| changing(program)).or_else(|| building(program))
}

/// Programs that look at something.
fn looking(program: &str) -> Option<Spec> {
    Some(match program {
        "echo" | "true" | "false" | ":" | "pwd" | "sleep" | "seq" | "expr" | "whoami" | "id" | "uname"
        | "uptime" | "nproc" | "arch" | "which" | "type" | "command" | "basename" | "dirname" | "tr"
        | "wait" | "set" | "kill" | "pkill" | "killall" | "groups" | "tty" | "yes" | "hash" | "ps"
        | "free" | "lsof" | "ulimit" | "umask" | "jobs" | "let" => TEXT,
        "exit" | "return" | "break" | "continue" | "shift" => with(Operands::Numbers),
        "printf" => Spec { words: "-v", ..TEXT },
        "test" | "[" | "[[" => Spec { words: "-v -R", ..with(Operands::Condition) },
        "cat" | "tac" | "nl" | "rev" | "readlink" | "realpath" | "cmp" | "md5sum" | "sha1sum"
        | "sha256sum" | "sha512sum" | "b2sum" | "cksum" | "sum" | "od" | "hexdump" | "strings" | "expand"
        | "unexpand" | "cd" | "pushd" | "popd" | "source" | "." | "less" | "more" => READ,
        "ls" | "dir" | "vdir" | "eza" | "exa" => Spec { takes: "-I -w -T --ignore --hide", ..READ },
        "head" | "tail" => Spec { takes: "-n -c -s --lines --bytes --pid --sleep-interval", ..READ },
        "wc" | "du" | "df" | "stat" => Spec {
            takes: "-d --max-depth -B --block-size -c --format --printf -t --threshold",
            reads: "--files0-from --exclude-from -X",
            ..READ
        },
        "file" => Spec {
            takes: "-F -e -P",
            reads: "-f --files-from -m --magic-file",
            special: "-C --compile -z -Z",
            ..READ
        },
        "cut" | "paste" | "column" | "fold" | "fmt" | "comm" | "join" | "pr" => {
            Spec { takes: "-b -c -d -f -w -s -t -j -o -1 -2 --delimiters --delimiter --fields", ..READ }
        }
        "diff" | "colordiff" => {
            Spec { takes: "-I -x -U -C -W --label", reads: "-X --from-file --to-file -S", ..READ }
        }
        "tree" => Spec { takes: "-L -I -P --filelimit", writes: "-o", ..READ },
        "grep" | "egrep" | "fgrep" | "zgrep" => GREP,
        "rg" => RIPGREP,
        "fd" | "fdfind" => Spec {
            takes: "-d -e -E -t -S --extension --type --max-depth --exclude --size",
            reads: "--base-directory --search-path --ignore-file -C",
            special: "-x -X --exec --exec-batch",
            ..with(Operands::TextThenRead)
        },
        "sort" => SORT,
        "uniq" => Spec { takes: "-f -s -w", ..with(Operands::InOut) },
        "xxd" => Spec { takes: "-c -g -l -o -s -n", special: "-r -R", ..with(Operands::InOut) },
        "jq" => Spec {
            reads: "-f --from-file -L",
            special: "-f --from-file -L",
            first_by: "-f --from-file",
            ..with(Operands::TextThenRead)
        },
        "date" => Spec {
            takes: "-d --date",
            reads: "-f --file -r --reference",
            special: "-s --set",
            ..with(Operands::Format)
        },
        "hostname" | "dmesg" => Spec { special: "-F --file -b -C -c -D -E -n", ..with(Operands::None) },
        _ => return None,
    })
}

/// Programs that change files, or bring them.
fn changing(program: &str) -> Option<Spec> {
    Some(match program {
        "mkdir" => Spec { takes: "-m --mode -Z --context", ..WRITE },
        "touch" => Spec { takes: "-d -t --date", reads: "-r --reference", ..WRITE },
        "tee" | "truncate" | "rmdir" | "unlink" | "shred" | "rm" => Spec { takes: "-s --size", ..WRITE },
        "mkfifo" | "mknod" => WRITE,
        "chmod" | "chown" | "chgrp" => Spec { reads: "--reference", ..with(Operands::TextThenWrite) },
        "cp" => Spec { takes: "-S --suffix", writes: "-t --target-directory", ..with(Operands::CopyTo) },
        "mv" => Spec { takes: "-S --suffix", writes: "-t --target-directory", ..with(Operands::MoveTo) },
        "ln" | "install" => Spec { writes: "-t --target-directory", ..with(Operands::MoveTo) },
        "tar" | "bsdtar" => TAR,
        "curl" => Spec {
            takes: "-X -H -A -e -u -d -F -w -m -r -x --request --header --data --form --url",
            reads: "-T --upload-file -E --cert --key --cacert",
            writes: "-o --output -D --dump-header -c --cookie-jar --trace --trace-ascii --stderr --output-dir",
            special: "-K --config -x --proxy --resolve --connect-to --unix-socket --next -o --output",
            ..TEXT
        },
        _ => return None,
    })
}

/// Programs that build and run code.
fn building(program: &str) -> Option<Spec> {
    Some(match program {
        "cargo" => Spec { special: "--config -Z --open --fix-broken", ..GUESS },
        "go" => Spec {
            special: "--exec --toolexec --vettool --overlay --modfile",
            words: "-exec -toolexec -vettool -overlay -modfile -c -gcflags -ldflags",
            ..GUESS
        },
        "npm" | "yarn" | "pnpm" | "bun" => {
            Spec { special: "--script-shell --node-options --eval --globalconfig --userconfig", ..GUESS }
        }
        "cmake" => Spec { special: "-t --target -E -P -C", ..GUESS },
        "ctest" => Spec { words: "-S -SP -D -M -T -SR", special: "--build-and-test --submit-index", ..GUESS },
        "meson" => Spec { special: "--wrapper --setup --gdb --gdb-path", ..GUESS },
        "pytest" | "py.test" => Spec {
            takes: "-k -m -r -n -W --tb --maxfail --durations --timeout",
            special: "-p --pastebin -o --override-ini --basetemp",
            ..GUESS
        },
        "make" | "gmake" => Spec {
            reads: "-C -f -I --directory --file --makefile",
            takes: "-j --jobs",
            special: "--eval -E",
            ..GUESS
        },
        program if is_interpreter(program) => {
            Spec { special: "-c -e -E -p -r -i --eval --print --require -n --import --loader -x", ..GUESS }
        }
        _ => return None,
    })
}

/// Programs that are given a program's text.
pub(super) fn is_interpreter(program: &str) -> bool {
    let name = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(
        name,
        "python"
            | "pypy"
            | "node"
            | "nodejs"
            | "perl"
            | "ruby"
            | "php"
            | "lua"
            | "deno"
            | "Rscript"
            | "osascript"
            | "tclsh"
    )
}
