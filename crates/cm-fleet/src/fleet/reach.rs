//! Many agents reached at once: gently, each within its own time, none held up by another.

use std::sync::Arc;
use std::time::Duration;

use cm_client::Client;
use futures_util::stream::{FuturesUnordered, Stream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::way::Way;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::report::clean::clean;
use crate::sessions::LOCAL;

/// Connections that are being made at the same time.
pub const CONNECTING: usize = 64;
/// This machine's agent may have to be started first; that has deadlines of its own.
const HERE: Duration = Duration::from_secs(60);
/// Hosts named in one message.
const NAMED: usize = 10;

/// One agent of those a command is about.
#[derive(Debug, Clone)]
pub struct Member {
    /// The host's name in reports.
    pub host: String,
    /// How it is reached.
    pub way: Way,
}

impl Member {
    /// This machine's agent, where no inventory names it.
    pub fn here(local: crate::local::Local) -> Self {
        Self { host: LOCAL.to_owned(), way: Way::Here(local) }
    }
}

/// A host that did not answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// The host.
    pub host: String,
    /// Why.
    pub failure: Failure,
}

impl Unreached {
    /// In one line: the host, and the innermost cause.
    pub fn line(&self) -> String {
        let why = match self.failure.chain.as_slice() {
            [] => "it did not answer",
            [only] => only,
            [_, causes @ ..] => causes.last().map_or("", String::as_str),
        };
        let (host, why) = (clean(&self.host), clean(why));
        // Errors of ssh begin with the host and how it was called.
        let named = why.strip_prefix(&host).is_some_and(|rest| rest.starts_with([':', ' ']));
        if named { why } else { format!("{host}: {why}") }
    }
}

/// The agents a command is about.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Those to be asked.
    pub members: Vec<Member>,
    /// Hosts that cannot even be asked.
    pub lost: Vec<Unreached>,
    /// How long one may take to be reached, and again to answer.
    pub within: Duration,
}

impl Fleet {
    /// This machine's agent alone.
    pub fn here(local: crate::local::Local, within: Duration) -> Self {
        Self { members: vec![Member::here(local)], lost: Vec::new(), within }
    }

    /// Whether reports have to say which host.
    pub fn is_several(&self) -> bool {
        self.members.len() + self.lost.len() > 1 || self.members.iter().any(|member| member.host != LOCAL)
    }

    /// The way to a host's agent.
    pub fn way(&self, host: &str) -> Option<&Way> {
        self.members.iter().find(|member| member.host == host).map(|member| &member.way)
    }

    /// Connects to all agents and does `act` with each, telling as each is done.
    pub fn visit<'a, T, F, A>(
        &'a self,
        act: F,
    ) -> impl Stream<Item = (&'a Member, Result<T, Failure>)> + 'a + use<'a, T, F, A>
    where
        T: 'a,
        F: Fn(Client) -> A + 'a,
        A: Future<Output = Result<T, Failure>> + 'a,
    {
        let (room, act) = (Arc::new(Semaphore::new(CONNECTING)), Arc::new(act));
        let visits: FuturesUnordered<_> = self
            .members
            .iter()
            .map(|member| {
                let (room, act) = (Arc::clone(&room), Arc::clone(&act));
                async move { (member, Box::pin(visit(member, &room, self.within, &*act)).await) }
            })
            .collect();
        visits
    }
}

async fn visit<T, A: Future<Output = Result<T, Failure>>>(
    member: &Member,
    room: &Semaphore,
    within: Duration,
    act: &impl Fn(Client) -> A,
) -> Result<T, Failure> {
    let late = |limit: Duration, what: &str| {
        Failure::new(Kind::Unreachable, format!("cannot reach the agent on {}", member.host))
            .caused_by(format!("{what} within {} s", limit.as_secs()))
    };
    // It is never closed; without it the connection would still be made.
    let permit = room.acquire().await;
    let limit = if member.way.is_remote() { within } else { within.max(HERE) };
    let client = match timeout(limit, member.way.connect()).await {
        Ok(connected) => connected?,
        Err(_) => return Err(late(limit, "no connection")),
    };
    drop(permit);
    timeout(within, act(client)).await.unwrap_or_else(|_| Err(late(within, "no answer")))
}

