//! Reading a profile from TOML, with the line and column of whatever is wrong (PURE).

use std::sync::{Arc, OnceLock};

use regex::bytes::RegexBuilder;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::file::{AuthorityWord, LaunchTable, ProfileFile, ReadyTable, Wrong, located, wrong};
use super::version::{Range as Versions, Version};
use super::{Facts, Launch, Life, Pattern, Profile, ProfileError, PromptKind, PromptRule, Ready};

/// The keys a profile may have pressed without a person: they go on, they never choose.
const HARMLESS_KEYS: [&str; 3] = ["Enter", "Space", "q"];

/// What any program in a terminal may ask.
const TERMINAL_PROMPTS: &str = include_str!("../profiles/terminal-prompts.toml");

/// The file with the questions of all terminals.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptsFile {
    prompt: Vec<Spanned<PromptRule>>,
}

/// Reads a profile; `base` gives the text of a built-in one by name, for `extends`.
pub(super) fn profile(
    file: &str,
    text: &str,
    base: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<Profile, ProfileError> {
    let read = toml::from_str(text).map_err(Wrong::from).and_then(|own: ProfileFile| extended(own, base));
    located(file, text, read.and_then(build))
}

/// Fills what the file leaves out from the profile it extends.
fn extended(own: ProfileFile, base: &dyn Fn(&str) -> Option<&'static str>) -> Result<ProfileFile, Wrong> {
    let Some(name) = &own.extends else { return Ok(own) };
    let Some(text) = base(name.get_ref()) else {
        return wrong(name.span(), format!("there is no built-in profile `{}` to extend", name.get_ref()));
    };
    let at = name.span();
    let below = toml::from_str(text).map_err(Wrong::from).map_err(|error| Wrong { at, ..error })?;
    Ok(own.over(below))
}

fn build(read: ProfileFile) -> Result<Profile, Wrong> {
    let missing = |field: &str| Wrong { at: 0..0, message: format!("missing field `{field}`") };
    let name = read.name.ok_or_else(|| missing("name"))?;
    let text = name.get_ref();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return wrong(name.span(), "a name is lower-case letters, digits and `-`");
    }
    let version = read.version.ok_or_else(|| missing("version"))?;
    if *version.get_ref() == 0 {
        return wrong(version.span(), "versions count from 1");
    }
    let versions = match read.versions {
        None => Versions::default(),
        Some(range) => Versions::parse(range.get_ref()).or_else(|message| wrong(range.span(), message))?,
    };
    let newest = match &read.newest {
        None => None,
        Some(text) => match Version::parse(text.get_ref()) {
            Some(version) => Some(version),
            None => return wrong(text.span(), "`newest` is a version like \"2.1.330\""),
        },
    };
    let authority = read.authority.ok_or_else(|| missing("authority"))?;
    let life = life(authority, read.ready, read.done)?;
    let mut prompts = checked(read.prompt.unwrap_or_default())?;
    if read.terminal_prompts.unwrap_or_default() {
        prompts.extend(terminal_prompts().iter().cloned());
    }
    let name = name.into_inner();
    let tool = read.tool.unwrap_or_else(|| name.clone());
    Ok(Profile {
        program: read.program.filter(|program| !program.is_empty()).unwrap_or_else(|| tool.clone()),
        tool,
        name,
        version: version.into_inner(),
        versions,
        newest,
        launch: launch(read.launch.ok_or_else(|| missing("launch"))?)?,
        life,
        asking: read.asking.ok_or_else(|| missing("asking"))?.built()?,
        prompts: Arc::from(prompts),
        status: read.status.filter(|word| word != "none"),
        hooks: read.hooks.filter(|word| word != "none"),
        styles: read.styles.unwrap_or_default(),
        keys: read.keys.unwrap_or_default(),
        facts: Facts {
            input: read.r#box,
            transcript: read.transcript.unwrap_or_default(),
            working: read.working.unwrap_or_default(),
            turn: read.turn.unwrap_or_default(),
            dialogs: read.dialog.unwrap_or_default().into(),
            troubles: read.trouble.unwrap_or_default().into(),
            activities: read.activity.unwrap_or_default().into(),
            options: read.option.unwrap_or_default().into(),
        },
    })
}

