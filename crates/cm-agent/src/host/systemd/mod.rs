//! Sessions as units of the user's service manager: outside the agent's control group, under limits.
//!
//! A transient unit belongs to the user manager, not to whoever asked for it: it is in `app.slice`, has no
//! relation to the agent's unit, and stays when that one stops, restarts or is replaced. It goes with the user
//! manager: without lingering, at the last logout.

mod bus;
pub(crate) mod command;
pub(crate) mod direct;
mod error;
mod message;
mod parse;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

pub use error::SystemdError;
pub use parse::{MainExit, UnitState, version};

use bus::{Began, Bus};
use command::Tool;
use message::Call;
use parse::Order;

/// How long stopping may take after a kill, beside what the caller allows.
const AFTER_KILL: Duration = Duration::from_secs(3);

/// The user's service manager, which answered.
#[derive(Debug, Clone)]
pub struct UserManager {
    runtime: PathBuf,
    version: u32,
    /// The controllers it may use; `None` where the unified hierarchy is not in use.
    controllers: Option<String>,
}

/// Looks for the end of a unit that is about to end by itself, and the pause after the first; each is twice as long
/// as the one before. Together as long as asking takes a few times over.
const LOOKS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The first version that is asked for units directly: those before it do not know all of their properties by these
/// names.
const DIRECTLY: u32 = 240;

/// A manager that is greeted while something else is made ready. Dropping it is all right.
#[derive(Debug)]
pub struct Greeting(AbortOnDropHandle<std::io::Result<Bus>>);

/// A unit to start.
#[derive(Debug, Clone, Copy)]
pub struct UnitSpec<'a> {
    /// Its name, without `.service`.
    pub name: &'a str,
    /// For people who list units.
    pub description: &'a str,
    /// The program, by its absolute path, and its arguments.
    pub argv: &'a [String],
    /// Its whole environment. Nothing secret: it stands on a command line for a moment.
    pub env: &'a [(String, String)],
    /// Where it starts.
    pub cwd: &'a str,
    /// What it may use.
    pub limits: UnitLimits,
    /// When it counts as started.
    pub start: Start<'a>,
}

/// When a unit counts as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// As soon as the program runs. The unit ends when it does.
    Runs,
    /// When the program has returned, with 0. What it left running is the unit's; its parent's end is no end.
    Returns {
        /// Where it writes why it did not, an absolute path. Not into the system's log: it may quote secrets.
        complaints: &'a Path,
    },
}

/// What a unit may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UnitLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Cores: 1.5 is one and a half.
    pub cpu: Option<f64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// How a unit was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// There was none.
    WasGone,
    /// In time.
    Stopped,
    /// It had to be killed.
    Killed,
}

impl UserManager {
    /// Looks for the user's service manager and asks it something, all within `within`. `None` if there is
    /// none, it does not answer, or systemd-run is missing: then sessions run without it. `xdg` is
    /// `$XDG_RUNTIME_DIR`, if set.
    pub async fn probe(xdg: Option<&Path>, within: Duration) -> Option<Self> {
        let uid = rustix::process::getuid().as_raw();
        let login = PathBuf::from(format!("/run/user/{uid}"));
        let candidates = xdg.into_iter().map(Path::to_path_buf).chain([login]);
        // Where systemctl and systemd-run connect to, and where they would look next.
        let runtime = candidates
            .into_iter()
            .find(|dir| dir.join("systemd/private").exists() || dir.join("bus").exists())?;
        let deadline = Instant::now() + within;
        let left = || deadline.saturating_duration_since(Instant::now());
        let names = [("Manager", "Version"), ("Manager", "ControlGroup"), ("Manager", "SystemState")];
        let said = match timeout(left(), direct::show(&runtime, "", &names)).await {
            Ok(Ok(said)) => said,
            // It does not take us in: then sessions are started by systemd-run, which has to be there.
            _ => {
                Tool::SystemdRun.ask(&runtime, &["--version"], left()).await.ok()?;
                let asked = ["--user", "show", "--property=Version,ControlGroup,SystemState"];
                let answer = Tool::Systemctl.ask(&runtime, &asked, left()).await.ok()?;
                answer.success.then_some(answer.stdout)?
            }
        };
        let properties = parse::properties(&said);
        let version = version(properties.get("Version")?)?;
        // A manager on its way out would take every new session with it.
        let usable =
            properties.get("SystemState").is_none_or(|state| !matches!(*state, "stopping" | "offline"));
        let controllers = properties.get("ControlGroup").and_then(|group| controllers_of(group));
        usable.then_some(Self { runtime, version, controllers })
    }

