//! Every word a deployment says to people. PURE.

use cm_protocol::deploy::HostAfter;

use super::event::{DeployEvent, DeployEventKind, Outcome, Summary, Verb, endangered};
use super::fold::{DeployState, Phase};
use super::plan::{Change, ImageComes, Plan, Reason, size};
use crate::report::clean::clean;
use crate::report::words::{Line, Tone, took};

/// How much of a sha256 people are shown.
const SHA: usize = 12;
/// Lines of a failed agent's log that are shown.
const LOG: usize = 12;

/// `1 host`, `3 hosts`.
pub fn hosts(count: usize) -> String {
    counted(count, "host")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The beginning of a sha256.
pub fn short_sha(sha256: &str) -> String {
    clean(sha256).chars().take(SHA).collect()
}

/// The line an event is worth, if any.
pub fn line(event: &DeployEvent, state: &DeployState) -> Option<Line> {
    let about = |who: &str, word: &str, text: String, more: Vec<String>, tone| {
        let more = more.iter().map(|line| clean(line)).collect();
        Some(Line { who: clean(who), word: word.to_owned(), text: clean(&text), more, tone })
    };
    match &event.kind {
        DeployEventKind::RunStarted { verb, fleet, hosts: all, .. } => {
            let text = format!("{} on {} of fleet {fleet}", verb.as_str(), hosts(all.len()));
            about("run", "started", text, vec![], Tone::Quiet)
        }
        DeployEventKind::HostPlanned { host, plan: Plan::Change(change) }
            if state.verb != Some(Verb::Plan) =>
        {
            about(host, "plan", change_text(change), change_more(change), Tone::Quiet)
        }
        DeployEventKind::HostPlanned { host, plan } if state.verb == Some(Verb::Plan) => {
            let (word, text, more, tone) = planned(plan);
            about(host, word, text, more, tone)
        }
        DeployEventKind::HostWarning { host, note } => {
            let more = note.remedy.iter().map(|remedy| format!("→ {remedy}")).collect();
            about(host, "warning", note.what.clone(), more, Tone::Attention)
        }
        DeployEventKind::HostFinished { host, outcome, took: seconds } => {
            let (word, text, more, tone) = outcome_words(outcome)?;
            let time = if matches!(outcome, Outcome::Changed(_) | Outcome::Removed) {
                format!(", {}", took(*seconds))
            } else {
                String::new()
            };
            about(host, word, format!("{}{time}", without_name(host, &text)), more, tone)
        }
        DeployEventKind::Stopped { why, back } => {
            let text = match back.len() {
                0 => why.clone(),
                n => format!("{why}; {} go back", hosts(n)),
            };
            about("run", "stops", text, vec![], Tone::Attention)
        }
        DeployEventKind::RunFinished(summary) => {
            let tone = if summary.exit() == crate::exit::Exit::Done { Tone::Good } else { Tone::Bad };
            about("run", "finished", summary_text(summary, state.verb), vec![], tone)
        }
        DeployEventKind::HostPlanned { .. }
        | DeployEventKind::HostConnected { .. }
        | DeployEventKind::HostBegun { .. }
        | DeployEventKind::HostSent { .. }
        | DeployEventKind::HostStep { .. } => None,
    }
}

type Words = (&'static str, String, Vec<String>, Tone);

/// A plan in words.
fn planned(plan: &Plan) -> Words {
    match plan {
        Plan::Nothing { sessions, notes } => {
            let more = notes.iter().flat_map(|note| note_lines(&note.what, note.remedy.as_deref())).collect();
            ("same", with_sessions("nothing to do", *sessions), more, Tone::Quiet)
        }
        Plan::Change(change) => ("change", change_text(change), change_more(change), Tone::Normal),
        Plan::Blocked(blocked) => {
            let more = blocked.remedy().iter().map(|remedy| format!("→ {remedy}")).collect();
            ("blocked", blocked.why(), more, Tone::Bad)
        }
    }
}

fn note_lines(what: &str, remedy: Option<&str>) -> Vec<String> {
    let mut lines = vec![what.to_owned()];
    lines.extend(remedy.map(|remedy| format!("→ {remedy}")));
    lines
}

/// Why a host changes, and what becomes of its sessions.
fn change_text(change: &Change) -> String {
    let why: Vec<String> = change.reasons.iter().map(reason).collect();
    let mut text = why.join("; ");
    text.push_str(match (change.image, change.send) {
        (Some(ImageComes::There), _) => " (the image is there already)",
        (Some(ImageComes::Pulled), _) => " (the host pulls the image)",
        (Some(ImageComes::Sent), _) | (None, true) => "",
        (None, false) => " (the program is there already)",
    });
    with_sessions(&text, change.sessions)
}

fn change_more(change: &Change) -> Vec<String> {
    let mut more = endangered(&change.ends);
    for reason in &change.reasons {
        if let Reason::Drift { what } = reason {
            more.extend(what.iter().map(|line| format!("changed by hand: {line}")));
        }
    }
    more.extend(change.notes.iter().flat_map(|note| note_lines(&note.what, note.remedy.as_deref())));
    more
}

fn with_sessions(text: &str, sessions: usize) -> String {
    match sessions {
        0 => text.to_owned(),
        1 => format!("{text}; 1 session goes on"),
        n => format!("{text}; {n} sessions go on"),
    }
}

/// One reason in words.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Absent => "no agent is installed".to_owned(),
        Reason::Program { from } => {
            format!("another program is installed ({} {})", from.version, short_sha(&from.sha256))
        }
        Reason::Image { from, reference } => {
            format!(
                "its container is made of another image ({}) than {reference} is",
                short_sha(&from.sha256)
            )
        }
        Reason::Settings => "its settings differ".to_owned(),
        Reason::Container => "its container is to have other mounts, limits, user or network".to_owned(),
        Reason::Keeper => "its keeper is an earlier deployment's, and no session lives in it".to_owned(),
        Reason::NotRunning { state } => format!("the agent does not run ({state})"),
        Reason::Stale { running } => {
            format!("another program runs than is installed ({})", short_sha(running))
        }
        Reason::Disabled => "it would not start at the next boot".to_owned(),
        Reason::Drift { .. } => "it was changed by hand".to_owned(),
        Reason::Unconfirmed => "an earlier deployment was never confirmed".to_owned(),
        Reason::TakenOver { from } => format!("it is taken from the fleet `{from}`"),
    }
}

