//! What the agent says – its news and its answers – as events of the run.

use std::io;

use cm_client::protocol::{ErrorCode, Event, EventKind, SessionDetail, SessionId};
use cm_client::{Client, ClientError, Created, Update};
use tokio::time::Instant;

use super::asking::{self, Answer};
use super::{HELD, OUTPUT_EVERY, PATIENCE, ROOM_AFTER, Run, TRIES};
use crate::dispatch::{now, translate};
use crate::report::event::{RunEventKind, Stop};
use crate::report::fold::{Link, Status};

impl Run<'_> {
    pub(super) fn agent(&mut self, update: Update, client: Option<Client>) -> io::Result<()> {
        match update {
            Update::Connected { hello, renumbered } => {
                let again = self.state.hosts.contains_key(&self.host);
                self.give_up_at = None;
                let agent = hello.map_or_else(String::new, |hello| hello.agent.version);
                self.emit(RunEventKind::HostConnected { host: self.host.clone(), agent, again })?;
                let sessions: Vec<(usize, SessionId)> =
                    self.state.live().map(|(plan, live)| (plan.number, live.session.clone())).collect();
                for (task, session) in sessions {
                    let Some(client) = &client else { break };
                    self.watch(client, session.clone());
                    // An agent that counts anew has forgotten what we know, or is another one.
                    if renumbered {
                        self.asked.push(asking::look(client.clone(), task, session));
                    }
                }
                Ok(())
            }
            Update::Lost { error, .. } => {
                self.give_up_at.get_or_insert_with(|| Instant::now() + PATIENCE);
                // Only the first of a row is news.
                if let Some(Link::Lost { .. } | Link::GivenUp { .. }) = self.state.hosts.get(&self.host) {
                    return Ok(());
                }
                self.emit(RunEventKind::HostLost { host: self.host.clone(), error: error.to_string() })
            }
            Update::Event(event) => self.event(event),
            Update::Snapshot(snapshot) => {
                let (events, missing) = translate::snapshot(&self.state, &snapshot);
                for (task, session) in missing {
                    if let Some(client) = &client {
                        self.asked.push(asking::look(client.clone(), task, session));
                    }
                }
                self.emit_all(events)
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
            Update::Missed => Ok(()),
        }
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        if matches!(event.kind, EventKind::SessionClosed { .. }) {
            self.room()?;
        }
        let foreign = event.kind.session_id().is_some_and(|id| self.state.task_of(id).is_none());
        if foreign {
            // It may be about a session whose request is still unanswered.
            if !self.creating.is_empty() && self.held.len() < HELD {
                self.held.push(event);
            }
            return Ok(());
        }
        let events = translate::event(&self.state, &self.host, &event);
        self.emit_all(events)
    }

    pub(super) fn answer(&mut self, answer: Answer, client: Option<Client>) -> io::Result<()> {
        match answer {
            Answer::Create { task, result } => {
                self.creating.remove(&task);
                let done = self.created(task, result, client);
                if self.creating.is_empty() {
                    self.held.clear();
                }
                done
            }
            // The session's own events tell how it ended.
            Answer::Kill { result: Ok(()), .. } | Answer::Watch => Ok(()),
            Answer::Kill { result: Err(error), .. } if asking::is_unknown(&error) => Ok(()),
            Answer::Kill { task, result: Err(error) } => {
                self.emit(RunEventKind::CancelFailed { task, error: asking::words(&error) })
            }
            Answer::Look { task, result } => self.looked(task, result),
        }
    }

    fn created(
        &mut self,
        task: usize,
        result: Result<Created, ClientError>,
        client: Option<Client>,
    ) -> io::Result<()> {
        let created = match result {
            Ok(created) => created,
            Err(error) if asking::is_lost(&error) && self.tries.get(&task) < Some(&TRIES) => {
                // It stays placed; `schedule::to_place` has it asked for again.
                tracing::debug!(task, %error, "asking again");
                return Ok(());
            }
            // Somebody who detaches does not wait.
            Err(error) if error.code() == Some(ErrorCode::Limit) && !self.state.detach => {
                return self.full(task, &error);
            }
            Err(error) => {
                return self.emit(RunEventKind::TaskRefused { task, error: asking::words(&error) });
            }
        };
        let session = created.session_id.clone();
        self.emit(RunEventKind::TaskStarted {
            task,
            session_id: created.session_id,
            existing: created.existing,
            warnings: created.warnings,
        })?;
        if let Some(client) = client {
            self.watch(&client, session.clone());
            if self.held.len() >= HELD || created.existing {
                self.asked.push(asking::look(client.clone(), task, session.clone()));
            }
            if self.state.stop == Some(Stop::Cancel) {
                self.asked.push(asking::kill(client, task, session.clone()));
            }
        }
        let (ours, others) =
            std::mem::take(&mut self.held).into_iter().partition(|e| e.kind.session_id() == Some(&session));
        self.held = others;
        ours.into_iter().try_for_each(|event| self.event(event))
    }

    /// The agent holds as many sessions as it may: the task waits for one of them to end.
    fn full(&mut self, task: usize, error: &ClientError) -> io::Result<()> {
        self.tries.remove(&task);
        self.emit(RunEventKind::TaskQueued { task })?;
        self.room_at = Some(Instant::now() + ROOM_AFTER);
        if self.state.full.contains(&self.host) {
            return Ok(());
        }
        let again = std::mem::replace(&mut self.was_full, true);
        self.emit(RunEventKind::HostFull { host: self.host.clone(), error: asking::words(error), again })
    }

    /// A session has ended, or it is time to ask again.
    pub(super) fn room(&mut self) -> io::Result<()> {
        self.room_at = None;
        if !self.state.full.contains(&self.host) {
            return Ok(());
        }
        self.emit(RunEventKind::HostRoom { host: self.host.clone() })
    }

    fn looked(&mut self, task: usize, result: Result<Box<SessionDetail>, ClientError>) -> io::Result<()> {
        let Some(Status::Live(live)) = self.state.task(task).map(|t| &t.status) else { return Ok(()) };
        let events = match result {
            Ok(detail) => translate::info_events(task, live, &detail.info, now()),
            Err(error) if asking::is_unknown(&error) => vec![translate::forgotten(task, live, now())],
            // The connection is lost: it will be looked at again if that is needed.
            Err(_) => Vec::new(),
        };
        self.emit_all(events)
    }

    fn watch(&mut self, client: &Client, session: SessionId) {
        if self.view.wants_output() && !self.state.detach {
            self.asked.push(asking::watch(client.clone(), session));
        }
    }
}
