//! Every word a run says to people, in one place. PURE.

use cm_agent::tool::Profiles;
use cm_protocol::{SessionId, State};

use super::clean::{clean, clean_line};
use super::event::{Class, FleetPlan, RunEvent, RunEventKind, Stop, Summary};
use super::fold::{Host, Link, Live, RunState, Status, Wait};
use crate::yaml::meant;

pub mod ending;
pub mod prompt;

/// How a line of a report is to be understood, and so coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Goes on as it should.
    Normal,
    /// Of lesser weight.
    Quiet,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Needs a person.
    Attention,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whom it is about: a task's label, a host's name or `run`.
    pub who: String,
    /// One word.
    pub word: String,
    /// The rest; may be empty.
    pub text: String,
    /// What belongs under it, line by line; mostly nothing.
    pub more: Vec<String>,
    /// How it is to be understood.
    pub tone: Tone,
}

/// The time of day of a Unix time, in UTC: `12:01:03Z`.
pub fn clock(at: f64) -> String {
    let day = at.rem_euclid(86_400.0);
    let (h, m, s) = (day / 3600.0, day % 3600.0 / 60.0, day % 60.0);
    format!("{:02.0}:{:02.0}:{:02.0}Z", h.floor(), m.floor(), s.floor())
}

/// A time that goes on, to the second: `0:07`, `12:07`, `1:02:03`.
pub fn elapsed(seconds: f64) -> String {
    let whole = seconds.max(0.0).floor();
    let (h, m, s) = ((whole / 3600.0).floor(), (whole % 3600.0 / 60.0).floor(), whole % 60.0);
    if h > 0.0 { format!("{h:.0}:{m:02.0}:{s:02.0}") } else { format!("{m:.0}:{s:02.0}") }
}

/// A time that is over: `40 ms`, `1.2 s`, `2m 03s`, `1h 02m`.
pub fn took(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0}m {:02.0}s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0}h {:02.0}m", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

/// An age, roughly: `12s`, `3m`, `5h`, `2d`.
pub fn age(seconds: f64) -> String {
    match seconds.max(0.0).floor() {
        s if s < 60.0 => format!("{s:.0}s"),
        s if s < 3600.0 => format!("{:.0}m", (s / 60.0).floor()),
        s if s < 86_400.0 => format!("{:.0}h", (s / 3600.0).floor()),
        s => format!("{:.0}d", (s / 86_400.0).floor()),
    }
}

/// Enough of a session's id to find it again: eight digits of 128 random bits.
pub fn short(session: &SessionId) -> String {
    let id = session.as_str();
    clean(id.strip_prefix("cm-").unwrap_or(id)).chars().take(8).collect()
}

/// Enough of a run's id to find it again.
pub fn run(id: &str) -> String {
    clean(id.strip_prefix("run-").unwrap_or(id)).chars().take(8).collect()
}

/// `1 task`, `12 tasks`.
pub fn tasks(count: usize) -> String {
    if count == 1 { "1 task".into() } else { format!("{count} tasks") }
}

/// What commands about sessions of a host need besides; none for this machine's own.
pub fn elsewhere(host: &str) -> Option<String> {
    (host != crate::sessions::LOCAL).then(|| format!("--on {}", clean(host)))
}

