//! What whoever spreads tasks over hosts asks of an agent: leases, fences, receipts of results, and looks.

use serde::{Deserialize, Serialize};

use crate::session::SessionId;

/// Whose session it is, and what becomes of it if nobody asks after it any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lease {
    /// Whose it is: a run's id, 1 to 128 characters.
    pub owner: String,
    /// Seconds it lasts without being renewed, 1 to 86,400.
    pub seconds: f64,
    /// What becomes of the session when it is over; `keep` if absent.
    #[serde(default, skip_serializing_if = "Orphan::is_keep")]
    pub orphan: Orphan,
    /// The newest `clock` this agent has told the owner. The lease lasts from then on, however long the request takes
    /// on its way; without it, from when the request arrives.
    #[serde(rename = "asOf", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<f64>,
}

/// What becomes of a session whose lease is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Orphan {
    /// It goes on; its result is kept until it is fetched.
    #[default]
    Keep,
    /// It is ended: `killed`, with the reason `lease_expired: …`.
    Stop,
}

impl Orphan {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// `renew_lease`: the owner is still there. All its living sessions' leases begin anew.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenewLease {
    /// Whose sessions.
    pub owner: String,
    /// Seconds the lease lasts from now on, 1 to 86,400. Absent: it is given up; the sessions go on and no
    /// rule for orphans holds any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The newest `clock` this agent has told the owner. The lease lasts from then on, not from when this arrives;
    /// one that is older than what the agent knows changes nothing.
    #[serde(rename = "asOf", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<f64>,
}

/// `renew`: the same as the last `renew_lease` over this connection, which was not given up; in few bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Renew {
    /// As in [`RenewLease`].
    #[serde(rename = "asOf", default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<f64>,
}

/// How busy a host is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// The load average of the last minute, for each core: 1 is as much as it has cores for.
    pub cpu: f64,
    /// Cores the agent may use.
    pub cores: u32,
    /// The part of the memory that is available, 0 to 1.
    pub memory_available: f64,
    /// The percentage of the last ten seconds in which something waited for memory; absent where the kernel
    /// does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<f64>,
}

/// `acknowledge`: whoever asked for these tasks has their results on disk; they may be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledge {
    /// At most 1,000; unknown ones are ignored.
    pub sessions: Vec<SessionId>,
}

/// `fence`: attempts of this task below a number are over. Those that live are ended, those that come later
/// are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// The task.
    pub task_id: String,
    /// The first attempt that is not fenced off.
    pub below: u32,
}

/// `probe`: what of this the host has, and how busy it is. Nothing is started for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Probe {
    /// Tools, by profile, program name or absolute path; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Repositories, by address; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
}

/// Whether a host has a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolFound {
    /// As it was asked for.
    pub tool: String,
    /// Its program, as sessions would find it; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether somebody is logged in to it; absent: cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<bool>,
}

/// Whether a host has a repository already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepoFound {
    /// As it was asked for.
    pub url: String,
    /// It need not be cloned, only brought up to date.
    pub present: bool,
    /// The directory on the host where it is, or will be: work to go on with can be sent there beforehand.
    /// Absent: it is no address that can be cloned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// A git repository that the host is to have: cloned the first time, brought up to date later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Repo {
    /// Its address, as `git clone` takes it.
    pub url: String,
    /// The commit, branch or tag the work starts from; the repository's own default branch if absent.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Work of an earlier attempt that another goes on with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Continues {
    /// The host it was saved on, by the fleet's name for it.
    pub host: String,
    /// Which attempt it was.
    pub attempt: u32,
    /// The commit it was saved as.
    pub commit: String,
    /// The commit the first attempt began from: what changed is told from there. Absent: from `commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}
