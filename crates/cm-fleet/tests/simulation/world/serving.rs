//! What hosts do when they are asked, and when time passes.

use cm_protocol::{ErrorCode, Event, EventKind, Outcome, SessionId};

use super::{Happening, World, killed};
use crate::host::{Ask, Lease, Orphan, Refusal, Say, Session};

impl World {
    pub(super) fn serve(&mut self, place: usize, ask: Ask) {
        match ask {
            Ask::Create { task, attempt, id, lease } => self.create(place, (task, attempt, id), lease),
            Ask::Beat { lease } => {
                if let Some(lease) = lease {
                    self.renew(place, lease);
                }
                let clock = self.clock(place);
                self.say(place, Say::Beaten { clock });
            }
            Ask::Fence { task, below } => {
                let stale = self.hosts[place].fence(task, below);
                let ended = stale.iter().map(|index| self.hosts[place].sessions[*index].id.clone()).collect();
                for index in stale {
                    self.end(place, index, killed("superseded: another attempt runs elsewhere"));
                }
                self.say(place, Say::Fenced { task, ended });
            }
            Ask::Look { task, session } => {
                let found = self.hosts[place].find(&session);
                let found = found.filter(|_| !self.hosts[place].is_acknowledged(&session));
                let info = found.map(|index| Box::new(self.hosts[place].info(index)));
                self.say(place, Say::Looked { task, session, info });
            }
            Ask::Kill { session } => {
                if let Some(index) = self.hosts[place].find(&session) {
                    self.end(place, index, killed(""));
                }
            }
            Ask::Acknowledge { sessions } => {
                if self.shape.strict
                    && let Some(client) = &self.client
                {
                    crate::checks::kept(&client.ledger[..client.kept], &sessions);
                }
                self.hosts[place].acknowledge(&sessions);
            }
            Ask::Probe => {
                let repos = self.hosts[place].repos.iter().cloned().collect();
                self.say(place, Say::Probed { repos });
            }
            Ask::GiveBack { as_of } => {
                let host = &mut self.hosts[place];
                let asked = as_of - host.ahead;
                for index in host.living.clone() {
                    let session = &mut host.sessions[index];
                    session.until = session.until.filter(|_| session.renewed > asked + 1e-9);
                }
            }
        }
    }

    pub(super) fn create(
        &mut self,
        place: usize,
        (task, attempt, id): (usize, u32, u64),
        lease: Option<Lease>,
    ) {
        let renewed = lease.map_or(self.now, |lease| (lease.as_of - self.hosts[place].ahead).min(self.now));
        let until = lease.map(|lease| renewed + lease.seconds);
        let over = self.shape.orphan == Orphan::Stop && until.is_some_and(|until| until <= self.now);
        let result = match self.hosts[place].admit(task, attempt) {
            Ok(None) if over => Err(Refusal::Refused(ErrorCode::Conflict, "its lease is over")),
            Ok(Some(session)) => Ok((session.id.clone(), true)),
            Err(refusal) => Err(refusal),
            Ok(None) => {
                let bits = (task as u128) << 64 | u128::from(attempt) << 32 | place as u128;
                let name = SessionId::from_bits(bits);
                let (id, since, written) = (name.clone(), self.now, renewed);
                let session = Session { id, task, attempt, since, until, renewed, written, end: None };
                let index = self.hosts[place].start(session);
                self.witness.started(task, place, index);
                self.hosts[place].repos.extend(self.tasks[task - 1].repo.clone());
                self.alone(task);
                let lasts = self.chance.within(0.05, self.shape.longest);
                self.put(lasts, Happening::Ends { host: place, session: index });
                if let Some(until) = until {
                    self.put(until - self.now, Happening::LeaseOver { host: place, session: index });
                }
                Ok((name, false))
            }
        };
        if self.hosts[place].mute {
            return;
        }
        let (asked, latency) = (self.connections[place].epoch, self.latency());
        let launch = match self.chance.below(10) {
            0 if self.in_trouble() => self.chance.within(0.0, self.shape.grace),
            _ => self.chance.within(0.0, 0.3),
        };
        let say = Say::Created { task, attempt, id, result };
        self.put(latency + launch, Happening::ToClient { host: place, epoch: asked, say });
    }

    pub(super) fn alone(&self, task: usize) {
        let Err(error) = self.witness.alone(task, &self.hosts, self.now, self.shape.orphan) else { return };
        let events = self.client.iter().flat_map(|client| &client.ledger);
        let ours: Vec<String> = events
            .filter(|event| event.kind.task() == Some(task))
            .map(|event| format!("{:.3} {:?}", event.at, event.kind))
            .collect();
        panic!("{error}\n{}", ours.join("\n"));
    }

    /// What a host's clock shows.
    pub(super) fn clock(&self, place: usize) -> f64 {
        self.now + self.hosts[place].ahead
    }

    pub(super) fn renew(&mut self, place: usize, lease: Lease) {
        let renewed = (lease.as_of - self.hosts[place].ahead).min(self.now);
        for index in self.hosts[place].living.clone() {
            let session = &mut self.hosts[place].sessions[index];
            if renewed < session.renewed {
                continue;
            }
            let (task, had) = (session.task, session.until);
            session.renewed = renewed;
            session.until = Some(renewed + lease.seconds);
            if renewed - session.written >= lease.seconds / 4.0 {
                session.written = renewed;
            }
            self.alone(task);
            if had.is_none() {
                self.put(
                    renewed + lease.seconds - self.now,
                    Happening::LeaseOver { host: place, session: index },
                );
            }
        }
    }

    /// The agent is killed and started: it goes on with what is in its journal.
    pub(super) fn restarted(&mut self, place: usize) {
        for index in self.hosts[place].living.clone() {
            let session = &mut self.hosts[place].sessions[index];
            let Some(until) = session.until else { continue };
            let until = until - session.renewed + session.written;
            (session.until, session.renewed) = (Some(until), session.written);
            self.put(until - self.now, Happening::LeaseOver { host: place, session: index });
        }
        self.reset(place);
    }

    pub(super) fn lease_over(&mut self, place: usize, index: usize) {
        let session = &self.hosts[place].sessions[index];
        let Some(until) = session.until.filter(|_| self.hosts[place].living.contains(&index)) else { return };
        if until > self.now + 1e-4 {
            self.put(until - self.now, Happening::LeaseOver { host: place, session: index });
        } else if self.shape.orphan == Orphan::Stop {
            self.end(place, index, killed("lease_expired: nobody renewed its lease"));
        }
    }

    pub(super) fn end(&mut self, place: usize, index: usize, outcome: Outcome) {
        if !self.hosts[place].end(index, outcome.clone()) {
            return;
        }
        let session = self.hosts[place].sessions[index].clone();
        self.witness.ended(session.task, place, index);
        let kind = EventKind::SessionCompleted {
            session_id: session.id,
            state: outcome.state,
            task: None,
            outcome: Some(outcome),
        };
        let event = Event { kind, seq: 0, timestamp: self.now };
        self.say(place, Say::Event(event.clone()));
        if self.chance.percent(10) {
            self.say(place, Say::Event(event));
        }
    }
}
