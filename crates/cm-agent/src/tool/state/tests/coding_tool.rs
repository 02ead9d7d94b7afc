//! A coding tool with a screen of its own: its box, its dialogs, what it says through other channels.

use std::sync::Arc;

use cm_protocol::{Policy, PolicyChoice, PolicyRule, PolicyVerdict};

use super::play_with;
use crate::tool::policy::Policies;
use crate::tool::profile::Profile;
use crate::tool::state::{Bearings, Machine};

/// A tool nobody has: `=` works, `*` ends a turn, `!` says why it did not end well.
const PROFILE: &str = r#"
name = "coder"
version = 1
authority = "screen"
terminal_prompts = false
[launch]
task = "typed"
pass_env = []
[ready]
quiet = "300ms"
animated = "1s"
silent = "20s"
[done]
quiet = "1.5s"
animated = "2s"
report = "500ms"
[asking]
quiet = "60ms"
answered = "5s"
[box]
marks = ["❯"]
shape = "rules"
[working]
line = ['^= busy']
[turn]
done = ['^\* took \d+s']
[transcript]
sent = '^❯ \S'
piece = '^(● |! )'
[[trouble]]
cause = "interrupted"
pattern = '^! Interrupted'
[[trouble]]
cause = "api_error"
pattern = '^! API'
[[dialog]]
name = "command"
kind = "command"
pattern = '(?i)run this command'
"#;

const RULE: &str = "────────────────────────────────────────────────────────────────────────────────";

/// A transcript (lines parted by `⏎`) above an input box with this text.
pub(super) fn boxed(above: &str, text: &str) -> String {
    format!("Coder 1.0⏎⏎{above}⏎⏎{RULE}⏎❯ {text}⏎{RULE}⏎  ? for help")
}

fn idle() -> String {
    boxed("", "")
}
fn busy() -> String {
    boxed("❯ do it⏎⏎= busy (3s)", "")
}
fn over() -> String {
    boxed("❯ do it⏎⏎● All is well.⏎⏎* took 3s", "")
}

/// The question whether a command may run; `at`: which option is highlighted.
fn asks(command: &str, at: usize) -> String {
    let options = ["1. Yes", "2. Yes, and don't ask again", "3. No"];
    let options: Vec<String> = options
        .iter()
        .enumerate()
        .map(|(n, text)| format!("{} {text}", if n == at { "❯" } else { " " }))
        .collect();
    format!(
        "Coder 1.0⏎⏎❯ do it⏎⏎● On it.⏎⏎{RULE}⏎ Bash command⏎⏎   {command}⏎⏎ Run this command?⏎ {}⏎⏎ Esc to cancel",
        options.join("⏎ ")
    )
}

fn profile(task: &str) -> Profile {
    let text = PROFILE.replace("task = \"typed\"", task);
    Profile::parse("coder.toml", &text).unwrap()
}

pub(super) fn bearings(verdict: PolicyVerdict, message: Option<&str>) -> Bearings {
    let rule = PolicyRule {
        name: Some("rule".into()),
        kind: vec!["command".into()],
        then: verdict,
        message: message.map(str::to_owned),
        ..PolicyRule::default()
    };
    let policy = Policy { name: "test".into(), rules: vec![rule], ..Policy::default() };
    let policy = Policies::builtin().resolve(Some(&PolicyChoice::Rules(policy))).unwrap();
    Bearings { policy: Arc::clone(&policy), work_dir: "/w".into(), home: "/h".into(), ..Bearings::default() }
}

/// Plays a script in which `{idle}`, `{busy}`, `{over}`, `{asks}`, … stand for screens.
pub(super) fn played(task: &str, bearings: &Bearings, script: &str) -> Machine {
    let script = script
        .replace("{idle}", &idle())
        .replace("{busy}", &busy())
        .replace("{busier}", &boxed("❯ do it⏎⏎= busy (9s)", ""))
        .replace("{said}", &boxed("❯ do it⏎⏎● Running make", ""))
        .replace("{over}", &over())
        .replace("{asks}", &asks("make all", 0))
        .replace("{asks-at-no}", &asks("make all", 2))
        .replace("{asks-else}", &asks("make install", 0))
        .replace("{draft}", &boxed("", "half a line"))
        .replace("{broken}", &boxed("❯ do it⏎⏎! Interrupted by you", ""))
        .replace("{api}", &boxed("❯ do it⏎⏎! API error 500", ""));
    play_with(profile(task), true, bearings, &script)
}

