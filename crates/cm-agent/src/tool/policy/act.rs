//! What a command line would do, one act after another: programs run, files written and read (PURE).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::pattern::base_name;
use super::place::{GLOB, Ground, PRINTABLE, Place, SECRET, UNKNOWN, has_unknown, is_exact};
use super::shell::{Chain, Command, Join, List, Piece, Pipeline, Redirect, Simple, Unclear, Word, parse};
use super::unwrap::{Script, Unwrapped, is_shell, unwrap};

/// The most acts of one command line.
const MOST_ACTS: usize = 400;

/// The most values of a loop's variable that are followed.
const MOST_VALUES: usize = 8;

/// How deep scripts within scripts are followed.
const DEEPEST: usize = 20;

/// A directory a command may run in; `None`: not known.
pub(super) type Directory = Option<String>;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// A program is run.
    Run(Run),
    /// A redirection writes.
    Write(Vec<Place>),
    /// A redirection reads.
    Read(Vec<Place>),
    /// Nothing that matters: a variable is set.
    Nothing,
    /// Something happens that is not certain.
    Unclear(&'static str),
}

/// A program that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Its words, and what is inside of them.
    pub(super) inner: Unwrapped,
    /// Assignments before it, as written, that are not known to be harmless.
    pub(super) assignments: Vec<String>,
    /// Where it may run.
    pub(super) directories: Vec<Directory>,
    /// Which pipeline it is in, and at which stage.
    pub(super) pipe: (usize, usize),
    /// The acts whose output is in its words or fed to it.
    pub(super) fed_by: Range<usize>,
    /// What it is fed holds a variable that may be a secret.
    pub(super) shows_secret: bool,
    /// What it runs is judged by itself, as acts of their own.
    pub(super) seen_through: bool,
    /// It runs elsewhere: what it does there is only looked at to refuse.
    pub(super) elsewhere: bool,
}

/// What a command line would do.
pub(super) fn acts(text: &str, ground: Ground) -> Result<Vec<Act>, Unclear> {
    let list = parse(text, 0)?;
    let mut assigned = BTreeSet::new();
    find_assigned(&list, &mut assigned);
    let mut walk = Walk {
        ground,
        acts: Vec::new(),
        known: BTreeMap::new(),
        assigned,
        pipes: 0,
        pipe: (0, 0),
        depth: 0,
        elsewhere: false,
    };
    walk.list(&list, &mut vec![Some(ground.work_dir.to_owned())])?;
    Ok(walk.acts)
}

/// Variables whose value changes nothing but what a program prints or how long it works.
const HARMLESS_VARIABLES: [&str; 29] = [
    "CI",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "RUST_TEST_THREADS",
    "CARGO_TERM_COLOR",
    "CARGO_TERM_PROGRESS_WHEN",
    "CARGO_INCREMENTAL",
    "CARGO_NET_OFFLINE",
    "NODE_ENV",
    "DEBUG",
    "VERBOSE",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "COLUMNS",
    "LINES",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "GOMAXPROCS",
    "INSTA_UPDATE",
    "PROPTEST_CASES",
    "GIT_OPTIONAL_LOCKS",
];

/// Whether setting this variable cannot change what is run.
pub(super) fn is_harmless_variable(name: &str) -> bool {
    HARMLESS_VARIABLES.contains(&name)
        || (name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !name.ends_with("_proxy")
            && !name.starts_with("npm_")
            && !matches!(
                name,
                "path" | "cdpath" | "fpath" | "argv" | "status" | "precmd" | "chpwd" | "prompt"
            ))
}

/// Variables whose value may be printed: they hold no secret.
fn is_printable(name: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "HOME", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TERM", "RANDOM", "SECONDS",
        "HOSTNAME",
    ];
    name.len() == 1 || PLAIN.contains(&name) || name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

struct Walk<'a> {
    ground: Ground<'a>,
    acts: Vec<Act>,
    /// Loop variables with their present value.
    known: BTreeMap<String, String>,
    /// Variables set other than by one loop.
    assigned: BTreeSet<String>,
    pipes: usize,
    pipe: (usize, usize),
    depth: usize,
    elsewhere: bool,
}