/// An error of the connection's begins with the host's name, which already stands before it.
pub fn without_name<'a>(host: &str, why: &'a str) -> &'a str {
    why.strip_prefix(host).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(why)
}

/// What became of a host, in words; none where the plan has said it.
fn outcome_words(outcome: &Outcome) -> Option<Words> {
    let remedy_lines = |remedy: &Option<String>| remedy.iter().map(|r| format!("→ {r}")).collect::<Vec<_>>();
    Some(match outcome {
        Outcome::WouldChange => return None,
        Outcome::Unchanged { sessions } => {
            ("same", with_sessions("nothing to do", *sessions), vec![], Tone::Quiet)
        }
        Outcome::Nothing { why } => ("same", why.clone(), vec![], Tone::Quiet),
        Outcome::Changed(done) => {
            let from = match done.previous {
                Some(previous) => format!("generation {previous} → {}", done.generation),
                None => format!("generation {}", done.generation),
            };
            let text = format!("{from}: {} {}", done.version, short_sha(&done.sha256));
            let mut more: Vec<String> = Vec::new();
            if !done.lost.is_empty() {
                more.push(format!("sessions that ended: {}", done.lost.join(", ")));
            }
            if !done.dropped.is_empty() {
                more.push(format!("hardening this host does not take: {}", done.dropped.join(", ")));
            }
            let kept = match done.kept {
                0 => String::new(),
                n => format!("; {} went on, same processes", counted(n, "session")),
            };
            ("changed", format!("{text}{kept}"), more, Tone::Good)
        }
        Outcome::Removed => ("removed", "its agent is gone".to_owned(), vec![], Tone::Good),
        Outcome::Rotated => ("changed", "its agent has a new token".to_owned(), vec![], Tone::Good),
        Outcome::Skipped { why } => ("skipped", why.clone(), vec![], Tone::Attention),
        Outcome::Unreachable { why } => ("silent", why.clone(), vec![], Tone::Bad),
        Outcome::Refused { why, remedy } => ("refused", why.clone(), remedy_lines(remedy), Tone::Bad),
        Outcome::Failed { step, why, remedy, host_after, log } => {
            let mut more: Vec<String> = host_after.iter().map(after).collect();
            let shown = log.len().saturating_sub(LOG);
            more.extend(log[shown..].iter().map(|line| format!("  {line}")));
            more.extend(remedy_lines(remedy));
            ("failed", format!("{step}: {why}"), more, Tone::Bad)
        }
        Outcome::TakenBack { generation } => {
            let text = match generation {
                Some(n) => format!("generation {n} runs again"),
                None => "there was none before: its agent is gone".to_owned(),
            };
            ("back", text, vec![], Tone::Attention)
        }
    })
}

