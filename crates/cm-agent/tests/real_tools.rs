//! The agent with the real coding tools, offline: each in a scratch home, against a model server on this machine.
//!
//! Claude Code and Codex with the feature `real-tools`, all of them with `all-tools`.

#[allow(dead_code, reason = "shared with the tests of the agent itself")]
#[path = "agent/peace.rs"]
mod peace;
#[allow(dead_code, reason = "shared with the tests of the scripted tool")]
#[path = "stage/mod.rs"]
mod stage;
#[allow(dead_code, reason = "shared with the tests of the agent itself")]
#[path = "agent/support.rs"]
mod support;

#[path = "real_tools/asked.rs"]
mod asked;
#[path = "real_tools/proof.rs"]
mod proof;
#[path = "real_tools/room.rs"]
mod room;
#[path = "real_tools/start.rs"]
mod start;
#[path = "real_tools/trouble.rs"]
mod trouble;
#[path = "real_tools/turns.rs"]
mod turns;
#[path = "real_tools/work.rs"]
mod work;
