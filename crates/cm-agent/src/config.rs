//! What an agent is started with: places, limits, token; checked before anything runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use cm_protocol::Limits;
use cm_protocol::deploy::AgentSettings;

use crate::container::{self, Volume};
use crate::hub::Retention;
use crate::journal::JournalLimits;
use crate::server::Token;
use crate::work::mirrors::Keep;

/// Where sessions are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// With the keeper that is there, else in systemd units where a user manager answers, else detached.
    Auto,
    /// In systemd units, or the agent does not start.
    Systemd,
    /// As processes of their own, even where there is a user manager.
    Detached,
    /// In the container of a keeper (`cm-agent keeper`), or the agent does not start.
    Keeper,
}

impl Placement {
    /// As settings write it.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::from_str(word, false).ok()
    }
}

/// Living sessions allowed where nothing is said.
const SESSIONS: usize = 256;
/// Clients allowed where nothing is said.
const CLIENTS: usize = 1024;
/// Seconds the terminal of an ended program is kept where nothing is said.
const KEPT: u64 = 3600;

/// `cm-agent serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Settings as a deployment writes them (JSON, mode 0600); what is given here as well counts before them
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What was read from it.
    #[arg(skip)]
    pub settings: AgentSettings,

    /// The volume of the container this runs in.
    #[arg(skip)]
    pub volume: Option<Volume>,

    /// How long running tasks are waited for when a container that keeps its own sessions is stopped.
    #[arg(skip)]
    pub drain: Option<Duration>,

    /// Unix socket for clients of the same user [default: agent.sock in the runtime directory]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Also listen on TCP, for clients that know the token (the original's port is 9876); CM_AGENT_LISTEN works too
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// File with the token for TCP; CM_AGENT_TOKEN_FILE, systemd's credential `cm-agent-token` and CM_AGENT_TOKEN work too
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The token itself; other users of this host can read it there, so prefer --token-file
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,

    /// Journal, transcripts, lock [default: $CM_AGENT_STATE_DIR, $XDG_STATE_HOME/cm-agent or ~/.local/state/cm-agent]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Sockets of agent and sessions [default: $CM_AGENT_RUNTIME_DIR, $XDG_RUNTIME_DIR/cm-agent or a private directory]
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,

    /// Living sessions allowed
    #[arg(long, value_name = "N", default_value_t = SESSIONS, value_parser = count())]
    pub max_sessions: usize,

    /// Clients allowed at the same time
    #[arg(long, value_name = "N", default_value_t = CLIENTS, value_parser = count())]
    pub max_clients: usize,

    /// Seconds the terminal of an ended program is kept for looking at
    #[arg(long, value_name = "SECONDS", default_value_t = KEPT, value_parser = seconds())]
    pub keep_finished: u64,

    /// Days a repository that was cloned for tasks is kept after its last use; 0 is for ever
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u64).range(0..=36_500))]
    pub keep_repos: u64,

    /// Repositories that are kept at most; those not used for longest go first
    #[arg(long, value_name = "N", default_value_t = crate::work::mirrors::Keep::default().most, hide = true)]
    pub most_repos: usize,

    /// Where sessions run
    #[arg(long, value_enum, default_value_t = Placement::Auto)]
    pub placement: Placement,

    /// End when there has been no session and no client for so many seconds [if given alone: 10]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = seconds())]
    pub on_demand: Option<u64>,

    /// What decides about prompts where a task does not say: read-only, careful, trusting, or a YAML file
    #[arg(long, value_name = "NAME|FILE", default_value = "careful")]
    pub policy: String,

    /// Seconds a client may take to log in
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().login_seconds, hide = true)]
    #[arg(value_parser = seconds())]
    pub login_timeout: u64,

    /// Bytes of events kept for clients that ask for the past
    #[arg(long, value_name = "BYTES", default_value_t = JournalLimits::default().total_bytes, hide = true)]
    pub journal_bytes: u64,

    /// Closed sessions that are remembered
    #[arg(long, value_name = "N", default_value_t = Retention::default().closed, hide = true)]
    pub remember: usize,

    /// Closed sessions that are remembered besides until whoever dispatched them has fetched their results
    #[arg(long, value_name = "N", default_value_t = Retention::default().unfetched, hide = true)]
    pub remember_unfetched: usize,
}

