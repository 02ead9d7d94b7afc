//! Dialogs of tools that do not exist, in many layouts, and screens that only look as if something was asked.

use crate::tool::explain::{Explained, explain};
use crate::tool::profile::tests::profiles;
use crate::tool::screen::{Cursor, Screen};

/// What is seen on a screen of a tool nobody knows, hidden cursor.
fn seen(tool: &str, text: &str) -> Explained {
    let screen = Screen { cols: 90, rows: 40, ..Screen::default() }.with_text(text);
    explain(&profiles().for_tool(tool), &screen, None)
}

/// `kind | question | subject | options`, each option as its meaning, its label, its key; `>` is selected.
fn told(seen: &Explained) -> String {
    let Some(dialog) = &seen.dialog else { return seen.state.clone() };
    let option = |option: &crate::tool::explain::Choice| {
        let mark = if option.selected { ">" } else { "" };
        let key = option.key.as_deref().map(|key| format!(" [{key}]")).unwrap_or_default();
        format!("{mark}{} {}{key}", option.meaning, option.label)
    };
    let options: Vec<String> = dialog.options.iter().map(option).collect();
    let subject = dialog.subject.as_deref().unwrap_or("-");
    format!("{} | {} | {subject} | {}", dialog.kind, dialog.question, options.join(" / "))
}

fn check(text: &str, expected: &str) {
    assert_eq!(told(&seen("wren", text)), expected, "{text}");
}

#[test]
fn numbered_lists() {
    check(
        "
────────────────────────────────────────────────────────────
 Shell command

 make clean

 Do you want to go on?
 ❯ 1. Yes
   2. Yes, and don't ask again for make in this project
   3. No, and tell Wren what to do differently (esc)

 Enter to confirm · Esc to cancel",
        "command | Do you want to go on? | make clean | >once Yes [1] / \
         always Yes, and don't ask again for make in this project [2] / \
         refuse No, and tell Wren what to do differently [esc]",
    );
    check(
        "
  The tool wants to fetch https://example.org/api/v1

  Do you allow this?

    1) Allow once
  ▶ 2) Allow always for example.org
    3) Deny

  enter = confirm, esc = deny",
        "network | Do you allow this? | https://example.org/api/v1 | once Allow once [1] / \
         >always Allow always for example.org [2] / refuse Deny [3]",
    );
    check(
        "
  Select a model:
    ↑ 3 more
    9. wren-small
  ❯ 10. wren-large
    11. wren-huge
    ↓ 2 more
  enter to select, esc to go back",
        "text | Select a model: | - | answer wren-small [9] / >answer wren-large [10] / answer wren-huge [11]",
    );
    check(
        "
 Which database should I use?

 ❯ 1. PostgreSQL
      A server, more to run, with a description that is so long that it does not fit on one
      line and is wrapped
   2. SQLite
      One file
   3. Something else

 Enter to select · ↑/↓ to navigate · Esc to cancel",
        "question | Which database should I use? | - | >answer PostgreSQL [1] / answer SQLite [2] / \
         answer Something else [3]",
    );
}

#[test]
fn boxes() {
    check(
        "
╭──────────────────────────────────────────────────────────────────────╮
│ ?  Shell touch made.txt (make a file)                                │
│                                                                      │
│ ╭──────────────────────────────────────────────────────────────────╮ │
│ │ touch made.txt                                                   │ │
│ │                                                                  │ │
│ │ ❯ 1. Yes                                                         │ │
│ │   2. No                                                          │ │
│ ╰──────────────────────────────────────────────────────────────────╯ │
│ Allow execution of: 'touch'?                                         │
│                                                                      │
│   1. Yes, allow once                                                 │
│ ● 2. Always allow in this project                                    │
│   3. No, suggest changes (esc)                                       │
╰──────────────────────────────────────────────────────────────────────╯",
        "command | Allow execution of: 'touch'? | touch made.txt\n\n❯ 1. Yes\n  2. No | \
         once Yes, allow once [1] / >always Always allow in this project [2] / \
         refuse No, suggest changes [esc]",
    );
    check(
        "
   EXECUTE  (touch made.txt, impact: medium)

╭──────────────────────────────────────────────────────────────╮
│   Yes, allow                                                 │
│   Yes, and always allow medium impact commands               │
│ > No, cancel                                                 │
╰──────────────────────────────────────────────────────────────╯
  Use ↑↓ to navigate, Enter to select, Esc to cancel all",
        "command | EXECUTE  (touch made.txt, impact: medium) | - | once Yes, allow / \
         always Yes, and always allow medium impact commands / >refuse No, cancel",
    );
    check(
        "
 ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
 ┃ Run this command?                              ┃
 ┃                                                ┃
 ┃ $ touch made.txt                               ┃
 ┃                                                ┃
 ┃ ▸● Approve                       [Alt+1]       ┃
 ┃  ○ Allow All for This Session    [Alt+2]       ┃
 ┃  ○ Deny with feedback            [Alt+3]       ┃
 ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┛",
        "command | Run this command? | touch made.txt | >once Approve [alt+1] / \
         always Allow All for This Session [alt+2] / refuse Deny with feedback [alt+3]",
    );
    check(
        "
 ┌──────────────────────────────────────┐
 │ Do you trust the files in this folder?│
 │                                      │
 │ /home/me/project                     │
 │                                      │
 │ > [y] Yes, I trust this folder       │
 │   [p] Trust parent folder            │
 │   [n] No, exit                       │
 └──────────────────────────────────────┘",
        "trust | Do you trust the files in this folder? | /home/me/project | \
         >once Yes, I trust this folder [y] / always Trust parent folder [p] / refuse No, exit [n]",
    );
}

