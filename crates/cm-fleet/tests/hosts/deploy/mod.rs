//! Deployment from a user's seat: `cm-fleet` is run, and its events, its exit code and the hosts are looked at.

mod cut;
mod drift;
mod first;
mod going_back;
mod locks;
mod others;
mod rollout;
mod secrets;
mod sessions;
mod unfit;
