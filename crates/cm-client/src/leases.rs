//! Renewing leases: in full the first time over a connection, in few bytes from then on.

use cm_protocol::{Action, ErrorCode, Renew, RenewLease, ReplyBody};

use crate::actions::Renewed;
use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Says that an owner's sessions are still wanted, for so many seconds from now on; `None` gives the
    /// lease up, and they go on whatever happens.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn renew_lease(&self, owner: &str, seconds: Option<f64>) -> Result<Renewed, ClientError> {
        self.renew_lease_as_of(owner, seconds, None).await
    }

    /// [`Self::renew_lease`], counted from the newest clock of the agent's that is known here (of its hello, or of
    /// its last answer) instead of from when the request arrives: however long that takes, the lease is not longer.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn renew_lease_as_of(
        &self,
        owner: &str,
        seconds: Option<f64>,
        as_of: Option<f64>,
    ) -> Result<Renewed, ClientError> {
        let told = self.renewing().told(owner, seconds);
        if let Some(told) = told {
            match self.renew_again(told, as_of).await {
                // The agent remembers another one, or none: it is told in full.
                Err(error) if error.code() == Some(ErrorCode::Conflict) => {}
                renewed => return renewed,
            }
        }
        self.renewing().asking(owner, seconds);
        let renew = RenewLease { owner: owner.to_owned(), seconds, as_of };
        let renewed = self
            .pick(Action::RenewLease(renew), |body| match body {
                ReplyBody::LeaseRenewed { sessions, load, clock, .. } => {
                    Some(Renewed { sessions, load, clock })
                }
                _ => None,
            })
            .await?;
        self.renewing().was_told(renewed);
        Ok(renewed)
    }

    /// The same once more, in few bytes. `told`: the last answer.
    async fn renew_again(&self, told: Renewed, as_of: Option<f64>) -> Result<Renewed, ClientError> {
        let renewed = self
            .pick(Action::Renew(Renew { as_of }), |body| match body {
                ReplyBody::Renewed { sessions, load, clock } => Some(Renewed {
                    sessions: sessions.unwrap_or(told.sessions),
                    load: load.unwrap_or(told.load),
                    clock: Some(clock),
                }),
                _ => None,
            })
            .await?;
        self.renewing().was_told(renewed);
        Ok(renewed)
    }
}