pub(super) const TYPED: &str = "task = \"typed\"";
pub(super) const GIVEN: &str = "task = \"argument\"\nargument = [\"--\", \"{task}\"]";

/// At work since 400 ms, the task typed.
pub(super) fn working(bearings: &Bearings, script: &str) -> Machine {
    let start = "0 screen {idle} =>
        300 tick => DELIVER
        350 delivered => running
        400 screen {busy} =>";
    played(TYPED, bearings, &format!("{start}\n{script}"))
}

pub(super) fn ask() -> Bearings {
    bearings(PolicyVerdict::Ask, None)
}

pub(super) fn allow() -> Bearings {
    bearings(PolicyVerdict::Allow, None)
}

#[test]
fn typed_when_ready_done_when_its_line_says_so() {
    working(&ask(), "9000 screen {over} =>\n 9300 tick => done, COMPLETE done");
    // Without that line the box alone must stand longer (failure 10).
    working(&ask(), "9000 screen {idle} =>\n 10500 tick => done, COMPLETE done");
    working(&ask(), "9000 screen {idle} =>\n 10400 screen {busy} =>\n 90000 screen {busy} =>");
}

#[test]
fn failure_18_a_line_somebody_is_typing_is_theirs() {
    played(
        TYPED,
        &ask(),
        "0 screen {draft} =>
        60000 screen {draft} =>
        60100 screen {idle} =>
        60400 tick => DELIVER",
    );
}

#[test]
fn a_task_given_as_an_argument_is_not_typed() {
    played(
        GIVEN,
        &ask(),
        "0 screen {idle} =>\n 900 screen {busy} =>\n 1100 tick => running\n 5000 screen {over} =>\n 5300 tick => done, COMPLETE done",
    );
    played(GIVEN, &ask(), "0 status idle =>\n 10 screen {idle} =>\n 700 status working => running");
    // It says that it is idle when it has just started: that is no end of anything.
    played(
        GIVEN,
        &ask(),
        "0 screen {busy} =>
        50 status idle =>
        200 tick => running
        900 status working =>
        2000 screen {over} =>
        2010 status idle =>
        2070 tick => done, COMPLETE done",
    );
    // It was lost on the way, say in a dialog: then it is typed after all (failure 14).
    played(GIVEN, &ask(), "0 screen {idle} =>\n 4000 tick => DELIVER");
}

#[test]
fn a_dialog_is_a_persons_where_the_policy_says_so() {
    let machine = working(
        &ask(),
        "1000 screen {asks} =>
        1060 tick => waiting #1 command \"Run this command?\"
        90000 screen {asks-at-no} =>
        90100 answering 1 => running
        90200 screen {busy} =>",
    );
    assert_eq!(machine.authority(), "screen");
}

#[test]
fn failure_01_one_answer_for_one_instance() {
    working(
        &allow(),
        "1000 screen {asks} =>
        1060 tick => CHOOSE #1 \"Yes\" allow by test/rule on command
        1100 screen {asks} =>
        1200 screen {asks} =>
        1300 screen {busy} =>
        2000 screen {asks-else} =>
        2060 tick => CHOOSE #2 \"Yes\" allow by test/rule on command
        2100 screen {asks-else} =>
        7060 tick => waiting (an answer was given, but the question still stands) #2 command \"Run this command?\"",
    );
}

#[test]
fn failure_03_a_spinner_beside_a_dialog_is_no_veto() {
    let moving = |n: u32| asks("make all", 0).replace("● On it.", &format!("● On it.⏎⏎= busy ({n}s)"));
    let script = format!(
        "1000 screen {} =>
        1030 screen {} =>
        1060 tick => CHOOSE #1 \"Yes\" allow by test/rule on command",
        moving(1),
        moving(2)
    );
    working(&allow(), &script);
}

