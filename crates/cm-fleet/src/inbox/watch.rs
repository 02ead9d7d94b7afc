//! `inbox --watch`: follows all hosts' events, shows what waits as it comes and goes, calls people.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use cm_client::protocol::{EventKind, SessionInfo};
use cm_client::{Connector, Follower, Update};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::{Change, Inbox, bell, draw, notify};
use crate::dispatch::{now, sleep_until};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::reach::{CONNECTING, Fleet, Member};
use crate::fleet::way::Way;
use crate::report::clean::clean;
use crate::report::paint::Paint;
use crate::report::{terminal, words};

/// After an event others mostly follow: they are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// Before an agent that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long an agent may take to list its sessions.
const LIST: Duration = Duration::from_secs(20);
/// News that wait to be shown.
const NEWS: usize = 256;
/// Messages under the first line.
const MESSAGES: usize = 3;

/// How it is shown, and who is called.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// JSON lines.
    pub json: bool,
    /// No bell.
    pub silent: bool,
    /// A command for each new question.
    pub notify: Option<String>,
}

/// What a host has to say.
enum News {
    /// Its living sessions.
    Sessions(Vec<SessionInfo>),
    /// It cannot be reached just now.
    Lost(String),
}

/// What can happen.
enum Input {
    News(usize, News),
    Failed(String),
    Resized,
    Interrupt,
    Ended,
}

/// Watches until Ctrl-C, or until nobody reads any more.
///
/// # Errors
/// Signals cannot be caught, or standard output cannot be written.
pub async fn watch(fleet: Fleet, how: How) -> Result<Exit, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |e: io::Error| Failure::new(Kind::Task, "cannot listen for signals").because(&e);
    let mut caught = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut resized = signal(SignalKind::window_change()).map_err(cannot)?;
    let (tell, mut told) = mpsc::channel(NEWS);
    let (ask, asked) = mpsc::channel(notify::WAITING);
    let (failed, mut failures) = mpsc::channel(NEWS);
    let room = Arc::new(Semaphore::new(CONNECTING));
    let mut followers: FuturesUnordered<_> = fleet
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| follow(index, member, Arc::clone(&room), tell.clone()))
        .collect();
    drop(tell);
    let command = how.notify.clone().unwrap_or_default();
    let notifying = notify::run(&command, asked, failed);
    tokio::pin!(notifying);
    let mut watching = Watching::new(&fleet, how, ask);
    watching.begin()?;
    loop {
        let input = tokio::select! {
            Some((index, news)) = told.recv() => Input::News(index, news),
            Some(()) = followers.next() => continue,
            () = &mut notifying => Input::Ended,
            Some(why) = failures.recv() => Input::Failed(why),
            Some(()) = resized.recv() => Input::Resized,
            _ = caught.recv() => Input::Interrupt,
            else => Input::Ended,
        };
        if !watching.handle(input)? {
            return Ok(watching.exit());
        }
    }
}

/// Tells of one host for ever.
async fn follow(index: usize, member: &Member, room: Arc<Semaphore>, tell: mpsc::Sender<(usize, News)>) {
    let mut follower = Follower::start(gently(member.way.clone(), room), None);
    let mut look_at: Option<Instant> = None;
    loop {
        let update = tokio::select! {
            update = follower.next() => update,
            () = sleep_until(look_at) => {
                look_at = None;
                let Some(client) = follower.try_client() else { continue };
                match timeout(LIST, client.list_sessions()).await {
                    Ok(Ok(sessions)) => drop(tell.send((index, News::Sessions(sessions))).await),
                    // A connection that is lost is told of by the follower.
                    _ => look_at = Some(Instant::now() + AGAIN),
                }
                continue;
            }
        };
        match update {
            Some(Update::Connected { .. } | Update::Snapshot(_) | Update::Missed) => {
                look_at = Some(Instant::now())
            }
            Some(Update::Event(event)) if !matches!(event.kind, EventKind::Notice(_)) => {
                look_at = look_at.or_else(|| Some(Instant::now() + SETTLE));
            }
            Some(Update::Lost { error, .. }) => drop(tell.send((index, News::Lost(error.to_string()))).await),
            Some(Update::Event(_) | Update::Screen(_)) => {}
            None => return,
        }
    }
}

/// Connects again as often as it must, but only so many at the same time.
fn gently(way: Way, room: Arc<Semaphore>) -> impl Connector {
    move || {
        let (way, room) = (way.clone(), Arc::clone(&room));
        async move {
            // It is never closed.
            let _permit = room.acquire_owned().await;
            way.connector().connect().await
        }
    }
}

/// What is shown.
struct Watching {
    names: Vec<String>,
    inbox: Inbox,
    /// Hosts that cannot be reached, and why.
    lost: BTreeMap<String, String>,
    /// Hosts that have spoken.
    heard: usize,
    messages: Vec<String>,
    how: How,
    ask: mpsc::Sender<notify::Call>,
    screen: bool,
    paint: Paint,
}

