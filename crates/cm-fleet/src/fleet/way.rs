//! Which agent a command talks to, and how it is reached: this machine's, or one host's of an inventory.

use std::sync::Arc;
use std::time::Duration;

use cm_client::{Client, ClientError, Connector, Endpoint};

use super::tunnel::{Tunnel, TunnelError};
use crate::failure::{Failure, Kind};
use crate::local::Local;
use crate::sessions::LOCAL;

/// Time for connecting to this machine's agent and logging in.
const CONNECT: Duration = Duration::from_secs(5);

/// An agent, and the way to it.
#[derive(Debug, Clone)]
pub enum Way {
    /// This machine's.
    Here(Local),
    /// A host's.
    There(Arc<Tunnel>),
}

impl Way {
    /// The host's name in reports.
    pub fn host(&self) -> &str {
        match self {
            Self::Here(_) => LOCAL,
            Self::There(tunnel) => tunnel.host(),
        }
    }

    /// Whether this is another machine: paths, terminals and files are there then.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::There(_))
    }

    /// A connection; this machine's agent is started where that is allowed.
    ///
    /// # Errors
    /// There is none to be had; the failure says why and what to do.
    pub async fn connect(&self) -> Result<Client, Failure> {
        match self {
            Self::Here(local) => {
                let socket = local.ensure().await?;
                Client::connect(&Endpoint::Unix(socket), CONNECT)
                    .await
                    .map_err(|e| crate::command::failed("cannot reach the agent", &e))
            }
            Self::There(tunnel) => tunnel.connect().await.map_err(|error| unreached(tunnel.host(), &error)),
        }
    }

    /// What a [`cm_client::Follower`] connects with, as often as it must.
    pub fn connector(self) -> impl Connector {
        move || {
            let way = self.clone();
            async move {
                match way {
                    Self::Here(local) => local.connector().connect().await,
                    Self::There(tunnel) => tunnel.connect().await.map_err(ClientError::from),
                }
            }
        }
    }
}

fn unreached(host: &str, error: &TunnelError) -> Failure {
    let kind = match error {
        TunnelError::Ssh(error) if error.kind() == cm_ssh::Kind::Refused => Kind::Refused,
        _ => Kind::Unreachable,
    };
    Failure::new(kind, format!("cannot reach the agent on {host}")).because(error)
}
