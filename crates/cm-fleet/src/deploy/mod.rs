//! From an inventory to agents that run: what each host should be, what it is, and the way from one to the other.
//!
//! [`wanted`] says what a host is to become, [`script`] asks it what it is, [`asked`] reads the answer,
//! [`plan`] compares the two and [`rollout`] decides whose turn it is: all pure. [`host`] takes one host along
//! that way, [`run`] all of them. What happens is one stream of [`event::DeployEvent`]s.

pub mod asked;
pub mod binary;
pub mod confirm;
pub mod each;
pub mod event;
pub mod findings;
pub mod fold;
pub mod host;
pub mod jobs;
pub mod link;
pub mod packed;
pub mod plan;
pub mod record;
pub mod rollout;
pub mod run;
pub mod script;
pub mod stage;
pub mod status;
pub mod undo;
pub mod view;
pub mod wanted;
pub mod who;
pub mod words;