impl Walk<'_> {
    fn push(&mut self, act: Act) -> Result<(), Unclear> {
        if self.acts.len() >= MOST_ACTS {
            return Err(Unclear("it does too much at once"));
        }
        self.acts.push(act);
        Ok(())
    }

    fn list(&mut self, list: &List, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
        list.0.iter().try_for_each(|chain| self.chain(chain, directories))
    }

    /// After `cd x &&` the directory is certain; after `cd x ||` or `cd x ;` it may be either.
    fn chain(&mut self, chain: &Chain, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
        let mut seen = directories.clone();
        let mut now = directories.clone();
        self.pipeline(&chain.first, &mut now)?;
        merge(&mut seen, &now);
        let mut certain = true;
        for (join, pipeline) in &chain.rest {
            if *join == Join::Or {
                certain = false;
            }
            if !certain {
                now.clone_from(&seen);
            }
            self.pipeline(pipeline, &mut now)?;
            merge(&mut seen, &now);
        }
        *directories = seen;
        Ok(())
    }

    fn pipeline(&mut self, stages: &Pipeline, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
        if let [only] = stages.as_slice() {
            return self.command(only, directories);
        }
        self.pipes += 1;
        let (outer, number) = (self.pipe, self.pipes);
        let before = directories.clone();
        for (stage, command) in stages.iter().enumerate() {
            self.pipe = (number, stage);
            let mut inside = before.clone();
            self.command(command, &mut inside)?;
            merge(directories, &inside);
        }
        self.pipe = outer;
        Ok(())
    }

    fn command(&mut self, command: &Command, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
        match command {
            Command::Simple(simple) => self.simple(simple, directories),
            Command::Block { subshell, words, bodies, redirects } => {
                words.iter().try_for_each(|word| self.text(word, directories).map(drop))?;
                self.redirects(redirects, directories)?;
                let before = directories.clone();
                for body in bodies {
                    self.list(body, directories)?;
                }
                if *directories != before && !subshell && bodies.len() > 1 {
                    // It may be a loop, and every turn begins where the last one ended.
                    *directories = vec![None];
                    for body in bodies {
                        self.list(body, directories)?;
                    }
                }
                if *subshell {
                    *directories = before;
                }
                Ok(())
            }
            Command::For { name, words, body, redirects } => {
                self.redirects(redirects, directories)?;
                self.for_loop(name, words, body, directories)
            }
            Command::Function { name, body } => {
                self.push(Act::Unclear("it defines a function"))?;
                if calls_itself(name, body) {
                    self.push(Act::Unclear(FORK_BOMB))?;
                }
                self.command(body, &mut vec![None])
            }
        }
    }

    fn for_loop(
        &mut self,
        name: &str,
        words: &[Word],
        body: &List,
        directories: &mut Vec<Directory>,
    ) -> Result<(), Unclear> {
        if !is_harmless_variable(name) {
            self.push(Act::Unclear("a loop sets a variable that changes what is run"))?;
        }
        let mut values = Vec::new();
        for word in words {
            for word in alternatives(word)? {
                values.push(self.text(&word, directories)?);
            }
        }
        let certain = values.len() <= MOST_VALUES
            && !self.is_assigned(name)
            && values.iter().all(|value| !has_unknown(value));
        if !certain || values.is_empty() {
            values = vec![UNKNOWN.to_string()];
        }
        let before = directories.clone();
        for value in values {
            self.known.insert(name.to_owned(), value);
            self.list(body, directories)?;
            if *directories != before {
                *directories = vec![None];
                self.list(body, directories)?;
            }
        }
        self.known.remove(name);
        Ok(())
    }

    fn redirects(
        &mut self,
        redirects: &[Redirect],
        directories: &mut [Directory],
    ) -> Result<Option<String>, Unclear> {
        let mut fed = None;
        for redirect in redirects {
            match redirect {
                Redirect::Fed(word) => fed = Some(self.text(word, directories)?),
                Redirect::Read(word) => {
                    let text = self.text(word, directories)?;
                    self.push(Act::Read(places(&text, directories)))?;
                    fed = Some(UNKNOWN.to_string());
                }
                Redirect::Write(word) => {
                    let text = self.text(word, directories)?;
                    self.push(Act::Write(places(&text, directories)))?;
                }
            }
        }
        Ok(fed)
    }

    fn simple(&mut self, simple: &Simple, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
        let start = self.acts.len();
        let mut assignments = Vec::new();
        for (name, word) in &simple.assignments {
            let value = self.text(word, directories)?;
            if !is_harmless_variable(name) {
                assignments.push(format!("{name}={value}"));
            }
        }
        let mut words = Vec::new();
        for word in &simple.words {
            for word in alternatives(word)? {
                words.push(self.text(&word, directories)?);
            }
        }
        let fed = self.redirects(&simple.redirects, directories)?;
        let fed_by = start..self.acts.len();
        if words.first().is_some_and(|first| first == "export") {
            exported(&mut words, &mut assignments);
        }
        if words.is_empty() && assignments.is_empty() {
            return self.push(Act::Nothing);
        }
        self.run(words, assignments, fed, fed_by, directories)
    }

    fn run(
        &mut self,
        words: Vec<String>,
        mut assignments: Vec<String>,
        fed: Option<String>,
        fed_by: Range<usize>,
        directories: &mut Vec<Directory>,
    ) -> Result<(), Unclear> {
        let certain = words.first().is_none_or(|first| is_exact(first) && !first.is_empty());
        if !certain {
            self.push(Act::Unclear("the name of a command is not known"))?;
        }
        let inner = unwrap(words);
        assignments.extend(
            inner
                .assignments
                .iter()
                .filter(|(name, _)| !is_harmless_variable(name))
                .map(|(name, value)| format!("{name}={value}")),
        );
        let mut places_run = directories.clone();
        if let Some(directory) = &inner.directory {
            places_run = entered(directory, directories);
        }
        let innermost = inner.innermost().to_vec();
        if innermost.first().is_some_and(|first| !is_exact(first)) && certain {
            self.push(Act::Unclear("the name of a command is not known"))?;
        }
        if let Some(why) = inner.unclear {
            self.push(Act::Unclear(why))?;
        }
        let shows_secret = fed.as_ref().is_some_and(|fed| fed.contains(SECRET));
        let script = match (&inner.script, fed) {
            (Script::Text(text), _) => Some(text.clone()),
            (Script::Fed, Some(text)) if is_exact(&text) => Some(text),
            _ => None,
        };
        let elsewhere = self.elsewhere || inner.elsewhere;
        let run = Run {
            seen_through: script.is_some() && inner.guarded.is_none() && assignments.is_empty(),
            assignments,
            directories: places_run.clone(),
            pipe: self.pipe,
            shows_secret,
            fed_by,
            elsewhere: self.elsewhere,
            inner,
        };
        self.push(Act::Run(run))?;
        if let Some(script) = script {
            self.script(&script, elsewhere, &mut places_run)?;
            merge(directories, &places_run);
        }
        self.found(&innermost, &places_run)?;
        self.enter(&innermost, directories);
        Ok(())
    }

    /// A script within the command: `sh -c`, `eval`.
    fn script(
        &mut self,
        text: &str,
        elsewhere: bool,
        directories: &mut Vec<Directory>,
    ) -> Result<(), Unclear> {
        if self.depth >= DEEPEST {
            return Err(Unclear("it nests too deep"));
        }
        let list = match parse(text, self.depth + 1) {
            Ok(list) => list,
            Err(Unclear(why)) => return self.push(Act::Unclear(why)),
        };
        find_assigned(&list, &mut self.assigned);
        let known = std::mem::take(&mut self.known);
        let outer = std::mem::replace(&mut self.elsewhere, elsewhere);
        self.depth += 1;
        let done = self.list(&list, directories);
        self.depth -= 1;
        self.elsewhere = outer;
        self.known = known;
        done
    }

    /// What `find` runs on each file it finds.
    fn found(&mut self, words: &[String], directories: &[Directory]) -> Result<(), Unclear> {
        if words.first().is_none_or(|first| base_name(first) != "find") {
            return Ok(());
        }
        let roots = find_roots(words);
        let mut at = 1;
        while at < words.len() {
            at += 1;
            if !matches!(words[at - 1].as_str(), "-exec" | "-execdir" | "-ok" | "-okdir") {
                continue;
            }
            let end = words[at..]
                .iter()
                .position(|word| word == ";" || word == "+")
                .map_or(words.len(), |n| at + n);
            for root in roots.iter().take(4) {
                let inner: Vec<String> =
                    words[at..end].iter().map(|word| word.replace("{}", &format!("{root}/{GLOB}"))).collect();
                if inner.is_empty() {
                    continue;
                }
                let fed_by = self.acts.len()..self.acts.len();
                self.run(inner, Vec::new(), None, fed_by, &mut directories.to_vec())?;
            }
            if roots.len() > 4 {
                self.push(Act::Unclear("it looks in too many places at once"))?;
            }
            at = end;
        }
        Ok(())
    }

    /// `cd` and its kin.
    fn enter(&mut self, words: &[String], directories: &mut Vec<Directory>) {
        let operands: Vec<&String> =
            words.iter().skip(1).filter(|word| !matches!(word.as_str(), "-L" | "-P" | "-e" | "--")).collect();
        match words.first().map(String::as_str) {
            Some("cd" | "chdir" | "pushd") => {
                *directories = match operands.as_slice() {
                    [] => vec![Some(self.ground.home.to_owned())],
                    [one] if !one.starts_with(['-', '+']) => entered(one, directories),
                    _ => vec![None],
                };
            }
            Some("popd" | "source" | "." | "dirs") => *directories = vec![None],
            _ => {}
        }
    }

    /// A word's text, with marks for what only the shell knows. What it runs become acts.
    fn text(&mut self, word: &Word, directories: &[Directory]) -> Result<String, Unclear> {
        let mut text = String::new();
        for piece in &word.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Home => text.push_str(self.ground.home),
                Piece::Glob | Piece::Braces(_) => text.push(GLOB),
                Piece::Unknown => text.push(UNKNOWN),
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

    fn is_assigned(&self, name: &str) -> bool {
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
            name if is_printable(name) => PRINTABLE.to_string(),
            _ => SECRET.to_string(),
        }
    }
}

