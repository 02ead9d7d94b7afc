//! What agents say – their news and their answers – as events of the run.

use std::io;

use cm_client::protocol::{ErrorCode, Event, EventKind, SessionDetail, SessionId};
use cm_client::{Client, ClientError, Created, Update};
use tokio::time::Instant;

use super::asking::{self, Answer, Unasked};
use super::{HELD, HELD_EACH, OUTPUT_EVERY, ROOM_AFTER, Run, TRIES, WATCHED};
use crate::dispatch::{translate, verdict};
use crate::report::event::{RunEventKind, Stop};
use crate::report::fold::Status;
use crate::sessions::LOCAL;

impl Run<'_> {
    pub(super) fn agent(&mut self, host: usize, update: Update) -> io::Result<()> {
        match update {
            Update::Lost { error, .. } => return self.lose(host, error.to_string()),
            _ => self.heard(host),
        }
        match update {
            Update::Connected { hello, renumbered } => {
                self.meet(host, hello.as_deref())?;
                // An agent that counts anew has forgotten what we know, or is another one.
                if renumbered {
                    self.look_after(host, true);
                }
                Ok(())
            }
            Update::Event(event) => self.event(host, event),
            Update::Snapshot(snapshot) => {
                let name = self.name(host);
                let (events, missing) = translate::snapshot(&self.state, &name, &snapshot);
                for (task, session) in missing {
                    if let Some(client) = self.links.client(host) {
                        self.asked.push(asking::look(client, task, session));
                    }
                }
                self.judge_all(events)
            }
            Update::Screen(frame) => {
                if let (Some(task), Some(line)) =
                    (self.state.task_of(&frame.session_id), translate::last_line(&frame.output))
                {
                    self.lines.insert(task, line);
                    self.output_at.get_or_insert_with(|| Instant::now() + OUTPUT_EVERY);
                }
                Ok(())
            }
            Update::Missed | Update::Lost { .. } => Ok(()),
        }
    }

    fn event(&mut self, host: usize, event: Event) -> io::Result<()> {
        if matches!(event.kind, EventKind::SessionClosed { .. } | EventKind::SessionCompleted { .. }) {
            self.room(host)?;
        }
        let foreign = event.kind.session_id().filter(|id| self.state.attempt_of(id).is_none());
        if let Some(id) = foreign.cloned() {
            // It may be about a session whose request is still unanswered.
            if !self.creating.is_empty() && (self.held.len() < HELD || self.held.contains_key(&id)) {
                let held = self.held.entry(id).or_default();
                if held.len() < HELD_EACH {
                    held.push(event);
                }
            }
            return Ok(());
        }
        let events = translate::event(&self.state, &self.name(host), &event);
        self.judge_all(events)
    }

    /// Ends of attempts become what follows from them; everything else is what it is.
    fn judge_all(&mut self, events: Vec<RunEventKind>) -> io::Result<()> {
        for kind in events {
            let RunEventKind::TaskFinished { task, outcome } = kind else {
                self.emit(kind)?;
                continue;
            };
            let Some(known) = self.state.task(task) else { continue };
            let host = known.status.host().and_then(|name| self.state.host_index(name));
            let session = known.status.session().cloned();
            let follows = verdict::ended(&self.state, known, outcome, self.clock.now());
            self.emit_all(follows)?;
            if let (Some(host), Some(session)) = (host, session) {
                self.result(host, session);
            }
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Create { task, host, attempt, result } => {
                self.creating.remove(&task);
                let done = self.created(task, host, attempt, result);
                if self.creating.is_empty() {
                    self.held.clear();
                }
                done
            }
            // The session's own events tell how it ended.
            Answer::Kill { result: Ok(()), .. } | Answer::Nothing => Ok(()),
            Answer::Kill { result: Err(error), .. } if asking::is_unknown(&error) => Ok(()),
            Answer::Kill { task, result: Err(error) } => {
                self.emit(RunEventKind::CancelFailed { task, error: asking::words(&error) })
            }
            Answer::Look { task, session, result } => self.looked(task, &session, result),
            Answer::Probe { host, result } => self.probed(host, result),
            Answer::Beat { host, result } => self.beaten(host, result),
            Answer::Fetched { errand, result } => {
                self.fetched(errand, result);
                Ok(())
            }
            Answer::Brought { task, host, attempt, result } => self.brought(task, host, attempt, result),
            Answer::Fence { host, task, result } => self.fenced(host, task, result),
        }
    }

    fn created(
        &mut self,
        task: usize,
        host: usize,
        attempt: u32,
        result: Result<Created, Unasked>,
    ) -> io::Result<()> {
        // It may have been given up in the meantime; the host will be told.
        let current = self
            .state
            .task(task)
            .is_some_and(|known| known.attempt == attempt && matches!(known.status, Status::Placed { .. }));
        if !current {
            return Ok(());
        }
        match result {
            Ok(created) => self.started(task, host, created),
            Err(Unasked::Unwritten) => {
                if !std::mem::replace(&mut self.unwritten, true) {
                    let error =
                        "what happens cannot be written down: nothing new is started until it can".into();
                    let topic = "record".to_owned();
                    self.emit(RunEventKind::HostNotice { host: LOCAL.into(), topic, message: error })?;
                }
                Ok(())
            }
            Err(Unasked::Client(error)) => self.not_created(task, host, &error),
        }
    }

    fn not_created(&mut self, task: usize, host: usize, error: &ClientError) -> io::Result<()> {
        if asking::is_lost(error) && self.tries.get(&task) < Some(&TRIES) {
            // It stays placed, and is asked for again: at once, or when there is a connection.
            tracing::debug!(task, %error, "asking again");
            self.ask_again(host);
            return Ok(());
        }
        if self.without_work(task, host, error)? {
            return Ok(());
        }
        // Somebody who detaches does not wait.
        if error.code() == Some(ErrorCode::Limit) && !self.state.detach {
            return self.full(task, host, error);
        }
        let Some(known) = self.state.task(task) else { return Ok(()) };
        let (name, words) = (self.name(host), asking::words(error));
        let code = (error.code(), self.was_asked_again(task));
        let follows = verdict::refused(&self.state, known, &name, code, words, self.clock.now());
        self.emit_all(follows)?;
        // What may run there after all must not go on while the task goes elsewhere.
        if self.is_up(host) { self.fence(host) } else { Ok(()) }
    }

    fn started(&mut self, task: usize, host: usize, created: Created) -> io::Result<()> {
        let session = created.session_id.clone();
        self.emit(RunEventKind::TaskStarted {
            task,
            session_id: created.session_id,
            existing: created.existing,
            warnings: created.warnings,
            base: created.base,
        })?;
        let ours = self.held.remove(&session).unwrap_or_default();
        if let Some(client) = self.links.client(host) {
            self.watch(&client, session.clone());
            if self.held.len() >= HELD || ours.len() >= HELD_EACH || created.existing {
                self.asked.push(asking::look(client.clone(), task, session.clone()));
            }
            if self.state.stop == Some(Stop::Cancel) {
                self.asked.push(asking::kill(client, task, session.clone()));
            }
        }
        ours.into_iter().try_for_each(|event| self.event(host, event))
    }

    /// Whether a request for a task may still be on its way although a later one was answered.
    fn was_asked_again(&self, task: usize) -> bool {
        self.tries.get(&task).is_some_and(|tries| *tries > 1)
    }

    /// The host holds as many sessions as it may: the task waits for one of them to end, there or elsewhere.
    fn full(&mut self, task: usize, host: usize, error: &ClientError) -> io::Result<()> {
        let fence = self.was_asked_again(task);
        self.tries.remove(&task);
        self.emit(RunEventKind::TaskQueued { task, fence })?;
        if fence {
            self.fence(host)?;
        }
        self.room_at.get_or_insert_with(|| Instant::now() + ROOM_AFTER);
        let known = &self.state.hosts[host];
        if known.full {
            return Ok(());
        }
        let (name, again) = (known.name.clone(), known.was_full);
        self.emit(RunEventKind::HostFull { host: name, error: asking::words(error), again })
    }

    /// A session has ended on a host.
    fn room(&mut self, host: usize) -> io::Result<()> {
        match self.state.hosts.get(host) {
            Some(known) if known.full => {
                let host = known.name.clone();
                self.emit(RunEventKind::HostRoom { host })
            }
            _ => Ok(()),
        }
    }

    /// It is time to ask again.
    pub(super) fn room_everywhere(&mut self) -> io::Result<()> {
        self.room_at = None;
        (0..self.state.hosts.len()).try_for_each(|host| self.room(host))
    }

    fn looked(
        &mut self,
        task: usize,
        session: &SessionId,
        result: Result<Box<SessionDetail>, ClientError>,
    ) -> io::Result<()> {
        let Some(Status::Live(live)) = self.state.task(task).map(|t| &t.status) else { return Ok(()) };
        // It may be another attempt's by now.
        if *session != live.session {
            return Ok(());
        }
        let now = self.clock.now();
        let events = match result {
            Ok(detail) => translate::info_events(task, live, &detail.info, now),
            Err(error) if asking::is_unknown(&error) => vec![translate::forgotten(task, live, now)],
            // The connection is lost: it will be looked at again if that is needed.
            Err(_) => Vec::new(),
        };
        self.judge_all(events)
    }

    pub(super) fn watch(&mut self, client: &Client, session: SessionId) {
        let few = self.state.summary().running <= WATCHED;
        if few && self.view.wants_output() && !self.state.detach {
            self.asked.push(asking::watch(client.clone(), session));
        }
    }
}
