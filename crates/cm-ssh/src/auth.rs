//! Logging in: the agent's keys and those in files, one after the other, until the host lets us in.

mod agent;
mod order;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ssh2::{Agent, ErrorCode};

use crate::error::{At, SshError, Tried, hung_up};
use crate::identity::{self, IdentityError, UserCertificate};
use crate::limits;
use crate::secret::Keys;
use crate::target::{AgentUse, Target};
use crate::wire::{Wire, WireError};
use order::{Attempt, Held, Named};

/// One login, in a blocking thread.
pub struct Login<'a> {
    pub at: &'a Arc<At>,
    pub target: &'a Target,
    pub keys: &'a Keys,
    pub by: Instant,
}

/// What came of an attempt.
enum Outcome {
    In,
    /// The host said no.
    Refused,
    /// It was not even asked.
    NotTried(String),
    /// It hung up.
    Gone(String),
}

impl Login<'_> {
    /// Logs in, or says everything that was tried.
    pub fn run(&self, wire: &Wire) -> Result<(), SshError> {
        let mut tried = Vec::new();
        let agent = self.agent(wire, &mut tried);
        let (named, mut locked) = (self.named(&mut tried), None);
        let held = agent.as_ref().map(|(_, held)| held.as_slice()).unwrap_or_default();
        let attempts = order::order(&named, held, self.target.identities_only);
        let mut asked = 0;
        for (index, attempt) in attempts.iter().enumerate() {
            if asked == limits::AUTH_TRIES {
                let what = format!("{} more", attempts.len() - index);
                let why = "not tried: sshd allows six tries; name the right key (identity)".to_owned();
                tried.push(Tried { what, why });
                break;
            }
            let outcome = match (attempt, &agent) {
                (Attempt::Agent { index, .. }, Some((agent, _))) => self.with_agent(wire, agent, *index)?,
                (Attempt::Agent { .. }, None) => continue,
                (Attempt::File { path, certificate }, _) => {
                    self.with_file(wire, path, certificate.as_ref(), &mut locked)?
                }
            };
            let what = attempt.to_string();
            match outcome {
                Outcome::In => {
                    tracing::debug!(at = %self.at, key = %what, "logged in");
                    return Ok(());
                }
                Outcome::Refused => {
                    asked += 1;
                    tried.push(Tried { what, why: "not accepted by the host".to_owned() });
                }
                Outcome::NotTried(why) => tried.push(Tried { what, why }),
                Outcome::Gone(why) => {
                    let why = format!("the host hung up ({why}); perhaps too many tries (MaxAuthTries)");
                    tried.push(Tried { what, why });
                    return Err(self.failed(tried, locked, None));
                }
            }
        }
        let accepts = self.accepts(wire);
        Err(self.failed(tried, locked, accepts))
    }

    fn failed(
        &self,
        tried: Vec<Tried>,
        locked: Option<(PathBuf, bool)>,
        accepts: Option<String>,
    ) -> SshError {
        let at = Arc::clone(self.at);
        match locked {
            Some((key, wrong)) => SshError::Passphrase { at, key, wrong, tried },
            None => SshError::Auth { at, tried, accepts },
        }
    }

    /// The ways of logging in that the host offers, by its own word.
    fn accepts(&self, wire: &Wire) -> Option<String> {
        let ask = |session: &mut ssh2::Session| session.auth_methods(&self.target.user).map(str::to_owned);
        wire.until(self.by, ask).ok().filter(|methods| !methods.is_empty())
    }

    /// Connects to the agent and lists its keys. An agent that is not there is no failure by itself.
    fn agent(&self, wire: &Wire, tried: &mut Vec<Tried>) -> Option<(Agent, Vec<Held>)> {
        let socket = match &self.target.agent {
            AgentUse::None => return None,
            AgentUse::Socket(path) => path.clone(),
            AgentUse::Environment => {
                PathBuf::from(std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty())?)
            }
        };
        let what = format!("ssh agent {}", socket.display());
        if let Err(why) = agent::answers(&socket) {
            tried.push(Tried { what, why });
            return None;
        }
        let open = || {
            let mut agent = wire.session.agent()?;
            agent.set_identity_path(&socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let held = agent.identities()?;
            Ok::<_, ssh2::Error>((agent, held))
        };
        match open() {
            Ok((agent, held)) => {
                let held = held
                    .iter()
                    .map(|key| Held { blob: key.blob().to_vec(), comment: key.comment().to_owned() })
                    .collect();
                Some((agent, held))
            }
            Err(error) => {
                tried.push(Tried { what, why: error.message().to_owned() });
                None
            }
        }
    }

    /// The keys that the target names, with the certificates that belong to them.
    fn named(&self, tried: &mut Vec<Tried>) -> Vec<Named> {
        // A clock before 1970 makes every certificate invalid, which is then said.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut read = |path: &Path| {
            let certificate = UserCertificate::read(path);
            let why = match certificate {
                Ok(certificate) => match certificate.invalid(now) {
                    None => return Some(certificate),
                    Some(why) => why,
                },
                Err(why) => why,
            };
            tried.push(Tried { what: format!("certificate {}", path.display()), why });
            None
        };
        let mut elsewhere: Vec<UserCertificate> =
            self.target.certificates.iter().filter_map(|path| read(path)).collect();
        let mut named = Vec::new();
        for path in &self.target.identities {
            let public = identity::public_key(path);
            let beside = identity::with_suffix(path, "-cert.pub");
            let mut certificates = Vec::new();
            if beside.exists() && !self.target.certificates.contains(&beside) {
                certificates.extend(read(&beside));
            }
            let (own, others) =
                elsewhere.into_iter().partition(|certificate| Some(&certificate.key) == public.as_ref());
            elsewhere = others;
            certificates.splice(0..0, own);
            named.push(Named { path: path.clone(), public, certificates });
        }
        for certificate in &elsewhere {
            // The agent may hold it together with its key.
            named.push(Named {
                path: certificate.path.clone(),
                public: Some(certificate.blob.clone()),
                certificates: Vec::new(),
            });
        }
        named
    }

    fn with_agent(&self, wire: &Wire, agent: &Agent, index: usize) -> Result<Outcome, SshError> {
        let keys = match agent.identities() {
            Ok(keys) => keys,
            Err(error) => return Ok(Outcome::NotTried(error.message().to_owned())),
        };
        let Some(key) = keys.get(index) else {
            return Ok(Outcome::NotTried("has gone from the agent".to_owned()));
        };
        self.outcome(wire.until(self.by, |_| agent.userauth(&self.target.user, key)))
    }

    fn with_file(
        &self,
        wire: &Wire,
        path: &Path,
        certificate: Option<&UserCertificate>,
        locked: &mut Option<(PathBuf, bool)>,
    ) -> Result<Outcome, SshError> {
        let identity = match self.keys.load(path) {
            Ok(identity) => identity,
            Err(error) => {
                if matches!(error, IdentityError::NoPassphrase | IdentityError::WrongPassphrase) {
                    *locked = Some((path.to_owned(), error == IdentityError::WrongPassphrase));
                }
                return Ok(Outcome::NotTried(error.to_string()));
            }
        };
        let public = certificate.map(|certificate| certificate.text.as_str());
        let passphrase = identity.passphrase.as_ref().map(crate::secret::Secret::expose);
        let outcome = self.outcome(wire.until(self.by, |session| {
            session.userauth_pubkey_memory(&self.target.user, public, &identity.pem, passphrase)
        }))?;
        if passphrase.is_some() && matches!(outcome, Outcome::NotTried(_)) {
            *locked = Some((path.to_owned(), true));
        }
        Ok(outcome)
    }

    fn outcome(&self, result: Result<(), WireError>) -> Result<Outcome, SshError> {
        use libssh2_sys as sys;
        match result {
            Ok(()) => Ok(Outcome::In),
            Err(WireError::Deadline) => {
                Err(SshError::deadline(self.at, "logging in", self.target.connect_timeout))
            }
            Err(WireError::Ssh(error)) => Ok(match error.code() {
                ErrorCode::Session(
                    sys::LIBSSH2_ERROR_AUTHENTICATION_FAILED | sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED,
                ) => Outcome::Refused,
                _ if hung_up(&error) => Outcome::Gone(error.message().to_owned()),
                _ => Outcome::NotTried(error.message().to_owned()),
            }),
        }
    }
}