#[test]
fn failure_05_refused_by_label_and_told_why() {
    let deny = bearings(PolicyVerdict::Deny, Some("not here"));
    working(
        &deny,
        "1000 screen {asks} =>
        1060 tick => CHOOSE #1 \"No\" deny by test/rule on command
        1100 screen {broken} =>
        1850 tick => TELL \"not here\"
        1900 delivered =>
        2000 screen {busy} =>
        9000 screen {over} =>
        9300 tick => done, COMPLETE done",
    );
    let silent = bearings(PolicyVerdict::Deny, None);
    working(
        &silent,
        "1000 screen {asks} =>
        1060 tick => CHOOSE #1 \"No\" deny by test/rule on command
        1100 screen {broken} =>
        1850 tick => failed (denied: by test/rule on command), COMPLETE failed",
    );
}

#[test]
fn a_person_who_breaks_off_has_the_word() {
    working(
        &ask(),
        "1000 screen {broken} =>
        1750 tick => idle (interrupted: Interrupted by you)
        2000 keys => running
        2100 screen {busy} =>
        9000 screen {over} =>
        9300 tick => done, COMPLETE done",
    );
}

#[test]
fn failure_11_an_error_is_no_end_like_any() {
    working(&ask(), "1000 screen {api} =>\n 1750 tick => failed (api_error: API error 500), COMPLETE failed");
}

#[test]
fn failure_07_its_own_status_has_the_word() {
    working(
        &ask(),
        "500 status working =>
        2000 screen {over} =>
        60000 screen {over} =>
        60001 hooks done =>
        61000 status done => done, COMPLETE done",
    );
    // It says so while its task is still being typed.
    played(
        TYPED,
        &ask(),
        "0 screen {idle} =>
        300 tick => DELIVER
        340 status working =>
        350 delivered => running
        400 screen {over} =>
        60000 status done => done, COMPLETE done",
    );
    // Its hooks say so, too: what it draws next is not waited for.
    working(
        &ask(),
        "500 hooks working =>
        510 status working =>
        9000 hooks done =>
        9010 status done => done, COMPLETE done
        9100 screen {over} =>",
    );
    // They have said what went wrong: the screen is waited for, it may say more.
    working(
        &ask(),
        "500 hooks working =>
        510 status working =>
        9000 hooks failed =>
        9010 status done =>
        9020 screen {api} =>
        9070 tick => failed (api_error: API error 500), COMPLETE failed",
    );
    working(
        &ask(),
        "510 status working =>
        9000 status failed =>
        9010 screen {api} => failed (api_error: API error 500), COMPLETE failed",
    );
    // The policy's answer in a hook is none of a person's.
    working(
        &allow(),
        "500 status working =>\n 600 status waiting =>\n 610 settled 1 =>\n 620 status working =>",
    );
    // It says that it is blocked; the dialog says about what.
    working(
        &ask(),
        "500 status working =>
        1000 status waiting =>
        1020 screen {asks} =>
        1080 tick => waiting #1 command \"Run this command?\"
        2000 screen {busy} => running
        2010 status working =>",
    );
    // Answered by a person; the dialog is seen a moment longer, and is no new one (failure 1).
    working(
        &ask(),
        "500 status working =>
        1000 status waiting =>
        1020 screen {asks} =>
        1080 tick => waiting #1 command \"Run this command?\"
        2000 status working => running
        2010 screen {asks} =>
        2100 screen {busy} =>
        9000 status done =>
        10500 tick => done, COMPLETE done",
    );
    // Nothing that is understood is drawn: it is blocked all the same.
    working(
        &ask(),
        "500 status working =>
        1000 status waiting =>
        2500 tick => waiting #1 report \"\"
        3000 status working => running",
    );
    working(
        &ask(),
        "500 status working =>\n 1000 status clear =>\n 2000 screen {over} =>\n 2300 tick => done, COMPLETE done",
    );
}

