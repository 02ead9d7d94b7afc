//! Which session a person means, and how short its id may be written. PURE.

use std::ops::Deref;

use cm_protocol::SessionInfo;
use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::report::clean::{clean, fit, pad, width};
use crate::report::words;

/// Candidates shown when a name fits several or none.
const SHOWN: usize = 10;
/// Ids are never written shorter than this.
const LEAST: usize = 6;

/// The digits of a whole id, which no two sessions anywhere have in common.
const WHOLE: usize = 32;
/// So many digits as commands print: hardly ever the beginning of two sessions' ids.
const PRINTED: usize = 8;

/// This machine's agent, in reports.
pub const LOCAL: &str = "local";

/// A session, and the host it is on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// The host's name; [`LOCAL`] for this machine where no inventory names it.
    pub host: String,
    /// The session.
    #[serde(flatten)]
    pub info: SessionInfo,
}

impl Deref for Seen {
    type Target = SessionInfo;

    fn deref(&self) -> &SessionInfo {
        &self.info
    }
}

impl Seen {
    /// A host's sessions.
    pub fn on(host: &str, sessions: Vec<SessionInfo>) -> impl Iterator<Item = Self> {
        sessions.into_iter().map(move |info| Self { host: host.to_owned(), info })
    }

    /// Whether it is on another host than this machine, or on one an inventory names.
    pub fn is_elsewhere(&self) -> bool {
        self.host != LOCAL
    }

    /// What reports of its run call it: its name, else `task-N`.
    fn label(&self) -> Option<String> {
        let number = || {
            let (_, number) = self.task.as_ref()?.task_id.rsplit_once('-')?;
            number.bytes().all(|b| b.is_ascii_digit()).then(|| format!("task-{number}"))
        };
        self.name.clone().or_else(number)
    }
}

/// How sure it is that a session that fits a query is the only one, before all hosts have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// Another host may have one of that name.
    Open,
    /// Hardly another one.
    Likely,
    /// No other one.
    Certain,
}

/// How sure an answer to `query` is.
pub fn sureness(query: &str) -> Sureness {
    let digits = query.strip_prefix("cm-").unwrap_or(query);
    match digits.len() {
        _ if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => Sureness::Open,
        WHOLE => Sureness::Certain,
        PRINTED.. => Sureness::Likely,
        _ => Sureness::Open,
    }
}

/// The session meant by `query`: a full id, a name, a task's id (`run-…-2`) or label (`task-2`), or the
/// beginning of an id with or without `cm-`. An exact id wins over a name, a name over a task, a task over a
/// beginning; among equal ones the one that lives, of one task's attempts the last.
///
/// # Errors
/// None or several fit; the failure lists the candidates.
pub fn resolve<'a>(sessions: &'a [Seen], query: &str) -> Result<&'a Seen, Failure> {
    let digits = query.strip_prefix("cm-").unwrap_or(query);
    if let Some(exact) = sessions.iter().find(|s| id_digits(s) == digits && !digits.is_empty()) {
        return Ok(exact);
    }
    let all = |fits: &dyn Fn(&Seen) -> bool| sessions.iter().filter(|s| fits(s)).collect::<Vec<_>>();
    let named = all(&|s| s.name.as_deref() == Some(query));
    let task = last_attempts(all(&|s| s.task.as_ref().is_some_and(|task| task.task_id == query)));
    let labelled = all(&|s| s.label().as_deref() == Some(query));
    let begun = all(&|s| !digits.is_empty() && id_digits(s).starts_with(digits));
    let living = |of: &[&'a Seen]| of.iter().copied().filter(|s| s.alive).collect::<Vec<_>>();
    for candidates in [&living(&named), &named, &task, &living(&labelled), &labelled, &begun] {
        match candidates.as_slice() {
            [] => {}
            [one] => return Ok(one),
            several => {
                return Err(Failure::usage(format!(
                    "`{}` could be any of {} sessions",
                    clean(query),
                    several.len()
                ))
                .hint(candidate_lines(sessions, several)));
            }
        }
    }
    let failure = Failure::new(Kind::Task, format!("no session is called `{}`", clean(query)));
    let newest: Vec<_> = sessions.iter().rev().collect();
    Err(if newest.is_empty() {
        failure.hint("there are no sessions; `cm-fleet dispatch` makes some")
    } else {
        failure
            .hint(format!("these are the newest:\n{}", candidate_lines(sessions, &newest)))
            .hint("`cm-fleet sessions --all` lists all")
    })
}

