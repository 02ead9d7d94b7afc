//! What is seen on captured screens, and on screens drawn to deceive.

use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::tool::profile::tests::profiles;
use crate::tool::screen::{Cursor, tests::draw};
use crate::tool::state::Memory;

/// What is expected of a captured screen: the file beside it. Adding a screen is adding two files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    cursor: (u16, u16),
    size: (u16, u16),
    history: u64,
    alternate: bool,
    tool: String,
    ready_prompt: Option<String>,
    expect: Expected,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    seen: String,
    kind: Option<String>,
    text: Option<String>,
    rule: Option<String>,
}

fn summary(observation: Observation) -> Expected {
    let plain = |seen: &str| Expected { seen: seen.into(), kind: None, text: None, rule: None };
    match observation.kind {
        Seen::NotReady => plain("not_ready"),
        Seen::Working { .. } => plain("working"),
        Seen::AtPrompt { prompt_text, .. } => {
            Expected { text: Some(prompt_text), rule: Some(observation.rule), ..plain("at_prompt") }
        }
        Seen::Asking(found) => Expected {
            kind: Some(found.kind.as_str().into()),
            text: Some(found.text),
            rule: Some(found.rule),
            ..plain("asking")
        },
        Seen::Blocked(trouble) => plain(trouble.cause.as_str()),
    }
}

#[test]
fn captured_screens() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    let mut seen = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "screen") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Case =
            toml::from_str(&std::fs::read_to_string(path.with_extension("toml")).unwrap()).unwrap();
        let screen = Screen {
            lines: text.lines().map(|line| line.trim_end().to_owned()).collect(),
            cursor: Cursor { col: case.cursor.0, row: case.cursor.1, visible: true },
            cols: case.size.0,
            rows: case.size.1,
            history: case.history,
            alternate: case.alternate,
            ..Screen::default()
        };
        let profile = profiles().for_tool(&case.tool);
        let memory = Memory::for_test(profile.life_is_process(), case.ready_prompt);
        assert_eq!(summary(detect(&profile, &memory, &screen)), case.expect, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} captured screens in {}", directory.display());
}

/// What `tool` is seen to do at work: a question as `kind: text`, or else one word.
fn at_work(tool: &str, text: &str) -> String {
    let profile = profiles().for_tool(tool);
    let memory = Memory::for_test(true, (tool != "shell").then(|| "me@box:~/src$".to_owned()));
    match detect(&profile, &memory, &draw(text)).kind {
        Seen::NotReady => "not ready".into(),
        Seen::Working { .. } => "working".into(),
        Seen::AtPrompt { .. } => "prompt".into(),
        Seen::Asking(found) => format!("{} {}", found.kind.as_str(), found.rule),
        Seen::Blocked(trouble) => trouble.cause.as_str().into(),
    }
}

