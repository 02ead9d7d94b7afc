//! Everything that belongs to a session: descendants by parentage, and strays by a mark in their environment.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ffi::CStr,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    thread,
    time::Duration,
};

use super::{ProcessId, Stat, everybody};

/// How much of a process's environment is looked at, in bytes. The kernel allows a quarter of the stack limit,
/// 2 MiB by default, for arguments and environment together.
const ENVIRON: usize = 2 << 20;

/// How often a process is looked at that is just becoming another program.
const LOOKS: usize = 20;

/// How often an environment is read that is not whole.
const READS: usize = 8;

/// How long is waited between looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// The variable that marks the processes of one session. A process that left its parents (a daemon, a
/// `setsid`) still carries it: `/proc/<pid>/environ` shows what it was started with, whatever it unset since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    entry: Vec<u8>,
}

impl Marker {
    /// The variable that marks a session's terminal and everything in it.
    pub const TERMINAL: &'static str = "CM_SESSION_TERMINAL";

    /// `CM_SESSION_TERMINAL=<id>`: also the tmux server, which the other mark leaves out.
    pub fn terminal(id: &str) -> Self {
        Self { entry: format!("{}={id}", Self::TERMINAL).into_bytes() }
    }

    /// The variable that marks everything that runs for a session.
    pub const SESSION: &'static str = "CM_SESSION_ID";

    /// `CM_SESSION_ID=<id>`.
    pub fn session(id: &str) -> Self {
        Self { entry: format!("{}={id}", Self::SESSION).into_bytes() }
    }

    /// The variable that marks the check of a session's task, and nothing else of the session.
    pub const CHECK: &'static str = "CM_SESSION_CHECK";

    /// `CM_SESSION_CHECK=<id>`.
    pub fn check(id: &str) -> Self {
        Self { entry: format!("{}={id}", Self::CHECK).into_bytes() }
    }

    /// PURE. Whether an environment, entries ended by NUL, has the mark.
    fn is_in(&self, environ: &[u8]) -> bool {
        let mut rest = environ;
        // The quickest search for a zero that there is.
        while let Ok(entry) = CStr::from_bytes_until_nul(rest) {
            if entry.to_bytes() == self.entry {
                return true;
            }
            rest = &rest[entry.to_bytes_with_nul().len()..];
        }
        rest == self.entry
    }

    /// Whether a process of ours has the mark; `None` if that cannot be seen at this moment. What cannot be read
    /// is not ours.
    fn marks(&self, pid: i32, uid: u32, buffer: &mut [u8]) -> Option<bool> {
        let path = format!("/proc/{pid}/environ");
        for _ in 0..READS {
            let Ok(mut file) = File::open(&path) else { return Some(false) };
            if file.metadata().map_or(true, |meta| meta.uid() != uid) {
                return Some(false);
            }
            // At once: between two reads it may become another program, and the rest would be gone.
            match file.read(buffer) {
                Ok(0) if is_between_programs(pid) => return None,
                Ok(count) if self.is_in(&buffer[..count]) => return Some(true),
                Ok(count) if buffer[..count].ends_with(&[0]) => return Some(false),
                // It has none, or one torn in the middle: it became another program just now. Or it wrote over it.
                Ok(_) => {}
                Err(_) => return Some(false),
            }
        }
        Some(false)
    }

