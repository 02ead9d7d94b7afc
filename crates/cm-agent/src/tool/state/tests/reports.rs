//! Reports from inside: better than the screen, weaker than the process.

use super::{generic, idle, play, shell, working};

#[test]
fn done_by_report_is_held() {
    let machine = working(
        "500 report working =>\n 900 report done all tests pass =>\n 2400 tick => done (all tests pass), COMPLETE done",
    );
    assert_eq!((machine.authority(), machine.rule()), ("report", "report: done"));
    working("500 report idle =>\n 2000 tick => done, COMPLETE done");
    working("500 report failed quota =>\n 2000 tick => failed (quota), COMPLETE failed");
}

#[test]
fn working_again_cancels_it() {
    // Failure 10.
    working(
        "500 report done =>
        1900 report working =>
        3000 report done =>
        3500 report done =>
        4500 tick => done, COMPLETE done",
    );
}

#[test]
fn reports_beat_the_screen() {
    // One authority per session (failure 7): the prompt is back, a question stands there, the hook says busy.
    working(
        "500 report working =>
        600 screen > task⏎> ▮ =>
        90000 screen > task⏎Proceed? [y/N] ▮ =>
        99000 screen > task⏎Press Enter to continue▮ =>
        100000 report idle =>
        101500 tick => done, COMPLETE done",
    );
}

#[test]
fn the_process_beats_reports() {
    working("500 report done =>\n 600 exit 1 => failed (exit code 1), COMPLETE failed code 1");
    working(
        "500 report waiting ok? => waiting #1 report \"ok?\"\n 600 signal 9 => failed (ended by SIGKILL), COMPLETE failed SIGKILL",
    );
}

#[test]
fn waiting_is_never_held_back() {
    working(
        "500 report waiting Run rm? => waiting #1 report \"Run rm?\"
        600 report waiting Run rm? =>
        700 report working => running
        800 report waiting Run rm? => waiting #2 report \"Run rm?\"
        900 report waiting Run mv? => waiting #3 report \"Run mv?\"
        1000 keys => running
        1100 report waiting Run mv? => waiting #4 report \"Run mv?\"
        1200 report done => running
        2700 tick => done, COMPLETE done",
    );
    working("500 report waiting => waiting #1 report \"\"\n 600 report working => running");
}

#[test]
fn a_question_on_the_screen_yields_to_reports() {
    working(
        "500 screen > task⏎Sure? [y/N] ▮ =>
        900 tick => waiting #1 confirm \"Sure? [y/N]\"
        1000 report working => running
        90000 screen > task⏎Sure? [y/N] ▮ =>",
    );
}

#[test]
fn progress_in_its_own_words() {
    working(
        "500 report working step 1 of 2 => running (step 1 of 2)
        600 report working step 1 of 2 =>
        700 report working step 2 of 2 => running (step 2 of 2)
        800 report working => running",
    );
}

#[test]
fn ready_by_report() {
    generic(
        "0 screen starting▮ =>\n 100 report idle => DELIVER\n 200 delivered => running\n 900 report done =>\n 2400 tick => done, COMPLETE done",
    );
    play("repl", false, "100 report idle => idle");
    generic("100 report failed not logged in =>\n 1600 tick => failed (not logged in), COMPLETE failed");
    // A tool that only says it is busy is still seen to be ready.
    generic("0 report working =>\n 100 screen > ▮ =>\n 400 tick => DELIVER");
    generic(
        "0 report waiting Trust? => waiting #1 report \"Trust?\"\n 9000 report idle => starting, DELIVER",
    );
}

#[test]
fn a_new_task_by_report() {
    idle(
        "500 report working => running
        900 report done =>
        2400 tick => done, COMPLETE done
        5000 report waiting anything else? =>
        9000 report working => running
        9100 report done =>
        10600 tick => done, COMPLETE done",
    );
}

#[test]
fn an_old_report_does_not_end_a_new_task() {
    working(
        "500 report done =>
        2000 tick => done, COMPLETE done
        5000 keys => running
        90000 screen > x⏎> ▮ =>
        91000 report done =>
        92500 tick => done, COMPLETE done",
    );
}

#[test]
fn a_script_reports() {
    // Its exit alone ends it.
    let machine = shell(
        "0 report working step 1 => running, running (step 1)
        100 report done finished => running (finished)
        90000 report waiting Deploy now? => waiting #1 report \"Deploy now?\"
        90100 keys => running
        90200 report failed no disk => running (no disk)
        99000 exit 0 => done, COMPLETE done code 0",
    );
    assert_eq!(machine.authority(), "process");
}

#[test]
fn paused() {
    working(
        "500 pause => paused
        600 report waiting ok? =>
        700 resume => waiting #1 report \"ok?\"",
    );
    working(
        "500 pause => paused
        600 report done =>
        90000 resume => running
        91500 tick => done, COMPLETE done",
    );
}

#[test]
fn restarts() {
    working(
        "500 report waiting ok? => waiting #1 report \"ok?\"
        10 restart =>
        20 screen > task⏎▮ =>
        30 report working => running
        40 report waiting ok? => waiting #2 report \"ok?\"",
    );
    working("500 report done =>\n 10 restart =>\n 1510 tick => done, COMPLETE done");
}
