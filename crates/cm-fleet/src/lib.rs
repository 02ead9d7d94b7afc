//! The operator's command: gives tasks to agents, shows how they fare, finds them again.
//!
//! Rooms: [`cli`] parses and hands over to one function in [`command`]; [`local`] finds or starts the
//! agent of this machine, [`fleet`] reaches those of hosts; [`inbox`] is what waits for a person on any of
//! them; [`dispatch`] runs tasks, [`collect`] brings their results together; [`report`] turns the run's events into bars, lines,
//! JSON and a table. Everything shown comes from one stream of [`report::event::RunEvent`]s.

pub mod circle;
pub mod cli;
pub mod collect;
pub mod command;
pub mod container;
pub mod deploy;
pub mod dispatch;
pub mod exit;
pub mod failure;
pub mod fleet;
pub mod inbox;
pub mod inventory;
pub mod local;
pub mod parse;
pub mod policy;
pub mod report;
pub mod sessions;
pub mod waiting;
pub mod yaml;
