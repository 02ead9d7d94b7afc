//! What is known of tools, as pure functions: profiles, screens, detection, states, policy, hooks.
//!
//! PURE throughout: no tokio, no files, no sockets, no processes, no clock. Time is an argument, a
//! [`std::time::Duration`] since any fixed point (the machine only ever subtracts).
//!
//! The way of a screen: [`screen`] says what stands where the cursor is, [`mod@detect`] says what that means
//! for a tool described by its [`profile`], and [`state`] decides when to believe it and what follows;
//! [`policy`] says which questions may be answered without a person. Structured reports come in through
//! [`hooks`] and beat the screen.

pub mod detect;
pub mod dialog;
pub mod explain;
pub mod hooks;
pub mod login;
pub mod options;
pub mod osc;
pub mod policy;
pub mod profile;
pub mod recording;
pub mod region;
pub mod screen;
pub mod state;
pub mod styled;
pub mod until;

pub use detect::{Activity, Observation, Seen, Turn, detect, still_asked, still_there};
pub use dialog::{Cause, FoundPrompt, Layout, Trouble};
pub use hooks::Heard;
pub use osc::{Blocked, Status, Told};
pub use policy::{Policies, PolicyError};
pub use profile::{Profile, ProfileError, Profiles, PromptKind};
pub use screen::{Cursor, Screen};
pub use state::{Effect, Exit, Input, Machine, Memory};
