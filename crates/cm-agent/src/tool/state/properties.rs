//! What holds whatever happens: random inputs at random times.

use std::collections::HashSet;

use cm_protocol::{Meaning, ReportStatus};
use proptest::prelude::*;

use super::*;
use crate::tool::profile::tests::profiles;
use crate::tool::screen::tests::draw;

/// Screens that may follow one another in any order.
const SCREENS: [&str; 16] = [
    "",
    "▮",
    "> ▮",
    "Welcome\n> ▮",
    "> task▮",
    "> task\nbusy▮",
    "> task\nanswer\n> ▮",
    "> task\nanswer\n> ▮\n12:00:01",
    "> task\nanswer\n> ▮\n12:00:02",
    "Proceed? [y/N] ▮",
    "Password: ▮",
    "#? ▮",
    "Press Enter to continue▮",
    "busy\nPress Enter to continue▮",
    "All will be deleted.\nPress Enter to continue▮",
    "Done. Proceed? [y/N]\n▮",
];

#[derive(Debug, Clone)]
enum Happening {
    Screen {
        which: usize,
        history: u64,
    },
    Report(ReportStatus, Option<String>),
    Exited(Exit),
    Vanished,
    Keys,
    Interrupting,
    Delivered,
    Undeliverable,
    Paused,
    Resumed,
    Kill,
    TimedOut,
    Tick,
    /// Wait for the deadline, as the session does.
    Await,
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    use ReportStatus::{Done, Failed, Idle, Waiting, Working};
    prop_oneof![
        12 => (0..SCREENS.len(), prop_oneof![Just(0_u64), Just(3)])
            .prop_map(|(which, history)| Happening::Screen { which, history }),
        8 => Just(Happening::Await),
        3 => Just(Happening::Tick),
        3 => Just(Happening::Keys),
        2 => Just(Happening::Interrupting),
        3 => Just(Happening::Delivered),
        2 => (
            prop_oneof![Just(Working), Just(Idle), Just(Done), Just(Failed), Just(Waiting)],
            prop_oneof![Just(None), Just(Some("a".to_owned()))],
        ).prop_map(|(status, message)| Happening::Report(status, message)),
        1 => Just(Happening::Undeliverable),
        1 => Just(Happening::Paused),
        2 => Just(Happening::Resumed),
        1 => Just(Happening::TimedOut),
        1 => Just(Happening::Restart),
        1 => prop_oneof![
            Just(Happening::Kill),
            Just(Happening::Vanished),
            (0..3).prop_map(|code| Happening::Exited(Exit { code: Some(code), signal: None })),
        ],
    ]
}

/// What must hold of the effects of one session, one after the other.
#[derive(Default)]
struct Witness {
    state: Option<(State, Option<String>, Option<Prompt>)>,
    completed_since_running: bool,
    pressed: HashSet<u64>,
    last_prompt: u64,
    paused: bool,
}

impl Witness {
    fn see(&mut self, effect: &Effect) -> Result<(), TestCaseError> {
        match effect {
            Effect::Announce { state, reason, prompt } => {
                let now = Some((*state, reason.clone(), prompt.clone()));
                prop_assert_ne!(&now, &self.state, "announced twice");
                prop_assert_eq!(prompt.is_some(), *state == State::Waiting);
                if let Some(prompt) = prompt {
                    prop_assert!(prompt.id >= self.last_prompt, "ids grow");
                    self.last_prompt = prompt.id;
                }
                let was = self.state.as_ref().map(|(state, ..)| *state);
                if was.is_some_and(State::is_terminal) {
                    let a_new_round = matches!(state, State::Running | State::Paused);
                    prop_assert!(a_new_round, "{was:?} was terminal, then came {state}");
                    self.completed_since_running = false;
                }
                self.state = now;
            }
            Effect::Complete { state, .. } => {
                prop_assert!(state.is_terminal());
                prop_assert!(!self.completed_since_running, "completed twice");
                prop_assert_eq!(
                    self.state.as_ref().map(|(state, ..)| *state),
                    Some(*state),
                    "after its state"
                );
                self.completed_since_running = true;
            }
            Effect::Press { prompt, keys, .. } => {
                prop_assert_eq!(&prompt.kind, "continue");
                prop_assert!(keys.iter().all(|key| key == "Enter" || key == "Space" || key == "q"));
                prop_assert!(self.pressed.insert(prompt.id), "pressed twice");
                prop_assert!(!self.paused, "pressed while paused");
            }
            Effect::Choose { prompt, label, verdict, .. } => {
                let option = prompt.options.iter().find(|option| option.label == *label);
                let meaning = option.map(|option| option.meaning);
                let expected = if *verdict == "allow" { Meaning::Once } else { Meaning::Refuse };
                prop_assert_eq!(meaning, Some(expected));
                prop_assert!(self.pressed.insert(prompt.id), "answered twice");
                prop_assert!(!self.paused, "answered while paused");
            }
            Effect::RunCheck => prop_assert!(!self.completed_since_running, "checked after the end"),
            Effect::DeliverTask | Effect::DeliverWords { .. } => {
                prop_assert!(!self.paused, "typed while paused");
            }
        }
        Ok(())
    }
}