/// Of sessions of one task those of the last attempt.
fn last_attempts(of: Vec<&Seen>) -> Vec<&Seen> {
    let attempt = |s: &Seen| s.task.as_ref().map_or(0, |task| task.attempt);
    let last = of.iter().map(|s| attempt(s)).max();
    of.into_iter().filter(|s| Some(attempt(s)) == last).collect()
}

fn id_digits(session: &SessionInfo) -> &str {
    let id = session.session_id.as_str();
    id.strip_prefix("cm-").unwrap_or(id)
}

fn candidate_lines(all: &[Seen], candidates: &[&Seen]) -> String {
    let shown = &candidates[..candidates.len().min(SHOWN)];
    let wide = shown.iter().map(|s| width(&clean(&s.host))).max().unwrap_or(0);
    let elsewhere = shown.iter().any(|s| s.is_elsewhere());
    let lines = shown.iter().map(|s| {
        let host = if elsewhere { format!("{}  ", pad(&clean(&s.host), wide)) } else { String::new() };
        let name = s.name.as_deref().map(clean).unwrap_or_default();
        let age = words::age(age_seconds(s));
        let summary = fit(&clean(&s.summary), 40);
        let line = format!("{host}{}  {:<8} {age:>4}  {name} {summary}", short(all, s), s.state);
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[allow(clippy::cast_precision_loss)] // an uptime is far below 2^53 seconds
fn age_seconds(session: &SessionInfo) -> f64 {
    session.uptime as f64
}

/// The shortest beginning of the id that fits no other session, six digits at least.
pub fn short(all: &[Seen], session: &Seen) -> String {
    let mine = id_digits(session);
    let shared = all
        .iter()
        .filter(|other| other.session_id != session.session_id)
        .map(|other| mine.chars().zip(id_digits(other).chars()).take_while(|(a, b)| a == b).count())
        .max()
        .unwrap_or(0);
    clean(mine).chars().take(LEAST.max(shared + 1)).collect()
}

#[cfg(test)]
mod tests {
    use cm_protocol::{SessionId, State};

    use super::*;

    fn session(id: &str, name: Option<&str>, alive: bool) -> Seen {
        let info = SessionInfo {
            session_id: SessionId(format!("cm-{id}")),
            tool: "shell".into(),
            state: if alive { State::Running } else { State::Done },
            path: "/".into(),
            uptime: 75,
            alive,
            name: name.map(str::to_owned),
            task: None,
            owner: None,
            summary: "make test".into(),
            created_at: 0.0,
            reason: None,
            prompt: None,
            outcome: None,
        };
        Seen { host: LOCAL.to_owned(), info }
    }

    fn on(host: &str, task: &str, attempt: u32, seen: Seen) -> Seen {
        let task = Some(cm_protocol::TaskRef { task_id: task.into(), attempt });
        Seen { host: host.to_owned(), info: SessionInfo { task, ..seen.info } }
    }

    fn some() -> Vec<Seen> {
        vec![
            session("abcdef0011112222", Some("build"), false),
            session("abcdef0099992222", Some("build"), true),
            session("1234567811112222", Some("abc"), true),
            session("1244444411112222", None, false),
            session("5555555511112222", Some("old"), false),
            session("6666666611112222", Some("old"), false),
        ]
    }

    /// The same over three hosts; a task with two attempts, two runs with a third task.
    fn fleet() -> Vec<Seen> {
        let mut all = some();
        all.extend([
            on("web-01", "run-aa-2", 1, session("a1aaaaaa11112222", None, true)),
            on("gpu", "run-aa-2", 2, session("a2aaaaaa11112222", None, true)),
            on("web-01", "run-aa-3", 1, session("a3aaaaaa11112222", None, false)),
            on("gpu", "run-bb-3", 1, session("a4aaaaaa11112222", None, true)),
            on("gpu", "run-bb-4", 1, session("a5aaaaaa11112222", Some("abc"), true)),
            on("gpu", "other", 1, session("a6aaaaaa11112222", None, true)),
        ]);
        all
    }

    #[test]
    fn tasks_by_id_and_label_over_hosts() {
        let all = fleet();
        let check = |query: &str, expected: &str| {
            let got =
                resolve(&all, query).map_or("none".to_owned(), |s| s.info.session_id.0[3..5].to_owned());
            assert_eq!(got, expected, "{query:?}");
        };
        check("run-aa-2", "a2");
        check("run-bb-4", "a5");
        check("other", "a6");
        check("task-3", "a4");
        check("task-2", "none");
        check("task-4", "none");
        check("run-cc-1", "none");
        check("a1", "a1");
        insta::assert_snapshot!(resolve(&all, "abc").expect_err("on two hosts").to_string(), @r"
        error: `abc` could be any of 2 sessions
          hint: local  123456  running    1m  abc make test
                gpu    a5aaaa  running    1m  abc make test
        ");
    }

    #[test]
    fn how_sure_an_answer_is() {
        let whole = "0123456789abcdef0123456789abcdef";
        for (query, expected) in [
            (whole, Sureness::Certain),
            (&format!("cm-{whole}"), Sureness::Certain),
            ("cm-12345678", Sureness::Likely),
            ("1234567", Sureness::Open),
            ("deadbeef-", Sureness::Open),
            ("", Sureness::Open),
            ("build", Sureness::Open),
        ] {
            assert_eq!(sureness(query), expected, "{query}");
        }
    }

    #[test]
    fn finds_the_one_meant() {
        let all = some();
        let check = |query: &str, expected: Option<usize>| {
            let got = resolve(&all, query).ok();
            assert_eq!(got, expected.map(|index| &all[index]), "{query:?}");
        };
        check("cm-abcdef0011112222", Some(0));
        check("abcdef0011112222", Some(0));
        check("abcdef00", None);
        check("abcdef001", Some(0));
        check("cm-abcdef009", Some(1));
        check("build", Some(1));
        check("abc", Some(2));
        check("12", None);
        check("124", Some(3));
        check("old", None);
        check("", None);
        check("cm-", None);
        check("nothing", None);
    }

    #[test]
    fn says_who_it_could_have_been() {
        let all = some();
        insta::assert_snapshot!(resolve(&all, "12").expect_err("two fit").to_string(), @r"
        error: `12` could be any of 2 sessions
          hint: 123456  running    1m  abc make test
                124444  done       1m   make test
        ");
        insta::assert_snapshot!(resolve(&all[..1], "x\x1b[2J").expect_err("none fits").to_string(), @r"
        error: no session is called `x`
          hint: these are the newest:
                abcdef  done       1m  build make test
          hint: `cm-fleet sessions --all` lists all
        ");
    }

    #[test]
    fn ids_are_as_short_as_they_can_be() {
        let all = some();
        let shorts: Vec<String> = all.iter().map(|s| short(&all, s)).collect();
        assert_eq!(shorts, ["abcdef001", "abcdef009", "123456", "124444", "555555", "666666"]);
        for (s, info) in shorts.iter().zip(&all) {
            assert_eq!(resolve(&all, s).ok(), Some(info));
        }
    }
}
