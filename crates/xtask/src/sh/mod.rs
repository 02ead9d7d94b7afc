//! Running other programs: shown or captured, never with a terminal's input, always with a deadline.

mod child;
mod words;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

use child::{Pipe, TICK, reader, stop, wait};
use words::{append, last_lines, quoted, text};

/// For programs that ask something: they answer at once or are broken.
pub const SHORT: Duration = Duration::from_secs(60);
/// For programs that build, download or test.
pub const LONG: Duration = Duration::from_secs(45 * 60);

/// How long to wait for the output of a program that has ended but left a child holding its pipe.
const LINGER: Duration = Duration::from_secs(5);

/// A program about to be run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Run {
    /// Any program found in PATH.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        // `cargo run` describes *this* crate in the environment; a cargo below us must not take that
        // for its own, or it rebuilds what watches these variables.
        for (name, _) in std::env::vars_os() {
            let Some(text) = name.to_str() else { continue };
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        Self { command, input: None }
    }

    /// The cargo that runs us.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A program as root: directly where we are, through sudo (which must not ask) where not.
    pub fn as_root(program: &str) -> Self {
        if is_root() { Self::new(program) } else { Self::new("sudo").args(["-n", program]) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs<S: AsRef<OsStr>>(mut self, all: impl IntoIterator<Item = (&'static str, S)>) -> Self {
        self.command.envs(all);
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it there.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Gives it this to read (small: it is written before any output is read). Otherwise it reads nothing.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// The command line for people.
    pub fn shown(&self) -> String {
        let mut words = vec![self.command.get_program().to_string_lossy().into_owned()];
        words.extend(self.command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
        if let Some(program) = words.first_mut()
            && let Some(name) = Path::new(program.as_str()).file_name()
        {
            *program = name.to_string_lossy().into_owned();
        }
        words.join(" ")
    }

    /// Runs it with its output going where ours goes.
    pub fn live(self, deadline: Duration) -> Result<(), Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let mut child = self.spawn(Stdio::inherit(), Stdio::inherit())?;
        let status = wait(&mut child, &shown, deadline)?;
        judge(shown, status, "")
    }

    /// As [`Run::live`], for a program whose exit code is an answer; `None` if a signal ended it.
    pub fn live_code(self, deadline: Duration) -> Result<Option<i32>, Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let mut child = self.spawn(Stdio::inherit(), Stdio::inherit())?;
        Ok(wait(&mut child, &shown, deadline)?.code())
    }

    /// Runs it and returns what it printed; its complaints are shown only if it fails.
    pub fn capture(self, deadline: Duration) -> Result<String, Failure> {
        let shown = self.shown();
        let mut out = Vec::new();
        let mut tail = Vec::new();
        let status = self.lines(deadline, |from, line| match from {
            Pipe::Out => append(&mut out, line),
            Pipe::Err => append(&mut tail, line),
        })?;
        let (out, tail) = (text(&out), text(&tail));
        judge(shown, status, if tail.trim().is_empty() { &out } else { &tail })?;
        Ok(out)
    }

    /// Runs it with both outputs passed on line by line, and each line shown to `see` as well.
    /// Returns whether it succeeded.
    pub fn watch(self, deadline: Duration, mut see: impl FnMut(&str)) -> Result<bool, Failure> {
        println!("$ {}", self.shown());
        let status = self.lines(deadline, |from, line| {
            // A reader of ours that has gone is no reason to stop the tests.
            let _ = match from {
                Pipe::Out => std::io::stdout().write_all(line),
                Pipe::Err => std::io::stderr().write_all(line),
            };
            see(text(line).trim_end());
        })?;
        Ok(status.success())
    }

    /// Runs it with its standard output going into `file`.
    pub fn into_file(self, file: std::fs::File, deadline: Duration) -> Result<(), Failure> {
        let shown = self.shown();
        println!("$ {shown}");
        let mut child = self.spawn(file.into(), Stdio::inherit())?;
        let status = wait(&mut child, &shown, deadline)?;
        judge(shown, status, "")
    }

    /// Whether it runs and succeeds; says nothing.
    pub fn succeeds(self) -> bool {
        self.capture(SHORT).is_ok()
    }

    fn lines(self, deadline: Duration, mut each: impl FnMut(Pipe, &[u8])) -> Result<ExitStatus, Failure> {
        let shown = self.shown();
        let end = Instant::now() + deadline;
        let mut child = self.spawn(Stdio::piped(), Stdio::piped())?;
        let (sender, receiver) = mpsc::sync_channel(1024);
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(reader(pipe, Pipe::Out, sender.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(reader(pipe, Pipe::Err, sender.clone()));
        }
        drop(sender);
        let mut tail = Vec::new();
        let mut ended: Option<(ExitStatus, Instant)> = None;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok((from, line)) => {
                    append(&mut tail, &line);
                    each(from, &line);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if ended.is_none() {
                        ended = child.try_wait().ok().flatten().map(|status| (status, Instant::now()));
                    }
                    // Readers blocked on a pipe that a grandchild holds end with this process.
                    if let Some((status, at)) = ended
                        && at.elapsed() > LINGER
                    {
                        return Ok(status);
                    }
                }
            }
            if ended.is_none() && Instant::now() > end {
                stop(&mut child);
                return Err(Failure::Late {
                    command: shown,
                    after: deadline,
                    output: last_lines(&text(&tail)),
                });
            }
        }
        for reader in readers {
            // A reader cannot panic; if it did, what it had read is already here.
            let _ = reader.join();
        }
        wait(&mut child, &shown, end.saturating_duration_since(Instant::now()).max(LINGER))
    }

    fn spawn(mut self, out: Stdio, err: Stdio) -> Result<Child, Failure> {
        let command = self.shown();
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let start = |source| Failure::Start { command, source };
        let mut child = self.command.stdin(stdin).stdout(out).stderr(err).spawn().map_err(start)?;
        if let (Some(bytes), Some(mut pipe)) = (self.input, child.stdin.take()) {
            // A program that does not read what it is given says so with its exit status.
            let _ = pipe.write_all(&bytes);
        }
        Ok(child)
    }
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether root's rights can be had without anyone typing anything.
pub fn may_be_root() -> bool {
    is_root() || Run::new("sudo").args(["-n", "true"]).succeeds()
}

/// Asks `question` until it answers or `deadline` has passed; `None` then.
pub fn until<T>(deadline: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn judge(command: String, status: ExitStatus, output: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::Exit { command, status: status.to_string(), output: last_lines(output) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Run {
        Run::new("sh").args(["-c", script])
    }

    #[test]
    fn what_a_program_prints_is_returned_and_what_it_complains_of_is_not() {
        assert_eq!(sh("echo one; echo two >&2").capture(SHORT).unwrap(), "one\n");
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_last_words() {
        let failure = sh("echo no such thing >&2; exit 3").capture(SHORT).unwrap_err().to_string();
        assert!(failure.contains("exit status: 3") && failure.contains("    no such thing"), "{failure}");
    }

    #[test]
    fn a_program_that_never_ends_is_stopped() {
        let began = Instant::now();
        let failure = sh("exec sleep 60").capture(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(failure, Failure::Late { .. }), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn input_reaches_the_program_and_without_any_it_reads_the_end() {
        assert_eq!(Run::new("cat").input("given").capture(SHORT).unwrap(), "given");
        assert_eq!(Run::new("cat").capture(SHORT).unwrap(), "");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_stop_the_reading() {
        let mut seen = Vec::new();
        let good = sh(r"printf 'a\377b\nlast'").watch(SHORT, |line| seen.push(line.to_owned())).unwrap();
        assert!(good);
        assert_eq!(seen, ["a\u{fffd}b", "last"]);
    }

    #[test]
    fn shown_commands_can_be_pasted() {
        assert_eq!(Run::new("/usr/bin/git").args(["log", "-n", "1"]).shown(), "git log -n 1");
    }

    #[test]
    fn waiting_ends_with_the_answer_or_the_deadline() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(30), || {
            asked += 1;
            (asked == 2).then_some(asked)
        });
        assert_eq!(answer, Some(2));
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }
}
