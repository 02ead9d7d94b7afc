//! `generic`: readiness, work and the prompt's return, read off the screen.

use super::{generic, idle, play, working};

#[test]
fn ready_at_its_prompt() {
    generic("0 screen Welcome!⏎▮ =>\n 100 screen Welcome!⏎> ▮ =>\n 400 tick => DELIVER");
    play("repl", false, "0 screen Welcome!⏎▮ =>\n 100 screen Welcome!⏎> ▮ =>\n 400 tick => idle");
}

#[test]
fn a_prompt_that_moves_on_is_not_ready() {
    generic(
        "0 screen > ▮ =>
        200 screen > loading▮ =>
        400 screen > loading⏎▮ =>
        5400 tick => DELIVER",
    );
}

#[test]
fn a_silent_tool_is_ready_in_the_end() {
    // `cat` prints nothing: there may be no screen at all.
    generic("5000 tick => DELIVER");
    play("cat", false, "5000 tick => idle");
    generic("0 screen ▮ =>\n 5000 tick => DELIVER");
}

#[test]
fn a_clock_elsewhere_does_not_keep_it_from_being_ready() {
    generic(
        "0 screen 12:00:00⏎> ▮ =>
        200 screen 12:00:01⏎> ▮ =>
        400 screen 12:00:02⏎> ▮ =>
        600 screen 12:00:03⏎> ▮ =>
        800 screen 12:00:04⏎> ▮ =>
        1000 screen 12:00:05⏎> ▮ =>
        1300 tick => DELIVER",
    );
}

#[test]
fn a_question_before_it_is_ready() {
    // Failure 14: nothing is typed into a dialog at the start.
    generic(
        "0 screen Trust this folder? (y/n) ▮ =>
        400 tick => waiting #1 confirm \"Trust this folder? (y/n)\"
        60000 keys => starting
        60010 screen Trust this folder? (y/n) y⏎> ▮ =>
        60310 tick => DELIVER
        60400 delivered => running",
    );
    generic("0 screen Password: ▮ =>\n 400 tick => waiting #1 secret \"Password:\"");
}

#[test]
fn done_when_the_prompt_is_back() {
    let machine = working(
        "500 screen > task⏎answer⏎> ▮ =>
        2000 tick => done, COMPLETE done",
    );
    assert_eq!(machine.deadline(), None);
    assert_eq!((machine.authority(), machine.rule()), ("screen", "the tool's prompt is back"));
}

#[test]
fn the_prompt_the_task_was_typed_at_is_no_return() {
    // A tool that does not echo: its old prompt stands there while it works.
    generic("0 screen > ▮ =>\n 300 tick => DELIVER\n 400 delivered => running\n 99000 screen > ▮ =>");
    // Its answer appears, its prompt is back.
    generic(
        "0 screen > ▮ =>
        300 tick => DELIVER
        400 delivered => running
        500 screen > ▮ =>
        60000 screen > ⏎answer⏎> ▮ =>
        61500 tick => done, COMPLETE done",
    );
}

#[test]
fn quiet_alone_is_never_done() {
    // Failure 9: silent tools run for minutes.
    let machine = working("500 screen > task⏎▮ =>\n 900000 screen > task⏎▮ =>");
    assert_eq!(machine.deadline(), None);
    working("500 screen > task⏎All tasks completed. Done!⏎▮ =>\n 900000 screen > task⏎Done.⏎▮ =>");
}

#[test]
fn a_glimpse_of_the_prompt_is_not_done() {
    // Failure 10: held against flicker.
    working(
        "500 screen > task⏎> ▮ =>
        1500 screen > task⏎thinking▮ =>
        2500 screen > task⏎> ▮ =>
        3900 screen > task⏎thinking▮ =>
        90000 screen > task⏎thinking⏎> ▮ =>
        91500 tick => done, COMPLETE done",
    );
}

#[test]
fn a_screen_that_never_rests_is_done_in_the_end() {
    // Failure 9, the other half: some never stop redrawing.
    working(
        "500 screen > task⏎a⏎> ▮⏎12:00:00 =>
        1500 screen > task⏎a⏎> ▮⏎12:00:01 =>
        2500 screen > task⏎a⏎> ▮⏎12:00:02 =>
        3400 screen > task⏎a⏎> ▮⏎12:00:03 =>
        3500 tick => done, COMPLETE done",
    );
}

