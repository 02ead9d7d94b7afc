//! How a task ended, and what proves it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::fleet::Continues;
use crate::forms::{Short, short_or_full};
use crate::prompt::Receipt;
use crate::session::State;

/// How a task ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `done`, `failed`, `killed` or `lost`.
    pub state: State,
    /// With `done`: whether that is only what the tool says, or was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The program's exit code, where it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, e.g. `SIGKILL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Seconds from the start of the task to its end.
    pub duration: f64,
    /// The last lines of output, oldest first (at most 20).
    #[serde(default)]
    pub tail: Vec<String>,
    /// The cause, where the state alone does not say it. Begins with a stable word where a program may want
    /// to branch: `rate_limited`, `login_required`, `api_error`, `interrupted`, `crashed`, `out_of_memory`,
    /// `check_failed`, `denied`, `lease_expired`, `superseded`, followed by a colon and the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `rate_limited`: when it is over, Unix seconds, where the tool said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// The check that was run, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckResult>,
    /// What changed in the work tree, where it is a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// What was done about prompts without asking, and for whom (at most 50; the journal has all).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
}

/// What stands behind `done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The tool says so.
    Claimed,
    /// The task's own check passed.
    Verified,
}

/// A command that proves a task done: run in the work tree after the tool says it is finished. On the wire
/// a bare string is the command alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// The command, for `sh -c`.
    pub command: String,
    /// Seconds it may take; 600 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// How often a failure is given back to the tool to mend; 0 if absent.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            command: String,
            timeout: Option<f64>,
            #[serde(default)]
            retries: u32,
        }
        let bare = |command: String| Self { command, timeout: None, retries: 0 };
        let short = |short: Short<'_>| match short {
            Short::Text(command) => Ok(bare(command.to_owned())),
            Short::Flag(_) => Err("expected a command"),
        };
        let full = |full: Full| Self { timeout: full.timeout, retries: full.retries, ..bare(full.command) };
        short_or_full(deserializer, "a command, alone or with `timeout` and `retries`", short, full)
    }
}

/// What a check said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// The command.
    pub command: String,
    /// Its exit code; absent where it was ended or could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why there is no exit code: `timed out after 600 s`, `ended by SIGKILL`, `cannot be run: …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds it took.
    pub duration: f64,
    /// The last lines it printed, both streams together (at most 20).
    #[serde(default)]
    pub tail: Vec<String>,
    /// How often it was run, the last time included.
    pub runs: u32,
}

/// What changed in a git work tree since the task began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// As `git diff --stat` draws it, new files included (at most 50 lines).
    pub diffstat: String,
    /// Files changed.
    pub files: u64,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
    /// The commit it stood at when the task began; absent in a repository without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The commit it stands at now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether there is work that is not committed.
    #[serde(default)]
    pub uncommitted: bool,
    /// The branch it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Commits since the base, oldest first: `id subject` (at most 50).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<String>,
    /// The work tree of this task alone, where it was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<String>,
    /// A file on the host with everything since the base as one patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// The repository's directory on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The earlier attempt whose work it went on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
}

/// A git work tree and branch for this task alone. On the wire `true` is all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Worktree {
    /// The branch; `cm/<task>` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit, branch or tag it starts from; `HEAD` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Every so many seconds work in progress is committed to `refs/cm/<task>/wip`; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<f64>,
    /// The work of an earlier attempt to go on with, in place of `base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
}

impl<'de> Deserialize<'de> for Worktree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct Full {
            branch: Option<String>,
            base: Option<String>,
            save_every: Option<f64>,
            continues: Option<Continues>,
        }
        let short = |short: Short<'_>| match short {
            Short::Flag(true) => Ok(Self::default()),
            Short::Flag(false) => Err("leave it out, instead of saying false"),
            Short::Text(_) => Err("expected true, or `branch`, `base` and the like"),
        };
        let full = |full: Full| Self {
            branch: full.branch,
            base: full.base,
            save_every: full.save_every,
            continues: full.continues,
        };
        short_or_full(deserializer, "true, or `branch`, `base` and the like", short, full)
    }
}
