//! ssh for tokio on libssh2: connect, run a command, open a stream. The only crate that names ssh2.
//!
//! One connection, one purpose. Commands run on a connection whose work is done in threads
//! ([`Ssh::exec`]); a stream or a terminal turns its connection into a non-blocking one that carries nothing else
//! ([`Ssh::stream`], [`Ssh::pty`]). Everything has a deadline, and when it passes the call returns, whatever the host does:
//! a frozen host costs its own deadline and nothing else. Dropping a future ends its connection.
//!
//! ```no_run
//! # async fn example() -> Result<(), cm_ssh::SshError> {
//! use std::time::Duration;
//! use cm_ssh::{Input, Keys, NoSecrets, Ssh, Target};
//!
//! let keys = Keys::new(NoSecrets);
//! let target = Target::new("gpu-01", "10.0.0.1", "deploy");
//! let mut ssh = Ssh::connect(&target, &keys).await?;
//! let output = ssh.exec("uname -m", Input::None, Duration::from_secs(10)).await?;
//! println!("{}", output.stdout_text());
//! ssh.close().await;
//! # Ok(())
//! # }
//! ```

mod auth;
mod certificate;
pub mod config;
mod cut;
mod dial;
mod error;
mod exec;
mod host;
mod host_certificate;
mod host_key;
mod identity;
pub mod known_hosts;
mod limits;
mod pty;
mod pump;
mod secret;
mod signature;
mod stream;
mod target;
mod watch;
mod wire;

pub use config::{ConfigError, Given, Resolver, resolve};
pub use error::{At, ConnectFailure, HostKeyError, Kind, SshError, Tried};
pub use exec::{Event, Exec, Input, Output, Status};
pub use host::{Remote, Ssh};
pub use pty::{Size, SshPty, Terminal, Window};
pub use secret::{Keys, NoSecrets, Secret, Secrets};
pub use stream::SshStream;
pub use target::{AgentUse, Pin, PinError, Target, UnknownHost};
