//! What goes over the wire: late, twice, or not at all.

use super::{Happening, World};
use crate::client::Out;
use crate::host::{Ask, Refusal, Say};

impl World {
    /// Sends off what the client has said.
    pub(super) fn flush(&mut self) {
        let Some(client) = &mut self.client else { return };
        let len = client.ledger.len();
        let mut waiting = Vec::new();
        for out in std::mem::take(&mut client.out) {
            match out {
                Out::Close { host } => self.close(host),
                Out::Ask { host, ask, kept } => {
                    let epoch = self.connections[self.members[host]].epoch;
                    if kept {
                        waiting.push((host, epoch, ask));
                    } else {
                        self.send(host, epoch, ask);
                    }
                }
            }
        }
        if !waiting.is_empty() {
            let after = self.chance.within(0.0, 0.02);
            self.put(after, Happening::Kept { process: self.process, len, asks: waiting });
        }
    }

    pub(super) fn latency(&mut self) -> f64 {
        self.chance.within(0.001, self.shape.grace / 40.0)
    }

    pub(super) fn send(&mut self, host: usize, epoch: u64, mut ask: Ask) {
        let place = self.members[host];
        if self.connections[place].epoch != epoch {
            if let Ask::Create { task, attempt, id, .. } = ask {
                self.tell(host, Say::Created { task, attempt, id, result: Err(Refusal::Lost) });
            }
            return;
        }
        let mut at = self.now + self.latency();
        // Somewhere on the way it lies, with all that is sent after it.
        if self.in_trouble() && self.chance.percent(2) {
            at += self.chance.within(0.0, 2.0 * self.shape.grace);
        }
        let late = self.chance.percent(50).then_some(self.hosts[place].boots);
        let connection = &mut self.connections[place];
        let at = at.max(connection.to_host + 1e-6);
        connection.to_host = at;
        let twice = if let Ask::Create { task, attempt, id, .. } = &mut ask {
            *id = self.serial;
            connection.asked.insert((*task, *attempt), *id);
            self.witness.asked(*task, *attempt, place);
            let (task, attempt, id) = (*task, *attempt, *id);
            let after = self.shape.grace / 2.0;
            self.put(after, Happening::Timeout { host, epoch, task, attempt, id });
            self.chance.percent(5)
        } else {
            false
        };
        let after = at - self.now;
        if twice {
            self.put(after, Happening::ToHost { host: place, epoch, late, ask: ask.clone() });
        }
        self.put(after, Happening::ToHost { host: place, epoch, late, ask });
    }

    /// Tells the client something by itself, without the network.
    pub(super) fn tell(&mut self, host: usize, say: Say) {
        let epoch = self.connections[self.members[host]].epoch;
        self.put(0.0, Happening::ToClient { host: self.members[host], epoch, say });
    }

    pub(super) fn close(&mut self, host: usize) {
        let place = self.members[host];
        let connection = &mut self.connections[place];
        connection.epoch += 1;
        (connection.open, connection.broken) = (false, true);
        for ((task, attempt), id) in std::mem::take(&mut connection.asked) {
            self.tell(host, Say::Created { task, attempt, id, result: Err(Refusal::Lost) });
        }
        let after = self.chance.within(0.1, 1.0);
        self.put(after, Happening::Reconnect { host, process: self.process });
    }

    pub(super) fn reconnect(&mut self, host: usize, process: u64) {
        if process != self.process || self.client.is_none() {
            return;
        }
        let place = self.members[host];
        if self.connections[place].open {
            return;
        }
        if !self.hosts[place].reachable() {
            let after = self.chance.within(0.5, 3.0);
            self.put(after, Happening::Reconnect { host, process });
            return;
        }
        let connection = &mut self.connections[place];
        connection.epoch += 1;
        (connection.open, connection.broken) = (true, false);
        // A new connection does not wait for what lies on the old one.
        connection.to_host = self.now;
        let renumbered = self.chance.percent(30);
        let clock = self.clock(place);
        self.say(place, Say::Connected { renumbered, clock });
        let snapshot = self.hosts[place].snapshot(self.now);
        self.say(place, Say::Snapshot(snapshot));
    }

    /// A host says something over its connection, if there is one.
    pub(super) fn say(&mut self, place: usize, say: Say) {
        let at = self.now + self.latency();
        let connection = &mut self.connections[place];
        if !connection.open || connection.broken {
            return;
        }
        let at = at.max(connection.to_client + 1e-6);
        connection.to_client = at;
        let epoch = connection.epoch;
        self.put(at - self.now, Happening::ToClient { host: place, epoch, say });
    }

    pub(super) fn deliver(&mut self, place: usize, epoch: u64, say: Say) {
        let connection = &mut self.connections[place];
        if connection.epoch != epoch || self.client.is_none() {
            return;
        }
        let Some(host) = self.number.get(&place).copied() else { return };
        match &say {
            Say::Created { task, attempt, id, result: Ok(_) | Err(Refusal::Refused(..)) } => {
                if connection.broken || connection.asked.get(&(*task, *attempt)) != Some(id) {
                    return;
                }
                connection.asked.remove(&(*task, *attempt));
            }
            Say::Created { .. } => {}
            Say::Lost => {
                self.close(host);
            }
            _ if connection.broken => return,
            _ => {}
        }
        if let Some(client) = &mut self.client {
            client.hear(host, say);
        }
    }
}