#[test]
fn lists_without_numbers() {
    check(
        "
◆  Wren would like to call the above tool, do you allow?
│  ● Allow  (Allow the tool call once)
│  ○ Always Allow  (Always allow the tool call)
│  ○ Deny  (Deny the tool call)
└",
        "command | Wren would like to call the above tool, do you allow? | - | >once Allow / \
         always Always Allow / refuse Deny",
    );
    check(
        "
? Do you want to overwrite package.json? (Use arrow keys)
❯ Yes, overwrite
  No, keep it
  Show the difference",
        "edit | Do you want to overwrite package.json? | package.json | >once Yes, overwrite / \
         refuse No, keep it / answer Show the difference",
    );
    check(
        "
  Run this command?
  Not in allowlist: touch
     Run (once) (y) (enter)
   → Add Shell(touch) to allowlist? (tab)
     Skip (esc or n)",
        "command | Run this command? | - | once Run (once) [y] / >always Add Shell(touch) to allowlist? [tab] / \
         refuse Skip [esc]",
    );
    check(
        "
  Which checks should run?

  > [x] fmt
    [ ] clippy

  space toggle · enter confirm · esc cancel",
        "question | Which checks should run? | - | >answer fmt / answer clippy",
    );
}

#[test]
fn options_side_by_side_and_letters() {
    let buttons = |row: &str| format!("\n  Delete the build?\n\n  {row}\n\n  ←/→ choose · enter confirm\n");
    check(
        &buttons("  Allow once   Allow always   Reject"),
        "edit | Delete the build? | - | once Allow once / always Allow always / refuse Reject",
    );
    check(
        &buttons("  \u{1b}[7mAllow once\u{1b}[0m   Allow always   Reject"),
        "edit | Delete the build? | - | >once Allow once / always Allow always / refuse Reject",
    );
    check(
        &buttons("\u{1b}[48;5;240m Yes \u{1b}[0m   \u{1b}[48;5;205m No \u{1b}[0m"),
        "edit | Delete the build? | - | once Yes / >refuse No",
    );
    check(&buttons("● Yes  ○ No"), "edit | Delete the build? | - | >once Yes / refuse No");
    check(&buttons("< Yes >     < No  >"), "edit | Delete the build? | - | once Yes / refuse No");
    check(
        "
  wren wants to run: make clean

  Allow it?  [y] Allow once   [a] Always allow   [n] Deny
  Press a key, esc to cancel",
        "command | Allow it? | - | once Allow once [y] / always Always allow [a] / refuse Deny [n]",
    );
    check(
        "
  Apply this change?
  (y) Yes
  (n) No
  (a) Always for this session",
        "edit | Apply this change? | - | once Yes [y] / refuse No [n] / always Always for this session [a]",
    );
    let coloured = "
  Which one?

  \u{1b}[7mPostgreSQL\u{1b}[0m
  SQLite
  None of the above

  ↑/↓ to move, enter to select";
    check(
        coloured,
        "question | Which one? | - | >answer PostgreSQL / answer SQLite / answer None of the above",
    );
}

#[test]
fn a_command_of_several_lines_is_told_whole() {
    check(
        "
──────────────────────────────────────────────────────
 Run command

 $ cat > notes.txt <<'EOF'
 Would you like to read this file?

 harmless
 EOF
 rm -rf ~

 Do you want to proceed?
 ❯ 1. Yes
   2. No

 Esc to cancel",
        "command | Do you want to proceed? | cat > notes.txt <<'EOF'\nWould you like to read this file?\n\nharmless\n\
         EOF\nrm -rf ~ | >once Yes [1] / refuse No [2]",
    );
}

#[test]
fn a_path_keeps_its_blanks() {
    let dashes = "╌".repeat(60);
    check(
        &format!(
            "{}\n Create file\n ../my notes.txt\n{dashes}\n  1 Read file\n{dashes}\n Do you want to create notes.txt?\n \
             ❯ 1. Yes\n   2. No\n\n Esc to cancel",
            "─".repeat(60)
        ),
        "edit | Do you want to create notes.txt? | ../my notes.txt | >once Yes [1] / refuse No [2]",
    );
}

/// A dialog as a model might quote it.
const QUOTED: &str = "  Do you want to proceed?\n  ❯ 1. Yes\n    2. No\n\n  Enter to confirm · Esc to cancel";

/// Screens on which nothing is asked: the transcript, and what stands below it.
fn nothing_asked() -> Vec<String> {
    let rule = "─".repeat(80);
    let boxes = [
        format!("{rule}\n❯ \n{rule}\n  ? for shortcuts"),
        format!("{rule}\n> \n{rule}"),
        "╭──────────────────────────────────╮\n│ >                                │\n╰──────────────────────────────────╯".into(),
        "╭──────────────────────────────────╮\n│ > 1. Yes                         │\n╰──────────────────────────────────╯\n  ? for shortcuts".into(),
        "› Ask anything\n\n  wren-1 · ~/src".into(),
        "> ".into(),
    ];
    let transcripts = [
        format!("● This is what it draws:\n\n{QUOTED}"),
        format!("• This is what it draws:\n\n{QUOTED}\n\n  That is all."),
        format!("⏺ Look:\n\n  ```\n{QUOTED}\n  ```"),
        format!("  ⎿  {}", QUOTED.replace('\n', "\n     ")),
        "● Shall I go on? (y/n)".into(),
        "● Which one do you want?\n\n  1. The first\n  2. The second\n\n  Please say 1 or 2.".into(),
        "● I need a decision:\n\n  > Allow once\n    Deny".into(),
        "● The README says:\n\n  Overwrite existing files? [y/N]\n  Press Enter to continue…".into(),
        "● Buttons look like this:\n\n    Allow once   Allow always   Reject      ⇆ select  enter confirm"
            .into(),
        "● [y] Allow   [n] Deny".into(),
        "◇  Wren would like to call the above tool, do you allow?\n│  Allow".into(),
        "? Overwrite it? (Use arrow keys)\n✔ Yes, overwrite".into(),
    ];
    let mut screens = Vec::new();
    for transcript in &transcripts {
        for input in &boxes {
            screens.push(format!("{transcript}\n\n{input}"));
        }
    }
    screens
}

#[test]
fn prose_above_a_box_asks_nothing() {
    let screens = nothing_asked();
    assert!(screens.len() >= 60, "{}", screens.len());
    for text in &screens {
        for tool in ["wren", "claude", "codex", "gemini", "opencode", "aider", "shell"] {
            assert_ne!(seen(tool, text).state, "waiting", "{tool}:\n{text}\n{:?}", seen(tool, text));
        }
    }
}

#[test]
fn prose_without_a_box_asks_nothing() {
    let table = [
        format!("● This is what it draws:\n\n{QUOTED}"),
        format!("⏺ Look:\n\n  ```\n{QUOTED}"),
        format!("  ⎿  {}", QUOTED.replace('\n', "\n     ")),
        format!("{QUOTED}\n\nThat is what it draws when it asks."),
        "  ❯ 1. Yes\n    2. No".into(),
        "> a quoted line\n  that goes on\n  and on".into(),
        "● one\n  two".into(),
        "❯ /model   choose a model\n  /mode    choose a mode\n\nEnter to select · Esc to cancel".into(),
        "- Yes\n- No\n\nEnter to select · Esc to cancel".into(),
        "1. Yes\n2. No\n\nEnter to select · Esc to cancel".into(),
        "Enter to select · Esc to cancel".into(),
        "Do you want to proceed?".into(),
        "Allow once   Allow always   Reject".into(),
    ];
    for text in table {
        assert_ne!(seen("wren", &text).state, "waiting", "{text}\n{:?}", seen("wren", &text));
    }
}

#[test]
fn half_a_dialog_asks_nothing() {
    let table = [
        // its box is not closed
        "╭────────────────────╮\n│ Apply this change? │\n│                    │\n│ ● 1. Allow once    │\n│   2. No (esc)      │",
        // no way to refuse is drawn yet, and no keys
        "──────────────────────\n Do you want to proceed?\n ❯ 1. Yes\n   2. Yes, and don't ask again",
        "──────────────────────\n Do you want to proceed?\n ❯ 1. Yes",
        "──────────────────────\n Do you want to proceed?",
        // the list's beginning is missing
        "   2. Yes, always\n ❯ 3. No\n\n Esc to cancel",
        // two lines are pointed at: an old frame lies below a new one
        "──────────────────────\n Do you want to proceed?\n ❯ 1. Yes\n ❯ 2. No\n\n Esc to cancel",
    ];
    for text in table {
        assert_ne!(seen("wren", text).state, "waiting", "{text}\n{:?}", seen("wren", text));
    }
}

#[test]
fn output_that_goes_on_is_no_dialog() {
    // `cat` of a captured dialog: the cursor is shown behind everything.
    let text = format!("$ cat dialog.txt\n{}\n{QUOTED}\n", "─".repeat(60));
    let screen = Screen { cols: 90, rows: 40, ..Screen::default() }.with_text(&text);
    let row = screen.lines.len() as u16;
    let cursor = Cursor { col: 0, row, visible: true };
    for tool in ["wren", "shell"] {
        let seen = explain(&profiles().for_tool(tool), &screen, Some(cursor));
        assert_ne!(seen.state, "waiting", "{tool}");
    }
}
