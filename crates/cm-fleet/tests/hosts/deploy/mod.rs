//! Deployment from a user's seat: `cm-fleet` is run, and its events, its exit code and the hosts are looked at.

mod cut;
mod first;
mod going_back;
mod sessions;
mod unfit;
