//! Reading profiles, and what is wrong with bad ones, by line and column.

use std::time::Duration;

use super::*;

/// The built-in ones, compiled once for all tests.
pub(crate) fn profiles() -> &'static Profiles {
    static PROFILES: std::sync::OnceLock<Profiles> = std::sync::OnceLock::new();
    PROFILES.get_or_init(Profiles::builtin)
}

const GOOD: &str = r#"name = "toy"
version = 3
program = "toy-cli"
authority = "screen"
terminal_prompts = false

[launch]
task = "typed"
args = ["--fast"]
pass_env = ["HOME", "LC_*"]

[ready]
pattern = ['>$']
quiet = "300ms"
animated = "3s"
silent = "5s"

[done]
quiet = "1.5s"
animated = "3s"
report = "1s"

[asking]
quiet = "400ms"
answered = "5s"

[[prompt]]
name = "trust"
kind = "confirm"
pattern = '^Trust .*\?$'
"#;

#[test]
fn a_good_one_is_read_whole() {
    let profile = Profile::parse("toy.toml", GOOD).unwrap();
    assert_eq!((profile.name.as_str(), profile.version, profile.program.as_str()), ("toy", 3, "toy-cli"));
    let Life::Screen { ready, done } = &profile.life else { panic!("{:?}", profile.life) };
    assert_eq!(ready.quiet, Duration::from_millis(300));
    assert_eq!(done.quiet, Duration::from_millis(1500));
    assert_eq!(profile.prompts.len(), 1, "no terminal prompts wanted");
    assert!(profile.passes_env("HOME") && profile.passes_env("LC_ALL"));
    for name in ["HOMEPAGE", "LC", "SECRET", ""] {
        assert!(!profile.passes_env(name), "{name}");
    }
}

/// Replaces a piece of the good profile and compares the complaint.
fn check(from: &str, to: &str, expected: &str) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} stands once in the good profile");
    let error = Profile::parse("toy.toml", &GOOD.replace(from, to)).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{to:?}\n is: {error}\nnot: {expected}");
}

#[test]
fn bad_ones_say_where() {
    check("version = 3", "version = ", "toy.toml:2:11: ");
    check("version = 3", "version = 0", "toy.toml:2:11: versions count from 1");
    check("version = 3", "version = \"3\"", "toy.toml:2:11: invalid type: string \"3\", expected u32");
    check("name = \"toy\"", "name = \"Toy\"", "toy.toml:1:8: a name is lower-case letters, digits and `-`");
    check("name = \"toy\"\n", "", "toy.toml:1:1: missing field `name`");
    check("program = ", "programme = ", "toy.toml:3:1: unknown field `programme`, expected one of");
    check(
        "\"screen\"",
        "\"stars\"",
        "toy.toml:4:13: unknown variant `stars`, expected `process` or `screen`",
    );
    check("\"screen\"", "\"process\"", "toy.toml:12:1: with authority `process` there is no [ready]");
    check("\"typed\"", "\"sung\"", "toy.toml:8:8: unknown variant `sung`");
    check("\"LC_*\"", "\"*\"", "toy.toml:10:12: `*` is no environment variable's name");
    check("\"LC_*\"", "\"LC*ALL\"", "toy.toml:10:12: `LC*ALL` is no environment variable's name");
    check("'>$'", "'>('", "toy.toml:13:12: pattern: unclosed group");
    check("'>$'", "'>*'", "toy.toml:13:12: pattern `>*` matches everything");
    check("'^Trust .*\\?$'", "'(?<'", "toy.toml:30:11: pattern: ");
    check("\"300ms\"", "\"300\"", "toy.toml:14:9: `300` is no time from \"1ms\" to \"600s\"");
    for time in ["", "s", "ms", "-1s", "0s", "0.1ms", "601s", "1e99s", "NaNs", "infs", "1m"] {
        check("\"300ms\"", &format!("{time:?}"), &format!("toy.toml:14:9: `{time}` is no time"));
    }
    check("[done]\nquiet = \"1.5s\"", "[undone]\nquiet = \"1.5s\"", "toy.toml:18:2: unknown field `undone`");
    check(
        "kind = \"confirm\"",
        "kind = \"continue\"",
        "toy.toml:27:1: prompt `trust`: `press` goes with kind `continue`",
    );
    check(
        "kind = \"confirm\"",
        "kind = \"confirm\"\npress = [\"y\"]",
        "toy.toml:27:1: prompt `trust`: `press` goes",
    );
    check(
        "kind = \"confirm\"",
        "kind = \"continue\"\npress = [\"y\"]",
        "toy.toml:27:1: prompt `trust`: key `y` is none of `Enter`, `Space`, `q`",
    );
    check(
        "kind = \"confirm\"",
        "kind = \"report\"",
        "toy.toml:27:1: prompt `trust`: kind `report` comes from reports",
    );
    let twice = format!("{GOOD}\n[[prompt]]\nname = \"trust\"\nkind = \"text\"\npattern = 'x'\n");
    let error = Profile::parse("toy.toml", &twice).unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (32, "the prompt's name `trust` is empty or taken"));
}