/// How a host is after a failure.
fn after(after: &HostAfter) -> String {
    match after {
        HostAfter::Untouched => "the host is as it was".to_owned(),
        HostAfter::Reverted { generation } => format!("it went back: generation {generation} runs again"),
        HostAfter::Removed => "it went back: there was no agent before, and there is none now".to_owned(),
        HostAfter::Broken { why } => format!("going back failed, too: {why}"),
    }
}

/// What a run has led to.
pub fn summary_text(summary: &Summary, verb: Option<Verb>) -> String {
    let (done, same) = match verb {
        Some(Verb::Uninstall) => ("removed", "without an agent"),
        Some(Verb::Rollback | Verb::RotateToken) => ("changed", "without an agent"),
        _ => ("changed", "as they should be"),
    };
    let parts = [
        (summary.changed, done),
        (summary.would_change, "to change"),
        (summary.unchanged, same),
        (summary.back, "gone back"),
        (summary.failed, "failed"),
        (summary.refused, "refused"),
        (summary.unreachable, "not reached"),
        (summary.skipped, "skipped"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let text = if said.is_empty() { "no hosts".to_owned() } else { said.join(" · ") };
    let kept = match summary.sessions_kept {
        0 => String::new(),
        n => format!(" · {} went on", counted(n, "session")),
    };
    format!("{text}{kept} in {}", took(summary.took))
}

/// What a host's bar says: a word and the rest; none once it is done with.
pub fn bar(phase: &Phase) -> Option<(&'static str, String)> {
    Some(match phase {
        Phase::Connecting => ("connecting", String::new()),
        Phase::Asking => ("asking", String::new()),
        Phase::Waiting => ("waiting", "for its turn".to_owned()),
        Phase::Working { sent: Some((bytes, total)), .. } if bytes < total => {
            ("sending", format!("{} of {}", size(*bytes), size(*total)))
        }
        Phase::Working { step, .. } => ("working", step_words(step).to_owned()),
        Phase::Finished(_) => return None,
    })
}

/// What goes on after a step has been done.
fn step_words(done: &str) -> &str {
    match done {
        "begin" => "starts",
        "image" => "makes the new container",
        "create" => "stops the old one",
        "start" => "waits until the agent is healthy",
        "lock" => "checks what came",
        "verify" => "writes it down",
        "store" => "sees that it outlives the login",
        "linger" => "sets the timer to go back",
        "arm" => "restarts the agent",
        "activate" => "waits until the agent is healthy",
        "healthy" => "counts sessions",
        "sessions" => "is confirmed through a new tunnel",
        "confirm" => "tidies up",
        other => other,
    }
}

/// The line under all bars.
pub fn total(state: &DeployState, now: f64) -> String {
    let verb = state.verb.map_or("", Verb::as_str);
    let bad = state.hosts.iter().filter(|host| match &host.phase {
        Phase::Finished(outcome) => {
            matches!(outcome, Outcome::Failed { .. } | Outcome::Unreachable { .. } | Outcome::Refused { .. })
        }
        _ => false,
    });
    let bad = match bad.count() {
        0 => String::new(),
        n => format!(" · {n} not well"),
    };
    let time = crate::report::words::elapsed(now - state.began);
    format!("{verb} {} · {} of {} hosts{bad} · {time}", state.fleet, state.finished(), state.hosts.len())
}

#[cfg(test)]
mod tests {
    use super::super::event::{Changed, NoteText};
    use super::super::plan::Blocked;
    use super::*;

    fn said(verb: Verb, kind: DeployEventKind) -> String {
        let mut state = DeployState::default();
        let hosts = vec!["h1".to_owned()];
        let begin = DeployEventKind::RunStarted { verb, fleet: "f".into(), by: "a@b".into(), hosts };
        state.apply(&DeployEvent { at: 0.0, kind: begin });
        let event = DeployEvent { at: 1.0, kind };
        state.apply(&event);
        match line(&event, &state) {
            None => "–".to_owned(),
            Some(line) => {
                let more: String = line.more.iter().map(|more| format!("\n    {more}")).collect();
                format!("{} {} {}{more}", line.who, line.word, line.text)
            }
        }
    }

    fn finished(outcome: Outcome) -> String {
        said(Verb::Deploy, DeployEventKind::HostFinished { host: "h1".into(), outcome, took: 2.34 })
    }

    #[test]
    fn what_became_of_hosts() {
        let changed = Changed {
            generation: 4,
            previous: Some(3),
            version: "0.1.0".into(),
            sha256: "0123456789abcdef".into(),
            kept: 2,
            lost: vec![],
            dropped: vec!["PrivateUsers".into()],
        };
        insta::assert_snapshot!(finished(Outcome::Changed(Box::new(changed))), @r"
        h1 changed generation 3 → 4: 0.1.0 0123456789ab; 2 sessions went on, same processes, 2.3 s
            hardening this host does not take: PrivateUsers
        ");
        let failed = Outcome::Failed {
            step: "healthy".into(),
            why: "the agent ended with 1".into(),
            remedy: Some("see its log".into()),
            host_after: Some(HostAfter::Reverted { generation: 3 }),
            log: vec!["no tmux".into()],
        };
        insta::assert_snapshot!(finished(failed), @r"
        h1 failed healthy: the agent ended with 1
            it went back: generation 3 runs again
              no tmux
            → see its log
        ");
        insta::assert_snapshot!(finished(Outcome::Unchanged { sessions: 1 }), @"h1 same nothing to do; 1 session goes on");
        insta::assert_snapshot!(finished(Outcome::WouldChange), @"–");
    }

    #[test]
    fn what_is_planned() {
        let plan = |plan| said(Verb::Plan, DeployEventKind::HostPlanned { host: "h1".into(), plan });
        let change = Change {
            reasons: vec![Reason::Settings, Reason::Drift { what: vec!["cm-agent.service: Nice=5".into()] }],
            arch: "x86_64".into(),
            send: false,
            image: None,
            sessions: 20,
            ends: vec![],
            notes: vec![],
        };
        let contained = |image| {
            let image = Some(image);
            plan(Plan::Change(Change { reasons: vec![Reason::Absent], image, sessions: 0, ..change.clone() }))
        };
        insta::assert_snapshot!(contained(ImageComes::There), @"h1 change no agent is installed (the image is there already)");
        insta::assert_snapshot!(contained(ImageComes::Pulled), @"h1 change no agent is installed (the host pulls the image)");
        insta::assert_snapshot!(contained(ImageComes::Sent), @"h1 change no agent is installed");
        insta::assert_snapshot!(plan(Plan::Change(change)), @r"
        h1 change its settings differ; it was changed by hand (the program is there already); 20 sessions go on
            changed by hand: cm-agent.service: Nice=5
        ");
        insta::assert_snapshot!(plan(Plan::Blocked(Blocked::NoExec { dir: "~/x".into() })), @r"
        h1 blocked programs may not be run from ~/x (mounted noexec)
            → name a directory on another file system in the inventory: agent: {dir: /opt/cm-agent}
        ");
        let warning = NoteText { what: "no linger".into(), remedy: Some("sudo loginctl".into()) };
        insta::assert_snapshot!(said(Verb::Deploy, DeployEventKind::HostWarning { host: "h1".into(), note: warning }), @r"
        h1 warning no linger
            → sudo loginctl
        ");
    }

    #[test]
    fn the_end() {
        let summary = Summary {
            changed: 9,
            unchanged: 2,
            unreachable: 1,
            sessions_kept: 20,
            took: 8.2,
            ..Summary::default()
        };
        insta::assert_snapshot!(summary_text(&summary, Some(Verb::Deploy)), @"9 changed · 2 as they should be · 1 not reached · 20 sessions went on in 8.2 s");
    }
}