    /// All that have the mark. Who cannot be seen is looked at again, for a few milliseconds.
    fn marked(&self, all: &[Stat], uid: u32) -> Vec<ProcessId> {
        let mut marked = Vec::new();
        // Only what is written to costs memory.
        let mut buffer = vec![0; ENVIRON];
        let mut open: Vec<&Stat> = all.iter().filter(|stat| !stat.is_dead()).collect();
        for _ in 0..LOOKS {
            open.retain(|stat| {
                let marks = self.marks(stat.pid, uid, &mut buffer);
                marked.extend((marks == Some(true)).then(|| stat.id()));
                marks.is_none()
            });
            if open.is_empty() {
                break;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        marked
    }
}

/// The values that a marking variable has among this user's living processes of which `wanted` is true. Who becomes
/// another program in this moment may be missed; what a session holds is more than one process.
pub fn marked_with(name: &str, wanted: &dyn Fn(i32) -> bool) -> BTreeSet<String> {
    let uid = rustix::process::getuid().as_raw();
    let mut values = BTreeSet::new();
    let mut buffer = vec![0; ENVIRON];
    for stat in everybody().iter().filter(|stat| !stat.is_dead()) {
        let path = format!("/proc/{}/environ", stat.pid);
        if fs::metadata(&path).map_or(true, |meta| meta.uid() != uid) || !wanted(stat.pid) {
            continue;
        }
        let Ok(count) = File::open(&path).and_then(|mut file| file.read(&mut buffer)) else { continue };
        let entries = buffer[..count].split(|byte| *byte == 0);
        let value =
            entries.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next();
        values.extend(value.map(|value| String::from_utf8_lossy(value).into_owned()));
    }
    values
}

/// While a process becomes another program (execve(2)) it shows neither environment nor arguments for a moment. The
/// kernel's own threads never have any, but no program either.
fn is_between_programs(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments.is_empty())
        && fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// The living processes of a tree: `roots` and the marked ones, with all their descendants; parents stand
/// before their children. Neither this process nor pid 1 is ever among them.
pub fn tree(roots: &[ProcessId], marker: Option<&Marker>) -> Vec<ProcessId> {
    let all = everybody();
    let uid = rustix::process::getuid().as_raw();
    let mut starts: Vec<ProcessId> = roots.to_vec();
    if let Some(marker) = marker {
        starts.extend(marker.marked(&all, uid));
    }
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    closure(&all, &starts, &[1, me])
}

/// PURE. The living ones among `starts` and their descendants, parents first, without `spared` (whose other
/// descendants are not looked for either).
fn closure(all: &[Stat], starts: &[ProcessId], spared: &[i32]) -> Vec<ProcessId> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat);
    }
    let by_pid: HashMap<i32, &Stat> = all.iter().map(|stat| (stat.pid, stat)).collect();
    let starts: HashSet<ProcessId> = starts.iter().copied().collect();
    let wanted = |stat: &Stat| starts.contains(&stat.id()) && !spared.contains(&stat.pid);
    // Whoever starts below another start is found on the way down from there.
    let below_another = |stat: &Stat| {
        let mut seen = HashSet::from([stat.pid]);
        let mut parent = by_pid.get(&stat.parent);
        while let Some(above) = parent.filter(|above| !spared.contains(&above.pid) && seen.insert(above.pid))
        {
            if wanted(above) {
                return true;
            }
            parent = by_pid.get(&above.parent);
        }
        false
    };
    let mut queue: Vec<&Stat> = all.iter().filter(|stat| wanted(stat) && !below_another(stat)).collect();
    let (mut seen, mut next) = (HashSet::new(), 0);
    while let Some(stat) = queue.get(next).copied() {
        next += 1;
        if seen.insert(stat.pid) {
            let below = children.get(&stat.pid).into_iter().flatten();
            queue.extend(below.filter(|child| !spared.contains(&child.pid)));
        }
    }
    queue.into_iter().filter(|stat| !stat.is_dead()).map(Stat::id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: i32, parent: i32, state: char) -> Stat {
        let start = u64::try_from(pid).expect("positive") * 10;
        Stat { pid, comm: "x".into(), state, parent, group: pid, session: pid, start }
    }

    fn id(pid: i32) -> ProcessId {
        stat(pid, 0, 'S').id()
    }

    #[test]
    fn a_tree_is_its_roots_and_all_below() {
        let all = [
            stat(1, 0, 'S'),
            stat(5, 3, 'S'),
            stat(2, 1, 'S'),
            stat(3, 2, 'Z'),
            stat(4, 2, 'T'),
            stat(6, 1, 'S'),
            stat(7, 6, 'S'),
            stat(8, 7, 'S'),
        ];
        #[track_caller]
        fn check(all: &[Stat], starts: &[ProcessId], expected: &[i32]) {
            let found: Vec<i32> = closure(all, starts, &[1, 7]).iter().map(|id| id.pid).collect();
            assert_eq!(found, expected);
        }
        check(&all, &[], &[]);
        check(&all, &[id(2)], &[2, 4, 5]);
        check(&all, &[id(5), id(2)], &[2, 4, 5]);
        check(&all, &[id(3)], &[5]);
        check(&all, &[id(6)], &[6]);
        check(&all, &[id(1)], &[]);
        check(&all, &[id(8)], &[8]);
        check(&all, &[ProcessId { pid: 2, start: 1 }], &[]);
        check(&all, &[id(99)], &[]);
    }

    #[test]
    fn a_mark_is_a_whole_entry() {
        #[track_caller]
        fn check(environ: &str, expected: bool) {
            assert_eq!(Marker::session("cm-1").is_in(environ.as_bytes()), expected, "{environ:?}");
        }
        check("PATH=/bin\0CM_SESSION_ID=cm-1\0X=1\0", true);
        check("CM_SESSION_ID=cm-1", true);
        check("CM_SESSION_ID=cm-12\0", false);
        check("OLD_CM_SESSION_ID=cm-1\0", false);
        check("X=CM_SESSION_ID=cm-1\0", false);
        check("", false);
    }
}
