//! What goes wrong.

use cm_fleet::report::event::Stop;
use cm_protocol::{Outcome, State};

use super::{Happening, World};
use crate::host::{Ask, Say};

impl World {
    pub(super) fn other_members(&mut self) {
        let mut members: Vec<usize> = (0..self.hosts.len()).filter(|_| self.chance.percent(75)).collect();
        for pool in &self.pools {
            if let Some(first) = pool.first()
                && !pool.iter().any(|host| members.contains(host))
            {
                members.push(*first);
            }
        }
        if members.is_empty() {
            members.push(0);
        }
        let turn = self.chance.below(members.len());
        members.rotate_left(turn);
        self.members = members;
    }

    pub(super) fn outcome(&mut self) -> Outcome {
        let bad = self.shape.bad_ends;
        if !self.in_trouble() || !self.chance.percent(bad) {
            return Outcome { state: State::Done, ..Outcome::default() };
        }
        let (state, reason, until) = match self.chance.below(8) {
            0 => (State::Failed, "login_required: run claude", None),
            1 => (State::Failed, "rate_limited: later", Some(self.now + self.chance.within(-5.0, 200.0))),
            2 => (State::Failed, "out_of_memory: 2 GB", None),
            3 => (State::Lost, "its terminal is gone", None),
            4 => (State::Failed, "denied: rm", None),
            _ => (State::Failed, "", None),
        };
        Outcome { state, reason: Some(reason.to_owned()), until, ..Outcome::default() }
    }

    pub(super) fn fault(&mut self) {
        if !self.in_trouble() {
            for host in &mut self.hosts {
                (host.cut, host.mute, host.foreign) = (false, false, 0);
                host.up = !host.dead;
            }
            return;
        }
        let after = self.chance.within(0.0, 2.0 * self.shape.fault_every);
        self.put(after.min(self.faults_end() - self.now), Happening::Fault);
        let place = self.chance.below(self.hosts.len());
        let length = self.chance.within(0.1, 3.0 * self.shape.grace);
        match self.chance.below(if self.shape.client_fails { 14 } else { 9 }) {
            // Also while it is cut off.
            5 if self.chance.percent(40) && self.hosts[place].up => self.restarted(place),
            0 if self.chance.percent(30) => {
                self.hosts[place].dead = true;
                self.down(place);
            }
            0 | 1 => {
                self.down(place);
                self.put(length, Happening::Boot { host: place });
            }
            2..=4 => {
                let host = &mut self.hosts[place];
                (host.cut, host.cuts) = (true, host.cuts + 1);
                let cuts = host.cuts;
                self.last_breath(place);
                self.connections[place].broken = true;
                self.put(length, Happening::Heal { host: place, cuts });
            }
            5 if self.shape.mute && self.chance.percent(50) => {
                self.hosts[place].mute = true;
                self.put(length, Happening::Heal { host: place, cuts: 0 });
            }
            5 => self.reset(place),
            6 | 7 => {
                self.hosts[place].foreign = self.chance.below(self.shape.slots + 1);
                self.put(length, Happening::Foreign { host: place });
            }
            8 => self.hosts[place].tool_missing = self.chance.percent(10),
            9..=11 => {
                self.leave(false);
                let after = self.chance.within(0.1, 2.0 * self.shape.grace);
                self.put(after, Happening::Resume);
            }
            _ if self.chance.percent(20) => {
                let stop = if self.chance.percent(50) { Stop::Detach } else { Stop::Cancel };
                if let Some(client) = self.client.as_mut().filter(|client| client.state.stop < Some(stop)) {
                    client.stop(stop);
                }
            }
            _ => self.reset(place),
        }
    }

    /// What left just before a host is cut off may arrive all the same, and late.
    fn last_breath(&mut self, place: usize) {
        let (connection, boots) = (&self.connections[place], self.hosts[place].boots);
        let (Some(client), Some(host)) = (&self.client, self.number.get(&place)) else { return };
        if connection.open && !connection.broken {
            let (epoch, ask) = (connection.epoch, Ask::Beat { lease: client.lease(*host) });
            let after = self.chance.within(0.0, 1.5 * self.shape.grace);
            self.put(after, Happening::ToHost { host: place, epoch, late: Some(boots), ask });
        }
    }

    /// The connection is reset: its end is known at once.
    pub(super) fn reset(&mut self, place: usize) {
        if let Some(connection) = self.connections.get_mut(place).filter(|c| c.open && !c.broken) {
            connection.broken = true;
            let epoch = connection.epoch;
            self.put(0.01, Happening::ToClient { host: place, epoch, say: Say::Lost });
        }
    }

    /// A host goes down, and all its sessions with it.
    pub(super) fn down(&mut self, place: usize) {
        self.hosts[place].up = false;
        self.hosts[place].boots += 1;
        for index in self.hosts[place].living.clone() {
            let outcome = Outcome {
                state: State::Lost,
                reason: Some("the host was restarted".into()),
                ..Outcome::default()
            };
            self.hosts[place].end(index, outcome);
            let task = self.hosts[place].sessions[index].task;
            self.witness.ended(task, place, index);
        }
        if self.chance.percent(50) {
            self.reset(place);
        }
        self.connections[place].broken = true;
    }
}