/// The line an event is worth, if any. `state` already contains the event.
pub fn line(event: &RunEvent, state: &RunState) -> Option<Line> {
    let about = |who: &str, word: &str, text: String, tone| {
        Some(Line { who: clean(who), word: word.to_owned(), text: clean(&text), more: Vec::new(), tone })
    };
    match &event.kind {
        RunEventKind::RunStarted { jobs, detach, tasks: plans, fleet, .. } => {
            let text = format!("{}{}{}", tasks(plans.len()), on(fleet), pace(*jobs, *detach, plans.len()));
            about("run", "started", text, Tone::Quiet)
        }
        RunEventKind::RunResumed { fleet, .. } => {
            about("run", "resumed", format!("{}{}", sum(state.summary()), on(fleet)), Tone::Quiet)
        }
        RunEventKind::TasksReopened { tasks: again } => {
            about("run", "again", format!("{} once more", tasks(again.len())), Tone::Quiet)
        }
        RunEventKind::HostSetAside { host, error, until } => {
            let text = format!("{error}; nothing new there until {}", clock(*until));
            about(host, "set aside", text, Tone::Attention)
        }
        RunEventKind::HostTrusted { host } => {
            about(host, "trusted", "may be given tasks again".into(), Tone::Quiet)
        }
        RunEventKind::HostUnfit { host, tool, error, until } => {
            let until = until.map_or_else(String::new, |until| format!("; until {}", clock(until)));
            about(host, "unfit", format!("no tasks for {tool}: {error}{until}"), Tone::Attention)
        }
        RunEventKind::HostFit { host, tool } => {
            about(host, "fit", format!("may be given tasks for {tool} again"), Tone::Quiet)
        }
        RunEventKind::HostFenced { host, ended, .. } if !ended.is_empty() => {
            about(host, "fenced", "an earlier attempt still ran there, and was ended".into(), Tone::Attention)
        }
        RunEventKind::HostConnected { host, again: true, .. } => {
            about(host, "back", "connected again".into(), Tone::Good)
        }
        RunEventKind::HostFull { host, error, again: false } => {
            about(host, "full", format!("{error}; tasks wait until one ends"), Tone::Attention)
        }
        RunEventKind::HostConnected { .. }
        | RunEventKind::HostLoad { .. }
        | RunEventKind::HostHas { .. }
        | RunEventKind::HostFenced { .. }
        | RunEventKind::HostFull { .. }
        | RunEventKind::HostRoom { .. }
        | RunEventKind::TaskPlaced { .. } => None,
        RunEventKind::HostLost { host, error, .. } => {
            // What the connection died of is in the JSON; that it did is enough here.
            let what = error.split(": WebSocket").next().unwrap_or(error);
            about(host, "lost", format!("{what}; sessions go on"), Tone::Attention)
        }
        RunEventKind::HostGivenUp { host, error } => about(host, "given up", error.clone(), Tone::Bad),
        RunEventKind::HostNotice { host, message, .. } => {
            about(host, "notice", message.clone(), Tone::Attention)
        }
        RunEventKind::StopRequested { stop } => {
            let text = match stop {
                Stop::Detach => "sessions go on; Ctrl-C again within 2 s ends them",
                Stop::Cancel => "ending this run's sessions; Ctrl-C again leaves at once",
            };
            about("run", "stopping", text.into(), Tone::Attention)
        }
        RunEventKind::RunFinished { summary, seconds, .. } => {
            let tone = if summary.bad() > 0 { Tone::Bad } else { Tone::Good };
            about("run", "finished", format!("{}, {}", sum(*summary), took(*seconds)), tone)
        }
        kind => {
            let task = state.task(kind.task()?)?;
            let (word, text, tone) = task_line(event.at, kind, &task.status)?;
            let line = about(&task.plan.label, &word, text, tone)?;
            Some(Line { more: under(kind, &task.status), ..line })
        }
    }
}

/// A run's hosts in a few words.
pub fn hosts(state: &RunState) -> String {
    match state.hosts.as_slice() {
        [] => String::new(),
        [one] => clean(&one.name),
        [first, rest @ ..] => format!("{} and {} more", clean(&first.name), rest.len()),
    }
}

/// Where a run's tasks go, unless it is this machine.
fn on(fleet: &FleetPlan) -> String {
    match fleet.hosts.as_slice() {
        [] => String::new(),
        [host] if host.name == crate::sessions::LOCAL => String::new(),
        [host] => format!(" on {}", host.name),
        hosts => format!(" over {} hosts", hosts.len()),
    }
}

fn pace(jobs: usize, detach: bool, tasks: usize) -> String {
    match (detach, jobs < tasks) {
        (true, _) => ", detached".to_owned(),
        (false, true) => format!(", {jobs} at a time"),
        (false, false) => String::new(),
    }
}

