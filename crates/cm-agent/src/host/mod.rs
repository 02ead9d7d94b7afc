//! The machine under the agent: directories, units, processes, identity.
//!
//! Nothing in here knows what a session is; it knows ids, pids, paths and units.

pub mod clock;
pub mod dirs;
pub mod identity;
pub mod limits;
pub mod load;
pub mod lock;
pub mod moment;
pub mod places;
pub mod ports;
pub mod process;
pub mod signal;
pub mod systemd;

pub use dirs::{DirError, RuntimeDir, runtime_dir, state_dir};
pub use identity::{Account, Machine};
pub use lock::{Lock, LockError};
pub use moment::Moment;
pub use process::{Ended, Frozen, Grace, Leader, Marker, ProcessId, end_tree, freeze, thaw};
pub use systemd::{UnitLimits, UserManager};
