//! What waits for an answer, and which of it a person means. PURE.

use cm_protocol::{Prompt, State};

use crate::failure::{Failure, Kind};
use crate::report::clean::{clean, fit};
use crate::report::words;
use crate::sessions::{Seen, resolve};

/// Columns of a session's name in one line.
const NAME: usize = 24;

/// A session and the prompt that is open in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Open<'a> {
    /// The session.
    pub session: &'a Seen,
    /// Its prompt.
    pub prompt: &'a Prompt,
}

/// The prompts a command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Sessions, each with `/N` behind it where prompt N alone is meant. None: the only one that waits.
    pub names: Vec<String>,
    /// All that waits.
    pub all: bool,
    /// Also all that waits and is of the same class.
    pub same: bool,
}

/// All that waits for a person: living sessions, the ones with a prompt and the ones with only a reason.
pub fn waiting(sessions: &[Seen]) -> impl Iterator<Item = &Seen> {
    sessions.iter().filter(|s| s.alive && s.state == State::Waiting)
}

/// All prompts that are open.
pub fn open(sessions: &[Seen]) -> Vec<Open<'_>> {
    waiting(sessions)
        .filter_map(|session| session.prompt.as_ref().map(|prompt| Open { session, prompt }))
        .collect()
}

/// The prompts meant, each once. Nothing is done to any where one of the names is wrong.
///
/// # Errors
/// Nothing waits, several do and none was named, a name fits none or several sessions, the one it fits does
/// not wait, or waits on another prompt.
pub fn pick<'a>(sessions: &'a [Seen], wanted: &Wanted) -> Result<Vec<Open<'a>>, Failure> {
    let open = open(sessions);
    let mut picked: Vec<Open<'a>> = if wanted.all {
        open.clone()
    } else if wanted.names.is_empty() {
        vec![only(&open, wanted.same)?]
    } else {
        wanted.names.iter().map(|name| named(sessions, name)).collect::<Result<_, _>>()?
    };
    if wanted.same {
        let alike = |one: &Open<'_>| picked.iter().any(|p| is_same(p.prompt, one.prompt));
        let more: Vec<Open<'a>> = open.iter().copied().filter(alike).collect();
        picked.extend(more);
    }
    let mut seen = Vec::new();
    picked.retain(|one| {
        let new = !seen.contains(&&one.session.session_id);
        seen.push(&one.session.session_id);
        new
    });
    Ok(picked)
}

/// Whether two prompts can be settled together. One without a class is like no other.
fn is_same(a: &Prompt, b: &Prompt) -> bool {
    a.class.is_some() && a.class == b.class
}

/// The one that waits; with `same`, the first of several of one class.
fn only<'a>(open: &[Open<'a>], same: bool) -> Result<Open<'a>, Failure> {
    match open {
        [] => Err(Failure::new(Kind::Refused, "nothing waits for an answer")
            .hint("`cm-fleet sessions` lists what goes on")),
        [one] => Ok(*one),
        [first, rest @ ..] if same && rest.iter().all(|one| is_same(first.prompt, one.prompt)) => Ok(*first),
        several => {
            let lines: Vec<String> = several.iter().map(|one| line(*one)).collect();
            Err(Failure::usage(format!("{} sessions wait; say which", several.len())).hint(lines.join("\n")))
        }
    }
}

/// The prompt of the session meant by `name`: `SESSION` or `SESSION/PROMPT`.
fn named<'a>(sessions: &'a [Seen], name: &str) -> Result<Open<'a>, Failure> {
    let (query, id) = split(sessions, name);
    let session = resolve(sessions, query)?;
    let shown = words::short(&session.session_id);
    let refused = |what: String| Failure::new(Kind::Refused, what);
    let Some(prompt) = session.prompt.as_ref().filter(|_| session.alive && session.state == State::Waiting)
    else {
        let state = session.state;
        let reason = session.reason.as_deref().map(clean).filter(|reason| !reason.is_empty());
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(refused(format!("session {shown} has no open prompt; it is {state}{why}"))
            .hint(format!("look at it: cm-fleet explain {shown}")));
    };
    match id {
        Some(id) if id != prompt.id => Err(refused(format!(
            "prompt {id} of session {shown} is not open any more; another one is: {}",
            words::prompt::asks(prompt)
        ))
        .hint(format!("to mean this one, write {shown}/{}", prompt.id))),
        _ => Ok(Open { session, prompt }),
    }
}

/// `SESSION/PROMPT` in its parts. A session's name may have a slash of its own.
fn split<'a>(sessions: &[Seen], name: &'a str) -> (&'a str, Option<u64>) {
    let whole = sessions.iter().any(|s| s.name.as_deref() == Some(name));
    match name.rsplit_once('/') {
        Some((query, id)) if !whole => match id.parse() {
            Ok(id) => (query, Some(id)),
            Err(_) => (name, None),
        },
        _ => (name, None),
    }
}

/// A prompt in one line: the host where it is not this machine, the session, its name, what is asked.
pub fn line(open: Open<'_>) -> String {
    let id = words::prompt::name(&open.session.session_id, open.prompt);
    let name = open.session.name.as_deref().map(|name| format!(" {}", fit(&clean(name), NAME)));
    let host = match open.session.is_elsewhere() {
        true => format!("{}  ", clean(&open.session.host)),
        false => String::new(),
    };
    format!("{host}{id}{} {}", name.unwrap_or_default(), words::prompt::asks(open.prompt))
}

