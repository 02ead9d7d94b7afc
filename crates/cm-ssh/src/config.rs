//! The user's ssh configuration, as ssh itself understands it: `ssh -G HOST`.

mod alike;
mod files;
mod parse;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use crate::target::{Pin, Target, UnknownHost};
use alike::Names;
use parse::{Hop, Local, Parsed};

/// How long `ssh -G` may take: it may look up names, for `Match host` and canonical names.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most it may print, in bytes.
const OUTPUT: u64 = 256 * 1024;
/// So many run at once.
const AT_ONCE: usize = 16;
/// Jump hosts of jump hosts, and so on: no further than this.
const DEPTH: usize = 5;

static RUNNING: Semaphore = Semaphore::const_new(AT_ONCE);

/// What the inventory says about a host; it goes before what ssh_config says.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// What to call ssh with, in place of the host's name. May be an alias of ssh_config.
    pub address: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Who to log in as.
    pub user: Option<String>,
    /// Private keys, tried before those that ssh_config names.
    pub identities: Vec<PathBuf>,
    /// Jump hosts, as `ssh -J` takes them; `none` for none.
    pub jump: Option<String>,
    /// known_hosts files, in place of those of ssh_config.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// The key the host must have.
    pub host_key: Option<Pin>,
    /// What to do with a host that is not known.
    pub unknown_host: Option<UnknownHost>,
    /// The longest that each step of connecting may take.
    pub connect_timeout: Option<Duration>,
}

/// Why a host's configuration cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// ssh would take it for an option.
    #[error("{name}: {what} {value:?} begins with '-' or is empty; rename it")]
    BadName {
        /// What the host is called.
        name: String,
        /// Host, user or the like.
        what: &'static str,
        /// The text.
        value: String,
    },
    /// ssh does not like its configuration.
    #[error("{name}: ssh -G fails: {why}; correct the ssh configuration")]
    Ssh {
        /// What the host is called.
        name: String,
        /// What ssh says.
        why: String,
    },
    /// A configuration was named, and there is no ssh to read it.
    #[error("{name}: there is no ssh program to read {}; install openssh-client", file.display())]
    NoSsh {
        /// What the host is called.
        name: String,
        /// The configuration.
        file: PathBuf,
    },
    /// It says something that makes no sense.
    #[error("{name}: {why}")]
    Meaning {
        /// What the host is called.
        name: String,
        /// What.
        why: String,
    },
    /// Jump hosts lead to jump hosts without end.
    #[error("{name}: over {DEPTH} jump hosts behind each other; check ProxyJump for a circle")]
    TooDeep {
        /// What the host is called.
        name: String,
    },
}

/// Finds out how to reach the host `name`. `config` is the user's configuration file in place of
/// `~/.ssh/config`. For many hosts, use one [`Resolver`].
pub async fn resolve(name: &str, given: &Given, config: Option<&Path>) -> Result<Target, ConfigError> {
    Resolver::new(config.map(Path::to_owned)).resolve(name, given).await
}

/// Asks ssh about many hosts, at most 16 at once, and but once about the same one, or about all those that its
/// configuration cannot tell apart (an `ssh -G` is 7 ms of processor, more than reaching the host).
#[derive(Debug, Clone)]
pub struct Resolver {
    config: Option<PathBuf>,
    known: Arc<Mutex<HashMap<Vec<OsString>, Answer>>>,
    names: Arc<OnceCell<Option<Names>>>,
}

/// What ssh says to some arguments, and of which host; `None` where there is no ssh.
type Answer = Arc<OnceCell<(String, Option<String>)>>;

impl Resolver {
    /// With this configuration file in place of `~/.ssh/config`.
    pub fn new(config: Option<PathBuf>) -> Self {
        Self { config, known: Arc::default(), names: Arc::default() }
    }

    /// Finds out how to reach the host `name`.
    pub async fn resolve(&self, name: &str, given: &Given) -> Result<Target, ConfigError> {
        let asked = given.address.as_deref().unwrap_or(name);
        let mut parsed = self.ask(name, asked, given).await?;
        let hops = std::mem::take(&mut parsed.jumps);
        let mut target = parsed.target;
        target.jumps = self.jumps(name, &hops, DEPTH).await?;
        if let Some(files) = &given.known_hosts {
            target.known_hosts.clone_from(files);
        }
        if let Some(unknown) = given.unknown_host {
            target.unknown_host = unknown;
        }
        target.connect_timeout = given.connect_timeout.unwrap_or(target.connect_timeout);
        target.host_key.clone_from(&given.host_key);
        Ok(target)
    }

    /// The hops, with the jump hosts of the first one before it (ssh asks the others' for none).
    async fn jumps(&self, name: &str, hops: &[Hop], depth: usize) -> Result<Vec<Target>, ConfigError> {
        if depth < hops.len() {
            return Err(ConfigError::TooDeep { name: name.to_owned() });
        }
        let mut targets = Vec::new();
        for (index, hop) in hops.iter().enumerate() {
            let given = Given { user: hop.user.clone(), port: hop.port, ..Given::default() };
            let parsed = self.ask(&hop.host, &hop.host, &given).await?;
            if index == 0 && !parsed.jumps.is_empty() {
                targets = Box::pin(self.jumps(name, &parsed.jumps, depth - hops.len())).await?;
            }
            targets.push(parsed.target);
        }
        Ok(targets)
    }

