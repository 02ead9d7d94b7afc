//! Which session a person means, and how short its id may be written. PURE.

use cm_protocol::SessionInfo;

use crate::failure::{Failure, Kind};
use crate::report::clean::{clean, fit};
use crate::report::words;

/// Candidates shown when a name fits several or none.
const SHOWN: usize = 10;
/// Ids are never written shorter than this.
const LEAST: usize = 6;

/// The session meant by `query`: a full id, a name, or the beginning of an id with or without `cm-`.
/// An exact id wins over a name, a name over a beginning; among equal names the one that lives.
///
/// # Errors
/// None or several fit; the failure lists the candidates.
pub fn resolve<'a>(sessions: &'a [SessionInfo], query: &str) -> Result<&'a SessionInfo, Failure> {
    let digits = query.strip_prefix("cm-").unwrap_or(query);
    if let Some(exact) = sessions.iter().find(|s| id_digits(s) == digits && !digits.is_empty()) {
        return Ok(exact);
    }
    let named: Vec<_> = sessions.iter().filter(|s| s.name.as_deref() == Some(query)).collect();
    let living: Vec<_> = named.iter().copied().filter(|s| s.alive).collect();
    let begun: Vec<_> =
        sessions.iter().filter(|s| !digits.is_empty() && id_digits(s).starts_with(digits)).collect();
    for candidates in [&living, &named, &begun] {
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
        failure.hint("this agent has no sessions; `cm-fleet dispatch` makes some")
    } else {
        failure
            .hint(format!("these are the newest:\n{}", candidate_lines(sessions, &newest)))
            .hint("`cm-fleet sessions --all` lists all")
    })
}

fn id_digits(session: &SessionInfo) -> &str {
    let id = session.session_id.as_str();
    id.strip_prefix("cm-").unwrap_or(id)
}

fn candidate_lines(all: &[SessionInfo], candidates: &[&SessionInfo]) -> String {
    let lines: Vec<String> = candidates
        .iter()
        .take(SHOWN)
        .map(|s| {
            let name = s.name.as_deref().map(clean).unwrap_or_default();
            let age = words::age(age_seconds(s));
            let summary = fit(&clean(&s.summary), 40);
            format!("{}  {:<8} {age:>4}  {name} {summary}", short(all, s), s.state).trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

#[allow(clippy::cast_precision_loss)] // an uptime is far below 2^53 seconds
fn age_seconds(session: &SessionInfo) -> f64 {
    session.uptime as f64
}

/// The shortest beginning of the id that fits no other session, six digits at least.
pub fn short(all: &[SessionInfo], session: &SessionInfo) -> String {
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

    fn session(id: &str, name: Option<&str>, alive: bool) -> SessionInfo {
        SessionInfo {
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
        }
    }

    fn some() -> Vec<SessionInfo> {
        vec![
            session("abcdef0011112222", Some("build"), false),
            session("abcdef0099992222", Some("build"), true),
            session("1234567811112222", Some("abc"), true),
            session("1244444411112222", None, false),
            session("5555555511112222", Some("old"), false),
            session("6666666611112222", Some("old"), false),
        ]
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
