//! What can go wrong in an xtask, in the words a contributor reads.

use std::path::PathBuf;
use std::time::Duration;

/// Why an xtask stopped. Each says what was being done and, where there is one, the next move.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A program could not be started at all.
    #[error("could not start `{command}`: {source}")]
    Start {
        /// The command line, as shown to people.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ran and said no.
    #[error("`{command}` failed ({status}){}", indented(.output))]
    Exit {
        /// The command line, as shown to people.
        command: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it printed, where it was not shown already.
        output: String,
    },
    /// A program did not end in time and was stopped.
    #[error("`{command}` was stopped: it had not ended after {} s{}", .after.as_secs(), indented(.output))]
    Late {
        /// The command line, as shown to people.
        command: String,
        /// How long it was given.
        after: Duration,
        /// The end of what it printed, where it was not shown already.
        output: String,
    },
    /// Something is not installed and may not be installed from here.
    #[error("missing: {what}\n  Install it and run this again:\n    {command}")]
    Missing {
        /// What is missing, and why what is there does not do.
        what: String,
        /// The exact command to run.
        command: String,
    },
    /// A file or directory could not be used.
    #[error("could not {act} {path}: {source}", path = .path.display())]
    File {
        /// "read", "write", …
        act: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A test host, or the Docker that runs it, is not as it should be.
    #[error("{host}: could not {act}: {why}\n  Next: {next}")]
    Host {
        /// The host, or `docker`.
        host: String,
        /// What was being done.
        act: String,
        /// What was seen.
        why: String,
        /// What to do now.
        next: String,
    },
    /// A benchmark could not go on.
    #[error("the benchmark could not go on: {0}")]
    Bench(Box<dyn std::error::Error + Send + Sync>),
    /// Tests failed, and everything there is to say about it has been printed.
    #[error("tests failed")]
    Told,
    /// A check found something that has to be put right.
    #[error("{what}\n  Next: {next}")]
    Check {
        /// What was found.
        what: String,
        /// What to do now.
        next: String,
    },
}

impl Failure {
    /// For `map_err` on file operations.
    pub fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }

    /// For checks that found something.
    pub fn check(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Check { what: what.into(), next: next.into() }
    }
}

/// The lines of `output` under the message they belong to, or nothing.
fn indented(output: &str) -> String {
    let output = output.trim();
    if output.is_empty() {
        return String::new();
    }
    format!(":\n    {}", output.replace('\n', "\n    "))
}