    /// What ssh says about one host, without looking at its jump hosts.
    async fn ask(&self, name: &str, asked: &str, given: &Given) -> Result<Parsed, ConfigError> {
        check_word(name, "the host", asked)?;
        if let Some(user) = &given.user {
            check_word(name, "the user", user)?;
        }
        let output = self.say(name, asked, given).await?;
        let local = local();
        let text = match (output, &self.config) {
            (Some(text), _) => text,
            (None, Some(file)) => {
                return Err(ConfigError::NoSsh { name: name.to_owned(), file: file.clone() });
            }
            (None, None) => {
                tracing::warn!("there is no ssh program: ~/.ssh/config is not read");
                defaults(asked, given, &local)
            }
        };
        let mut parsed = parse::parse(&text, name, asked, &local, |variable| std::env::var(variable).ok())
            .map_err(|why| ConfigError::Meaning { name: name.to_owned(), why })?;
        // ssh lists its default keys whether they are there or not, and leaves out given ones that are not.
        parsed.target.identities.retain(|path| path.exists());
        parsed.target.certificates.retain(|path| path.exists());
        let mut identities = given.identities.clone();
        identities
            .extend(parsed.target.identities.into_iter().filter(|path| !given.identities.contains(path)));
        parsed.target.identities = identities;
        Ok(parsed)
    }
}

impl Resolver {
    /// What ssh says about a host: itself, or what it said of another one of which it can say nothing else.
    async fn say(&self, name: &str, asked: &str, given: &Given) -> Result<Option<String>, ConfigError> {
        let args = arguments(self.config.as_deref(), given);
        if self.names().await.as_ref().is_some_and(|names| names.unnamed(asked)) {
            let cell = self.known(args.clone());
            let (other, said) = cell.get_or_try_init(|| ask_ssh(name, args.clone(), asked)).await?;
            match said {
                None => return Ok(None),
                Some(text) if other == asked => return Ok(Some(text.clone())),
                Some(text) => {
                    if let Some(text) = alike::renamed(text, other, asked) {
                        return Ok(Some(text));
                    }
                }
            }
        }
        let own = args.iter().cloned().chain([asked.into()]).collect();
        let cell = self.known(own);
        let (_, said) = cell.get_or_try_init(|| ask_ssh(name, args, asked)).await?;
        Ok(said.clone())
    }

    fn known(&self, args: Vec<OsString>) -> Answer {
        // Nothing panics while it holds the lock.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(args).or_default())
    }

    async fn names(&self) -> &Option<Names> {
        let read = || async {
            let config = self.config.clone();
            // A thread that panicked has read nothing.
            tokio::task::spawn_blocking(move || files::names(config.as_deref())).await.ok().flatten()
        };
        self.names.get_or_init(read).await
    }
}

/// What ssh is called with, before the host's name.
fn arguments(config: Option<&Path>, given: &Given) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-G".into()];
    let mut add = |option: &str, value: OsString| args.extend([OsString::from(option), value]);
    if let Some(file) = config {
        add("-F", file.into());
    }
    if let Some(user) = &given.user {
        add("-l", user.into());
    }
    if let Some(port) = given.port {
        add("-p", port.to_string().into());
    }
    for identity in &given.identities {
        add("-i", identity.into());
    }
    if let Some(jump) = &given.jump {
        add("-J", jump.into());
    }
    args.push("--".into());
    args
}

/// Runs ssh; the answer is `None` if there is none.
async fn ask_ssh(
    name: &str,
    args: Vec<OsString>,
    asked: &str,
) -> Result<(String, Option<String>), ConfigError> {
    let failed = |why: String| ConfigError::Ssh { name: name.to_owned(), why };
    // The semaphore is never closed.
    let _permit = RUNNING.acquire().await.map_err(|closed| failed(closed.to_string()))?;
    let spawned = Command::new("ssh")
        .args(args)
        .arg(asked)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((asked.to_owned(), None)),
        Err(error) => return Err(failed(error.to_string())),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (output, complaint) = tokio::join!(read(stdout), read(stderr));
        Ok::<_, io::Error>((child.wait().await?, output?, complaint?))
    };
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok((status, output, _))) if status.success() => Ok((asked.to_owned(), Some(output))),
        Ok(Ok((_, _, complaint))) => Err(failed(complaint.trim().replace('\n', "; "))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("it is not done within {DEADLINE:?}"))),
    }
}

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What `ssh -G` would print with no configuration at all, as far as it is read here.
fn defaults(asked: &str, given: &Given, local: &Local) -> String {
    let user = given.user.as_deref().unwrap_or(&local.user);
    let mut text = format!(
        "hostname {asked}\nuser {user}\nport {}\nuserknownhostsfile ~/.ssh/known_hosts\n\
         globalknownhostsfile /etc/ssh/ssh_known_hosts\nproxyjump {}\n",
        given.port.unwrap_or(22),
        given.jump.as_deref().unwrap_or("none"),
    );
    for kind in ["rsa", "ecdsa", "ed25519"] {
        text += &format!("identityfile ~/.ssh/id_{kind}\n");
    }
    text
}

fn check_word(name: &str, what: &'static str, value: &str) -> Result<(), ConfigError> {
    if value.is_empty() || value.starts_with('-') {
        return Err(ConfigError::BadName { name: name.to_owned(), what, value: value.to_owned() });
    }
    Ok(())
}

fn local() -> Local {
    let variable =
        |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    Local {
        home: variable(["HOME", "HOME"]),
        user: variable(["USER", "LOGNAME"]),
        uid: rustix::process::getuid().as_raw(),
    }
}