#[test]
fn the_built_in_ones() {
    let profiles = Profiles::builtin();
    let names: Vec<_> = profiles.names().collect();
    assert_eq!(names, ["aider", "claude", "codex", "gemini", "opencode", "shell"]);
    let shell = profiles.for_tool("shell");
    assert!(shell.life_is_process() && !shell.types_task());
    let generic = profiles.for_tool("python3");
    assert_eq!((generic.name.as_str(), generic.program.as_str()), ("generic", "python3"));
    assert!(generic.types_task() && generic.prompts.len() > 10);
    for secret in
        ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "ANTHROPIC_API_KEY", "CM_AGENT_TOKEN", "LD_PRELOAD"]
    {
        assert!(!shell.passes_env(secret) && !generic.passes_env(secret), "{secret}");
    }
    for plain in ["HOME", "PATH", "LC_CTYPE", "XDG_RUNTIME_DIR"] {
        assert!(shell.passes_env(plain) && generic.passes_env(plain), "{plain}");
    }
}

#[test]
fn a_profile_of_ones_own_comes_first() {
    let own = Profile::parse("toy.toml", GOOD).unwrap();
    let profiles = Profiles::builtin().with(own);
    assert_eq!(profiles.for_tool("toy").program, "toy-cli");
    assert_eq!(profiles.for_tool("toys").program, "toys");
}

#[test]
fn command_lines() {
    let profiles = Profiles::builtin().with(Profile::parse("toy.toml", GOOD).unwrap());
    let check = |tool: &str, task: &str, args: &[&str], expected: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(profiles.for_tool(tool).argv(task, &args), expected, "{tool} {task:?} {args:?}");
    };
    check("shell", "echo 'a b'; exit 3", &[], &["sh", "-c", "echo 'a b'; exit 3"]);
    check("shell", "two\nlines", &[], &["sh", "-c", "two\nlines"]);
    check("shell", "echo $1", &["x y"], &["sh", "-c", "echo $1", "sh", "x y"]);
    check("shell", "-e echo", &[], &["sh", "-c", "--", "-e echo"]);
    check("shell", "+x", &["a"], &["sh", "-c", "--", "+x", "sh", "a"]);
    check("shell", "", &[], &["sh"]);
    check("shell", "", &["-l"], &["sh", "-l"]);
    check("python3", "1+1", &["-q"], &["python3", "-q"]);
    check("toy", "do it", &["x"], &["toy-cli", "--fast", "x"]);
    check("/opt/my tool", "", &[], &["/opt/my tool"]);
}

#[test]
fn built_in_patterns_need_no_unicode_tables() {
    // Tests are built with more of the regular expressions' features than the program is.
    for name in ["generic", "shell", "claude", "claude-2-1", "codex", "gemini", "opencode", "aider"] {
        let text = builtin::text(name).unwrap_or_else(|| panic!("{name}"));
        assert!(!text.contains("\\p{"), "{name}");
    }
}

