//! An end-to-end check of any running agent, a line per step.

#[cfg(test)]
pub(crate) mod scripted;
mod steps;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write;
use std::time::Duration;

use cm_client::protocol::SessionId;
use cm_client::{Client, ClientError, Endpoint};
use tokio::time::{Instant, timeout};

/// How long all of it may take.
const TOTAL: Duration = Duration::from_secs(60);

/// How long one step may take.
const STEP: Duration = Duration::from_secs(20);

/// How long ending the sessions may take after a failure.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The step that failed. [`run`] has written it already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {number}, {step}: expected {}; {}; {}", .trouble.expected, .trouble.came, .trouble.next)]
pub struct Failed {
    /// Its number, from 1.
    pub number: usize,
    /// Its name.
    pub step: &'static str,
    /// What was wrong.
    pub trouble: Trouble,
}

/// What went wrong in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What should have come.
    pub expected: String,
    /// What came.
    pub came: String,
    /// What to do now.
    pub next: String,
}

impl Trouble {
    fn new(expected: impl Into<String>, came: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { expected: expected.into(), came: came.to_string(), next: next.into() }
    }
}

/// Errors carry their next move in their words; beyond it there is the agent's log.
impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::new("an answer", error, "look at the agent's log")
    }
}

/// Checks the agent there: log in, start a shell task and an interactive session, type, watch, read, finish,
/// clean up. Writes a line for each step, and after a failed one what was expected, what came and what to do.
/// What it started is ended also after a failure; all of it takes a minute at most (and ten seconds more to
/// clean up).
///
/// # Errors
/// The first step that failed.
pub async fn run(endpoint: &Endpoint, out: &mut impl Write) -> Result<(), Failed> {
    let _ = writeln!(out, "checking the agent at {endpoint}");
    let mut check = Check { out, steps: 0, began: Instant::now(), made: Made::default() };
    let result = steps::all(&mut check, endpoint).await;
    let Check { out, steps, began, made, .. } = check;
    if let Err(failed) = &result {
        let Trouble { expected, came, next } = &failed.trouble;
        let _ =
            writeln!(out, "       expected: {expected}\n       came:     {came}\n       next:     {next}");
        clean_up(made, out).await;
    } else {
        let _ = writeln!(out, "all {steps} steps passed in {:.1} s", began.elapsed().as_secs_f64());
    }
    let _ = out.flush();
    result
}

/// What has been made and must be gone at the end.
#[derive(Debug, Default)]
struct Made {
    client: Option<Client>,
    sessions: Vec<SessionId>,
}

async fn clean_up(made: Made, out: &mut impl Write) {
    let Some(client) = made.client else { return };
    let ending = async {
        for session in &made.sessions {
            if let Err(error) = client.kill_session(session).await {
                let _ = writeln!(out, "       left behind: session {session}: {error}");
            }
        }
        client.close().await;
    };
    if timeout(CLEAN_UP, ending).await.is_err() {
        let _ = writeln!(out, "       left behind: the agent did not end all of {:?}", made.sessions);
    }
}

/// The check at work.
struct Check<'a, W> {
    out: &'a mut W,
    steps: usize,
    began: Instant,
    made: Made,
}

impl<W: Write> Check<'_, W> {
    /// Does one step and writes its line.
    async fn step<T>(
        &mut self,
        step: &'static str,
        doing: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Failed> {
        self.steps += 1;
        let number = self.steps;
        let began = Instant::now();
        let allowed = STEP.min(TOTAL.saturating_sub(self.began.elapsed()));
        let done = timeout(allowed, doing).await.unwrap_or_else(|_| {
            let expected = format!("its end within {:.0} s", allowed.as_secs_f64());
            Err(Trouble::new(expected, "nothing", "look at the agent's log and at the host's load"))
        });
        let word = if done.is_ok() { "ok" } else { "FAILED" };
        let milliseconds = began.elapsed().as_millis();
        let _ = writeln!(self.out, "{word:<6} {number:>2}  {step:<36} {milliseconds:>6} ms");
        done.map_err(|trouble| Failed { number, step, trouble })
    }
}
