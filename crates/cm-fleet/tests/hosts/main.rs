//! On real hosts: `cargo xtask test hosts`, or by hand with `cargo xtask hosts up 20 --cast` and
//! `cargo nextest run -p cm-fleet --features host-tests --test hosts`.

mod deploy;
mod dispatch;
mod faults;
mod kinds;
mod mixed;
mod remote;
mod support;
