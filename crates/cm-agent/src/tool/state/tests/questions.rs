//! Questions: one instance, one answer (failure 1), and never a key where something is decided.

use super::{draw, idle, play, shell, working};
use crate::tool::state::Machine;

const PRESS: &str = "0 screen Press Enter to continue▮ => running
    400 tick => PRESS #1 Enter by careful/go-on on press-to-continue\n";

fn pressed(script: &str) -> Machine {
    shell(&format!("{PRESS}{script}"))
}

#[test]
fn pressed_once_and_gone() {
    let machine =
        pressed("410 screen Press Enter to continue⏎▮ =>\n 900 screen Press Enter to continue⏎ok⏎▮ =>");
    assert_eq!(machine.deadline(), None);
}

#[test]
fn an_unchanged_screen_is_the_same_question() {
    pressed(
        "500 screen Press Enter to continue▮ =>
        900 screen Press Enter to continue▮ =>
        3000 screen Press Enter to continue▮ =>
        5400 tick => waiting (an answer was given, but the question still stands) #1 continue \
         \"Press Enter to continue\"
        99000 screen Press Enter to continue▮ =>
        99100 screen Press Enter to continue⏎▮ => running",
    );
}

#[test]
fn a_clock_beside_it_does_not_make_it_another() {
    shell(
        "0 screen 12:00⏎Press Enter to continue▮ => running
        400 tick => PRESS #1 Enter by careful/go-on on press-to-continue
        1000 screen 12:01⏎Press Enter to continue▮ =>
        2000 screen 12:02⏎Press Enter to continue▮ =>
        5000 screen 12:04⏎Press Enter to continue▮ =>",
    );
}

#[test]
fn a_redraw_is_not_another_question() {
    pressed(
        "450 screen  =>
        460 screen Press Enter to continue▮ =>
        5400 tick => waiting (an answer was given, but the question still stands) #1 continue \
         \"Press Enter to continue\"",
    );
    // Unanswered, it keeps its number too.
    shell(
        "0 screen Sure? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Sure? [y/N]\"
        500 screen  => running
        510 screen Sure? [y/N] ▮ => waiting #1 confirm \"Sure? [y/N]\"",
    );
}

#[test]
fn drawn_again_after_an_answer_it_is_new() {
    pressed(
        "450 screen Press Enter to continue⏎▮ =>
        500 screen Press Enter to continue⏎Press Enter to continue▮ =>
        900 tick => PRESS #2 Enter by careful/go-on on press-to-continue",
    );
    shell(
        "0 screen Sure? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Sure? [y/N]\"
        900 keys => running
        910 screen ▮ =>
        920 screen Sure? [y/N] ▮ =>
        1320 tick => waiting #2 confirm \"Sure? [y/N]\"",
    );
}

#[test]
fn an_answer_without_effect_asks_again() {
    shell(
        "0 screen Sure? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Sure? [y/N]\"
        900 keys => running
        5900 tick => waiting (an answer was given, but the question still stands) #1 confirm \"Sure? [y/N]\"
        6000 keys => running
        6100 screen Sure? [y/N] n⏎▮ =>",
    );
}

#[test]
fn pagers_page_by_page() {
    let page = |first: u32, prompt: &str| {
        format!("^{first} {}{prompt}▮", (0..23).map(|i| format!("line {}⏎", first + i)).collect::<String>())
    };
    shell(&format!(
        "0 screen {} => running
        400 tick => PRESS #1 Space by careful/go-on on pager-more
        410 screen {} =>
        810 tick => PRESS #2 Space by careful/go-on on pager-more
        820 screen {} =>
        1220 tick => PRESS #3 q by careful/go-on on pager-end
        1230 screen ^50 $ done⏎▮ =>
        1240 exit 0 => done, COMPLETE done code 0",
        page(0, "--More--"),
        page(23, "--More--"),
        page(46, "(END)"),
    ));
}