/// The whole prompt, under the line that says that a task waits.
fn under(kind: &RunEventKind, status: &Status) -> Vec<String> {
    match (kind, status) {
        (RunEventKind::TaskState { prompt: Some(asked), .. }, Status::Live(live)) => {
            let mut lines: Vec<String> =
                prompt::details(&live.session, asked).iter().map(|line| clean_line(line)).collect();
            lines.extend(elsewhere(&live.host).map(|on| format!("each with {on}")));
            lines
        }
        _ => Vec::new(),
    }
}

/// What an attempt's end is called: moving, where its host is to blame.
fn wait_word(kind: &RunEventKind) -> String {
    match kind {
        RunEventKind::AttemptFailed { class: Class::Task, .. } => "failed".to_owned(),
        _ => "moving".to_owned(),
    }
}

fn task_line(at: f64, kind: &RunEventKind, status: &Status) -> Option<(String, String, Tone)> {
    Some(match kind {
        RunEventKind::TaskStarted { session_id, existing, warnings, .. } => {
            let found = if *existing { " (found again)" } else { "" };
            let text = format!("session {}{found}{}", short(session_id), warned(warnings));
            ("started".into(), text, if warnings.is_empty() { Tone::Quiet } else { Tone::Attention })
        }
        RunEventKind::TaskRefused { error, .. } => ("refused".into(), error.clone(), Tone::Bad),
        RunEventKind::AttemptFailed { host, error, again_at, .. } => {
            let wait = match status {
                Status::Queued(Wait::Until { .. }) if *again_at > at + 0.5 => {
                    format!("again in {}", elapsed(again_at - at))
                }
                _ => "again".to_owned(),
            };
            (wait_word(kind), format!("{host}: {error}; {wait}"), Tone::Attention)
        }
        RunEventKind::TaskParked { error, .. } => ("parked".into(), error.clone(), Tone::Bad),
        RunEventKind::TaskSkipped { because, .. } => {
            ("skipped".into(), format!("task {because} has not ended well"), Tone::Bad)
        }
        RunEventKind::TaskLate { host, attempt, outcome, .. } => {
            let text = format!("attempt {attempt} on {host} ended {}; it does not count", outcome.state);
            ("late".into(), text, Tone::Quiet)
        }
        RunEventKind::TaskState { state, .. } => {
            let Status::Live(live) = status else { return None };
            // The end has a line of its own, with more in it.
            if state.is_terminal() {
                return None;
            }
            let tone = match state {
                State::Waiting | State::Paused => Tone::Attention,
                State::Starting | State::Idle => Tone::Quiet,
                _ => Tone::Normal,
            };
            let text = live.prompt.as_ref().map_or_else(|| state_note(live), prompt::asks);
            (state.to_string(), text, tone)
        }
        RunEventKind::TaskReceipt { receipt, .. } => prompt::receipt(receipt),
        // The receipt has said it, and more.
        RunEventKind::TaskConfirmed { prompt: Some(id), .. } if told(status, *id) => return None,
        RunEventKind::TaskConfirmed { rule, .. } => {
            let rule = rule.as_deref().map_or_else(String::new, |rule| format!(" by rule {rule}"));
            ("confirmed".into(), format!("a prompt was answered{rule}"), Tone::Quiet)
        }
        RunEventKind::TaskFinished { outcome, .. } => {
            let tone = if outcome.state == State::Done { Tone::Good } else { Tone::Bad };
            (outcome.state.to_string(), ending::note(outcome), tone)
        }
        RunEventKind::CancelFailed { error, .. } => ("not ended".into(), error.clone(), Tone::Bad),
        _ => return None,
    })
}

fn told(status: &Status, prompt: u64) -> bool {
    matches!(status, Status::Live(live) if live.receipt == Some(prompt))
}

fn warned(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!("; {warning}")).collect()
}

/// What there is to say of a living session beside its state and output.
pub fn state_note(live: &Live) -> String {
    let short = short(&live.session);
    match (&live.prompt, &live.reason) {
        (Some(asked), _) => {
            let command = prompt::commands(&live.session, asked).into_iter().next().unwrap_or_default();
            format!("{} [{command}]", prompt::asks(asked))
        }
        (None, Some(reason)) => reason.clone(),
        (None, None) if live.state == State::Waiting => format!("[answer: cm-fleet attach {short}]"),
        (None, None) => String::new(),
    }
}

