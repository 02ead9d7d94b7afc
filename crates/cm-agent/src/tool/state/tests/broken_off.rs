//! Turns that a person breaks off by a key, and keys that look like it.

use super::coding_tool::{GIVEN, allow, ask, played, working};
use super::working as line_tool;

#[test]
fn the_key_tells_what_the_screen_does_not_show_yet() {
    // What it was at stands above its box, as if that were its answer.
    working(
        &ask(),
        "500 status working =>
        2000 interrupting =>
        2010 screen {said} =>
        2020 status idle =>
        2080 tick => idle (interrupted: by a person)
        2100 screen {broken} =>
        3000 keys => running
        3010 status working =>
        3100 screen {busy} =>
        9000 status done =>
        9010 screen {over} => done, COMPLETE done",
    );
    // In its own words, if it has them.
    working(
        &ask(),
        "500 status working =>
        2000 interrupting =>
        2010 status idle =>
        2020 screen {broken} =>
        2070 tick => idle (interrupted: Interrupted by you)",
    );
}

#[test]
fn hooks_that_know_no_end_tell_it_of_a_key_nobody_saw() {
    // Pressed in a terminal a person has open.
    let begun = "450 hooks working =>\n 500 status working =>\n 900 attached yes =>";
    let script = format!(
        "{begun}
        2000 status idle =>
        2010 screen {{said}} =>
        3500 tick => idle (interrupted: the tool is idle again)"
    );
    working(&ask(), &script);
    let script = format!(
        "{begun}
        2000 hooks done =>
        2010 status idle =>
        2020 screen {{said}} =>
        2070 tick => done, COMPLETE done"
    );
    working(&ask(), &script);
}

#[test]
fn a_turn_that_ends_well_all_the_same_has_ended_well() {
    let pressed = "500 status working =>\n 2000 interrupting =>\n 2010 screen {busy} =>";
    working(
        &ask(),
        &format!("{pressed}\n 2400 status done =>\n 2410 screen {{over}} => done, COMPLETE done"),
    );
    // It went on for long: the key did something else.
    working(
        &ask(),
        &format!(
            "{pressed}
            4900 screen {{busier}} =>
            5100 screen {{busy}} =>
            5300 status idle =>
            5310 screen {{over}} =>
            5360 tick => done, COMPLETE done"
        ),
    );
    // Words entered after it begin something new.
    working(
        &ask(),
        &format!(
            "{pressed}\n 2100 keys =>\n 2300 status idle =>\n 2310 screen {{over}} =>\n 2360 tick => done, COMPLETE done"
        ),
    );
    // It rested already.
    working(
        &ask(),
        "500 status working =>
        2000 status idle =>
        2010 screen {over} =>
        2020 interrupting =>
        2060 tick => done, COMPLETE done",
    );
}

#[test]
fn a_key_that_leaves_a_dialog_breaks_off_only_what_does_not_go_on() {
    let asked = "1000 screen {asks} =>
        1060 tick => waiting #1 command \"Run this command?\"
        2000 interrupting =>
        2010 pressed => running";
    working(
        &ask(),
        &format!("{asked}\n 2020 screen {{idle}} =>\n 3520 tick => idle (interrupted: by a person)"),
    );
    working(
        &ask(),
        &format!(
            "{asked}
            2020 screen {{busy}} =>
            6000 screen {{busier}} =>
            9000 screen {{over}} =>
            9300 tick => done, COMPLETE done"
        ),
    );
}

#[test]
fn with_hooks_alone_or_nothing_but_a_screen() {
    working(
        &ask(),
        "500 hooks working =>
        2000 interrupting =>
        2010 screen {said} =>
        2760 tick => idle (interrupted: by a person)",
    );
    working(
        &ask(),
        "2000 interrupting =>
        2010 screen {said} =>
        2310 tick => idle (interrupted: by a person)",
    );
    line_tool(
        "2000 interrupting =>\n 2010 screen > task⏎^C⏎> ▮ =>\n 3510 tick => idle (interrupted: by a person)",
    );
}

#[test]
fn it_is_remembered_by_the_next_agent() {
    working(
        &ask(),
        "500 status working =>
        2000 interrupting =>
        10 restart =>
        2010 screen {said} =>
        2020 status idle =>
        2080 tick => idle (interrupted: by a person)",
    );
}

#[test]
fn before_its_task_is_taken_it_breaks_nothing_off() {
    played(
        GIVEN,
        &allow(),
        "0 interrupting =>
        10 status working => running
        2000 screen {over} =>
        2010 status idle =>
        2070 tick => done, COMPLETE done",
    );
}
