//! Very many tasks that do nothing, each in a session of its own with its result: beside OpenSSH, xargs and tmux.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bench::Row;
use crate::bench::deploy::timed::{Took, median};
use crate::failure::Failure;
use crate::sh::{Run, SHORT};

use super::place::{Place, SLOTS};
use super::spent;

/// Each way is gone so often, in turn.
const ROUNDS: usize = 3;
/// What a host does for one task by hand: a detached session, waited for; its exit code and its last lines. The
/// server is there already.
const TASK: &str = r#"d=$HOME/.bench
tmux -L bench new-session -d -s "t$1" "sh -c '$2' >$d/$1.out 2>&1; echo \$? >$d/$1.code; tmux -L bench wait-for -S t$1"
tmux -L bench wait-for "t$1"
echo "t$1 $(cat "$d/$1.code")"
tail -n 5 "$d/$1.out"
"#;
const READY: &str = "mkdir -p .bench && cat >.bench/task && \
    { tmux -L bench has-session 2>/dev/null || tmux -L bench new-session -d -s keep 'sleep 3600'; }";

/// One way's rounds.
#[derive(Debug, Default)]
struct Rounds {
    took: Vec<Took>,
    /// Processor time of all hosts, seconds.
    hosts: Vec<f64>,
}

impl Rounds {
    fn wall(&self) -> f64 {
        median(self.took.iter().map(|took| took.wall))
    }

    /// In a second.
    fn rate(&self, tasks: u16) -> f64 {
        f64::from(tasks) / self.wall()
    }

    /// Milliseconds of the client's for each.
    fn client(&self, tasks: u16) -> f64 {
        median(self.took.iter().map(|took| took.cpu)) * 1e3 / f64::from(tasks)
    }

    /// Milliseconds of the hosts' for each.
    fn hosts(&self, tasks: u16) -> f64 {
        median(self.hosts.iter().copied()) * 1e3 / f64::from(tasks)
    }

    fn words(&self, tasks: u16) -> String {
        format!(
            "{:.0} tasks/s, {:.1} ms of the client's processor and {:.0} ms of the hosts' each",
            self.rate(tasks),
            self.client(tasks),
            self.hosts(tasks)
        )
    }
}

/// Connections of OpenSSH's that stay open. They end with this, and so do the tmux servers on the hosts.
struct Masters<'a> {
    place: &'a Place,
    dir: PathBuf,
}