    /// systemd's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Which of these limits this machine will not enforce: `memory`, `cpu`, `tasks`. With cgroup v1, or
    /// where controllers are not delegated to users, systemd accepts limits and nothing happens.
    pub fn unenforced(&self, limits: &UnitLimits) -> Vec<&'static str> {
        parse::unenforced(limits, self.controllers.as_deref())
    }

    /// Starts a program in a unit of its own. It runs when this returns.
    ///
    /// # Errors
    /// [`SystemdError::NameTaken`]; [`SystemdError::Start`] in systemd's words; after
    /// [`SystemdError::Timeout`] the unit may run all the same: ask [`Self::unit_state`] before a second try.
    pub async fn start_unit(&self, spec: &UnitSpec<'_>, within: Duration) -> Result<(), SystemdError> {
        self.start_greeted(self.greet(), spec, within).await
    }

    /// Greets the manager for a start that is about to be asked for, where it is asked directly.
    pub fn greet(&self) -> Option<Greeting> {
        let runtime = self.runtime.clone();
        let greeting = || Greeting(AbortOnDropHandle::new(tokio::spawn(Bus::greet(runtime))));
        (self.version >= DIRECTLY).then(greeting)
    }

    /// [`Self::start_unit`] of a manager that was greeted a moment ago.
    ///
    /// # Errors
    /// As [`Self::start_unit`].
    pub async fn start_greeted(
        &self,
        greeting: Option<Greeting>,
        spec: &UnitSpec<'_>,
        within: Duration,
    ) -> Result<(), SystemdError> {
        let began = match timeout(within, self.begin(greeting, spec, within)).await {
            Ok(began) => began?,
            Err(_) => return Err(SystemdError::Timeout { act: "start", unit: spec.name.into(), within }),
        };
        let mut why = match began {
            Began::Yes => return Ok(()),
            Began::NameTaken => return Err(SystemdError::NameTaken(spec.name.into())),
            Began::No(why) => why,
        };
        if let Start::Returns { complaints } = spec.start {
            // The program's own words say more than systemd's "Job failed".
            why = command::first_lines(complaints).unwrap_or(why);
        }
        if why.is_empty() {
            // Where the unit started and failed at once, nobody says why: the unit knows.
            let state = self.unit_state(spec.name, within).await.ok();
            why = state.and_then(|state| state.ending()).unwrap_or_else(|| "it does not say why".into());
        }
        // A failed start leaves a failed unit behind, which would hold the name.
        self.forget(spec.name, within).await;
        Err(SystemdError::Start { unit: spec.name.into(), why })
    }

    /// Asks the manager itself, which takes no process; where it does not take us in so, by systemd-run.
    async fn begin(
        &self,
        greeting: Option<Greeting>,
        spec: &UnitSpec<'_>,
        within: Duration,
    ) -> Result<Began, SystemdError> {
        if let Some(Greeting(greeted)) = greeting
            && let Ok(Ok(mut bus)) = greeted.await
        {
            let order = Order::new(*spec, self.version);
            let (unit, properties) = (&full(spec.name), &order.properties());
            let begun = bus.work(&Call::Start { unit, properties, beside: None }).await;
            return begun.map_err(|source| SystemdError::Io { tool: "systemd's own socket", source });
        }
        let args = parse::run_arguments(spec, self.version);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = Tool::SystemdRun.run(&self.runtime, &args, within, "start", spec.name).await?;
        let why = answer.why();
        Ok(match answer.success {
            true => Began::Yes,
            false if why.contains("already loaded") || why.contains("already exists") => Began::NameTaken,
            false => Began::No(why),
        })
    }

    /// Where a unit stands.
    ///
    /// # Errors
    /// When the manager does not answer: which is no proof that the unit is gone.
    pub async fn unit_state(&self, name: &str, within: Duration) -> Result<UnitState, SystemdError> {
        let unit = full(name);
        let found = self.show(&unit, "look at", within).await?;
        Ok(found.into_iter().find(|(id, _)| *id == unit).map_or(UnitState::Gone, |(_, state)| state))
    }

    /// The units whose names match a pattern (`cm-session-*`), ended ones that are remembered included; names
    /// without `.service`.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn list_units(
        &self,
        pattern: &str,
        within: Duration,
    ) -> Result<Vec<(String, UnitState)>, SystemdError> {
        let found = self.show(&full(pattern), "list", within).await?;
        let bare = |(id, state): (String, UnitState)| (id.trim_end_matches(".service").to_owned(), state);
        Ok(found.into_iter().map(bare).collect())
    }

    /// Stops a unit with everything in it and forgets it. After `within` it is killed.
    ///
    /// # Errors
    /// When it is still there a few seconds after that.
    pub async fn stop_unit(&self, name: &str, within: Duration) -> Result<Stopped, SystemdError> {
        let unit = full(name);
        match self.systemctl("stop", &["stop", &unit], &unit, within).await {
            Ok(Done::Yes) => {
                self.forget(name, AFTER_KILL).await;
                return Ok(Stopped::Stopped);
            }
            Ok(Done::NotLoaded) => return Ok(Stopped::WasGone),
            Err(SystemdError::Timeout { .. }) => {}
            Err(error) => return Err(error),
        }
        // The unit may end between the two: then there is nothing to kill, which is as good.
        self.systemctl("kill", &["kill", "--signal=KILL", &unit], &unit, AFTER_KILL).await?;
        self.systemctl("stop", &["stop", &unit], &unit, AFTER_KILL).await?;
        self.forget(name, AFTER_KILL).await;
        Ok(Stopped::Killed)
    }

    /// As [`Self::stop_unit`], for a unit whose program has just been ended: it is gone in a moment, and the file that
    /// the manager keeps of a transient unit is gone with it. Looking at that costs nothing; asking takes a process.
    ///
    /// # Errors
    /// As [`Self::stop_unit`].
    pub async fn see_unit_end(&self, name: &str, within: Duration) -> Result<Stopped, SystemdError> {
        for look in 0..LOOKS {
            match is_loaded(&self.runtime, name) {
                Some(false) => return Ok(Stopped::WasGone),
                Some(true) => sleep(FIRST_PAUSE * (1 << look)).await,
                None => break,
            }
        }
        self.stop_unit(name, within).await
    }

    /// Makes systemd forget how a unit ended, so that its name is free again. Failing means there was nothing
    /// to forget.
    async fn forget(&self, name: &str, within: Duration) {
        let unit = full(name);
        let result = self.systemctl("forget", &["reset-failed", &unit], &unit, within).await;
        if let Err(error) = result {
            tracing::debug!(%error, "a unit was not forgotten");
        }
    }

    async fn show(
        &self,
        unit: &str,
        act: &'static str,
        within: Duration,
    ) -> Result<Vec<(String, UnitState)>, SystemdError> {
        let args = ["--user", "show", parse::PROPERTIES, "--", unit];
        let answer = Tool::Systemctl.run(&self.runtime, &args, within, act, unit).await?;
        if answer.success {
            return Ok(parse::units(&answer.stdout));
        }
        Err(SystemdError::Command { act, unit: unit.into(), why: answer.why() })
    }

    async fn systemctl(
        &self,
        act: &'static str,
        args: &[&str],
        unit: &str,
        within: Duration,
    ) -> Result<Done, SystemdError> {
        let args: Vec<&str> =
            ["--user", "--no-ask-password"].into_iter().chain(args.iter().copied()).collect();
        let answer = Tool::Systemctl.run(&self.runtime, &args, within, act, unit).await?;
        let why = answer.why();
        match answer.success {
            true => Ok(Done::Yes),
            false if why.contains("not loaded") => Ok(Done::NotLoaded),
            false => Err(SystemdError::Command { act, unit: unit.into(), why }),
        }
    }
}

