//! What waits for a person on all hosts, and what has changed of it. PURE but for its rooms `watch`,
//! `notify` and `calling`.

use std::collections::BTreeMap;

use cm_protocol::SessionInfo;
use serde::Serialize;

use crate::sessions::Seen;
use crate::waiting;

pub mod bell;
pub mod calling;
pub mod draw;
pub mod notify;
pub mod watch;

/// What is known of all hosts.
#[derive(Debug, Default)]
pub struct Inbox {
    hosts: BTreeMap<String, Vec<Seen>>,
}

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Change {
    /// A question that was not there before.
    Asked(Box<Seen>),
    /// One that is no longer there.
    Settled(Box<Seen>),
}

impl Inbox {
    /// What a host says is there by now; what is new of it, and what is gone.
    pub fn update(&mut self, host: &str, sessions: Vec<SessionInfo>) -> Vec<Change> {
        let all: Vec<Seen> = Seen::on(host, sessions).collect();
        // Two ways may lead to one agent; the first one to speak tells of its sessions.
        let elsewhere = |seen: &Seen| {
            let mut others = self.hosts.iter().filter(|(name, _)| *name != host).flat_map(|(_, all)| all);
            others.any(|other| other.session_id == seen.session_id)
        };
        let now: Vec<Seen> = waiting::waiting(&all).filter(|seen| !elsewhere(seen)).cloned().collect();
        let before = self.hosts.insert(host.to_owned(), now.clone()).unwrap_or_default();
        let missing = |from: &[Seen], one: &Seen| !from.iter().any(|other| key(other) == key(one));
        let gone = before.iter().filter(|one| missing(&now, one)).cloned().map(Box::new);
        let new = now.iter().filter(|one| missing(&before, one)).cloned().map(Box::new);
        gone.map(Change::Settled).chain(new.map(Change::Asked)).collect()
    }

    /// All that waits, in the order of the hosts' names.
    pub fn waiting(&self) -> Vec<&Seen> {
        self.hosts.values().flatten().collect()
    }
}

/// What makes a question the same one. A session without a prompt waits for a reason.
fn key(seen: &Seen) -> (&str, Option<u64>, Option<&str>) {
    match &seen.prompt {
        Some(prompt) => (seen.session_id.as_str(), Some(prompt.id), None),
        None => (seen.session_id.as_str(), None, seen.reason.as_deref()),
    }
}

/// How many others of `all` are like this one and can be settled with it, and on how many hosts.
pub fn like(all: &[&Seen], one: &Seen) -> (usize, usize) {
    let class = |seen: &Seen| seen.prompt.as_ref().and_then(|prompt| prompt.class.clone());
    let Some(mine) = class(one) else { return (0, 0) };
    let others = all.iter().filter(|other| other.session_id != one.session_id);
    let others: Vec<_> = others.filter(|other| class(other).as_ref() == Some(&mine)).collect();
    let hosts: std::collections::BTreeSet<&str> = others.iter().map(|other| other.host.as_str()).collect();
    (others.len(), hosts.len())
}

#[cfg(test)]
mod tests {
    use cm_protocol::Prompt;

    use super::*;
    use crate::waiting::tests::{on, some};

    fn told(changes: &[Change]) -> String {
        let words: Vec<String> = changes
            .iter()
            .map(|change| match change {
                Change::Asked(seen) => format!("+{} {}", seen.host, &seen.session_id.as_str()[3..5]),
                Change::Settled(seen) => format!("-{} {}", seen.host, &seen.session_id.as_str()[3..5]),
            })
            .collect();
        words.join(" ")
    }

    fn infos(of: &[Seen]) -> Vec<SessionInfo> {
        of.iter().map(|seen| seen.info.clone()).collect()
    }

    #[test]
    fn what_is_new_and_what_is_gone() {
        let all = infos(&some());
        let mut inbox = Inbox::default();
        assert_eq!(told(&inbox.update("web", all[..2].to_vec())), "+web aa +web bb");
        assert_eq!(told(&inbox.update("web", all[..2].to_vec())), "", "said once");
        assert_eq!(
            told(&inbox.update("gpu", all[3..].to_vec())),
            "+gpu dd +gpu ee",
            "what works is no question"
        );
        // Another prompt in the same session is another question.
        let mut next = all[0].clone();
        next.prompt = next.prompt.map(|prompt| Prompt { id: prompt.id + 1, ..prompt });
        assert_eq!(told(&inbox.update("web", vec![next.clone(), all[1].clone()])), "-web aa +web aa");
        assert_eq!(told(&inbox.update("web", vec![next])), "-web bb");
        let mut limit = all[4].clone();
        limit.reason = Some("auth_failed: log in".into());
        assert_eq!(told(&inbox.update("gpu", vec![limit])), "-gpu dd -gpu ee +gpu ee");
        assert_eq!(inbox.waiting().len(), 2);
        assert_eq!(told(&inbox.update("gpu", vec![])), "-gpu ee");
    }

    #[test]
    fn one_agent_by_two_names_asks_once() {
        let all = infos(&some());
        let mut inbox = Inbox::default();
        assert_eq!(told(&inbox.update("web", all[..1].to_vec())), "+web aa");
        assert_eq!(told(&inbox.update("local", all[..1].to_vec())), "");
        assert_eq!(inbox.waiting().len(), 1);
    }

    #[test]
    fn what_is_alike_over_hosts() {
        let all = some();
        let all = [all[0].clone(), on("gpu", all[1].clone()), all[2].clone(), all[3].clone()];
        let shown: Vec<&Seen> = all.iter().collect();
        for (index, expected) in [(0, (1, 1)), (1, (1, 1)), (2, (0, 0)), (3, (0, 0))] {
            assert_eq!(like(&shown, shown[index]), expected, "{index}");
        }
    }
}
