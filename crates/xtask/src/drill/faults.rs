//! What goes wrong, where and when: one fault after the other, while the run is under way.

use std::fs;
use std::time::{Duration, Instant};

use crate::failure::Failure;

use super::client::Client;
use super::field::Field;

/// The network of a host is cut: nothing gets to its sshd or back.
const CUT: &str = "for t in iptables iptables-legacy; do $t -N CUT 2>/dev/null && \
                   $t -A CUT -p tcp --dport 22 -j DROP && $t -A CUT -p tcp --sport 22 -j DROP && \
                   $t -I INPUT -j CUT && $t -I OUTPUT -j CUT && exit 0; done; exit 1";
const UNCUT: &str = "for t in iptables iptables-legacy; do $t -D INPUT -j CUT && $t -D OUTPUT -j CUT && \
                     $t -F CUT && $t -X CUT && exit 0; done 2>/dev/null; exit 1";
/// Agents that serve, not the small programs of the same name that tools call.
const KILL_AGENT: &str = "pid=$(pgrep -u deploy -o -x cm-agent) && kill -9 $pid";
/// The terminals of two sessions.
const KILL_TERMINALS: &str = "for pid in $(pgrep -u deploy tmux | head -n 2); do kill -9 $pid; done";

/// Something that goes wrong with a host, by its number, or with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    AgentKilled(usize),
    TerminalsKilled(usize),
    ClientKilled,
    /// For so many seconds.
    Frozen(usize, u64),
    /// The network, for so many seconds.
    Cut(usize, u64),
    CutForEver(usize),
    PoweredOff(usize),
    Rebooted(usize),
}

/// What was done, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Seconds since the beginning.
    pub at: f64,
    /// In words.
    pub words: String,
    /// A fault, not the end of one.
    pub fault: bool,
    /// A host that stood still: its name, and from when to when, as the kernel counts seconds.
    pub frozen: Option<(String, f64, f64)>,
}

/// Faults that are still to come, and those that are over.
pub struct Faults {
    coming: Vec<Fault>,
    all: usize,
    tasks: usize,
    began: Instant,
    /// What is to be undone, and when.
    undo: Vec<(Instant, Undo)>,
    done: Vec<Done>,
}

/// The end of a fault that ends by itself.
#[derive(Debug, Clone, Copy)]
enum Undo {
    /// A host that has stood still since then, seconds of the kernel's.
    Thaw(usize, f64),
    Uncut(usize),
}

/// PURE. Everything that can go wrong, on so many hosts; the last two do not come back.
fn plan(hosts: usize) -> Vec<Fault> {
    use Fault::{AgentKilled, ClientKilled, Cut, CutForEver, Frozen, PoweredOff, Rebooted, TerminalsKilled};
    vec![
        AgentKilled(0),
        TerminalsKilled(2),
        Frozen(3, 3),
        ClientKilled,
        Cut(0, 5),
        Frozen(3, 20),
        AgentKilled(2),
        PoweredOff(hosts - 1),
        Rebooted(1),
        Cut(0, 20),
        AgentKilled(1),
        TerminalsKilled(2),
        CutForEver(hosts - 2),
        AgentKilled(3),
        ClientKilled,
        TerminalsKilled(1),
    ]
}

impl Faults {
    /// All of them.
    pub fn new(hosts: usize, tasks: usize) -> Self {
        let mut coming = plan(hosts);
        coming.reverse();
        Self { all: coming.len(), coming, tasks, began: Instant::now(), undo: Vec::new(), done: Vec::new() }
    }

    /// How many are still to come.
    pub fn left(&self) -> usize {
        self.coming.len()
    }

    /// What was done; what is to be undone is undone now.
    pub fn done(mut self, field: &Field) -> Result<Vec<Done>, Failure> {
        self.undo(field, true)?;
        Ok(self.done)
    }

    /// Injects the next fault, if so many tasks have ended that it is its turn.
    pub fn advance(
        &mut self,
        field: &Field,
        client: &mut Client<'_>,
        finished: usize,
    ) -> Result<(), Failure> {
        self.undo(field, false)?;
        let number = self.all - self.coming.len() + 1;
        if finished < number * self.tasks / (self.all + 2) {
            return Ok(());
        }
        let Some(fault) = self.coming.pop() else { return Ok(()) };
        self.inject(fault, field, client)
    }

