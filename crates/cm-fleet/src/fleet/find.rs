//! The sessions of a whole fleet, and the one that a person means by an id, a name or a task.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use cm_client::Client;
use cm_client::protocol::SessionInfo;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::reach::{Fleet, Member, Unreached, none};
use super::way::Way;
use crate::dispatch::sleep_until;
use crate::failure::{Failure, Kind};
use crate::sessions::{Seen, Sureness, resolve, sureness};

/// How long others may still say that they have a session of the same id, once one has it.
const GRACE: Duration = Duration::from_secs(2);

/// All sessions of the hosts that answered, and the connections to them.
pub struct Roll {
    /// In the order of the hosts.
    pub seen: Vec<Seen>,
    /// Hosts that did not answer.
    pub lost: Vec<Unreached>,
    clients: BTreeMap<String, Client>,
}

/// A session, and the agent it belongs to.
pub struct Found {
    /// The session.
    pub session: SessionInfo,
    /// Its host's name.
    pub host: String,
    /// The way to its agent.
    pub way: Way,
    /// A connection to it.
    pub client: Client,
    /// Hosts that were not looked at.
    pub lost: Vec<Unreached>,
}

impl Roll {
    /// Asks all hosts.
    ///
    /// # Errors
    /// None of them answers.
    pub async fn call(fleet: &Fleet) -> Result<Self, Failure> {
        Self::until(fleet, |_| Sureness::Open).await
    }

    /// Asks all hosts for these sessions, and does not wait for hosts that hardly have another one of these names.
    ///
    /// # Errors
    /// None of them answers.
    pub async fn naming(fleet: &Fleet, names: &[String]) -> Result<Self, Failure> {
        let mut open: Vec<&str> = names.iter().map(|name| query(name)).collect();
        let all = open.iter().map(|query| sureness(query)).min().unwrap_or(Sureness::Open);
        let sure = |news: &[Seen]| {
            open.retain(|query| resolve(news, query).is_err());
            if open.is_empty() { all } else { Sureness::Open }
        };
        let mut roll = Self::until(fleet, sure).await?;
        if all == Sureness::Certain && open.is_empty() {
            // A whole id is on no other host, whatever that one would have said.
            roll.lost.clear();
        }
        Ok(roll)
    }

    /// Asks all hosts, and stops early where `sure` says so, which is told what each host says.
    async fn until(fleet: &Fleet, mut sure: impl FnMut(&[Seen]) -> Sureness) -> Result<Self, Failure> {
        let mut answers = Answers::default();
        let mut give_up: Option<Instant> = None;
        {
            let mut visits = pin!(fleet.visit(|client| async move {
                let sessions = crate::command::list(&client).await?;
                Ok((client, sessions))
            }));
            loop {
                let answer = tokio::select! {
                    answer = visits.next() => answer,
                    () = sleep_until(give_up) => break,
                };
                let Some((member, answer)) = answer else { break };
                let news: Vec<Seen> = match &answer {
                    Ok((_, sessions)) => Seen::on(&member.host, sessions.clone()).collect(),
                    Err(_) => Vec::new(),
                };
                answers.take(member, answer);
                match sure(&news) {
                    Sureness::Open => {}
                    Sureness::Likely => give_up = give_up.or_else(|| Some(Instant::now() + GRACE)),
                    Sureness::Certain => break,
                }
            }
        }
        answers.into_roll(fleet)
    }

    /// The connection to a host that answered.
    ///
    /// # Errors
    /// It did not.
    pub fn client(&self, host: &str) -> Result<&Client, Failure> {
        self.clients
            .get(host)
            .ok_or_else(|| Failure::new(Kind::Unreachable, format!("there is no connection to {host}")))
    }

    /// Closes the connections.
    pub async fn close(self) {
        let closing = self.clients.values().map(Client::close);
        futures_util::future::join_all(closing).await;
    }
}

/// What the hosts have said so far.
#[derive(Default)]
struct Answers {
    sessions: BTreeMap<String, Vec<SessionInfo>>,
    clients: BTreeMap<String, Client>,
    failures: BTreeMap<String, Failure>,
}

impl Answers {
    fn take(&mut self, member: &Member, answer: Result<(Client, Vec<SessionInfo>), Failure>) {
        let host = member.host.clone();
        match answer {
            Ok((client, sessions)) => {
                self.clients.insert(host.clone(), client);
                self.sessions.insert(host, sessions);
            }
            Err(failure) => {
                self.failures.insert(host, failure);
            }
        }
    }

    /// Each session once: two ways may lead to one agent.
    fn seen(&self, fleet: &Fleet) -> Vec<Seen> {
        let mut known = BTreeSet::new();
        let of =
            |member: &Member| self.sessions.get(&member.host).map(|all| (member.host.clone(), all.clone()));
        let all = fleet.members.iter().filter_map(of);
        all.flat_map(|(host, sessions)| Seen::on(&host, sessions).collect::<Vec<_>>())
            .filter(|seen| known.insert(seen.info.session_id.clone()))
            .collect()
    }

    fn into_roll(mut self, fleet: &Fleet) -> Result<Roll, Failure> {
        let mut lost = fleet.lost.clone();
        for member in fleet.members.iter().filter(|member| !self.sessions.contains_key(&member.host)) {
            let host = member.host.clone();
            let failure = self.failures.remove(&host).unwrap_or_else(|| {
                Failure::new(Kind::Unreachable, format!("cannot reach the agent on {host}"))
                    .caused_by(format!("no answer within {} s after another host's", GRACE.as_secs()))
            });
            lost.push(Unreached { host, failure });
        }
        if self.sessions.is_empty() {
            return Err(none(&lost));
        }
        Ok(Roll { seen: self.seen(fleet), lost, clients: self.clients })
    }
}

/// The session a person means by `query`, on any of the hosts. Hosts that do not answer are named in what is
/// returned, and in the error.
///
/// # Errors
/// No host answers, or none or several sessions fit.
pub async fn find(fleet: &Fleet, query: &str) -> Result<Found, Failure> {
    let mut roll = Roll::naming(fleet, &[query.to_owned()]).await?;
    let (session, host) = match resolve(&roll.seen, query) {
        Ok(seen) => (seen.info.clone(), seen.host.clone()),
        Err(failure) => {
            let named = not_looked_at(&roll.lost);
            roll.close().await;
            return Err(named.into_iter().fold(failure, Failure::hint));
        }
    };
    let lost = std::mem::take(&mut roll.lost);
    let (Some(client), Some(way)) = (roll.clients.remove(&host), fleet.way(&host).cloned()) else {
        return Err(Failure::new(Kind::Unreachable, format!("there is no connection to {host}")));
    };
    roll.close().await;
    Ok(Found { session, host, way, client, lost })
}

/// The session of a name that may have a prompt's number behind it.
fn query(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((session, number)) if number.parse::<u64>().is_ok() => session,
        _ => name,
    }
}

/// One line for all hosts that were not looked at.
pub fn not_looked_at(lost: &[Unreached]) -> Option<String> {
    let lines: Vec<String> = lost.iter().map(Unreached::line).collect();
    (!lines.is_empty()).then(|| format!("not looked at: {}", lines.join("\n               ")))
}
