//! A run's view that also calls people: when a task waits for one, and when the run ends. The inbox's words and means.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use cm_protocol::{SessionInfo, State, TaskRef};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::notify::{self, Call};
use super::watch::ring;
use super::{bell, draw};
use crate::dispatch::now;
use crate::report::View;
use crate::report::event::{RunEvent, RunEventKind};
use crate::report::fold::{RunState, Status, Task};
use crate::sessions::Seen;

/// What went wrong with calls that is told afterwards.
const TOLD: usize = 3;

/// Shows what another view shows, and calls.
pub struct Calling {
    view: Box<dyn View>,
    ask: Option<mpsc::Sender<Call>>,
    bell: Option<bell::Kind>,
    /// What happened before is shown and calls nobody.
    began: f64,
    /// All that waited then has been told.
    caught_up: bool,
    /// The question of each task that waits, as it was told.
    told: BTreeMap<usize, Question>,
}

/// What makes a question the same one.
type Question = (Option<u64>, Option<String>);

/// The calls that are still being made.
pub struct Calls {
    running: Option<(JoinHandle<()>, mpsc::Receiver<String>)>,
}

/// A view that calls; `command` is run for each call, by sh, and `silent` is without the terminal's bell.
pub fn calling(view: Box<dyn View>, command: Option<String>, silent: bool) -> (Box<dyn View>, Calls) {
    let bell = (!silent).then(|| bell::kind(|name| std::env::var(name).ok()));
    let (ask, running) = match command {
        None => (None, None),
        Some(command) => {
            let (ask, asked) = mpsc::channel(notify::WAITING);
            let (failed, failures) = mpsc::channel(TOLD);
            let running = tokio::spawn(async move { notify::run(&command, asked, failed).await });
            (Some(ask), Some((running, failures)))
        }
    };
    let calling = Calling { view, ask, bell, began: now(), caught_up: false, told: BTreeMap::new() };
    (Box::new(calling), Calls { running })
}

impl Calls {
    /// Waits for the last ones, some seconds at most, and says what went wrong with the first. The view has to be gone.
    pub async fn end(self) {
        let Some((running, mut failures)) = self.running else { return };
        // It has no panics; and nobody else ends it.
        let _ = running.await;
        while let Some(why) = failures.recv().await {
            crate::command::say(&format!("{why}\n"));
        }
    }
}

impl Calling {
    fn look(&mut self, state: &RunState, tasks: impl Iterator<Item = usize>) {
        let mut lines = Vec::new();
        for number in tasks {
            let Some(task) = state.task(number) else { continue };
            let Some((seen, question)) = asked(task) else {
                self.told.remove(&number);
                continue;
            };
            if self.told.get(&number) == Some(&question) {
                continue;
            }
            self.told.insert(number, question);
            self.call(Call::asked(&seen));
            lines.push(draw::line(&seen));
        }
        if let Some(kind) = self.bell {
            ring(&bell::ring(kind, &lines));
        }
    }

    fn call(&self, call: Call) {
        if self.ask.as_ref().is_some_and(|ask| ask.try_send(call).is_err()) {
            tracing::warn!("--notify: too many questions at once; one was not told");
        }
    }
}

/// The session of a task that waits for a person, and what makes its question the same one.
fn asked(task: &Task) -> Option<(Seen, Question)> {
    let Status::Live(live) = &task.status else { return None };
    if live.state != State::Waiting {
        return None;
    }
    let plan = &task.plan;
    // As in the inbox: its name, where it was given one.
    let name = Some(plan.label.clone()).filter(|label| *label != format!("task-{}", plan.number));
    let info = SessionInfo {
        session_id: live.session.clone(),
        tool: plan.tool.clone(),
        state: live.state,
        path: plan.path.clone(),
        uptime: 0,
        alive: true,
        name,
        task: Some(TaskRef { task_id: plan.task_id.clone(), attempt: task.attempt }),
        owner: None,
        summary: plan.summary.clone(),
        created_at: live.since,
        reason: live.reason.clone(),
        prompt: live.prompt.clone(),
        outcome: None,
    };
    let question = match &live.prompt {
        Some(prompt) => (Some(prompt.id), None),
        None => (None, live.reason.clone()),
    };
    Some((Seen { host: live.host.clone(), info }, question))
}

