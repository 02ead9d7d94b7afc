//! `shell`: its process decides, and nothing it prints.

use super::{play, shell};

#[test]
fn done_by_exit_code() {
    shell("0 tick => running\n 900 exit 0 => done, COMPLETE done code 0");
    shell("0 tick => running\n 900 exit 3 => failed (exit code 3), COMPLETE failed code 3");
    shell("0 tick => running\n 900 signal 9 => failed (ended by SIGKILL), COMPLETE failed SIGKILL");
    shell("0 tick => running\n 900 exit 255 => failed (exit code 255), COMPLETE failed code 255");
}

#[test]
fn a_script_that_ends_at_once_was_running() {
    shell("5 exit 0 => running, done, COMPLETE done code 0");
    shell("5 kill => running, killed, COMPLETE killed");
    shell("5 screen hello⏎▮ => running\n 6 exit 0 => done, COMPLETE done code 0");
}

#[test]
fn a_quiet_script_needs_no_clock() {
    let machine = shell("0 tick => running\n 10 screen building⏎▮ =>");
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.authority(), "process");
}

#[test]
fn nothing_it_prints_changes_its_state() {
    // Failure 8: prose is no authority.
    shell(
        "0 screen Done⏎▮ => running
        10 screen Done⏎Error: failed⏎▮ =>
        20 screen Done⏎Error: failed⏎Continue? [y/N]⏎▮ =>
        30 screen Done⏎Error: failed⏎Continue? [y/N]⏎task completed⏎$ ▮ =>
        90000 screen Password:⏎--More--⏎(END)⏎Press Enter to continue⏎▮ =>
        99000 exit 0 => done, COMPLETE done code 0",
    );
}

#[test]
fn a_question_it_stands_still_at() {
    shell(
        "0 screen Proceed? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Proceed? [y/N]\"
        5000 screen Proceed? [y/N] y▮ => running
        5100 screen Proceed? [y/N] y⏎▮ =>
        6000 exit 0 => done, COMPLETE done code 0",
    );
}

#[test]
fn output_that_moves_on_never_waits() {
    shell(
        "0 screen Proceed? [y/N] ▮ => running
        300 screen Proceed? [y/N] ok⏎▮ =>
        600 screen Proceed? [y/N] ok⏎Proceed? [y/N] ▮ =>
        700 screen Proceed? [y/N] ok⏎Proceed? [y/N] ▮ =>
        999 screen Proceed? [y/N] ok⏎Proceed? [y/N] ok⏎▮ =>",
    );
}

#[test]
fn a_second_question_is_another_one() {
    shell(
        "0 screen Password: ▮ => running
        400 tick => waiting #1 secret \"Password:\"
        1000 keys => running
        1010 screen Password:⏎Sorry.⏎Password: ▮ =>
        1410 tick => waiting #2 secret \"Password:\"",
    );
}

#[test]
fn its_end_beats_the_question() {
    shell(
        "0 screen Proceed? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Proceed? [y/N]\"
        500 exit 1 => failed (exit code 1), COMPLETE failed code 1",
    );
}

#[test]
fn nothing_follows_the_end() {
    shell(
        "0 exit 0 => running, done, COMPLETE done code 0
        1 exit 1 =>
        2 kill =>
        3 vanished reboot =>
        4 timeout 1 =>
        5 keys =>
        6 screen Proceed? [y/N] ▮ =>
        7 pause =>
        8 resume =>
        900 report working =>",
    );
}

#[test]
fn other_ends() {
    shell(
        "0 tick => running\n 60000 timeout 60 => failed (timed out after 60 s), COMPLETE failed\n 60010 signal 15 =>",
    );
    shell("0 tick => running\n 9 kill => killed, COMPLETE killed\n 10 signal 9 =>");
    shell(
        "0 tick => running\n 9 vanished the host was restarted => lost (the host was restarted), COMPLETE lost",
    );
}

#[test]
fn without_a_script_it_is_a_shell() {
    play("shell", false, "0 screen $ ▮ => running\n 9000 exit 0 => done, COMPLETE done code 0");
}

#[test]
fn pause() {
    shell(
        "0 screen Proceed? [y/N] ▮ => running
        100 pause => paused
        5000 screen ⏎Press Enter to continue▮ =>
        9000 pause =>
        9100 resume => running
        9500 tick => PRESS #1 Enter by careful/go-on on press-to-continue",
    );
    shell("0 pause => running, paused\n 10 exit 0 => done, COMPLETE done code 0");
    shell("0 pause => running, paused\n 10 kill => killed, COMPLETE killed");
    shell("0 tick => running\n 1 resume =>");
}

#[test]
fn paused_while_waiting() {
    shell(
        "0 screen Proceed? [y/N] ▮ => running
        400 tick => waiting #1 confirm \"Proceed? [y/N]\"
        500 pause => paused
        9000 resume => waiting #1 confirm \"Proceed? [y/N]\"",
    );
}
