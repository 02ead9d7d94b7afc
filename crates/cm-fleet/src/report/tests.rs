//! A whole run as events, folded and shown by every view.

use cm_protocol::{Changes, CheckResult, Outcome, Prompt, Proof, Receipt, SessionId, State};

use super::View;
use super::event::{FleetPlan, RunEvent, RunEventKind as E, Stop, Summary, TaskPlan};
use super::fold::{RunState, Status};
use super::json::Json;
use super::paint::Paint;
use super::plain::Plain;
use super::words;
use crate::exit::Exit;

pub(crate) fn task(number: usize, summary: &str) -> TaskPlan {
    TaskPlan {
        number,
        task_id: format!("run-1-{number}"),
        label: format!("task-{number}"),
        tool: "shell".into(),
        path: "/p".into(),
        summary: summary.into(),
        after: Vec::new(),
        pool: 0,
        retries: 0,
        repo: None,
    }
}

fn outcome(state: State, exit: Option<i32>, tail: &[&str], reason: Option<&str>) -> Outcome {
    Outcome {
        state,
        exit_code: exit,
        signal: exit.is_none().then(|| "SIGKILL".into()),
        duration: 61.4,
        tail: tail.iter().map(|line| (*line).to_owned()).collect(),
        reason: reason.map(str::to_owned),
        ..Outcome::default()
    }
}

fn started(task: usize) -> [E; 2] {
    let session_id = SessionId::from_bits(u128::MAX / (task as u128 + 2));
    [
        E::TaskPlaced { task, host: "local".into(), attempt: 1 },
        E::TaskStarted { task, session_id, existing: false, warnings: Vec::new(), base: None },
    ]
}

fn state(task: usize, state: State) -> E {
    E::TaskState { task, state, reason: None, prompt: None }
}

/// Four tasks: one goes well, one fails, one is refused, one asks and is killed by the operator.
pub(crate) fn story() -> Vec<RunEvent> {
    let mut kinds = vec![
        E::RunStarted {
            run: "run-1".into(),
            jobs: 3,
            detach: false,
            tasks: vec![task(1, "make"), task(2, "make test"), task(3, "x"), task(4, "fix it")],
            fleet: FleetPlan::default(),
        },
        E::HostConnected { host: "local".into(), agent: "0.1.0".into(), again: false, slots: None },
    ];
    kinds.extend(started(1));
    kinds.extend(started(2));
    kinds.push(E::TaskPlaced { task: 3, host: "local".into(), attempt: 1 });
    kinds.push(E::TaskRefused { task: 3, error: "tool not found: x\x1b[2J".into() });
    kinds.extend(started(4));
    kinds.extend([
        state(1, State::Running),
        E::TaskOutput { task: 1, line: "cc -c a.c".into() },
        state(2, State::Running),
        E::HostLost { host: "local".into(), error: "the agent closed it".into(), heard: None },
        E::HostConnected { host: "local".into(), agent: "0.1.1".into(), again: true, slots: None },
        E::TaskState {
            task: 4,
            state: State::Waiting,
            reason: None,
            prompt: Some(Prompt {
                id: 1,
                kind: "confirm".into(),
                text: "rm -rf x\nProceed?".into(),
                ..Prompt::default()
            }),
        },
        state(1, State::Done),
        E::TaskFinished { task: 1, outcome: outcome(State::Done, Some(0), &["a", "\x1b[1mb\x1b[0m"], None) },
        E::TaskFinished {
            task: 2,
            outcome: outcome(State::Failed, Some(2), &["no rule"], Some("timed out")),
        },
        E::StopRequested { stop: Stop::Detach },
        E::StopRequested { stop: Stop::Cancel },
        E::TaskFinished { task: 4, outcome: outcome(State::Killed, None, &[], None) },
    ]);
    finished(kinds)
}

