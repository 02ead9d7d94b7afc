//! The daemon on a host: holds coding agents in tmux sessions, watches them and loses nothing.
//!
//! `docs/architecture.md` walks through the rooms and follows a byte from a tool to a client.

pub mod cli;
pub mod config;
pub mod container;
pub mod health;
pub mod hold;
pub mod hook;
pub mod host;
pub mod hub;
pub mod install;
pub mod journal;
mod life;
pub mod near;
pub mod policies_dir;
pub mod replay;
pub mod selftest;
pub mod serve;
pub mod server;
pub mod session;
pub mod settings;
pub mod tmux;
pub mod tool;
pub mod tools;
mod tools_cli;
pub mod work;