#[test]
fn questions_of_the_terminal() {
    let table = [
        // yes or no
        ("Do you want to continue? [Y/n] ▮", "confirm yes-no"),
        ("Continue? (y/N): ▮", "confirm yes-no"),
        ("Are you sure you want to continue connecting (yes/no/[fingerprint])? ▮", "confirm yes-no"),
        ("Proceed ([y]/n)? ▮", "confirm yes-no"),
        ("Is this ok [y/d/N]: ▮", "confirm yes-no"),
        ("Stage this hunk [y,n,q,a,d,e,?]? ▮", "confirm yes-no"),
        ("Overwrite? y/n ▮", "confirm yes-no"),
        ("Install it (y or n) ▮", "confirm yes-no"),
        ("Add file to the chat? (Y)es/(N)o [Yes]: ▮", "confirm letter-menu"),
        ("Only 'yes' will be accepted. Type 'yes' to go on: ▮", "confirm type-yes"),
        ("mv: overwrite 'a b?c'? ▮", "confirm coreutils"),
        ("Are you sure? ▮", "confirm are-you-sure"),
        ("Trust this folder? ▮", "confirm are-you-sure"),
        // secrets
        ("[sudo] password for me: ▮", "secret password"),
        ("me@host's password: ▮", "secret password"),
        ("Enter passphrase for key '/home/me/.ssh/id_ed25519': ▮", "secret password"),
        ("Password for 'https://me@example.org': ▮", "secret password"),
        ("Verification code: ▮", "secret password"),
        ("Enter your API key: ▮", "secret password"),
        ("Paste your token here > ▮", "secret password"),
        // words
        ("Username for 'https://example.org': ▮", "text user-name"),
        ("box login: ▮", "text user-name"),
        ("  Enter a value: ▮", "text enter-value"),
        ("What is your name? ▮", "text question"),
        ("お名前は? ▮", "text question"),
        ("Passwort für Jörg (password): ▮", "secret password"),
        ("#? ▮", "text menu"),
        ("Enter your choice [1-3]: ▮", "text menu"),
        ("Pick one (1, 2, 3): ▮", "text menu"),
        // a key to go on
        ("Press Enter to continue▮", "continue press-to-continue"),
        ("Press ENTER to continue...▮", "continue press-to-continue"),
        ("-- Press any key to continue -- ▮", "continue press-to-continue"),
        ("[Hit <return> to continue]▮", "continue press-to-continue"),
        ("Please press any key to continue . . . ▮", "continue press-to-continue"),
        // and what only looks like it: each of these consents to something
        ("Press [ENTER] to continue or Ctrl-c to cancel adding it.▮", "confirm press-to"),
        ("Press RETURN/ENTER to continue or any other key to abort:▮", "confirm press-to"),
        ("Press Enter to accept the licence▮", "confirm press-to"),
        ("Press y to delete everything▮", "confirm press-to"),
        ("The disk will be formatted.\nPress Enter to continue▮", "confirm press-to"),
        ("By going on you agree to the terms.\n\nPress Enter to continue▮", "confirm press-to"),
        ("WARNING: this cannot be undone\nPress any key to continue▮", "confirm press-to"),
        ("Press Ctrl-C to abort.\nPress any key to continue▮", "confirm press-to"),
        ("Do not press Enter to continue▮", "confirm press-to"),
    ];
    for (text, expected) in table {
        assert_eq!(at_work("shell", text), expected, "shell: {text:?}");
        assert_eq!(at_work("bash", text), expected, "generic: {text:?}");
    }
}

#[test]
fn nothing_but_the_cursors_line_asks() {
    let table = [
        // prose and scrollback
        "Continue? [y/N]\n▮",
        "Password:\nDone.\n▮",
        "Press Enter to continue\n\n▮",
        "--More--\n▮",
        "> The installer asks \"Proceed? [Y/n]\" and waits\n▮",
        // an answer stands behind the question, before the cursor or after it
        "Proceed? [Y/n] y▮",
        "Proceed? [Y/n]▮ yes",
        "Password: ▮                        (hidden)",
        // the cursor is elsewhere on the line, or hidden
        "Proceed? [Y/n]                     ▮",
        "▮Proceed? [Y/n]",
        "Proceed? [Y/n] ",
        "Press Enter to continue",
        // progress and log lines without a line end
        "Downloading: ▮",
        "[3/10] ▮",
        "Compiling (12) ▮",
        "Resolving deltas:  42% (21/50)▮",
        "tokens: 1234 ▮",
        "Done.▮",
        "Error: it failed▮",
        "building...▮",
        // pagers ask on the last row only
        "--More--▮",
        "--More--(45%)▮",
        "(END)▮",
        ":▮",
        "the list ends with (END)▮",
    ];
    for text in table {
        assert_eq!(at_work("shell", text), "working", "shell: {text:?}");
        assert_eq!(at_work("bash", text), "working", "generic: {text:?}");
    }
}