/// What happened, half a second apart, and the run's end.
fn finished(kinds: Vec<E>) -> Vec<RunEvent> {
    let mut at = 1_700_000_000.0;
    let mut state = RunState::default();
    let mut events = Vec::new();
    for kind in kinds {
        at += 0.5;
        let event = RunEvent { at, kind };
        state.apply(&event);
        events.push(event);
    }
    let summary = state.summary();
    let kind = E::RunFinished { run: "run-1".into(), summary, seconds: 10.5, exit: state.exit().code() };
    events.push(RunEvent { at, kind });
    events
}

fn fold(events: &[RunEvent]) -> RunState {
    let mut state = RunState::default();
    events.iter().for_each(|event| state.apply(event));
    state
}

fn show(view: &mut dyn View, events: &[RunEvent]) {
    let mut state = RunState::default();
    for event in events {
        state.apply(event);
        view.event(event, &state).expect("a Vec takes everything");
    }
}

fn plain(events: &[RunEvent], quiet: bool) -> (String, String) {
    let (mut log, mut out) = (Vec::new(), Vec::new());
    let view = Plain::new(&mut log, &mut out, None, Paint::OFF);
    show(&mut if quiet { view.quiet() } else { view }, events);
    (String::from_utf8(log).expect("text"), String::from_utf8(out).expect("text"))
}

#[test]
fn the_fold_of_a_story() {
    let state = fold(&story());
    assert_eq!(state.summary(), Summary { done: 1, failed: 3, running: 0, queued: 0, ..Summary::default() });
    assert_eq!(state.stop, Some(Stop::Cancel));
    assert_eq!(state.exit(), Exit::Interrupted);
    assert!(state.finished.is_some());
    assert_eq!(state.live().count(), 0);
}

#[test]
fn late_and_foreign_events_change_nothing() {
    let mut state = fold(&story());
    let before = state.clone();
    for kind in [
        super::tests::state(1, State::Running),
        E::TaskRefused { task: 2, error: "late".into() },
        E::TaskPlaced { task: 1, host: "other".into(), attempt: 2 },
        super::tests::state(0, State::Running),
        super::tests::state(99, State::Running),
    ] {
        state.apply(&RunEvent { at: 0.0, kind });
    }
    assert_eq!(state, before);
}

#[test]
fn exit_codes_follow_from_the_state() {
    let begin = E::RunStarted {
        run: "r".into(),
        jobs: 2,
        detach: false,
        tasks: vec![task(1, "a"), task(2, "b")],
        fleet: FleetPlan::default(),
    };
    let done = |task| E::TaskFinished { task, outcome: outcome(State::Done, Some(0), &[], None) };
    let lost = |task| E::TaskFinished { task, outcome: outcome(State::Lost, None, &[], None) };
    let up = E::HostConnected { host: "local".into(), agent: String::new(), again: false, slots: None };
    let check = |kinds: Vec<Vec<E>>, expected: Exit| {
        let kinds: Vec<E> = [vec![begin.clone(), up.clone()], kinds.concat()].concat();
        let events: Vec<RunEvent> = kinds.into_iter().map(|kind| RunEvent { at: 0.0, kind }).collect();
        assert_eq!(fold(&events).exit(), expected, "{events:#?}");
    };
    let both = || vec![started(1).to_vec(), started(2).to_vec()];
    let with = |more: Vec<E>| [both(), vec![more]].concat();
    check(with(vec![done(1), done(2)]), Exit::Done);
    check(with(vec![done(1), lost(2)]), Exit::Failed);
    check(with(vec![done(1), E::StopRequested { stop: Stop::Detach }]), Exit::Interrupted);
    check(with(vec![E::StopRequested { stop: Stop::Detach }, done(1), done(2)]), Exit::Done);
    check(
        with(vec![done(1), E::HostGivenUp { host: "local".into(), error: "gone".into() }]),
        Exit::Unreachable,
    );
    check(vec![vec![E::TaskRefused { task: 1, error: "no".into() }]], Exit::Failed);
}