/// The words a word with braces stands for.
fn alternatives(word: &Word) -> Result<Vec<Word>, Unclear> {
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

/// The most words that one word with braces may stand for.
const MOST_ALTERNATIVES: usize = 64;

/// The mark of a function that does nothing but multiply.
pub(super) const FORK_BOMB: &str = "it starts itself without end";

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

/// `export NAME=value …` is as harmless as its names.
fn exported(words: &mut Vec<String>, assignments: &mut Vec<String>) {
    let pairs: Option<Vec<(&str, &str)>> = words[1..].iter().map(|word| word.split_once('=')).collect();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return };
    assignments.extend(
        pairs
            .iter()
            .filter(|(name, _)| !is_harmless_variable(name))
            .map(|(name, value)| format!("{name}={value}")),
    );
    words.clear();
}

/// The places a text may name, one for each directory; none for a device that holds nothing.
pub(super) fn places(text: &str, directories: &[Directory]) -> Vec<Place> {
    let places = directories.iter().map(|from| Place::of(text, from.as_deref()));
    places.filter(|place| !place.is_harmless_device()).collect()
}

/// The directories one is in after `cd`.
fn entered(text: &str, directories: &[Directory]) -> Vec<Directory> {
    let mut result = Vec::new();
    for place in places(text, directories) {
        let directory = match place {
            Place::At(parts) => Some(format!("/{}", parts.join("/"))),
            Place::Unknown => None,
        };
        merge(&mut result, &[directory]);
    }
    result
}