#[test]
fn a_spinner_is_work_while_the_prompt_is_away() {
    let frames: String = (0..100)
        .map(|i| format!("{} screen > task⏎{}▮ =>\n", 500 + i * 1000, ["|", "/", "-"][i % 3]))
        .collect();
    working(&frames);
}

#[test]
fn a_box_that_stays_in_its_place() {
    // Alternate-screen style: the prompt never moves; the text above it does.
    generic(
        "0 screen ⏎⏎│ > ▮   │ =>
        300 tick => DELIVER
        350 screen ⏎⏎│ > task▮   │ =>
        400 delivered => running
        450 screen task⏎working⏎▮│ >    │ =>
        9000 screen task⏎answer⏎│ > ▮   │ =>
        12000 tick => done, COMPLETE done",
    );
}

#[test]
fn text_in_the_box_is_not_its_prompt() {
    working("500 screen > task⏎> half a quest▮ =>\n 99000 screen > task⏎> half a question▮ =>");
}

#[test]
fn prompts_that_count_and_wander() {
    generic(
        "0 screen In [1]: ▮ =>
        300 tick => DELIVER
        400 delivered => running
        500 screen In [1]: 1+1⏎Out[1]: 2⏎⏎In [2]: ▮ =>
        2000 tick => done, COMPLETE done",
    );
    generic(
        "0 screen me@box:~$ ▮ =>
        300 tick => DELIVER
        400 delivered => running
        500 screen me@box:~$ cd /srv⏎me@box:/srv$ ▮ =>
        2000 tick => done, COMPLETE done",
    );
}

#[test]
fn a_continuation_prompt_is_not_the_prompt() {
    generic(
        "0 screen sqlite> ▮ =>
        300 tick => DELIVER
        400 delivered => running
        500 screen sqlite> select⏎   ...> ▮ =>
        99000 screen sqlite> select⏎   ...> ▮ =>",
    );
}

#[test]
fn scrolled_far() {
    working(
        "500 screen ^10000 output⏎▮ =>
        9000 screen ^20000 ⏎⏎output⏎> ▮ =>
        10500 tick => done, COMPLETE done",
    );
    // Cleared: the prompt stands further up than before.
    generic(
        "0 screen Welcome!⏎⏎> ▮ =>
        300 tick => DELIVER
        400 delivered => running
        500 screen > ▮ =>
        3500 tick => done, COMPLETE done",
    );
}

#[test]
fn every_round_is_completed_once() {
    idle(
        "1000 screen > a▮ =>
        1100 keys => running
        1200 screen > a⏎1⏎> ▮ =>
        2700 tick => done, COMPLETE done
        9000 screen > a⏎1⏎> ▮ =>
        9100 screen > a⏎1⏎> b▮ =>
        9200 keys => running
        9300 screen > a⏎1⏎> b⏎2⏎> ▮ =>
        10800 tick => done, COMPLETE done
        20000 exit 0 =>
        20001 kill =>",
    );
}

#[test]
fn an_answer_faster_than_the_news_of_the_keys() {
    idle(
        "5000 screen > a⏎1⏎> ▮ =>
        5010 keys => running
        6510 tick => done, COMPLETE done",
    );
}

#[test]
fn what_a_person_did_before_is_not_the_next_task() {
    // Somebody attached used the tool by hand; its prompt has stood for long when the next task comes.
    idle(
        "5000 screen > by hand⏎ok⏎> ▮ =>
        90000 keys => running
        99000 screen > by hand⏎ok⏎> ▮ =>
        99900 screen > by hand⏎ok⏎> task⏎2⏎> ▮ =>
        101400 tick => done, COMPLETE done",
    );
}

#[test]
fn an_idle_tool_shows_its_prompt_late() {
    play(
        "repl",
        false,
        "0 screen loading▮ =>
        5000 tick => idle
        9000 screen loading⏎> ▮ =>
        9300 tick =>
        10000 keys => running
        10100 screen loading⏎> a⏎1⏎> ▮ =>
        11600 tick => done, COMPLETE done",
    );
}

#[test]
fn a_tool_without_a_prompt_is_done_when_it_ends() {
    generic(
        "5000 tick => DELIVER
        5100 delivered => running
        5200 screen task⏎> ▮ =>
        99000 screen task⏎> ⏎bye⏎▮ =>
        99100 exit 0 => done, COMPLETE done code 0",
    );
}

