//! Sessions played step by step: inputs at their times, and what must follow.
//!
//! A script has one step a line: `TIME INPUT => EFFECTS`, times in milliseconds. After each step, what the
//! deadline asks for is granted: `.` lines stand for ticks that come by themselves.

use super::*;
use crate::tool::hooks::Heard;
use crate::tool::profile::tests::profiles;
use crate::tool::screen::tests::draw;
use cm_protocol::ReportStatus;

/// Plays a script and compares every step's effects.
///
/// Inputs: `screen TEXT` (`⏎` for a line's end, `▮` for the cursor, `^N` in front for N lines above),
/// `report STATUS MESSAGE`, `exit CODE`, `signal N`, `vanished CAUSE`, `keys`, `pressed`, `interrupting`,
/// `delivered`,
/// `undeliverable WHY`, `pause`, `resume`, `kill`, `timeout SECONDS`, `tick`, `restart`.
/// A `tick` line's time must be the machine's deadline; before any other line the deadline must not have
/// passed.
pub(super) fn play(tool: &str, has_task: bool, script: &str) -> Machine {
    play_with(profiles().for_tool(tool), has_task, &Bearings::default(), script)
}

/// The same for any profile and bearings.
fn play_with(profile: Profile, has_task: bool, bearings: &Bearings, script: &str) -> Machine {
    let mut machine = Machine::new(profile.clone(), has_task, Duration::ZERO).with_bearings(bearings.clone());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let (step, expected) = line.split_once("=>").unwrap_or_else(|| panic!("no => in {line:?}"));
        let mut words = step.trim().splitn(3, ' ');
        let now = Duration::from_millis(words.next().unwrap().parse().unwrap());
        let word = words.next().unwrap();
        let rest = words.next().unwrap_or("").trim_end();
        if word == "restart" {
            let stored = serde_json::to_string(machine.memory()).unwrap();
            machine = Machine::restore(profile.clone(), serde_json::from_str(&stored).unwrap(), now)
                .with_bearings(bearings.clone());
            assert_eq!(expected.trim(), "");
            continue;
        }
        let deadline = machine.deadline();
        if word == "tick" {
            assert_eq!(deadline, Some(now), "the deadline at {line:?}");
        } else {
            assert!(
                deadline.is_none_or(|at| at >= now || at == machine.watch.now),
                "{deadline:?} passed at {line:?}"
            );
        }
        let effects = give(&mut machine, word, rest, now);
        let told: Vec<String> = effects.iter().map(tell).collect();
        assert_eq!(told.join(", "), expected.trim(), "at {line:?}");
        assert!(machine.deadline().is_none_or(|at| at > now), "a deadline in the past after {line:?}");
    }
    machine
}

fn give(machine: &mut Machine, word: &str, rest: &str, now: Duration) -> Vec<Effect> {
    let input = match word {
        "screen" => {
            let (history, text) = match rest.strip_prefix('^').and_then(|rest| rest.split_once(' ')) {
                Some((history, text)) => (history.parse().unwrap(), text),
                None => (0, rest),
            };
            let mut screen = draw(&text.replace('⏎', "\n"));
            screen.history = history;
            return machine.step(Input::Screen(&screen), now);
        }
        "report" => {
            let (status, message) = rest.split_once(' ').unwrap_or((rest, ""));
            let status: ReportStatus = serde_json::from_value(status.into()).unwrap();
            let message = (!message.is_empty()).then(|| message.to_owned());
            let report = Report { status, message, ..Report::default() };
            return machine.step(Input::Report(&report), now);
        }
        "status" | "hooks" => {
            let voice = if word == "status" { Voice::Status } else { Voice::Hooks };
            let status = (rest != "clear").then(|| serde_json::from_value(rest.into()).unwrap());
            Input::Heard(voice, status.map(|status| Heard { status, message: None }))
        }
        "works" => Input::Works(serde_json::from_value(rest.into()).unwrap()),
        "attached" => Input::Attached(rest == "yes"),
        "answering" => Input::Answering { prompt_id: rest.parse().unwrap() },
        "settled" => Input::Settled { prompt_id: rest.parse().unwrap(), rule: "by hook".into() },
        "unanswered" => Input::Unanswered { prompt_id: 1, why: rest.into() },
        "passed" => Input::Checked { passed: true, summary: "exit code 0".into(), again: None },
        "missed" => Input::Checked {
            passed: false,
            summary: "exit code 1".into(),
            again: (!rest.is_empty()).then(|| rest.into()),
        },
        "exit" => Input::Exited(Exit { code: Some(rest.parse().unwrap()), signal: None }),
        "signal" => Input::Exited(Exit {
            code: None,
            signal: Some(crate::host::signal::signal_name(rest.parse().unwrap())),
        }),
        "vanished" => Input::Vanished { cause: rest.into() },
        "keys" => Input::KeysSubmitted,
        "pressed" => Input::KeysPressed,
        "interrupting" => Input::Interrupting,
        "delivered" => Input::TaskDelivered,
        "undeliverable" => Input::TaskUndeliverable { why: rest.into() },
        "pause" => Input::Paused,
        "resume" => Input::Resumed,
        "kill" => Input::KillRequested { why: Some(rest.to_owned()).filter(|why| !why.is_empty()) },
        "timeout" => Input::TimedOut { after: Duration::from_secs(rest.parse().unwrap()) },
        "tick" => Input::Tick,
        other => panic!("no input {other:?}"),
    };
    machine.step(input, now)
}

fn tell(effect: &Effect) -> String {
    let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
    match effect {
        Effect::Announce { state, reason, prompt } => {
            let prompt =
                prompt.as_ref().map(|p| format!(" #{} {} {:?}", p.id, p.kind, p.text)).unwrap_or_default();
            format!("{state}{}{prompt}", because(reason))
        }
        Effect::DeliverTask => "DELIVER".into(),
        Effect::DeliverWords { words } => format!("TELL {words:?}"),
        Effect::RunCheck => "CHECK".into(),
        Effect::Choose { prompt, label, verdict, rule } => {
            format!("CHOOSE #{} {label:?} {verdict} by {rule}", prompt.id)
        }
        Effect::Press { prompt, keys, rule } => format!("PRESS #{} {} by {rule}", prompt.id, keys.join(" ")),
        Effect::Complete { state, exit_code, signal, .. } => {
            let code = exit_code.map(|code| format!(" code {code}")).unwrap_or_default();
            let signal = signal.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("COMPLETE {state}{code}{signal}")
        }
    }
}

fn shell(script: &str) -> Machine {
    play("shell", true, script)
}

fn generic(script: &str) -> Machine {
    play("repl", true, script)
}

/// A `generic` session at work since 400 ms, its task typed at the prompt `> ` in the first row.
fn working(script: &str) -> Machine {
    let start = "0 screen > ▮ =>
        300 tick => DELIVER
        380 screen > task▮ =>
        400 delivered => running";
    generic(&format!("{start}\n{script}"))
}

/// A `generic` session without a task, idle at the prompt `> ` since 300 ms.
fn idle(script: &str) -> Machine {
    play("repl", false, &format!("0 screen > ▮ =>\n300 tick => idle\n{script}"))
}

mod broken_off;
mod coding_tool;
mod generic_tool;
mod questions;
mod reports;
mod shell_tool;