impl Watching {
    fn new(fleet: &Fleet, how: How, ask: mpsc::Sender<notify::Call>) -> Self {
        let lost = fleet.lost.iter().map(|one| (one.host.clone(), one.line())).collect();
        let screen = !how.json && io::stdout().is_terminal() && terminal::rows().is_some();
        Self {
            names: fleet.members.iter().map(|member| member.host.clone()).collect(),
            inbox: Inbox::default(),
            lost,
            heard: 0,
            messages: Vec::new(),
            how,
            ask,
            screen,
            paint: terminal::paint_stdout(),
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        if self.screen {
            return self.draw().map(drop);
        }
        for line in self.lost.values() {
            crate::command::say(&format!("not reached: {line}\n"));
        }
        Ok(())
    }

    /// False once nobody reads any more, or somebody has seen enough.
    fn handle(&mut self, input: Input) -> Result<bool, Failure> {
        match input {
            Input::News(index, News::Sessions(sessions)) => {
                let Some(host) = self.names.get(index).cloned() else { return Ok(true) };
                let back = self.lost.remove(&host).is_some();
                self.heard += 1;
                let changes = self.inbox.update(&host, sessions);
                self.call(&changes);
                self.show(&changes, back.then(|| format!("{}: reached again", clean(&host))))
            }
            Input::News(index, News::Lost(why)) => {
                let Some(host) = self.names.get(index).cloned() else { return Ok(true) };
                let why = crate::deploy::words::without_name(&host, &why).to_owned();
                let line = format!("{}: {}", clean(&host), clean(&why));
                let new = self.lost.insert(host, line.clone()).is_none();
                self.show(&[], new.then(|| format!("not reached: {line}; trying again")))
            }
            Input::Failed(why) => {
                self.messages.push(why.clone());
                self.messages.drain(..self.messages.len().saturating_sub(MESSAGES));
                self.show(&[], Some(why))
            }
            Input::Resized if self.screen => self.draw(),
            Input::Resized => Ok(true),
            Input::Interrupt | Input::Ended => Ok(false),
        }
    }

    /// Calls people for what is new.
    fn call(&mut self, changes: &[Change]) {
        let asked = || {
            changes.iter().filter_map(|change| match change {
                Change::Asked(seen) => Some(seen),
                Change::Settled(_) => None,
            })
        };
        if self.how.notify.is_some() {
            let left = asked().filter(|seen| self.ask.try_send(notify::Call::asked(seen)).is_err()).count();
            if left > 0 {
                self.messages.push(format!("--notify: too many questions at once; {left} were not told"));
            }
        }
        if !self.how.silent {
            let lines: Vec<String> = asked().map(|seen| draw::line(seen)).collect();
            ring(&bell::ring(bell::kind(|name| std::env::var(name).ok()), &lines));
        }
    }

    fn show(&self, changes: &[Change], message: Option<String>) -> Result<bool, Failure> {
        if self.screen {
            return self.draw();
        }
        if let Some(message) = message {
            crate::command::say(&(message + "\n"));
        }
        let mut text = String::new();
        for change in changes {
            text.push_str(&match (self.how.json, change) {
                (true, change) => crate::command::json(change)?,
                (false, Change::Asked(seen)) => format!("{} {}\n", words::clock(now()), draw::line(seen)),
                (false, Change::Settled(seen)) => {
                    format!("{} settled: {}\n", words::clock(now()), draw::line(seen))
                }
            });
        }
        crate::command::print(&text)
    }

    fn draw(&self) -> Result<bool, Failure> {
        let mut notes: Vec<String> = self.lost.values().map(|line| format!("not reached: {line}")).collect();
        notes.truncate(MESSAGES);
        if self.lost.len() > MESSAGES {
            notes.push(format!("… and {} more hosts not reached", self.lost.len() - MESSAGES));
        }
        if self.heard == 0 && notes.is_empty() {
            notes.push("connecting …".to_owned());
        }
        notes.extend(self.messages.iter().cloned());
        let rows = terminal::rows().unwrap_or(24);
        let hosts = self.names.len();
        let text = draw::screen(&self.inbox.waiting(), hosts, &notes, rows, self.paint);
        crate::command::print(&format!("\x1b[H\x1b[2J{text}"))
    }

    fn exit(&self) -> Exit {
        match self.lost.len() {
            0 => Exit::Done,
            _ if self.heard == 0 => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }
}

/// Only a terminal is told.
pub fn ring(bytes: &str) {
    // That a terminal does not take it leaves nobody to tell.
    let _ = match (io::stderr().is_terminal(), io::stdout().is_terminal()) {
        (true, _) => io::stderr().lock().write_all(bytes.as_bytes()),
        (false, true) => io::stdout().lock().write_all(bytes.as_bytes()),
        (false, false) => Ok(()),
    };
}