#[cfg(test)]
pub(crate) mod tests {
    use cm_protocol::{SessionId, SessionInfo};

    use super::*;
    use crate::report::words::prompt::tests::{permission, question};
    use crate::sessions::LOCAL;

    pub(crate) fn session(id: &str, name: &str, state: State, prompt: Option<Prompt>) -> Seen {
        let info = SessionInfo {
            session_id: SessionId(format!("cm-{id:0<32}")),
            tool: "claude".into(),
            state,
            path: "/home/ada/shop".into(),
            uptime: 75,
            alive: !state.is_terminal(),
            name: (!name.is_empty()).then(|| name.to_owned()),
            task: None,
            owner: None,
            summary: "fix the login test".into(),
            created_at: 0.0,
            reason: None,
            prompt,
            outcome: None,
        };
        Seen { host: LOCAL.to_owned(), info }
    }

    /// The same session on another host.
    pub(crate) fn on(host: &str, seen: Seen) -> Seen {
        Seen { host: host.to_owned(), ..seen }
    }

    /// Four that wait on a prompt (the first two of one class), one that waits on a limit, one that works.
    pub(crate) fn some() -> Vec<Seen> {
        let mut limited = session("eeeeee11", "limited", State::Waiting, None);
        limited.info.reason = Some("rate_limited: come back".into());
        let other = Prompt { class: None, subject: Some("rm -rf target".into()), ..permission() };
        vec![
            session("aaaaaa11", "one", State::Waiting, Some(permission())),
            session("bbbbbb11", "two", State::Waiting, Some(Prompt { id: 9, ..permission() })),
            session("cccccc11", "feature/3", State::Waiting, Some(other)),
            session("dddddd11", "", State::Waiting, Some(question())),
            limited,
            session("ffffff11", "busy", State::Running, None),
        ]
    }

    fn ids(picked: &[Open<'_>]) -> String {
        picked.iter().map(|one| one.session.info.session_id.0[3..4].to_owned()).collect()
    }

    #[test]
    fn the_ones_meant() {
        let all = some();
        let check = |names: &[&str], (every, same): (bool, bool), expected: &str| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            match pick(&all, &Wanted { names, all: every, same }) {
                Ok(picked) => assert_eq!(ids(&picked), expected),
                Err(failure) => {
                    let said = format!("{} {failure}", failure.kind.exit().code());
                    assert!(said.contains(expected), "{said:?} is not {expected:?}");
                }
            }
        };
        let one = (false, false);
        check(&["one"], one, "a");
        check(&["aaaa", "dddddd11"], one, "ad");
        check(&["one", "one/3", "aaaaaa"], one, "a");
        check(&["one/3"], one, "a");
        check(&["feature/3"], one, "c");
        check(&["feature/3/3"], one, "c");
        check(&[], (true, false), "abcd");
        check(&["two"], (false, true), "ba");
        check(&["feature/3"], (false, true), "c");
        check(&["one", "dddd"], (false, true), "adb");
        check(&["one/2"], one, "4 error: prompt 2 of session aaaaaa11 is not open any more");
        check(&["one/x"], one, "1 error: no session is called `one/x`");
        check(&["nobody"], one, "1 error: no session is called `nobody`");
        check(&["one", "busy"], one, "4 error: session ffffff11 has no open prompt; it is running");
        check(&["limited"], one, "it is waiting: rate_limited: come back");
        check(&[], one, "2 error: 4 sessions wait; say which");
        check(&[], (false, true), "2 error: 4 sessions wait; say which");
    }

    #[test]
    fn without_a_name_the_only_one() {
        let all = some();
        let none = Wanted::default();
        assert_eq!(ids(&pick(&all[2..3], &none).expect("one waits")), "c");
        assert_eq!(pick(&all[4..], &none).expect_err("none waits").kind, Kind::Refused);
        let same = Wanted { same: true, ..Wanted::default() };
        assert_eq!(ids(&pick(&all[..2], &same).expect("both are of one class")), "ab");
        insta::assert_snapshot!(pick(&all[1..4], &none).expect_err("three wait").to_string(), @r"
        error: 3 sessions wait; say which
          hint: bbbbbb11/9 two asks to run git push ⏎ origin main
                cccccc11/3 feature/3 asks to run rm -rf target
                dddddd11/4 asks: Which database?
        ");
        let [one, two] = [on("web-01", all[1].clone()), on("gpu", all[0].clone())];
        assert_eq!(ids(&pick(&[one.clone(), two.clone()], &same).expect("on two hosts")), "ba");
        insta::assert_snapshot!(pick(&[one, two], &none).expect_err("two wait").to_string(), @r"
        error: 2 sessions wait; say which
          hint: web-01  bbbbbb11/9 two asks to run git push ⏎ origin main
                gpu  aaaaaa11/3 one asks to run git push ⏎ origin main
        ");
        assert!(pick(&all[5..], &Wanted { all: true, ..Wanted::default() }).expect("fine").is_empty());
    }
}
