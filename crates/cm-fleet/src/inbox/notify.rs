//! `--notify CMD`: a command of the user's, run once for each call; what it is about is in its environment.

use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::report::clean::{clean, fit};
use crate::report::fold::RunState;
use crate::report::words;
use crate::sessions::Seen;

/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// At the same time.
const AT_ONCE: usize = 4;
/// Questions that wait for their turn.
pub const WAITING: usize = 256;
/// Columns of a value.
const VALUE: usize = 2000;

/// What one call says, as variables. PURE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call(Vec<(&'static str, String)>);

impl Call {
    /// For a question.
    pub fn asked(seen: &Seen) -> Self {
        let task = seen.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&seen.summary);
        let question = match &seen.prompt {
            Some(prompt) => words::prompt::asks(prompt),
            None => seen.reason.clone().unwrap_or_default(),
        };
        Self::of("asked", [&seen.host, seen.session_id.as_str(), task, &question])
    }

    /// For a run's end: the run in place of the task, and what became of its tasks in place of the question.
    pub fn ended(state: &RunState) -> Self {
        let hosts = words::hosts(state);
        Self::of("ended", [&hosts, "", &words::run(&state.run), &words::sum(state.summary())])
    }

    fn of(event: &str, values: [&str; 4]) -> Self {
        let [host, session, task, question] = values;
        let all = [
            ("CM_EVENT", event),
            ("CM_HOST", host),
            ("CM_SESSION", session),
            ("CM_TASK", task),
            ("CM_QUESTION", question),
        ];
        // Nothing of what a tool wrote steers whatever shows it; and a NUL is in no environment.
        Self(all.map(|(name, value)| (name, fit(&clean(value), VALUE))).into())
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// Runs the command for all that comes, and tells what went wrong. Ends when nothing more can come.
pub async fn run(command: &str, mut questions: mpsc::Receiver<Call>, failed: mpsc::Sender<String>) {
    let mut running = FuturesUnordered::new();
    let mut more = true;
    while more || !running.is_empty() {
        tokio::select! {
            question = questions.recv(), if more && running.len() < AT_ONCE => match question {
                Some(call) => running.push(one(command, call.0)),
                None => more = false,
            },
            Some(result) = running.next() => {
                if let Err(why) = result {
                    // Whoever showed it has left, or has enough to show.
                    let _ = failed.try_send(format!("--notify: {why}"));
                }
            }
        }
    }
}

/// Runs it once.
async fn one(command: &str, variables: Vec<(&'static str, String)>) -> Result<(), String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot run it: {e}"))?;
    let mut group = Group(child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())));
    match tokio::time::timeout(DEADLINE, child.wait()).await {
        Ok(Ok(status)) => {
            group.0 = None;
            if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it did not end within {} s and was ended", DEADLINE.as_secs())),
    }
}

/// A process group that is ended unless it has ended by itself.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // What has ended meanwhile needs no ending.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::tests::{on, some};

    #[test]
    fn what_a_command_is_told() {
        let check = |seen: &Seen, expected: [&str; 4]| {
            let got: Vec<String> = Call::asked(seen).0.into_iter().map(|(_, value)| value).collect();
            assert_eq!((got[0].as_str(), &got[1..]), ("asked", &expected.map(str::to_owned)[..]));
        };
        let all = some();
        let id = all[0].session_id.as_str();
        check(&on("web", all[0].clone()), ["web", id, "one", "asks to run git push ⏎ origin main"]);
        check(&all[3], ["local", all[3].session_id.as_str(), "fix the login test", "asks: Which database?"]);
        check(&all[4], ["local", all[4].session_id.as_str(), "limited", "rate_limited: come back"]);
        let mut evil = all[3].clone();
        evil.info.summary = "a\0b\x1b[2J$(touch x)".into();
        assert_eq!(Call::asked(&evil).0[3].1, "ab$(touch x)");
    }

    #[tokio::test]
    async fn once_each_and_failures_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("told");
        let command = format!("echo \"$CM_HOST $CM_TASK\" >> {}; test \"$CM_TASK\" != two", file.display());
        let (ask, asked) = mpsc::channel(WAITING);
        let (failed, mut failures) = mpsc::channel(8);
        for seen in &some()[..3] {
            ask.send(Call::asked(seen)).await.expect("room");
        }
        drop(ask);
        run(&command, asked, failed).await;
        let told = std::fs::read_to_string(&file).expect("written");
        let mut told: Vec<&str> = told.lines().collect();
        told.sort_unstable();
        assert_eq!(told, ["local feature/3", "local one", "local two"]);
        let why = failures.recv().await.expect("one failed");
        assert!(why.contains("ended with exit status: 1"), "{why}");
        assert!(failures.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_ended() {
        let error = one("exec sleep 3600", Vec::new()).await.expect_err("too long");
        assert!(error.contains("within 10 s"), "{error}");
    }
}