#[test]
fn never_a_key_where_something_is_decided() {
    let table = [
        ("Proceed? [Y/n]", "confirm"),
        ("Password:", "secret"),
        ("#?", "text"),
        ("Enter your choice [1-3]:", "text"),
        ("Press Enter to accept the licence", "confirm"),
        ("Press Enter to continue or Ctrl-C to cancel", "confirm"),
        ("Delete everything? (yes/no)", "confirm"),
    ];
    for (text, kind) in table {
        for tool in ["shell", "repl"] {
            let running = if tool == "shell" { "running" } else { "" };
            play(
                tool,
                true,
                &format!(
                    "0 screen {text} ▮ => {running}\n 400 tick => waiting #1 {kind} {text:?}\n 900000 screen {text} ▮ =>"
                ),
            );
        }
    }
}

#[test]
fn a_tool_at_work_asks() {
    working(
        "500 screen > task⏎Overwrite a.txt? [y/N] ▮ =>
        900 tick => waiting #1 confirm \"Overwrite a.txt? [y/N]\"
        5000 keys => running
        5010 screen > task⏎Overwrite a.txt? [y/N] y⏎> ▮ =>
        6510 tick => done, COMPLETE done",
    );
    working(
        "500 screen > task⏎Press any key to continue ▮ =>
        900 tick => PRESS #1 Enter by careful/go-on on press-to-continue
        910 screen > task⏎Press any key to continue⏎> ▮ =>
        2410 tick => done, COMPLETE done",
    );
}

#[test]
fn an_idle_tool_asks() {
    // Answering is not a task.
    idle(
        "5000 screen > ⏎Update now? [y/N] ▮ =>
        5400 tick => waiting #1 confirm \"Update now? [y/N]\"
        6000 keys => idle
        6100 screen > ⏎Update now? [y/N] n⏎> ▮ =>",
    );
}

#[test]
fn a_window_of_another_size_is_not_another_question() {
    let profile = crate::tool::profile::tests::profiles().for_tool("shell");
    let mut machine = Machine::new(profile, true, std::time::Duration::ZERO);
    let mut screen = draw("a long line\nPress Enter to continue▮");
    let at = std::time::Duration::from_millis;
    let mut presses = 0;
    for (now, cols) in [(0, 80), (400, 80), (500, 40), (1500, 40), (2000, 120), (3000, 120)] {
        // Narrower, the line above takes more rows.
        screen.history = if cols == 40 { 3 } else { 0 };
        screen.cols = cols;
        let effects = machine.step(super::Input::Screen(&screen), at(now));
        presses += effects.iter().filter(|effect| matches!(effect, super::Effect::Press { .. })).count();
    }
    assert_eq!(presses, 1);
}

#[test]
fn looked_at_again_before_the_key() {
    let machine = pressed("");
    let prompt = cm_protocol::Prompt {
        id: 1,
        kind: "continue".into(),
        text: "Press Enter to continue".into(),
        ..Default::default()
    };
    assert!(machine.still_there(&draw("Press Enter to continue▮"), &prompt));
    assert!(
        !machine.still_there(&draw("\nPress Enter to continue▮"), &prompt),
        "another line: another question"
    );
    assert!(!machine.still_there(&draw("Press Enter to continue⏎▮"), &prompt));
    let other = cm_protocol::Prompt { id: 2, ..prompt.clone() };
    assert!(!machine.still_there(&draw("Press Enter to continue▮"), &other), "not the open one");
    let machine = pressed("450 pause => paused");
    assert!(!machine.still_there(&draw("Press Enter to continue▮"), &prompt), "paused");
}

#[test]
fn restarts() {
    // Pressed before the restart: not pressed again.
    pressed(
        "10 restart =>
        20 screen Press Enter to continue▮ =>
        900 screen Press Enter to continue▮ =>
        5010 tick => waiting (an answer was given, but the question still stands) #1 continue \
         \"Press Enter to continue\"",
    );
    // Asked before: the same question, not announced again; numbers go on.
    shell(
        "0 screen Sure? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Sure? [y/N]\"
        10 restart =>
        20 screen Sure? [y/N] ▮ =>
        30 screen Sure? [y/N] y⏎Really? [y/N] ▮ => running
        430 tick => waiting #2 confirm \"Really? [y/N]\"",
    );
}