/// A start that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// TCP without a token would give the host away.
    #[error(
        "--listen needs a token: put one into a file (openssl rand -hex 32 > FILE; chmod 600 FILE) and pass --token-file FILE"
    )]
    NoToken,
    /// The token cannot be used.
    #[error("the token from {from}: {why}")]
    BadToken {
        /// Where it was read.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--config` cannot be used.
    #[error("--config {}: {why}", path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A variable of the environment cannot be used.
    #[error("{name}: {why}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A container's volume cannot be used.
    #[error("the volume {}: {why}", path.display())]
    Volume {
        /// Where it is mounted.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// As [`Self::NoToken`], in a container.
    #[error(
        "to be reached by TCP a token is needed: put one into a file that user {uid} can read (openssl rand -hex 32 > FILE), and run the container with -v FILE:/run/secrets/cm-agent-token:ro -e {}=/run/secrets/cm-agent-token; without {} none is needed: `docker exec -i CONTAINER cm-agent bridge` is a way in",
        container::TOKEN_FILE,
        container::LISTEN
    )]
    NoTokenInContainer {
        /// Who must be able to read it.
        uid: u32,
    },
    /// A limit of nothing.
    #[error("--{0} must be at least 1")]
    Zero(&'static str),
}

/// A century.
const MOST_SECONDS: u64 = 100 * 366 * 24 * 3600;

/// Seconds up to a century, so that adding them to a moment always gives a moment.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=MOST_SECONDS)
}

/// So many that no host can hold more.
fn count() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(0..=1_000_000)
}

impl ServeArgs {
    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// A limit is zero.
    pub fn check(&self) -> Result<(), ConfigError> {
        match (self.max_sessions, self.max_clients) {
            (0, _) => Err(ConfigError::Zero("max-sessions")),
            (_, 0) => Err(ConfigError::Zero("max-clients")),
            _ => Ok(()),
        }
    }

    /// Reads what the environment says, and the settings, into the fields that stand for them. What an argument
    /// says counts first, then the environment.
    ///
    /// # Errors
    /// Something there cannot be used.
    pub fn read_surroundings(&mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let set = |name: &str| env(name).filter(|text| !text.is_empty());
        if let Some(text) = set(container::LISTEN)
            && self.listen.is_none()
        {
            let why = format!("{text:?} is not ADDRESS:PORT");
            let bad = |_| ConfigError::Variable { name: container::LISTEN, why };
            self.listen = Some(text.parse().map_err(bad)?);
        }
        self.volume = Volume::here(env);
        if let Some(volume) = &self.volume {
            self.drain = Some(container::drain(env)?);
            if self.config.is_none() && volume.config().exists() {
                self.config = Some(volume.config());
            }
        }
        self.read_config()
    }

