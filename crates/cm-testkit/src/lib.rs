//! Test support: what it takes to run the real coding CLIs, or a stand-in for one, without a network.
//!
//! - [`model`]: a model server on 127.0.0.1 that plays scenarios in the four dialects the tools speak.
//! - [`tools`]: where `cargo xtask tools` has put the pinned tools.
//! - [`homes`]: a scratch home and an environment in which a tool talks to that server and nobody else.
//! - [`scripted`]: a program that draws any screen from a file, and lies where the file says so.
//! - [`git`]: git in a directory, for tests of what tasks commit.
//! - [`hosts`]: small systems with systemd and sshd on loopback, for tests that deploy to them.
//! - [`terminal`]: a program in a tmux of its own, for tests that look at it directly.

pub mod git;
pub mod homes;
pub mod hosts;
pub mod model;
pub mod scripted;
pub mod terminal;
pub mod tools;
