//! What must hold on any screen: nothing is asked where nothing is drawn to ask, and half a dialog never
//! changes what its options mean.

use proptest::prelude::*;

use super::tests::{captured, read};
use super::*;
use crate::tool::profile::tests::profiles;

const TOOLS: [&str; 7] = ["claude", "codex", "gemini", "opencode", "aider", "wren", "shell"];

/// Pieces of what tools draw, and of what people write about them.
fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "Do you want to proceed?",
        "❯ 1. Yes",
        "  2. No",
        "  2. Yes, and don't ask again",
        "› 1. Yes, proceed (y)",
        "  3. No, and tell Codex what to do differently (esc)",
        "● 1. Allow once",
        "> Allow",
        "  Deny",
        "Allow once   Allow always   Reject",
        "[y] Allow  [n] Deny",
        "Proceed? [Y/n]",
        "Esc to cancel · Tab to amend",
        "Press enter to confirm or esc to cancel",
        "(Use Enter to select)",
        "✻ Thinking… (3s · esc to interrupt)",
        "● API Error: 529 Overloaded",
        "Bash command",
        "```",
        "The quick brown fox jumps over the lazy dog.",
        "",
        "$ rm -rf /",
        "- an item",
        "1. the first",
    ])
    .prop_map(str::to_owned)
}

/// A transcript of one answer as the tool indents it, and the tool's idle input box below it.
fn idle(tool: &str, answer: &[String]) -> String {
    let rule = "─".repeat(80);
    let (sent, bullet, indent, below) = match tool {
        "claude" => ("❯ do it".to_owned(), "● ", "  ", format!("{rule}\n❯ \n{rule}\n  ? for shortcuts")),
        "codex" => {
            ("› do it".to_owned(), "• ", "  ", "› Ask Codex to do anything\n\n  GPT-5 default · ~/src".into())
        }
        "gemini" => {
            let (up, down) = ("▄".repeat(80), "▀".repeat(80));
            let below = format!(
                "{rule}\n Shift+Tab to accept edits\n{up}\n >   Type your message\n{down}\n ~/src   main"
            );
            (format!("{up}\n > do it\n{down}"), "✦ ", "  ", below)
        }
        "opencode" => {
            let line = format!("  ╹{}", "▀".repeat(70));
            let below = format!("  ┃\n  ┃\n  ┃\n  ┃  Build · Wren\n{line}\n   ~/src   ctrl+p commands");
            (
                "  ┃\n  ┃  do it\n  ┃".to_owned(),
                "     ",
                "     ",
                format!("     ▣  Build · Wren · 4.5s\n\n{below}"),
            )
        }
        _ => ("> do it".to_owned(), "● ", "  ", format!("{rule}\n> ")),
    };
    let mut lines = vec![sent, String::new(), format!("{bullet}Here it is:")];
    lines.extend(answer.iter().map(|line| format!("{indent}{line}")));
    lines.extend([String::new(), below]);
    lines.join("\n")
}

fn screen(text: &str) -> Screen {
    Screen { cols: 90, rows: 60, ..Screen::default() }.with_text(text)
}

#[test]
fn a_box_in_a_box_that_is_still_open_asks_nothing() {
    // A command that would print a dialog, and the dialog about it that is not painted to its end.
    let paths = captured();
    let path = paths
        .iter()
        .find(|path| path.ends_with("gemini/0.61.0/perm-heredoc.screen"))
        .expect("it was captured");
    let case = read(path);
    let end = case.screen.lines.iter().rposition(|line| !line.trim().is_empty()).expect("text") + 1;
    for cut in 1..end {
        let mut part = case.screen.clone();
        part.lines.truncate(end - cut);
        let seen = explain(&case.profile, &part, Some(case.cursor)).dialog;
        assert!(seen.is_none(), "{cut} rows are missing: {seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn prose_above_an_idle_box_never_asks(
        answer in prop::collection::vec(piece(), 1..18),
        tool in prop::sample::select(TOOLS.to_vec()),
    ) {
        let text = idle(tool, &answer);
        let seen = explain(&profiles().for_tool(tool), &screen(&text), None);
        prop_assert_ne!(&seen.state, "waiting", "{}\n{}\n{:?}", tool, text, seen);
    }

    #[test]
    fn part_of_a_dialog_never_changes_its_options(pick in any::<prop::sample::Index>(), cut in 0_usize..40, gap in 0_usize..60) {
        let paths: Vec<_> = captured();
        let case = read(&paths[pick.index(paths.len())]);
        let Some(whole) = explain(&case.profile, &case.screen, Some(case.cursor)).dialog else { return Ok(()) };
        let mut part = case.screen.clone();
        let end = part.lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
        part.lines.truncate(end.saturating_sub(cut));
        // One more row is not painted yet.
        if let Some(line) = part.lines.get_mut(end.saturating_sub(gap)) {
            line.clear();
        }
        let seen = explain(&case.profile, &part, Some(case.cursor));
        for option in seen.dialog.iter().flat_map(|dialog| &dialog.options) {
            let same = whole.options.iter().find(|other| other.label == option.label);
            let allowed = option.meaning != "once" || same.is_some_and(|other| other.meaning == "once");
            prop_assert!(allowed, "{option:?} of {whole:?}");
            prop_assert!(!option.selected || same.is_none_or(|other| other.selected), "{option:?} of {whole:?}");
        }
    }

    #[test]
    fn nothing_on_a_screen_makes_it_panic(
        lines in prop::collection::vec("[ │┃╭╮╰╯─❯›>●○1-9.()\\[\\]a-zé日?:·…\u{1b}m;~-]{0,60}", 0..40),
        tool in prop::sample::select(TOOLS.to_vec()),
        col in 0_u16..100,
        row in 0_u16..50,
        visible in any::<bool>(),
    ) {
        let text = lines.join("\n");
        let seen = explain(&profiles().for_tool(tool), &screen(&text), Some(Cursor { col, row, visible }));
        prop_assert!(!seen.lines().is_empty());
        explain(&profiles().for_tool(tool), &screen(&text), None);
    }
}