    /// Reads `--config`, if there is one, into [`Self::settings`] and the fields it stands for.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read_config(&mut self) -> Result<(), ConfigError> {
        let Some(path) = &self.config else { return Ok(()) };
        let settings = crate::settings::load(path)?;
        let listen = settings.listen.as_ref().and_then(|text| text.parse().ok());
        self.listen = self.listen.or(listen);
        if let Some(most) = settings.max_sessions
            && self.max_sessions == SESSIONS
        {
            self.max_sessions = most as usize;
        }
        if let Some(most) = settings.max_clients
            && self.max_clients == CLIENTS
        {
            self.max_clients = most as usize;
        }
        if let Some(seconds) = settings.keep_finished
            && self.keep_finished == KEPT
        {
            self.keep_finished = seconds.min(MOST_SECONDS);
        }
        if let Some(placement) = settings.placement.as_deref().and_then(Placement::named)
            && self.placement == Placement::Auto
        {
            self.placement = placement;
        }
        self.settings = settings;
        Ok(())
    }

    /// How much of the past is kept.
    pub fn journal_limits(&self) -> JournalLimits {
        let usual = JournalLimits::default();
        JournalLimits {
            // In at least eight pieces, so that the oldest one to go takes little with it.
            segment_bytes: usual.segment_bytes.min(self.journal_bytes / 8),
            total_bytes: self.journal_bytes,
        }
    }

    /// How much is remembered of what has ended.
    pub fn retention(&self) -> Retention {
        Retention { closed: self.remember, unfetched: self.remember_unfetched, ..Retention::default() }
    }

    /// How long the terminal of an ended program is kept.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_finished)
    }

    /// How long repositories that were cloned for tasks are kept.
    pub fn mirrors(&self) -> Keep {
        let unused = (self.keep_repos > 0).then(|| Duration::from_secs(self.keep_repos * 86_400));
        Keep { unused, most: self.most_repos }
    }

    /// The token, from the first place that has one: settings, arguments, the file that `CM_AGENT_TOKEN_FILE` names,
    /// systemd credential, `CM_AGENT_TOKEN`.
    ///
    /// # Errors
    /// There is none although TCP is asked for, or it cannot be read, or is empty.
    pub fn find_token(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<Token>, ConfigError> {
        let credential = env("CREDENTIALS_DIRECTORY").map(|d| Path::new(&d).join("cm-agent-token"));
        let (from, text) = if let Some(token) = &self.settings.token {
            ("--config".into(), token.0.clone())
        } else if let Some(file) = &self.token_file {
            (file.display().to_string(), read_token(file)?)
        } else if let Some(token) = &self.token {
            tracing::warn!("--token can be read by every user of this host; use --token-file");
            ("--token".into(), token.clone())
        } else if let Some(file) = env(container::TOKEN_FILE).filter(|file| !file.is_empty()) {
            (file.clone(), read_token(Path::new(&file))?)
        } else if let Some(file) = credential.filter(|f| f.exists()) {
            (file.display().to_string(), read_token(&file)?)
        } else if let Some(token) = env("CM_AGENT_TOKEN").filter(|token| !token.is_empty()) {
            ("CM_AGENT_TOKEN".into(), token)
        } else if self.listen.is_some() {
            let uid = rustix::process::getuid().as_raw();
            return Err(match &self.volume {
                Some(_) => ConfigError::NoTokenInContainer { uid },
                None => ConfigError::NoToken,
            });
        } else {
            return Ok(None);
        };
        if let Some(weakness) = Token::weakness(&text) {
            tracing::warn!("{from}: {weakness}");
        }
        match Token::new(&text) {
            Some(token) => Ok(Some(token)),
            None => Err(ConfigError::BadToken { from, why: "the token is empty".into() }),
        }
    }
}

fn read_token(file: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    const MOST: u64 = 4096;
    let from = file.display().to_string();
    let bad = |why: String| ConfigError::BadToken { from: from.clone(), why };
    let opened = std::fs::File::open(file).map_err(|e| bad(e.to_string()))?;
    let meta = opened.metadata().map_err(|e| bad(e.to_string()))?;
    if meta.permissions().mode() & 0o077 != 0 && meta.is_file() {
        tracing::warn!("{from} can be read by other users: chmod 600 {from}");
    }
    // Also from a pipe, which has no length.
    let mut text = String::new();
    opened.take(MOST + 1).read_to_string(&mut text).map_err(|e| bad(e.to_string()))?;
    if text.len() as u64 > MOST {
        return Err(bad(format!("the file has more than {MOST} bytes; that is no token")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
