//! Tasks to sessions: the plan, what comes next, the loop that does it.

pub mod plan;
pub mod schedule;
pub mod translate;
