//! One file a command: its arguments, and the one function that does it.

use std::io::{self, Write};
use std::time::Duration;

use cm_client::protocol::SessionInfo;
use cm_client::{Client, ClientError, Endpoint};

use crate::cli::Global;
use crate::failure::{Failure, Kind};
use crate::sessions;

pub mod act;
pub mod agent;
pub mod attach;
pub mod completions;
pub mod dispatch;
pub mod logs;
pub mod send;
pub mod sessions_list;

pub use sessions_list as list;

/// Time for connecting and logging in.
const CONNECT: Duration = Duration::from_secs(5);