#[test]
fn pagers_ask_on_the_last_row() {
    let table = [
        ("--More--▮", "continue pager-more"),
        ("--More--(45%)▮", "continue pager-more"),
        ("--More--(Next file: b.txt)▮", "continue pager-more"),
        ("-- More --▮", "continue pager-more"),
        ("(END)▮", "continue pager-end"),
        ("lines 1-23/23 (END)▮", "continue pager-end"),
        ("file.txt (END) - Next: b.txt▮", "continue pager-end"),
        (":▮", "text pager"),
        ("lines 1-23▮", "text pager"),
        (" Manual page ls(1) line 1 (press h for help or q to quit)▮", "text pager"),
        ("what --More--▮", "working"),
        ("the (END) of it▮", "working"),
    ];
    for (text, expected) in table {
        assert_eq!(at_work("shell", &format!("{}{text}", "text\n".repeat(23))), expected, "{text:?}");
    }
}

#[test]
fn the_tools_own_prompt() {
    let table = [
        ("me@box:~/src$ ▮", "prompt"),
        ("me@box:/tmp$ ▮", "prompt"),
        ("me@box:~$ ▮", "prompt"),
        ("some output\nme@box:~/a-b.c/d1$ ▮", "prompt"),
        ("me@box:~/src$ ls▮", "working"),
        ("me@box:~/src# ▮", "working"),
        ("you@box:~/src$ ▮", "working"),
        ("> ▮", "working"),
        ("me@box:~/src$ \n▮", "working"),
        ("me@box:~/src$ ", "working"),
    ];
    for (text, expected) in table {
        assert_eq!(at_work("bash", text), expected, "{text:?}");
    }
    // A prompt has no meaning for a script.
    assert_eq!(at_work("shell", "me@box:~/src$ ▮"), "working");
}

#[test]
fn prompts_are_compared_by_shape() {
    let same = [
        ("In [1]:", "In [12]:"),
        ("irb(main):001:0>", "irb(main):042:0>"),
        ("root@h:/#", "root@h:~/x y"),
        ("root@h:/#", "root@h:/var/log#"),
        ("❯", "❯"),
    ];
    for (i, (one, other)) in same.into_iter().enumerate() {
        assert_eq!(same_prompt(one, other), i != 2, "{one:?} {other:?}");
    }
    for (one, other) in [(">>>", "..."), ("$", "#"), ("db=>", "db=#"), ("a>", "b>"), ("In [1]:", "Out[1]:")] {
        assert!(!same_prompt(one, other), "{one:?} {other:?}");
    }
}

#[test]
fn readiness() {
    let profile = profiles().for_tool("any");
    let table = [
        ("Welcome!\n>>> ▮", true),
        ("$ ▮", true),
        ("root@h:~# ▮", true),
        ("% ▮", true),
        ("~/src main ❯ ▮", true),
        ("➜  src ▮", false),
        ("│ > ▮                     │", true),
        ("│ > ▮Ask me anything      │", true),
        ("mysql> ▮", true),
        ("(gdb) ▮", true),
        ("(Pdb) ▮", true),
        ("In [1]: ▮", true),
        ("You: ▮", true),
        ("λ ▮", true),
        (
            "A long sentence that happens to end, for whatever reason there may be, in a mark of this kind > ▮",
            false,
        ),
        ("Loading ▮", false),
        ("me@box ~ % ▮", true),
        ("100% ▮", false),
        ("Loading the model: ▮", false),
        ("Loading...\n▮", false),
        (">>> ", false),
        ("$ ls▮", false),
        ("Password: ▮", false),
        ("Proceed? [y/N] > ▮", false),
    ];
    for (text, expected) in table {
        let kind = detect(&profile, &Memory::fresh(), &draw(text)).kind;
        assert_eq!(matches!(kind, Seen::AtPrompt { .. }), expected, "{text:?}: {kind:?}");
    }
}

#[test]
fn still_there_looks_again() {
    let prompt = cm_protocol::Prompt {
        id: 1,
        kind: "continue".into(),
        text: "Press Enter to continue".into(),
        ..Default::default()
    };
    let table = [
        ("Press Enter to continue▮", true),
        ("more above\n Press Enter to continue ▮", true),
        ("Press Enter to continue\n▮", false),
        ("Press Enter to continue", false),
        ("Press Enter to continue▮ x", false),
        ("Really delete? [y/N] ▮", false),
        ("", false),
    ];
    for (text, expected) in table {
        assert_eq!(still_there(&draw(text), &prompt), expected, "{text:?}");
    }
}