fn merge(into: &mut Vec<Directory>, from: &[Directory]) {
    for directory in from {
        if !into.contains(directory) {
            into.push(directory.clone());
        }
    }
    if into.len() > 6 {
        *into = vec![None];
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

/// Whether a function's body starts the function again, in the background or a pipeline.
fn calls_itself(name: &str, body: &Command) -> bool {
    match body {
        Command::Simple(simple) => simple.words.first().and_then(Word::literal) == Some(name),
        Command::Block { bodies, .. } => bodies.iter().any(|body| list_calls(name, body)),
        Command::For { body, .. } => list_calls(name, body),
        Command::Function { body, .. } => calls_itself(name, body),
    }
}

fn list_calls(name: &str, list: &List) -> bool {
    let pipelines = list
        .0
        .iter()
        .flat_map(|chain| std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, p)| p)));
    pipelines.flatten().any(|command| calls_itself(name, command))
}

/// Stands among the assigned for every variable.
const ANY: &str = "*";

/// Words that may set any variable.
const SETTERS: [&str; 9] = ["eval", "trap", "source", ".", "read", "mapfile", "readarray", "getopts", "let"];

/// Collects the variables that are set, loops' own but the first of each name aside.
fn find_assigned(list: &List, assigned: &mut BTreeSet<String>) {
    let mut loops = BTreeSet::new();
    assigned_in(list, assigned, &mut loops);
}