enum Done {
    Yes,
    NotLoaded,
}

/// How many processes of a control group the kernel killed for want of memory; `None` where it does not count.
pub fn oom_kills(control_group: &str) -> Option<u64> {
    let events = fs::read_to_string(group_dir(control_group)?.join("memory.events")).ok()?;
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Whether a user's services run on without a login.
pub fn lingers(user: &str) -> bool {
    !user.contains('/') && Path::new("/var/lib/systemd/linger").join(user).exists()
}

/// Whether the manager knows a transient unit, also one that has ended badly and is remembered; `None` where that
/// cannot be seen.
fn is_loaded(runtime: &Path, name: &str) -> Option<bool> {
    let units = runtime.join("systemd/transient");
    let unit = units.join(full(name));
    // Without the directory this manager keeps its files elsewhere.
    units.is_dir().then(|| unit.symlink_metadata().is_ok())
}

fn full(name: &str) -> String {
    format!("{name}.service")
}

fn controllers_of(control_group: &str) -> Option<String> {
    fs::read_to_string(group_dir(control_group)?.join("cgroup.controllers")).ok()
}

/// The directory of a control group in the unified hierarchy.
fn group_dir(control_group: &str) -> Option<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let unified = root.join("cgroup.controllers").exists();
    unified.then(|| root.join(control_group.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transient_unit_is_known_as_long_as_its_file_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, expected: Option<bool>| assert_eq!(is_loaded(dir.path(), name), expected);
        check("cm-session-a", None);
        fs::create_dir_all(dir.path().join("systemd/transient")).unwrap();
        check("cm-session-a", Some(false));
        fs::write(dir.path().join("systemd/transient/cm-session-a.service"), "").unwrap();
        check("cm-session-a", Some(true));
        check("cm-session-b", Some(false));
    }
}
