//! `cm-agent hold --status` in a bare pty: bytes for bytes, both ways, whoever is slow.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

/// What nothing here may take longer than, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What `hold` asks at the end, and the answer.
const QUESTION: &[u8] = b"\x18\x1b[5n";
const ANSWER: &[u8] = b"\x1b[0n";

/// A terminal with `cm-agent hold --status -- sh -c SCRIPT` in it.
struct Terminal {
    ours: std::fs::File,
    child: Child,
    dir: tempfile::TempDir,
}

impl Terminal {
    fn start(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        unlockpt(&ours).expect("unlocked");
        let name = ptsname(&ours, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let end = || -> OwnedFd { rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("opened") };
        let agent = env!("CARGO_BIN_EXE_cm-agent");
        // The first one makes the terminal that of a session, as tmux would.
        let child = Command::new(agent)
            .args(["hold-child", "--", agent, "hold", "--status", "--", "sh", "-c", script])
            .current_dir(dir.path())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("started");
        Self { ours: ours.into(), child, dir }
    }

    /// Reads until the end has been asked for, and answers.
    fn read_to_end(&mut self) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let until = Instant::now() + PATIENCE;
        while !all.ends_with(QUESTION) {
            let left = until.checked_duration_since(Instant::now()).expect("waited too long");
            let left = Timespec::try_from(left).expect("short");
            poll(&mut [PollFd::new(&self.ours, PollFlags::IN)], Some(&left)).expect("polled");
            let count = self.ours.read(&mut buffer).expect("read");
            all.extend_from_slice(&buffer[..count]);
        }
        all.truncate(all.len() - QUESTION.len());
        self.ours.write_all(ANSWER).expect("answered");
        assert_eq!(self.child.wait().expect("ended").code(), Some(0));
        all
    }
}

#[test]
fn all_that_is_printed_comes_out_once_and_in_order() {
    // Two megabytes with everything in them but what is ours.
    let mut random = 88_172_645_463_325_252_u64;
    let bytes: Vec<u8> = (0..2 << 20)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()[0]
        })
        .map(|b| if matches!(b, b'k' | b'P') { b'x' } else { b })
        .collect();
    let script = "stty raw; printf ready; read x; cat bytes";
    let mut terminal = Terminal::start(script);
    std::fs::write(terminal.dir.path().join("bytes"), &bytes).expect("written");
    terminal.ours.write_all(b"\n").expect("typed");
    let all = terminal.read_to_end();
    let at = all.windows(5).position(|w| w == b"ready").expect("it began") + 5;
    // Typed before the terminal was raw it was shown.
    assert!(all[at..] == bytes, "{} bytes came of {}", all.len() - at, bytes.len());
}

#[test]
fn all_that_is_typed_arrives_though_the_tool_is_slow_to_read() {
    let script = "stty raw -echo; printf ready; sleep 0.2; exec head -c 1000000 > got";
    let mut terminal = Terminal::start(script);
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    while !seen.ends_with(b"ready") {
        let count = terminal.ours.read(&mut buffer).expect("read");
        seen.extend_from_slice(&buffer[..count]);
    }
    let typed: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let mut keys = terminal.ours.try_clone().expect("a second one");
    let typist = std::thread::spawn({
        let typed = typed.clone();
        move || keys.write_all(&typed).expect("typed")
    });
    assert!(terminal.read_to_end().is_empty());
    typist.join().expect("all was taken");
    assert!(std::fs::read(terminal.dir.path().join("got")).expect("written") == typed);
}

#[test]
fn a_terminal_that_is_not_read_stops_the_tool() {
    let mut terminal = Terminal::start("stty raw; echo $$ > pid; exec head -c 4000000 /dev/zero");
    let until = Instant::now() + PATIENCE;
    let written = || -> Option<u64> {
        let pid = std::fs::read_to_string(terminal.dir.path().join("pid")).ok()?;
        let io = std::fs::read_to_string(format!("/proc/{}/io", pid.trim())).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
    };
    let (mut last, mut since) = (0, Instant::now());
    while last == 0 || since.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < until, "it never stops");
        std::thread::park_timeout(Duration::from_millis(20));
        let now = written().unwrap_or(0);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    assert!(last < 1_000_000, "{last} bytes were printed to nobody");
    assert_eq!(terminal.read_to_end().len(), 4_000_000);
}