#[test]
fn ends_before_it_is_ready() {
    generic(
        "0 screen repl: cannot open model⏎see --help⏎▮ =>
        10 exit 2 => failed (exited before it was ready (exit code 2): repl: cannot open model | see --help), \
         COMPLETE failed code 2",
    );
    generic("0 exit 0 => failed (exited before it was ready), COMPLETE failed code 0");
    generic(
        "300 signal 11 => failed (exited before it was ready (ended by SIGSEGV)), COMPLETE failed SIGSEGV",
    );
    generic(
        "0 screen > ▮ =>
        300 tick => DELIVER
        310 exit 0 => failed (exited before it had its task: >), COMPLETE failed code 0",
    );
    play("ls", false, "0 screen a b c⏎▮ =>\n 10 exit 0 => done, COMPLETE done code 0");
    play(
        "ls",
        false,
        "0 exit 2 => failed (exited before it was ready (exit code 2)), COMPLETE failed code 2",
    );
}

#[test]
fn ends_at_work_and_idle() {
    working("500 exit 0 => done, COMPLETE done code 0");
    working("500 exit 1 => failed (exit code 1), COMPLETE failed code 1");
    idle("500 exit 0 => done, COMPLETE done code 0");
    idle("500 signal 15 => failed (ended by SIGTERM), COMPLETE failed SIGTERM");
    idle("500 kill => killed, COMPLETE killed");
    idle("500 vanished out of memory => lost (out of memory), COMPLETE lost");
}

#[test]
fn the_task_cannot_be_typed() {
    generic(
        "0 screen > ▮ =>
        300 tick => DELIVER
        900 undeliverable a person is typing => failed (the task could not be typed: a person is typing), \
         COMPLETE failed
        2000 keys => running
        2100 screen > x⏎> ▮ =>
        3600 tick => done, COMPLETE done",
    );
}

#[test]
fn time_limit() {
    working(
        "60000 timeout 60 => failed (timed out after 60 s), COMPLETE failed
        60100 timeout 60 =>
        60200 signal 9 =>",
    );
    generic("0 screen loading▮ =>\n 4000 timeout 4 => failed (timed out after 4 s), COMPLETE failed");
}

#[test]
fn news_that_comes_out_of_turn() {
    idle("400 delivered =>\n 500 undeliverable x =>\n 600 resume =>\n 700 screen > ▮ =>");
    working("500 delivered =>\n 600 undeliverable x =>\n 700 keys =>");
}

#[test]
fn paused_at_the_prompt() {
    working(
        "500 screen > task⏎> ▮ =>
        600 pause => paused
        90000 screen > task⏎> ▮ =>
        90100 resume => running
        91600 tick => done, COMPLETE done",
    );
    // A finished task stays finished.
    idle("400 pause => paused\n 500 keys =>\n 600 resume => running");
}

#[test]
fn restarts() {
    // At work: nothing is announced again.
    working(
        "500 screen > task⏎busy▮ =>
        10 restart =>
        20 screen > task⏎busy▮ =>
        30 screen > task⏎busy⏎> ▮ =>
        1530 tick => done, COMPLETE done",
    );
    // Done while the agent was away.
    working("10 restart =>\n 20 screen > task⏎1⏎> ▮ =>\n 1520 tick => done, COMPLETE done");
    // Done before.
    working(
        "500 screen > task⏎> ▮ =>
        2000 tick => done, COMPLETE done
        10 restart =>
        20 screen > task⏎> ▮ =>
        90000 exit 0 =>",
    );
    // Starting.
    generic("0 screen loading▮ =>\n 10 restart =>\n 20 screen loading⏎> ▮ =>\n 320 tick => DELIVER");
}

#[test]
fn restarted_while_typing() {
    let start = "0 screen > ▮ =>\n 300 tick => DELIVER\n 50 restart =>\n";
    let failed = "failed (the agent was restarted while it typed the task; it may stand there unsubmitted), \
                  COMPLETE failed";
    generic(&format!("{start} 60 screen > ▮ => {failed}"));
    generic(&format!("{start} 60 screen > half a ta▮ => {failed}"));
    generic(&format!("{start} 60 screen > task⏎busy▮ => running"));
    // Ended by its time limit before the first look: there is nothing left to find out.
    generic(&format!(
        "{start} 60 timeout 5 => failed (timed out after 5 s), COMPLETE failed\n 70 screen > ▮ =>"
    ));
}