fn input<'a>(happening: &Happening, screen: &'a mut Screen, report: &'a mut Report) -> Input<'a> {
    match happening {
        Happening::Screen { which, history } => {
            *screen = Screen { history: *history, ..draw(SCREENS[*which]) };
            Input::Screen(screen)
        }
        Happening::Report(status, message) => {
            *report = Report { status: *status, message: message.clone(), ..Report::default() };
            Input::Report(report)
        }
        Happening::Exited(exit) => Input::Exited(exit.clone()),
        Happening::Vanished => Input::Vanished { cause: "gone".into() },
        Happening::Keys => Input::KeysSubmitted,
        Happening::Interrupting => Input::Interrupting,
        Happening::Delivered => Input::TaskDelivered,
        Happening::Undeliverable => Input::TaskUndeliverable { why: "no".into() },
        Happening::Paused => Input::Paused,
        Happening::Resumed => Input::Resumed,
        Happening::Kill => Input::KillRequested { why: None },
        Happening::TimedOut => Input::TimedOut { after: Duration::from_secs(1) },
        Happening::Tick | Happening::Await | Happening::Restart => Input::Tick,
    }
}

fn run(tool: &str, has_task: bool, happenings: &[(Happening, u64)]) -> Result<(), TestCaseError> {
    let profile = Arc::new(profiles().for_tool(tool));
    let mut machine = Machine::new(Arc::clone(&profile), has_task, Duration::ZERO);
    let mut witness = Witness::default();
    let mut delivered = 0;
    let mut now = Duration::ZERO;
    for (happening, wait) in happenings {
        now += Duration::from_millis(*wait);
        match happening {
            Happening::Await => now = machine.deadline().unwrap_or(now).max(now),
            Happening::Restart => {
                let stored = serde_json::to_vec(machine.memory()).unwrap();
                machine =
                    Machine::restore(Arc::clone(&profile), serde_json::from_slice(&stored).unwrap(), now);
            }
            Happening::Paused => witness.paused = true,
            _ => {}
        }
        let before = machine.is_ended();
        let (mut screen, mut report) = (Screen::default(), Report::default());
        if matches!(happening, Happening::Resumed) {
            witness.paused = false;
        }
        let effects = machine.step(input(happening, &mut screen, &mut report), now);
        prop_assert!(!before || effects.is_empty(), "{effects:?} after the end");
        for effect in &effects {
            witness.see(effect)?;
            delivered += usize::from(matches!(effect, Effect::DeliverTask));
        }
        prop_assert!(machine.deadline().is_none_or(|at| at > now), "the deadline is not in the future");
        let shown = witness.state.as_ref().map_or(State::Starting, |(state, ..)| *state);
        prop_assert_eq!(machine.state(), shown, "the state is the one announced");
        let settled = machine.step(Input::Tick, now);
        prop_assert!(settled.is_empty(), "nothing was left undone: {settled:?}");
    }
    prop_assert!(
        delivered <= usize::from(has_task && tool != "shell"),
        "the task was typed {delivered} times"
    );
    let end = machine.step(Input::KillRequested { why: None }, now);
    for effect in &end {
        witness.see(effect)?;
    }
    prop_assert!(machine.is_ended() && machine.deadline().is_none());
    prop_assert!(witness.completed_since_running, "a session that has ended has completed its task");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        tool in prop_oneof![Just("shell"), Just("repl")],
        has_task: bool,
        happenings in prop::collection::vec((happening(), prop_oneof![0..50_u64, 0..7000_u64]), 1..60),
    ) {
        run(tool, has_task, &happenings)?;
    }

    /// Any text on the screen, the cursor anywhere: no panic, no key but for a question that decides nothing.
    #[test]
    fn whatever_is_on_the_screen(lines in prop::collection::vec(".{0,90}", 0..30), col: u16, row in 0..40_u16) {
        let screen = Screen {
            lines,
            cursor: super::super::screen::Cursor { col, row, visible: true },
            cols: 80,
            rows: 24,
            ..Screen::default()
        };
        let profile = profiles().for_tool("shell");
        let mut machine = Machine::new(profile, true, Duration::ZERO);
        let effects = machine.step(Input::Screen(&screen), Duration::ZERO);
        prop_assert_eq!(effects.len(), 1);
        machine.step(Input::Tick, Duration::from_secs(1));
        prop_assert!(matches!(machine.state(), State::Running | State::Waiting));
    }
}