/// The failure of a command that reached no host at all.
pub fn none(lost: &[Unreached]) -> Failure {
    match lost {
        // One agent's own words say it all.
        [one] => one.failure.clone(),
        several => {
            let what = format!("none of the {} hosts could be reached", several.len());
            let mut failure = Failure::new(Kind::Unreachable, what);
            failure.chain.extend(several.iter().take(NAMED).map(Unreached::line));
            if several.len() > NAMED {
                failure.chain.push(format!("… and {} more", several.len() - NAMED));
            }
            failure.hint("`cm-fleet doctor` says more; --local means this machine alone")
        }
    }
}

/// What a shell is told where some hosts did not answer: nothing better than that something failed.
pub fn with_lost(exit: Exit, lost: &[Unreached]) -> Exit {
    if exit == Exit::Done && !lost.is_empty() { Exit::Failed } else { exit }
}

/// The hosts that did not answer, a line each, for standard error.
pub fn lost_lines(lost: &[Unreached]) -> String {
    lost.iter().map(|one| format!("not reached: {}\n", one.line())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;

    use super::*;
    use crate::local::Local;

    fn lost(host: &str, chain: &[&str]) -> Unreached {
        let mut failure = Failure::new(Kind::Unreachable, chain[0]);
        failure.chain.extend(chain[1..].iter().map(|text| (*text).to_owned()));
        Unreached { host: host.to_owned(), failure }
    }

    #[test]
    fn who_did_not_answer_is_named() {
        let all = [
            lost("web-01", &["cannot reach the agent on web-01", "web-01: cannot connect: refused"]),
            lost("gpu\x1b[31m", &["no answer\x07"]),
        ];
        insta::assert_snapshot!(lost_lines(&all), @r"
        not reached: web-01: cannot connect: refused
        not reached: gpu: no answer
        ");
        insta::assert_snapshot!(none(&all).to_string(), @r"
        error: none of the 2 hosts could be reached
          caused by: web-01: cannot connect: refused
          caused by: gpu: no answer
          hint: `cm-fleet doctor` says more; --local means this machine alone
        ");
        assert_eq!(none(&all[..1]), all[0].failure, "one agent's own words");
        let many: Vec<Unreached> = (0..40).map(|n| lost(&n.to_string(), &["x"])).collect();
        assert!(none(&many).to_string().contains("… and 30 more"));
        assert_eq!(with_lost(Exit::Done, &all), Exit::Failed);
        assert_eq!(with_lost(Exit::Done, &[]), Exit::Done);
        assert_eq!(with_lost(Exit::Refused, &all), Exit::Refused);
    }

    /// Something that takes connections and never says a word; the most it had open at the same time.
    fn deaf(path: &std::path::Path) -> Arc<AtomicUsize> {
        let listener = tokio::net::UnixListener::bind(path).expect("a socket");
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let told = Arc::clone(&most);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let open = Arc::clone(&open);
                tokio::spawn(async move {
                    // Until the other end leaves.
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        told
    }

    async fn told(members: Vec<Member>) -> Vec<(String, bool)> {
        let fleet = Fleet { members, lost: Vec::new(), within: Duration::from_secs(30) };
        let visits = fleet.visit(|client: Client| async move {
            client.close().await;
            Ok(())
        });
        visits.map(|(member, got)| (member.host.clone(), got.is_err())).collect().await
    }

    fn member(host: &str, path: PathBuf) -> Member {
        Member { host: host.to_owned(), way: Way::Here(Local::At(path)) }
    }

    /// Agents that say nothing at all cost their own time, and the others are told before.
    #[tokio::test(start_paused = true)]
    async fn silent_ones_hold_nobody_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deaf");
        deaf(&path);
        let mut members: Vec<Member> =
            (1..CONNECTING).map(|n| member(&format!("deaf-{n}"), path.clone())).collect();
        members.push(member("gone", dir.path().join("none")));
        let told = told(members).await;
        assert_eq!(told.len(), CONNECTING);
        assert_eq!(told[0], ("gone".to_owned(), true));
        assert!(told.iter().all(|(_, failed)| *failed));
    }

    /// Of one agent there is a first look whether somebody listens, then the connection: two at most.
    #[tokio::test(start_paused = true)]
    async fn many_are_reached_gently() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deaf");
        let most = deaf(&path);
        let members = (0..CONNECTING * 5).map(|n| member(&n.to_string(), path.clone())).collect();
        assert_eq!(told(members).await.len(), CONNECTING * 5);
        let most = most.load(Ordering::Relaxed);
        assert!((1..=CONNECTING * 2).contains(&most), "{most}");
    }
}
