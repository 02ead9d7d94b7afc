//! `cm-scripted`: a program that draws any screen from a file, reacts as the file says, and logs every byte it
//! reads. It stands in for a tool where a test needs one that lies.
//!
//! What it does next is decided in `play`, which is pure; `run` owns the terminal and the clock.

mod act;
mod draw;
mod keys;
mod log;
mod play;
mod run;
mod script;
mod typed;

pub use log::{Entry, keys_of, read};
pub use run::{RunError, run};
pub use script::{BadScript, Echo, Frame, Half, Script, Spin, Then, load, parse};
