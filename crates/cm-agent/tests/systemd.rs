//! The agent under a real user manager. Built with the feature `systemd-tests` only, and run inside a host that
//! has one (`cargo xtask test hosts`): as a user with lingering, with `XDG_RUNTIME_DIR` set.

mod support;

#[path = "systemd/agent.rs"]
mod agent;
#[path = "systemd/fallback.rs"]
mod fallback;
#[path = "systemd/install.rs"]
mod install;
#[path = "systemd/restart.rs"]
mod restart;
#[path = "systemd/service.rs"]
mod service;
#[path = "systemd/sessions.rs"]
mod sessions;
#[path = "systemd/units.rs"]
mod units;