/// The counts, those that are zero left out: `2 done, 1 failed`.
pub fn sum(summary: Summary) -> String {
    let parts = [
        (summary.done, "done"),
        (summary.failed, "failed"),
        (summary.running, "running"),
        (summary.queued, "queued"),
        (summary.parked, "parked"),
        (summary.skipped, "skipped"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if said.is_empty() { "nothing to do".into() } else { said.join(", ") }
}

/// The total line under the bars.
pub fn total(state: &RunState, now: f64) -> String {
    let mut text = format!(
        "{} · {} · {}",
        tasks(state.tasks.len()),
        sum(state.summary()),
        elapsed(now - state.started_at)
    );
    let lost = |host: &&Host| matches!(host.link, Link::Lost { .. });
    text.push_str(&named(state.hosts.iter().filter(lost), "reconnecting to "));
    text.push_str(&named(state.hosts.iter().filter(|host| host.full), "full: "));
    text.push_str(&named(state.hosts.iter().filter(|host| host.aside.is_some()), "set aside: "));
    match state.stop {
        Some(Stop::Detach) => text.push_str(" · detaching"),
        Some(Stop::Cancel) => text.push_str(" · cancelling"),
        None => {}
    }
    text
}

/// ` · what a, b and 3 more`; nothing where there are none.
fn named<'a>(hosts: impl Iterator<Item = &'a Host>, what: &str) -> String {
    let names: Vec<String> = hosts.map(|host| clean(&host.name)).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" · {what}{one}"),
        [one, two] => format!(" · {what}{one} and {two}"),
        [one, two, more @ ..] => format!(" · {what}{one}, {two} and {} more", more.len()),
    }
}

/// What a bar says right of the task's name: the word, the time, the text.
pub fn bar(status: &Status, now: f64) -> Option<(String, String, String)> {
    match status {
        Status::Placed { since, .. } => Some(("placing".into(), elapsed(now - since), String::new())),
        Status::Live(live) => {
            let note = state_note(live);
            let text = if note.is_empty() { live.line.clone() } else { note };
            Some((live.state.to_string(), elapsed(now - live.since), clean(&text)))
        }
        _ => None,
    }
}

/// What to do about tasks that were refused; empty, or lines.
pub fn hints(state: &RunState) -> String {
    let missing = state.tasks.iter().find(
        |task| matches!(&task.status, Status::Refused { error } if error.starts_with("tool not found")),
    );
    let Some(task) = missing else { return String::new() };
    let known = Profiles::builtin();
    let tool = task.plan.tool.as_str();
    if let Some(meant) = meant(tool, known.names()).filter(|meant| *meant != tool) {
        return format!("hint: did you mean --tool {meant}?\n");
    }
    format!(
        "hint: install {}, or name another tool (--tool shell: the task is a script of sh)\n\
         hint: installed just now? `cm-fleet agent stop` first: an agent keeps its PATH\n",
        clean(&task.plan.tool)
    )
}

/// How to find sessions that go on; empty where there are none.
pub fn left_running(state: &RunState) -> String {
    let mut live = state.live();
    let Some((_, first)) = live.next() else { return String::new() };
    let more = live.count();
    let id = short(&first.session);
    let count = if more == 0 { "1 session goes on".into() } else { format!("{} sessions go on", more + 1) };
    let whole = format!("cm-fleet runs resume {}   goes on with the run", run(&state.run));
    if let Some(on) = elsewhere(&first.host) {
        return format!(
            "{count}:\n  cm-fleet logs {on} -f {id}   follows it\n  cm-fleet kill {on} {id}      ends it\n  \
             cm-fleet sessions {on}{}           lists them all\n  {whole}",
            " ".repeat(id.chars().count().saturating_sub(8))
        );
    }
    format!(
        "{count}:\n  cm-fleet logs -f {id}   follows it\n  cm-fleet attach {id}    opens it\n  \
         cm-fleet kill {id}      ends it\n  cm-fleet sessions{}           lists them all\n  {whole}",
        " ".repeat(id.chars().count().saturating_sub(8))
    )
}