impl Drop for Masters<'_> {
    fn drop(&mut self) {
        for name in self.place.ground.names() {
            // Without a connection there is nothing to end.
            let _ = self.ssh(name, "tmux -L bench kill-server; rm -rf .bench").capture(SHORT);
            let _ = Run::new("ssh").args(self.words()).args(["-O", "exit", name]).capture(SHORT);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl<'a> Masters<'a> {
    /// One for each host, with a tmux server there.
    fn open(place: &'a Place) -> Result<Self, Failure> {
        // A socket's path must be short.
        let dir = std::env::temp_dir().join(format!("cm-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        let masters = Self { place, dir };
        for name in place.ground.names() {
            // The connection that stays would hold the pipes.
            let master = ["-o", "ControlPersist=600", "-f", "-N", name];
            let quiet = Run::new("sh").args(["-c", r#"exec "$0" "$@" >/dev/null 2>&1"#, "ssh"]);
            quiet.args(masters.words()).args(master).capture(SHORT)?;
            masters.ssh(name, READY).input(TASK).capture(SHORT)?;
        }
        Ok(masters)
    }

    fn words(&self) -> Vec<String> {
        let config = self.place.ground.description.ssh_config.display();
        let socket = self.dir.display();
        let words = format!("-F {config} -o ControlMaster=auto -o ControlPath={socket}/%C");
        words.split(' ').map(str::to_owned).collect()
    }

    fn ssh(&self, name: &str, script: &str) -> Run {
        Run::new("ssh").args(self.words()).args([name, script])
    }

    /// Writes a script that has `xargs` run each of these lines after `ssh`.
    fn script(&self, name: &str, lines: &str) -> Result<(), Failure> {
        let bench = &self.place.desk.bench;
        bench.write(&format!("{name}.txt"), lines)?;
        let at_once = usize::from(SLOTS) * self.place.hosts().len();
        let words = self.words().join(" ");
        bench.write(&format!("{name}.sh"), &format!("xargs -P{at_once} -L1 ssh {words} <{name}.txt\n"))?;
        Ok(())
    }
}

/// Measures it.
pub fn measure(place: &Place, tasks: u16) -> Result<Vec<Row>, Failure> {
    let bench = &place.desk.bench;
    let masters = Masters::open(place)?;
    bench.write("tasks.txt", &"true\n".repeat(usize::from(tasks)))?;
    let names = place.ground.names();
    masters.script("sessions", &lines(&names, tasks, |task| format!("sh .bench/task {task} true")))?;
    masters.script("commands", &lines(&names, tasks, |_| "true".to_owned()))?;
    let all = tasks.to_string();
    let fleet =
        "dispatch -i fleet.yaml -F ssh_config --tool shell --quiet --file tasks.txt --jobs".split(' ');
    let fleet: Vec<&str> = fleet.chain([all.as_str()]).collect();
    let [mut ours, mut sessions, mut commands] = [(); 3].map(|()| Rounds::default());
    for round in 1..=ROUNDS {
        timed(place, &mut ours, || place.desk.timed(&fleet))?;
        let printed = timed(place, &mut sessions, || bench.run(Path::new("sh"), &["sessions.sh"]))?;
        let good = printed.lines().filter(|line| line.starts_with('t') && line.ends_with(" 0")).count();
        if good != usize::from(tasks) {
            let what = format!("by hand {good} of {tasks} tasks had a result");
            return Err(Failure::check(what, format!("read {}", bench.path("printed").display())));
        }
        timed(place, &mut commands, || bench.run(Path::new("sh"), &["commands.sh"]))?;
        println!(
            "round {round}: {:.1} s; by hand with tmux {:.1} s, without {:.1} s",
            ours.wall(),
            sessions.wall(),
            commands.wall()
        );
    }
    Ok(rows(&ours, &sessions, &commands, tasks, names.len()))
}

/// Goes one way; what it printed.
fn timed(
    place: &Place,
    into: &mut Rounds,
    run: impl FnOnce() -> Result<(Took, String), Failure>,
) -> Result<String, Failure> {
    let before = spent::by_hosts(place)?;
    let (took, printed) = run()?;
    into.took.push(took);
    into.hosts.push(spent::by_hosts(place)? - before);
    Ok(printed)
}

fn rows(ours: &Rounds, sessions: &Rounds, commands: &Rounds, tasks: u16, hosts: usize) -> Vec<Row> {
    let ratio = ours.rate(tasks) / sessions.rate(tasks);
    vec![
        Row {
            what: format!("{tasks} × `true` on {hosts} hosts, each in a session with its result"),
            measured: format!(
                "**{ratio:.1} ×**: {}; OpenSSH, ControlMaster, xargs, tmux: {}; without tmux: {}",
                ours.words(tasks),
                sessions.words(tasks),
                commands.words(tasks)
            ),
            goal: "≥ 3 × as many tasks/s as with tmux",
            original: "",
            good: ratio >= 3.0,
        },
        Row {
            what: "the same: the client's processor for each task".to_owned(),
            measured: format!("{:.2} ms; xargs and ssh {:.2} ms", ours.client(tasks), sessions.client(tasks)),
            goal: "≤ 2 ms",
            original: "",
            good: ours.client(tasks) <= 2.0,
        },
    ]
}

/// PURE. One line for each task, host by host in turn.
fn lines(hosts: &[&str], tasks: u16, command: impl Fn(u16) -> String) -> String {
    let mut text = String::new();
    for (task, host) in (1..=tasks).zip(hosts.iter().cycle()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{host} {}", command(task));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_go_round() {
        assert_eq!(lines(&["a", "b"], 3, |task| format!("x {task}")), "a x 1\nb x 2\na x 3\n");
    }

    #[test]
    fn rows_say_how_many_times() {
        let rounds = |wall: f64, cpu: f64| Rounds { took: vec![Took { wall, cpu }], hosts: vec![1.0] };
        let rows = rows(&rounds(2.0, 0.1), &rounds(8.0, 0.7), &rounds(1.0, 0.6), 100, 12);
        assert!(rows[0].good && rows[0].measured.starts_with("**4.0 ×**: 50 tasks/s, 1.0 ms"));
        assert!(rows[1].good && rows[1].measured == "1.00 ms; xargs and ssh 7.00 ms");
    }
}
