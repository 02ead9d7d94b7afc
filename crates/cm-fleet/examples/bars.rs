//! The bars of a run that never happened, to look at: `cargo run -p cm-fleet --example bars`.

use std::time::Duration;

use cm_fleet::report::View;
use cm_fleet::report::event::{FleetPlan, RunEvent, RunEventKind as E, TaskPlan};
use cm_fleet::report::fold::RunState;
use cm_fleet::report::terminal;
use cm_fleet::report::tty::Tty;
use cm_protocol::{Meaning, Outcome, Prompt, PromptOption, SessionId, State};

fn main() -> std::io::Result<()> {
    let mut show = Show {
        view: Tty::new(std::io::stdout(), terminal::paint_stdout()),
        state: RunState::default(),
        now: 1_700_000_000.0,
    };
    let summaries =
        ["cargo test --workspace", "fix the flaky test", "echo 漢字 | tee /tmp/x", "make -j8", "sleep 9"];
    let tasks = summaries.iter().zip(1..).map(|(summary, number)| TaskPlan {
        number,
        task_id: format!("run-{number}"),
        label: format!("task-{number}"),
        tool: "shell".into(),
        path: "/".into(),
        summary: (*summary).into(),
        after: Vec::new(),
        pool: 0,
        retries: 0,
        repo: None,
    });
    show.tell(E::RunStarted {
        run: "run".into(),
        jobs: 4,
        detach: false,
        tasks: tasks.collect(),
        fleet: FleetPlan::default(),
    })?;
    show.tell(E::HostConnected { host: "local".into(), agent: "0.1.0".into(), again: false, slots: None })?;
    for task in 1..=4 {
        show.tell(E::TaskPlaced { task, host: "local".into(), attempt: 1 })?;
        let session_id = SessionId::from_bits(u128::MAX / (task as u128 + 1));
        show.tell(E::TaskStarted { task, session_id, existing: false, warnings: Vec::new(), base: None })?;
        show.tell(E::TaskState { task, state: State::Running, reason: None, prompt: None })?;
    }
    show.tell(E::TaskOutput { task: 3, line: "漢字漢字 \x1b[2J\x1b[1;1Hevil ".repeat(12) })?;
    for step in 0..16 {
        show.tell(E::TaskOutput { task: 1, line: format!("   Compiling crate-{step} v0.{step}.0") })?;
        show.pass(1.0)?;
        match step {
            4 => {
                let prompt = Some(permission());
                show.tell(E::TaskState { task: 2, state: State::Waiting, reason: None, prompt })?;
            }
            8 => show.end(4, State::Failed, 2, &["make: *** No rule to make target 'x'.  Stop."])?,
            10 => show.tell(E::HostLost {
                host: "local".into(),
                error: "the agent closed it".into(),
                heard: None,
            })?,
            12 => show.tell(E::HostConnected {
                host: "local".into(),
                agent: "0.1.0".into(),
                again: true,
                slots: None,
            })?,
            14 => {
                show.end(1, State::Done, 0, &["test result: ok. 46 passed", "\x1b[31mred\x1b[0m herring"])?
            }
            _ => {}
        }
    }
    show.end(3, State::Done, 0, &[])?;
    let (summary, exit) = (show.state.summary(), show.state.exit().code());
    show.tell(E::RunFinished { run: "run".into(), summary, seconds: 16.0, exit })
}

fn permission() -> Prompt {
    let option = |label: &str, key: &str, selected, meaning| PromptOption {
        label: label.into(),
        key: Some(key.into()),
        selected,
        checked: None,
        meaning,
    };
    Prompt {
        id: 1,
        kind: "command".into(),
        text: "Do you want to proceed?".into(),
        subject: Some("git push origin main".into()),
        options: vec![
            option("Yes", "1", true, Meaning::Once),
            option("Yes, and don't ask again for git push", "2", false, Meaning::Always),
            option("No, and tell it what to do differently", "Esc", false, Meaning::Refuse),
        ],
        rule: Some("careful/otherwise-ask".into()),
        ..Prompt::default()
    }
}

struct Show {
    view: Tty<std::io::Stdout>,
    state: RunState,
    now: f64,
}

impl Show {
    fn tell(&mut self, kind: E) -> std::io::Result<()> {
        let event = RunEvent { at: self.now, kind };
        self.state.apply(&event);
        self.view.event(&event, &self.state)
    }

    fn pass(&mut self, seconds: f64) -> std::io::Result<()> {
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(250));
            self.now += seconds / 4.0;
            self.view.tick(self.now, &self.state)?;
        }
        Ok(())
    }

    fn end(&mut self, task: usize, state: State, code: i32, tail: &[&str]) -> std::io::Result<()> {
        let tail = tail.iter().map(|line| (*line).to_owned()).collect();
        let outcome = Outcome { state, exit_code: Some(code), duration: 9.4, tail, ..Outcome::default() };
        self.tell(E::TaskFinished { task, outcome })
    }
}
