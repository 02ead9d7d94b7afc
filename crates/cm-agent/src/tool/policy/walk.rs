//! Going through a command line as a shell would, noting every act (PURE).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::act::{Act, Directory, FORK_BOMB, MOST_ACTS, Run, calls_itself, entered, merge, places};
use super::expand::alternatives;
use super::pattern::base_name;
use super::place::{ANYTHING, Ground, SECRET, UNKNOWN, has_unknown, is_exact};
use super::programs::find_roots;
use super::shell::{Chain, Command, Join, List, Pipeline, Redirect, Simple, Unclear, Word, parse};
use super::unwrap::{Script, unwrap};
use super::variables::{exported, find_assigned, is_harmless_variable};

/// The most values of a loop's variable that are followed.
const MOST_VALUES: usize = 8;

/// How deep scripts within scripts are followed.
const DEEPEST: usize = 20;

/// The most commands that are looked at, loops' turns counted one by one.
const MOST_STEPS: usize = 4000;

pub(super) struct Walk<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) acts: Vec<Act>,
    /// Loop variables with their present value.
    pub(super) known: BTreeMap<String, String>,
    /// Variables set other than by one loop.
    pub(super) assigned: BTreeSet<String>,
    pub(super) pipes: usize,
    pub(super) pipe: (usize, usize),
    depth: usize,
    elsewhere: bool,
    steps: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ground: Ground<'a>, assigned: BTreeSet<String>) -> Self {
        Self {
            ground,
            acts: Vec::new(),
            known: BTreeMap::new(),
            assigned,
            pipes: 0,
            pipe: (0, 0),
            depth: 0,
            elsewhere: false,
            steps: 0,
        }
    }

    fn push(&mut self, act: Act) -> Result<(), Unclear> {
        if self.acts.len() >= MOST_ACTS {
            return Err(Unclear("it does too much at once"));
        }
        self.acts.push(act);
        Ok(())
    }

    pub(super) fn list(&mut self, list: &List, directories: &mut Vec<Directory>) -> Result<(), Unclear> {
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
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Unclear("it does too much at once"));
        }
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
                // Some shells feed one after the other where there are several.
                Redirect::Fed(word) => {
                    let text = self.text(word, directories)?;
                    fed = Some(if fed.is_none() && self.pipe.1 == 0 { text } else { UNKNOWN.to_string() });
                }
                Redirect::Beside(word) => {
                    self.text(word, directories)?;
                }
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
        let before = directories.clone();
        self.run(words, assignments, fed, fed_by, directories)?;
        if !simple.redirects.is_empty() {
            // To some shells `cd x &> y` is a job of its own.
            merge(directories, &before);
        }
        Ok(())
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
        let wrappers = inner.views.iter().rev().skip(1).filter_map(|words| words.first());
        let own_shell = wrappers.into_iter().all(|first| matches!(first.as_str(), "command" | "builtin"));
        let shows_secret = fed.as_ref().is_some_and(|fed| fed.contains(SECRET));
        let script = script_of(&inner.script, fed);
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
            if innermost.first().is_some_and(|first| first == "trap") {
                // It runs later, and nobody knows where.
                places_run = vec![None];
            }
            self.script(&script, elsewhere, &mut places_run)?;
            merge(directories, &places_run);
        }
        self.found(&innermost, &places_run)?;
        if own_shell {
            self.enter(&innermost, directories);
        }
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
                let inner: Vec<String> = words[at..end]
                    .iter()
                    .map(|word| word.replace("{}", &format!("{root}/{ANYTHING}")))
                    .collect();
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
}

/// The text a program runs as a script, if it is known.
fn script_of(script: &Script, fed: Option<String>) -> Option<String> {
    match (script, fed) {
        (Script::Text(text), _) => Some(text.clone()),
        (Script::Fed, Some(text)) if is_exact(&text) => Some(text),
        _ => None,
    }
}