fn life(
    authority: Spanned<AuthorityWord>,
    ready: Option<Spanned<ReadyTable>>,
    done: Option<Spanned<super::file::DoneTable>>,
) -> Result<Life, Wrong> {
    let at = authority.span();
    match (authority.into_inner(), ready, done) {
        (AuthorityWord::Process, None, None) => Ok(Life::Process),
        (AuthorityWord::Process, ready, done) => {
            let at = ready.map(|table| table.span()).or(done.map(|table| table.span())).unwrap_or(at);
            wrong(at, "with authority `process` there is no [ready] and no [done]: its exit decides")
        }
        (AuthorityWord::Screen, Some(ready), Some(done)) => {
            Ok(Life::Screen { ready: compiled(ready)?, done: done.into_inner().built()? })
        }
        (AuthorityWord::Screen, _, _) => wrong(at, "authority `screen` needs the tables [ready] and [done]"),
    }
}

fn launch(table: Spanned<LaunchTable>) -> Result<Launch, Wrong> {
    let at = table.span();
    let table = table.into_inner();
    let Some(task) = table.task else { return wrong(at, "missing field `task`") };
    let argument = table.argument.unwrap_or_default();
    let names_task = argument.iter().any(|word| word.contains("{task}"));
    if (task == super::TaskEntry::Argument) != names_task {
        return wrong(
            at,
            "`argument = [\"--\", \"{task}\"]` goes with task = \"argument\", and only with it",
        );
    }
    Ok(Launch {
        task,
        args: table.args.unwrap_or_default(),
        yields: table.yields.unwrap_or_default(),
        argument,
        env: table.env.unwrap_or_default(),
        pass_env: table.pass_env.unwrap_or_default().0,
        resume: table.resume.unwrap_or_default(),
        conversation: table.conversation,
        version_args: table.version_args.unwrap_or_default(),
        version_pattern: table.version_pattern,
    })
}

/// Compiles the patterns of readiness, each with its own place.
fn compiled(table: Spanned<ReadyTable>) -> Result<Ready, Wrong> {
    let at = table.span();
    let table = table.into_inner();
    let compile = |text: Spanned<String>| {
        let at = text.span();
        Pattern::compile(text.get_ref()).or_else(|message| wrong(at, message))
    };
    let patterns = table.pattern.unwrap_or_default().into_iter().map(compile).collect::<Result<_, _>>()?;
    match (table.quiet, table.animated, table.silent) {
        (Some(quiet), Some(animated), Some(silent)) => {
            Ok(Ready { patterns, quiet: quiet.0, animated: animated.0, silent: silent.0 })
        }
        _ => wrong(at, "[ready] needs `quiet`, `animated` and `silent`"),
    }
}

/// The rules of `terminal-prompts.toml`, read once.
fn terminal_prompts() -> &'static [PromptRule] {
    static READ: OnceLock<Vec<PromptRule>> = OnceLock::new();
    READ.get_or_init(|| {
        let file = toml::from_str(TERMINAL_PROMPTS).map_err(Wrong::from);
        // This text is part of the program and a test reads it: it cannot be wrong at run time.
        located(
            "terminal-prompts.toml",
            TERMINAL_PROMPTS,
            file.and_then(|file: PromptsFile| checked(file.prompt)),
        )
        .expect("the built-in prompts are well-formed")
    })
}

/// What serde cannot see: unique names, and keys only where nothing is decided by them.
fn checked(rules: Vec<Spanned<PromptRule>>) -> Result<Vec<PromptRule>, Wrong> {
    let mut known: Vec<PromptRule> = Vec::new();
    for rule in rules {
        let at = rule.span();
        let rule = rule.into_inner();
        if rule.name.is_empty() || known.iter().any(|other| other.name == rule.name) {
            return wrong(at, format!("the prompt's name `{}` is empty or taken", rule.name));
        }
        if (rule.kind == PromptKind::Continue) == rule.press.is_empty() {
            return wrong(
                at,
                format!("prompt `{}`: `press` goes with kind `continue`, and only with it", rule.name),
            );
        }
        if rule.kind == PromptKind::Report {
            return wrong(
                at,
                format!("prompt `{}`: kind `report` comes from reports, not from screens", rule.name),
            );
        }
        if let Some(key) = rule.press.iter().find(|key| !HARMLESS_KEYS.contains(&key.as_str())) {
            let keys = HARMLESS_KEYS.join("`, `");
            return wrong(at, format!("prompt `{}`: key `{key}` is none of `{keys}`", rule.name));
        }
        known.push(rule);
    }
    Ok(known)
}

impl Pattern {
    fn compile(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|e| {
            // The last line of a regex error is the complaint; the ones above draw the pattern.
            let complaint = e.to_string();
            format!("pattern: {}", complaint.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        if regex.is_match(b"") {
            return Err(format!("pattern `{text}` matches everything"));
        }
        Ok(Self(Arc::new(regex)))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
