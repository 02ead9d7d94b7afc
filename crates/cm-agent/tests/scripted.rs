//! The agent with a scripted tool: one that draws what it is told to, lies, and writes down every key it gets.

#[allow(dead_code, reason = "shared with the tests of the agent itself")]
#[path = "agent/peace.rs"]
mod peace;
#[allow(dead_code, reason = "shared with the tests of the real tools")]
#[path = "stage/mod.rs"]
mod stage;
#[allow(dead_code, reason = "shared with the tests of the agent itself")]
#[path = "agent/support.rs"]
mod support;

#[path = "scripted/checks.rs"]
mod checks;
#[path = "scripted/dialogs.rs"]
mod dialogs;
#[path = "scripted/life.rs"]
mod life;
#[path = "scripted/program.rs"]
mod program;
#[path = "scripted/several.rs"]
mod several;
#[path = "scripted/typing.rs"]
mod typing;