#[test]
fn hooks_say_nothing_when_a_turn_is_broken_off() {
    working(
        &ask(),
        "500 hooks working =>
        1000 screen {over} =>
        60000 screen {broken} =>
        63000 tick => idle (interrupted: Interrupted by you)",
    );
}

#[test]
fn what_it_works_at_is_what_it_does() {
    working(
        &ask(),
        "500 hooks working =>
        600 works planning => planning
        700 works editing => editing
        800 works testing => testing
        900 works running => running
        1000 hooks done =>
        2500 tick => done, COMPLETE done",
    );
}

#[test]
fn failure_18_while_a_person_is_attached_a_dialog_is_left_to_them_for_a_while() {
    working(
        &allow(),
        "900 attached yes =>
        1000 screen {asks} =>
        2500 screen {asks-at-no} =>
        4500 tick => CHOOSE #1 \"Yes\" allow by test/rule on command",
    );
    // Waiting is never held back.
    working(
        &ask(),
        "900 attached yes =>\n 1000 screen {asks} =>\n 1060 tick => waiting #1 command \"Run this command?\"",
    );
}

#[test]
fn failure_12_done_is_what_the_check_says() {
    let check = Bearings { check: true, ..ask() };
    let until_done = "9000 screen {over} =>
        9300 tick => testing (the task's check runs), CHECK";
    working(&check, &format!("{until_done}\n 9400 passed => done, COMPLETE done"));
    working(
        &check,
        &format!(
            "{until_done}
            9400 missed mend it => running, TELL \"mend it\"
            9500 delivered =>
            9600 screen {{busy}} =>
            9700 screen {{over}} =>
            10000 tick => testing (the task's check runs), CHECK
            10100 missed => failed (check_failed: exit code 1), COMPLETE failed"
        ),
    );
    // The tool leaves meanwhile: nobody is left to mend anything.
    working(
        &check,
        &format!(
            "{until_done}
            9350 exit 0 =>
            9400 missed mend it => failed (check_failed: exit code 1), COMPLETE failed code 0"
        ),
    );
    working(&check, &format!("{until_done}\n 9350 kill => killed, COMPLETE killed"));
}

#[test]
fn leaving_at_work_is_a_crash() {
    working(
        &ask(),
        "1000 exit 0 => failed (crashed: it exited while it was at work), COMPLETE failed code 0",
    );
    working(&ask(), "1000 signal 11 => failed (crashed: ended by SIGSEGV), COMPLETE failed SIGSEGV");
    working(&ask(), "1000 screen {idle} =>\n 1100 exit 0 => done, COMPLETE done code 0");
}

#[test]
fn an_answer_that_could_not_be_given_leaves_the_question_open() {
    working(
        &allow(),
        "1000 screen {asks} =>
        1060 tick => CHOOSE #1 \"Yes\" allow by test/rule on command
        1500 unanswered it could not be highlighted => waiting (it could not be highlighted) #1 command \"Run this command?\"
        9000 screen {asks} =>",
    );
}

#[test]
fn after_a_restart_nothing_is_answered_twice() {
    working(
        &allow(),
        "1000 screen {asks} =>
        1060 tick => CHOOSE #1 \"Yes\" allow by test/rule on command
        1100 restart =>
        1200 screen {asks} =>
        6100 tick => waiting (an answer was given, but the question still stands) #1 command \"Run this command?\"",
    );
}

/// The question whether the work tree may be trusted, which comes before anything else.
#[test]
fn failure_14_a_tool_that_starts_anew_when_it_is_trusted_has_not_taken_its_task() {
    let asks = "Coder 1.0⏎⏎Do you trust this folder?⏎⏎ ❯ 1. Yes⏎   2. No⏎⏎ Enter to confirm";
    // What it was doing is still drawn, and reads as if it did something.
    let anew = "Coder 1.0⏎⏎● Reading 3 files⏎⏎Starting anew to apply the change...";
    played(
        GIVEN,
        &ask(),
        &format!(
            "0 screen {asks} =>
            60 tick => waiting #1 trust \"Do you trust this folder?\"
            1000 answering 1 => starting
            1100 screen {anew} =>
            3000 screen {{idle}} =>
            7000 tick => DELIVER"
        ),
    );
}