    fn inject(&mut self, fault: Fault, field: &Field, client: &mut Client<'_>) -> Result<(), Failure> {
        let name = |host: usize| field.hosts()[host].name.clone();
        let container = |host: usize| field.hosts()[host].container.as_str();
        let at = self.began.elapsed().as_secs_f64();
        println!("{at:>6.1} s  {}", words(fault, &name));
        match fault {
            Fault::AgentKilled(host) => _ = field.as_root(host, KILL_AGENT)?,
            Fault::TerminalsKilled(host) => _ = field.as_root(host, KILL_TERMINALS)?,
            Fault::ClientKilled => client.kill_and_resume()?,
            Fault::Frozen(host, seconds) => {
                let since = uptime()?;
                field.docker(&["pause", container(host)])?;
                self.undo.push((Instant::now() + Duration::from_secs(seconds), Undo::Thaw(host, since)));
            }
            Fault::Cut(host, seconds) => {
                field.as_root(host, CUT)?;
                self.undo.push((Instant::now() + Duration::from_secs(seconds), Undo::Uncut(host)));
            }
            Fault::CutForEver(host) => _ = field.as_root(host, CUT)?,
            Fault::PoweredOff(host) => _ = field.docker(&["kill", "--signal", "KILL", container(host)])?,
            Fault::Rebooted(host) => {
                field.docker(&["kill", "--signal", "KILL", container(host)])?;
                field.docker(&["start", container(host)])?;
            }
        }
        self.done.push(Done { at, words: words(fault, &name), fault: true, frozen: None });
        Ok(())
    }

    /// Undoes what has gone on for long enough; `all`: whatever there is.
    fn undo(&mut self, field: &Field, all: bool) -> Result<(), Failure> {
        let now = Instant::now();
        let (due, later) = self.undo.iter().copied().partition(|(when, _)| all || *when <= now);
        self.undo = later;
        let due: Vec<(Instant, Undo)> = due;
        for (_, undo) in due {
            let (words, frozen) = match undo {
                Undo::Thaw(host, since) => {
                    let host = &field.hosts()[host];
                    field.docker(&["unpause", &host.container])?;
                    (format!("{} goes on", host.name), Some((host.name.clone(), since, uptime()?)))
                }
                Undo::Uncut(host) => {
                    field.as_root(host, UNCUT)?;
                    (format!("the network of {} is whole again", field.hosts()[host].name), None)
                }
            };
            let at = self.began.elapsed().as_secs_f64();
            println!("{at:>6.1} s    {words}");
            self.done.push(Done { at, words, frozen, fault: false });
        }
        Ok(())
    }
}

/// The kernel's seconds, which are the same on all hosts of this machine.
fn uptime() -> Result<f64, Failure> {
    let path = "/proc/uptime";
    let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.ok_or_else(|| Failure::check(format!("{path} says {text:?}"), "run this on Linux"))
}

fn words(fault: Fault, name: &impl Fn(usize) -> String) -> String {
    match fault {
        Fault::AgentKilled(host) => format!("kill -9 of the agent on {}", name(host)),
        Fault::TerminalsKilled(host) => {
            format!("kill -9 of the tmux servers of two sessions on {}", name(host))
        }
        Fault::ClientKilled => "kill -9 of the client; `runs resume`".to_owned(),
        Fault::Frozen(host, seconds) => format!("{} stands still for {seconds} s", name(host)),
        Fault::Cut(host, seconds) => format!("the network of {} is cut for {seconds} s", name(host)),
        Fault::CutForEver(host) => format!("the network of {} is cut for ever", name(host)),
        Fault::PoweredOff(host) => format!("{} loses its power for ever", name(host)),
        Fault::Rebooted(host) => format!("{} loses its power and boots", name(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_are_lost_and_the_others_come_back() {
        for hosts in [6, 7, 40] {
            let plan = plan(hosts);
            let lost = |fault: &&Fault| matches!(fault, Fault::CutForEver(_) | Fault::PoweredOff(_));
            assert_eq!(plan.iter().filter(lost).count(), 2);
            let others = plan.iter().filter_map(|fault| match fault {
                Fault::AgentKilled(host)
                | Fault::TerminalsKilled(host)
                | Fault::Frozen(host, _)
                | Fault::Cut(host, _)
                | Fault::Rebooted(host) => Some(*host),
                _ => None,
            });
            assert!(others.max() < Some(hosts - 2));
        }
    }
}