#[test]
fn the_profile_of_a_version() {
    let profiles = Profiles::builtin();
    let check = |tool: &str, version: Option<&str>, expected: &str| {
        assert_eq!(profiles.for_version(tool, version).name, expected, "{tool} {version:?}");
    };
    check("claude", None, "claude");
    check("claude", Some("2.1.330 (Claude Code)"), "claude");
    check("claude", Some("2.1.197"), "claude-2-1");
    check("claude", Some("1.0.88"), "claude-2-1");
    check("claude", Some("9.0"), "claude");
    check("claude", Some("unknown"), "claude");
    check("codex", Some("0.169.0"), "codex");
    check("wren", Some("1"), "generic");
    assert_eq!(profiles.for_version("claude", Some("2.1.197")).program, "claude");
    assert!(profiles.for_tool("claude").channels().status == Some("osc7501"));
    assert!(profiles.for_version("claude", Some("2.1.197")).channels().status.is_none());
}

#[test]
fn profiles_of_ones_own_extend_others() {
    let text = "extends = \"claude\"\nname = \"mine\"\nversion = 1\n[launch]\nargs = [\"--fast\"]\n";
    let mine = Profile::parse("mine.toml", text).unwrap();
    assert_eq!((mine.tool.as_str(), mine.program.as_str()), ("mine", "claude"));
    assert_eq!(mine.argv("-x", &[]), ["claude", "--fast", "--", "-x"]);
    assert!(mine.passes_env("HOME") && mine.facts.input.is_some() && !mine.facts.dialogs.is_empty());
    // One's own for all versions of a tool takes the place of those that come with the agent.
    let own = text.replace("mine", "claude");
    let profiles = Profiles::builtin().with(Profile::parse("claude.toml", &own).unwrap());
    assert_eq!(profiles.for_version("claude", Some("2.1.197")).launch.args, ["--fast"]);
    let (profiles, errors) = Profiles::builtin().with_files([("a.toml", text), ("b.toml", "name = 1")]);
    assert!(profiles.knows("mine"));
    assert_eq!((errors.len(), errors[0].line), (1, 1));
}

#[test]
fn bad_extensions_say_where() {
    let check = |text: &str, expected: &str| {
        let error = Profile::parse("mine.toml", text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "is: {error}\nnot: {expected}");
    };
    let head = "extends = \"claude\"\nname = \"mine\"\nversion = 1\n";
    check(&head.replace("claude", "cloud"), "mine.toml:1:11: there is no built-in profile `cloud` to extend");
    check(&format!("{head}versions = \"new\"\n"), "mine.toml:4:12: `new` is no bound like");
    check(&format!("{head}[box]\nmarsk = []\n"), "mine.toml:5:1: unknown field `marsk`, expected one of");
    check(&format!("{head}[working]\nline = ['ok', '(']\n"), "mine.toml:5:8: pattern: unclosed group");
    check(
        &format!("{head}[[dialog]]\nname = \"x\"\nkind = \"comand\"\npattern = 'x'\n"),
        "mine.toml:6:8: unknown variant `comand`",
    );
    check(
        &format!("{head}[launch]\ntask = \"argument\"\nargument = [\"x\"]\n"),
        "mine.toml:4:1: `argument =",
    );
    let error = Profile::parse("mine.toml", &format!("{head}[box]\nmarsk = []\n")).unwrap_err().to_string();
    assert!(error.ends_with("did you mean `marks`?"), "{error}");
}

#[test]
fn tasks_as_arguments() {
    let profiles = Profiles::builtin();
    let check = |tool: &str, task: &str, expected: &[&str]| {
        assert_eq!(profiles.for_tool(tool).argv(task, &[]), expected, "{tool} {task:?}");
    };
    check("claude", "-p is no option", &["claude", "--permission-mode", "default", "--", "-p is no option"]);
    let codex = ["codex", "--no-daemon", "-a", "on-request", "-s", "read-only", "--", "do it"];
    check("codex", "do it", &codex);
    check("gemini", "--yolo", &["gemini", "--prompt-interactive=--yolo"]);
    check("opencode", "do it", &["opencode", "--prompt=do it"]);
    check("aider", "do it", &["aider"]);
    check("claude", "", &["claude", "--permission-mode", "default"]);
}