#[test]
fn a_tool_that_is_not_there_may_have_been_mistyped() {
    let check = |tool: &str, expected: &str| {
        let asked = TaskPlan { tool: tool.into(), ..task(1, "x") };
        let (run, tasks, fleet) = ("r".into(), vec![asked], FleetPlan::default());
        let kinds = [
            E::RunStarted { run, jobs: 1, detach: false, tasks, fleet },
            E::TaskRefused { task: 1, error: format!("tool not found: {tool}") },
        ];
        let hints = words::hints(&fold(&kinds.map(|kind| RunEvent { at: 0.0, kind })));
        assert!(hints.starts_with(expected), "{hints}");
    };
    check("cluade", "hint: did you mean --tool claude?\n");
    // Known, and not installed; or like nothing that is known.
    check("claude", "hint: install claude, or");
    check("frobnicate", "hint: install frobnicate, or");
}

#[test]
fn plain_lines() {
    let (log, out) = plain(&story(), false);
    insta::assert_snapshot!(log, @r"
    22:13:20Z run        started   4 tasks, 3 at a time
    22:13:22Z task-1     started   session 55555555
    22:13:23Z task-2     started   session 3fffffff
    22:13:24Z task-3     refused   tool not found: x
    22:13:25Z task-4     started   session 2aaaaaaa
    22:13:25Z task-1     running
    22:13:26Z task-2     running
    22:13:27Z local      lost      the agent closed it; sessions go on
    22:13:27Z local      back      connected again
    22:13:28Z task-4     waiting   asks: Proceed?
                                   cm-fleet approve 2aaaaaaa/1   cm-fleet deny 2aaaaaaa/1
    22:13:29Z task-1     done      exit 0, 1m 01s
    22:13:29Z task-2     failed    exit 2, 1m 01s, timed out
    22:13:30Z run        stopping  sessions go on; Ctrl-C again within 2 s ends them
    22:13:30Z run        stopping  ending this run's sessions; Ctrl-C again leaves at once
    22:13:31Z task-4     killed    SIGKILL, 1m 01s
    22:13:31Z run        finished  1 done, 3 failed, 10.5 s
    ");
    insta::assert_snapshot!(out, @r"
    ── task-1 · make ───────────────────────────────────────────────────────────────
    a
    b
    ── task-2 · make test ──────────────────────────────────────────────────────────
    no rule

    name    state       exit    time  session   task       note
    task-1  done           0  1m 01s  55555555  make
    task-2  failed         2  1m 01s  3fffffff  make test  timed out
    task-3  refused                             x          tool not found: x
    task-4  killed   SIGKILL  1m 01s  2aaaaaaa  fix it
    hint: install shell, or name another tool (--tool shell: the task is a script of sh)
    hint: installed just now? `cm-fleet agent stop` first: an agent keeps its PATH
    ");
}

/// Two tasks of a coding tool: one is asked about, allowed and verified, one ends with a failed check.
fn coding() -> Vec<RunEvent> {
    let receipt = |verdict: &str, rule: &str, subject: &str| Receipt {
        at: 0.0,
        prompt: Prompt { id: 2, kind: "command".into(), subject: Some(subject.into()), ..Prompt::default() },
        verdict: verdict.into(),
        rule: rule.into(),
        channel: "hook".into(),
        option: None,
        keys: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        outcome: "accepted".into(),
    };
    let told = |verdict: &str, rule: &str, subject: &str| E::TaskReceipt {
        task: 1,
        receipt: Box::new(receipt(verdict, rule, subject)),
    };
    let mut kinds = vec![E::RunStarted {
        run: "run-1".into(),
        jobs: 2,
        detach: false,
        tasks: vec![task(1, "fix the login test"), task(2, "write a changelog")],
        fleet: FleetPlan::default(),
    }];
    kinds.extend(started(1));
    kinds.extend(started(2));
    let check = CheckResult {
        command: "cargo test".into(),
        exit_code: Some(0),
        duration: 3.0,
        tail: vec!["ok. 14 passed".into()],
        runs: 1,
        ..CheckResult::default()
    };
    let changes = Changes {
        files: 3,
        insertions: 12,
        deletions: 4,
        base: Some("aaaaaaaaaa".into()),
        commit: Some("9b7e01d4c2a3".into()),
        branch: Some("cm/run-1-1".into()),
        commits: vec!["9b7e01d Look first".into()],
        worktree: Some("/w/run-1-1".into()),
        patch: Some("/p/run-1-1.patch".into()),
        ..Changes::default()
    };
    let bad = CheckResult { exit_code: Some(101), runs: 3, tail: vec!["1 failed".into()], ..check.clone() };
    kinds.extend([
        told("allow", "careful/harmless commands", "cargo test"),
        E::TaskConfirmed { task: 1, rule: Some("careful/harmless commands".into()), prompt: Some(2) },
        E::TaskConfirmed { task: 2, rule: Some("generic/continue".into()), prompt: Some(1) },
        E::TaskState {
            task: 1,
            state: State::Waiting,
            reason: Some("a question is on the screen".into()),
            prompt: Some(words::prompt::tests::permission()),
        },
        told("deny", "person", "git push\n origin main"),
        E::TaskFinished {
            task: 1,
            outcome: Outcome {
                proof: Some(Proof::Verified),
                check: Some(check),
                changes: Some(changes),
                signal: None,
                ..outcome(State::Done, None, &["All tests pass."], None)
            },
        },
        E::TaskFinished {
            task: 2,
            outcome: Outcome {
                proof: Some(Proof::Claimed),
                check: Some(bad),
                signal: None,
                ..outcome(State::Failed, None, &["I am done."], Some("check_failed: exit 101"))
            },
        },
    ]);
    finished(kinds)
}

#[test]
fn coding_tools_in_plain_lines() {
    let (log, out) = plain(&coding(), false);
    insta::assert_snapshot!(log, @r"
    22:13:20Z run        started   2 tasks
    22:13:21Z task-1     started   session 55555555
    22:13:22Z task-2     started   session 3fffffff
    22:13:23Z task-1     allowed   cargo test, by careful/harmless commands
    22:13:24Z task-2     confirmed a prompt was answered by rule generic/continue
    22:13:24Z task-1     waiting   asks to run git push ⏎ origin main
                                   | git push
                                   |  origin main
                                   > 1    Yes
                                     2    Yes, and don't ask again  (from now on)
                                     Esc  No, and say why  (refuses)
                                   left to you by careful/other commands
                                   cm-fleet approve 55555555/3   cm-fleet deny 55555555/3
    22:13:25Z task-1     denied    git push ⏎ origin main, by a person
    22:13:25Z task-1     done      verified, 1m 01s, 3 files +12 −4 on cm/run-1-1 at 9b7e01d4
    22:13:26Z task-2     failed    claimed, 1m 01s, check: cargo test: exit 101 after 3 runs
    22:13:26Z run        finished  1 done, 1 failed, 10.5 s
    ");
    insta::assert_snapshot!(out, @r"
    ── task-1 · fix the login test ─────────────────────────────────────────────────
    All tests pass.
    ── task-2 · write a changelog ──────────────────────────────────────────────────
    I am done.
    ── task-2 · check: cargo test: exit 101 after 3 runs ───────────────────────────
    1 failed

    name    state   proof     exit    time  session   changes                                   task                note
    task-1  done    verified        1m 01s  55555555  3 files +12 −4 on cm/run-1-1 at 9b7e01d4  fix the login test
    task-2  failed  claimed         1m 01s  3fffffff                                            write a changelog   check_failed: exit 101
    task-1: branch cm/run-1-1: 1 commit
    task-1: work tree /w/run-1-1
    task-1: patch /p/run-1-1.patch
    ");
    let (log, out) = plain(&coding(), true);
    assert!(log.lines().count() == 1 && log.contains("task-2     failed"), "{log}");
    assert!(out.contains("1 failed") && !out.contains("All tests pass"), "{out}");
}

#[test]
fn quiet_says_only_what_failed() {
    let (log, out) = plain(&story(), true);
    insta::assert_snapshot!(format!("{log}--\n{out}"), @r"
    22:13:24Z task-3     refused   tool not found: x
    22:13:29Z task-2     failed    exit 2, 1m 01s, timed out
    22:13:31Z task-4     killed    SIGKILL, 1m 01s
    --
    ── task-2 · make test ──────────────────────────────────────────────────────────
    no rule
    ");
}

#[test]
fn detached_prints_ids() {
    let mut events = story();
    events.truncate(9);
    if let E::RunStarted { detach, .. } = &mut events[0].kind {
        *detach = true;
    }
    let summary = fold(&events).summary();
    let kind = E::RunFinished { run: "run-1".into(), summary, seconds: 0.1, exit: 0 };
    events.push(RunEvent { at: 1_700_000_009.0, kind });
    insta::assert_snapshot!(plain(&events, false).1, @r"
    cm-55555555555555555555555555555555
    cm-3fffffffffffffffffffffffffffffff
    ");
}

#[test]
fn json_lines_round_trip_and_end() {
    let mut out = Vec::new();
    show(&mut Json::new(&mut out), &story());
    let text = String::from_utf8(out).expect("text");
    let read: Vec<RunEvent> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, story());
    assert!(!text.contains('\x1b'), "control characters are escaped in JSON");
    insta::assert_snapshot!(text.lines().last().unwrap_or_default(), @r#"{"at":1700000011.0,"type":"run_finished","run":"run-1","summary":{"done":1,"failed":3,"running":0,"queued":0},"seconds":10.5,"exit":130}"#);
}

#[test]
fn bars_say_what_goes_on() {
    let mut state = fold(&story()[..16]);
    let now = 1_700_000_075.0;
    let lines: Vec<String> = state
        .tasks
        .iter()
        .map(|task| match words::bar(&task.status, now) {
            Some((word, time, text)) => format!("{} | {word} | {time} | {text}", task.plan.label),
            None => format!("{} | no bar", task.plan.label),
        })
        .chain([words::total(&state, now)])
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    task-1 | running | 1:13 | cc -c a.c
    task-2 | running | 1:12 | 
    task-3 | no bar
    task-4 | waiting | 1:10 | asks: Proceed? [cm-fleet approve 2aaaaaaa/1]
    4 tasks · 1 failed, 3 running · 1:14
    ");
    // A tool may print whatever it likes.
    if let Status::Live(live) = &mut state.tasks[0].status {
        live.line = "\x1b]0;evil\x07\x1b[2Jfine".into();
    }
    let (_, _, text) = words::bar(&state.tasks[0].status, now).expect("it runs");
    assert_eq!(text, "fine");
}

#[test]
fn times_in_words() {
    assert_eq!(words::clock(1_700_000_000.0), "22:13:20Z");
    for (seconds, running, over, age) in [
        (0.0, "0:00", "0 ms", "0s"),
        (0.04, "0:00", "40 ms", "0s"),
        (0.9999, "0:00", "1.0 s", "0s"),
        (59.94, "0:59", "59.9 s", "59s"),
        (59.99, "0:59", "0m 59s", "59s"),
        (75.0, "1:15", "1m 15s", "1m"),
        (3599.9, "59:59", "59m 59s", "59m"),
        (3723.0, "1:02:03", "1h 02m", "1h"),
        (200_000.0, "55:33:20", "55h 33m", "2d"),
        (-5.0, "0:00", "0 ms", "0s"),
    ] {
        assert_eq!(words::elapsed(seconds), running, "{seconds}");
        assert_eq!(words::took(seconds), over, "{seconds}");
        assert_eq!(words::age(seconds), age, "{seconds}");
    }
}
