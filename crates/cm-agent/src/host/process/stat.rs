//! PURE. One line of `/proc/<pid>/stat`.

use super::ProcessId;

/// The fields used here (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub pid: i32,
    /// The file name of its program, at most 15 bytes; a process can set it to anything.
    pub comm: String,
    /// `R` running, `S` sleeping, `D` in the disk, `T` stopped, `t` traced, `Z` zombie, `X` gone, …
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
}

impl Stat {
    /// Who it is.
    pub fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start: self.start }
    }

    /// Nothing of it runs any more.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// It was stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// Reads the line. The name stands in parentheses and may hold spaces and parentheses itself: it ends at the
/// *last* one.
pub fn parse_stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(&line[..open]).ok()?.trim().parse().ok()?;
    let comm = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(&line[close + 1..]).ok()?;
    // Field 3 is the first here; field 22, the start time, the twentieth.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse().ok();
    Some(Stat {
        pid,
        comm,
        state: fields.first()?.chars().next()?,
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        start: fields.get(22 - 3)?.parse().ok()?,
    })
}

/// Whether a `/proc/<pid>/status` says that a signal is ignored.
pub(super) fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        "S 7 8 9 34816 8 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 200 18446744073709551615";

    #[test]
    fn names_hold_anything() {
        #[track_caller]
        fn check(comm: &str) {
            let stat = parse_stat(format!("42 ({comm}) {REST}\n").as_bytes()).expect("parses");
            let expected = Stat {
                pid: 42,
                comm: comm.into(),
                state: 'S',
                parent: 7,
                group: 8,
                session: 9,
                start: 123_456,
            };
            assert_eq!(stat, expected);
        }
        for comm in ["sleep", "", "tmux: server", "a) S 1 (b", "))((", "x\ny", "(sd-pam)"] {
            check(comm);
        }
    }

    #[test]
    fn what_is_no_such_line_is_refused() {
        for line in ["", "42", "42 (x", "42 (x)", "42 (x) S 1 2 3", ")42(", "x (y) S 1 2 3"] {
            assert_eq!(parse_stat(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn ignored_signals() {
        // An interactive bash; `sleep`.
        let shell =
            "Name:\tbash\nSigBlk:\t0000000000010000\nSigIgn:\t0000000000384004\nSigCgt:\t000000004b813efb\n";
        for (status, signal, expected) in [
            (shell, 15, true),
            (shell, 1, false),
            (shell, 3, true),
            (shell, 0, false),
            (shell, 99, false),
            ("SigIgn:\t0000000000000000\n", 15, false),
            ("SigIgn:\tnonsense\n", 15, false),
            ("", 15, false),
        ] {
            assert_eq!(ignores(status, signal), expected, "{signal}: {status:?}");
        }
    }
}