fn assigned_in(list: &List, assigned: &mut BTreeSet<String>, loops: &mut BTreeSet<String>) {
    for chain in &list.0 {
        for command in std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, p)| p)).flatten() {
            assigned_by(command, assigned, loops);
        }
    }
}

fn assigned_by(command: &Command, assigned: &mut BTreeSet<String>, loops: &mut BTreeSet<String>) {
    match command {
        Command::Simple(simple) => {
            assigned.extend(simple.assignments.iter().map(|(name, _)| name.clone()));
            let exported =
                simple.words.iter().filter_map(Word::literal).filter_map(|word| word.split_once('='));
            assigned.extend(exported.map(|(name, _)| name.to_owned()));
            if simple.words.iter().filter_map(Word::literal).any(|word| SETTERS.contains(&word)) {
                assigned.insert(ANY.to_owned());
            }
            let values = simple.assignments.iter().map(|(_, word)| word);
            assigned_within(values.chain(&simple.words), &simple.redirects, assigned, loops);
        }
        Command::Block { bodies, words, redirects, .. } => {
            bodies.iter().for_each(|body| assigned_in(body, assigned, loops));
            assigned_within(words.iter(), redirects, assigned, loops);
        }
        Command::For { name, body, words, redirects } => {
            if !loops.insert(name.clone()) {
                assigned.insert(name.clone());
            }
            assigned_in(body, assigned, loops);
            assigned_within(words.iter(), redirects, assigned, loops);
        }
        Command::Function { body, .. } => assigned_by(body, assigned, loops),
    }
}

/// The same for the commands within words.
fn assigned_within<'a>(
    words: impl Iterator<Item = &'a Word>,
    redirects: &'a [Redirect],
    assigned: &mut BTreeSet<String>,
    loops: &mut BTreeSet<String>,
) {
    let targets = redirects.iter().map(|redirect| match redirect {
        Redirect::Read(word) | Redirect::Write(word) | Redirect::Fed(word) => word,
    });
    for piece in words.chain(targets).flat_map(|word| &word.0) {
        if let Piece::Output(list) | Piece::Process(list) = piece {
            assigned_in(list, assigned, loops);
        }
    }
}

/// Whether a program reads what it is to do from its input: a shell or another interpreter without a script.
pub(super) fn runs_its_input(words: &[String]) -> bool {
    let Some(program) = words.first().map(|first| base_name(first)) else { return false };
    let interpreter = is_shell(program)
        || ["python", "perl", "ruby", "node", "php", "deno", "bun", "lua", "fish", "osascript", "pwsh"]
            .iter()
            .any(|name| program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') == *name);
    interpreter || matches!(program, "eval" | "source" | ".")
}