impl View for Calling {
    fn event(&mut self, event: &RunEvent, state: &RunState) -> io::Result<()> {
        self.view.event(event, state)?;
        if event.at < self.began {
            return Ok(());
        }
        if !std::mem::replace(&mut self.caught_up, true) {
            self.look(state, 1..=state.tasks.len());
        } else if let Some(task) = event.kind.task() {
            self.look(state, std::iter::once(task));
        }
        if let RunEventKind::RunFinished { .. } = event.kind {
            self.call(Call::ended(state));
        }
        Ok(())
    }

    fn tick(&mut self, now: f64, state: &RunState) -> io::Result<()> {
        self.view.tick(now, state)?;
        if !state.tasks.is_empty()
            && state.finished.is_none()
            && !std::mem::replace(&mut self.caught_up, true)
        {
            self.look(state, 1..=state.tasks.len());
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        self.view.tick_every()
    }

    fn wants_output(&self) -> bool {
        self.view.wants_output()
    }
}

#[cfg(test)]
mod tests {
    use cm_protocol::Prompt;

    use super::*;
    use crate::dispatch::schedule::tests::{Story, tasks};
    use crate::report::event::RunEventKind as E;

    struct Nothing;

    impl View for Nothing {
        fn event(&mut self, _: &RunEvent, _: &RunState) -> io::Result<()> {
            Ok(())
        }
    }

    fn waits(task: usize, prompt: Option<u64>) -> E {
        let prompt =
            prompt.map(|id| Prompt { id, ..crate::waiting::tests::some()[0].prompt.clone().expect("one") });
        let reason = prompt.is_none().then(|| "rate_limited: come back".to_owned());
        E::TaskState { task, state: State::Waiting, reason, prompt }
    }

    /// What is called for after each of these: events, or a tick.
    fn told(began: f64, events: Vec<Option<E>>) -> Vec<String> {
        let (ask, mut asked) = mpsc::channel(99);
        let mut view = Calling {
            view: Box::new(Nothing),
            ask: Some(ask),
            bell: None,
            began,
            caught_up: false,
            told: BTreeMap::new(),
        };
        let mut story = Story::new(&[4], tasks(2)).up(&[0]);
        story.place();
        [1, 2].iter().for_each(|task| story.start(*task));
        for kind in events {
            story.at += 1.0;
            match kind {
                Some(kind) => {
                    let event = RunEvent { at: story.at, kind };
                    story.state.apply(&event);
                    view.event(&event, &story.state).expect("shown");
                }
                None => view.tick(story.at, &story.state).expect("shown"),
            }
        }
        drop(view);
        std::iter::from_fn(|| asked.blocking_recv()).map(|call| call.text()).collect()
    }

    fn finished() -> E {
        E::RunFinished { run: "run-1".into(), summary: Default::default(), seconds: 1.0, exit: 0 }
    }

    #[test]
    fn a_question_is_told_once_and_so_is_the_end() {
        let working = E::TaskState { task: 1, state: State::Running, reason: None, prompt: None };
        let same = || Some(waits(1, Some(7)));
        let events =
            vec![same(), None, same(), Some(waits(1, Some(8))), Some(working), same(), Some(finished())];
        let got = told(0.0, events);
        assert_eq!(got.len(), 4, "{got:#?}");
        assert!(
            got[..3].iter().all(|call| call.starts_with("CM_EVENT=asked CM_HOST=h0 CM_SESSION=cm-")),
            "{got:#?}"
        );
        assert!(got[3].starts_with("CM_EVENT=ended CM_HOST=h0 CM_SESSION= CM_TASK="), "{got:#?}");
    }

    #[test]
    fn what_was_before_calls_nobody_but_for_what_still_waits() {
        // It is read from a run's record: all of it happened before.
        let past = vec![Some(waits(1, Some(7))), Some(waits(2, None)), Some(waits(1, Some(8)))];
        assert_eq!(told(1e9, past.clone()), [""; 0]);
        let followed = [past.clone(), vec![None, None]].concat();
        let got = told(1e9, followed);
        assert_eq!(got.len(), 2, "{got:#?}");
        assert!(got[1].ends_with("CM_QUESTION=rate_limited: come back"), "{got:#?}");
        // A run that was over calls nobody.
        assert_eq!(told(1e9, [past, vec![Some(finished()), None]].concat()), [""; 0]);
    }
}
