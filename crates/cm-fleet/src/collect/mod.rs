//! The results of a run, brought together on this machine: what the ledger says, texts, patches, branches.

pub mod branches;
pub mod conflicts;
pub mod files;
pub mod gather;
pub mod git;
pub mod history;
pub mod names;
pub mod report;
pub mod run;
