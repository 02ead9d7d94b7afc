//! A client under way: what it has said, what it costs, and its end.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::measure;
use crate::failure::Failure;

use super::events::{self, Told};
use super::place::text_of;

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(20);
/// Between the two Ctrl-C that end a run's sessions.
const TWICE: Duration = Duration::from_millis(300);
/// From then to its end.
const CANCELLED: Duration = Duration::from_secs(30);

/// A client that runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    said: PathBuf,
    began: f64,
    /// Processor time at the last look, seconds.
    cpu: f64,
    /// The most memory it has had, bytes.
    rss: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts it; what it says goes into this file.
    pub fn start(mut command: Command, said: PathBuf) -> Result<Self, Failure> {
        let open = |path: &PathBuf| File::create(path).map_err(Failure::file("create", path));
        let (out, err) = (open(&said)?, open(&said.with_extension("complaints"))?);
        let began = now();
        let started = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child =
            started.map_err(|source| Failure::Start { command: "cm-fleet dispatch".to_owned(), source })?;
        Ok(Self { child, said, began, cpu: 0.0, rss: 0 })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was started, Unix seconds.
    pub fn began(&self) -> f64 {
        self.began
    }

    /// What it has told so far.
    pub fn told(&self) -> Result<Vec<Told>, Failure> {
        text_of(&self.said).map(|text| events::read(&text))
    }

    /// Processor time up to the last look, seconds.
    pub fn cpu(&self) -> f64 {
        self.cpu
    }

    /// The most memory it has had up to the last look, bytes.
    pub fn rss(&self) -> u64 {
        self.rss
    }

    /// Looks at it: what it costs so far.
    pub fn look(&mut self) {
        self.cpu = self.cpu.max(cpu(self.pid()));
        self.rss = self.rss.max(measure::rss(self.pid()));
    }

    /// Waits until what it has told is enough.
    ///
    /// # Errors
    /// It has ended before, or it takes longer than `deadline`.
    pub fn until<T>(
        &mut self,
        deadline: Duration,
        mut enough: impl FnMut(&[Told]) -> Option<T>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + deadline;
        loop {
            let ended = self.ended()?.is_some();
            if let Some(found) = enough(&self.told()?) {
                return Ok(found);
            }
            if ended || Instant::now() > end {
                let what = if ended { "the run ended too early" } else { "the run does not get on" };
                return Err(self.failure(what));
            }
            thread::sleep(TICK);
        }
    }

    /// Waits for its end; its exit code, and when it was.
    pub fn end(&mut self, deadline: Duration) -> Result<(Option<i32>, f64), Failure> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(code) = self.ended()? {
                return Ok((code, now()));
            }
            if Instant::now() > end {
                return Err(self.failure("the run does not end"));
            }
            self.look();
            thread::sleep(TICK);
        }
    }

    /// Ends the run and all its sessions.
    pub fn cancel(mut self) -> Result<(), Failure> {
        for _ in 0..2 {
            if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
                // It fails only if it has ended by itself.
                let _ = kill_process(pid, Signal::INT);
            }
            thread::sleep(TWICE);
        }
        self.end(CANCELLED).map(|_| ())
    }

    fn ended(&mut self) -> Result<Option<Option<i32>>, Failure> {
        let asked = self.child.try_wait();
        let status = asked.map_err(|source| Failure::Start { command: "cm-fleet".to_owned(), source })?;
        Ok(status.map(|status| status.code()))
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::check(what, format!("read {} and .complaints beside it", self.said.display()))
    }
}

/// Unix seconds.
pub fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

/// Processor time of a process, seconds: to the nanosecond what its threads have used, or, if more, to the
/// hundredth what the kernel remembers of those that have ended, too.
fn cpu(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |text: String| text.split(' ').next().and_then(|first| first.parse::<u64>().ok());
    let nanoseconds: u64 =
        threads.filter_map(|thread| of(std::fs::read_to_string(thread.path().join("schedstat")).ok()?)).sum();
    (nanoseconds as f64 / 1e9).max(measure::cpu(pid).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &std::path::Path) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command, dir.join("said")).unwrap()
    }

    #[test]
    fn what_it_says_is_waited_for_and_its_end_has_a_code() {
        let dir = tempfile::tempdir().unwrap();
        let long = Duration::from_secs(30);
        let mut client = sh(r#"echo '{"at":1,"type":"task_started","task":1}'; read x; exit 1"#, dir.path());
        let first = client.until(long, |told| told.first().cloned()).unwrap();
        assert_eq!(first.kind, "task_started");
        assert_eq!(client.end(long).unwrap().0, Some(1));
        assert!(
            client.until(long, |told| told.get(1).cloned()).unwrap_err().to_string().contains("too early")
        );
    }

    #[test]
    fn one_that_does_not_end_is_an_error_and_two_interrupts_cancel() {
        let dir = tempfile::tempdir().unwrap();
        let mut client = sh("exec sleep 60", dir.path());
        assert!(client.end(Duration::from_millis(1)).is_err());
        client.look();
        assert!(client.rss() > 0);
        client.cancel().unwrap();
    }
}
