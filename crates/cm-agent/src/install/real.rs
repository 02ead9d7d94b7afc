//! The machine as it is: systemd by its own programs, agents by their sockets, processes by `/proc`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_client::{Client, Endpoint};
use cm_protocol::deploy::Running;
use cm_protocol::{SessionId, Shutdown};

use super::host::{Clock, Did, Host, NoManager, Own, UnitNow};
use super::layout::{Layout, REVERT, UNIT};
use super::lock::{self, Holder};
use super::probe::{self, ANSWER, clock, lives, running};
use super::program::{self, Said, WITHIN, one_line};
use super::sessions::{self, Found};
use crate::host::process::{Grace, Marker, ProcessId, end_tree};
use crate::host::systemd::direct;
use crate::host::{identity, lock as agent_lock, systemd};

/// How often the lock is renewed.
const RENEW: Duration = Duration::from_secs(4);
/// Lines of the agent's log that are passed on, and bytes of each.
const LOG_LINES: usize = 20;
const LOG_BYTES: usize = 400;
/// What the timer that goes back is there for.
const REVERTS: &str = "undoes a deployment of cm-agent that nobody confirms";
/// The machine.
pub struct RealHost {
    runtime: tokio::runtime::Runtime,
    account: identity::Account,
    /// Where the user manager's sockets are.
    xdg: PathBuf,
}

impl RealHost {
    /// Made in a plain thread: it has a runtime of its own.
    ///
    /// # Errors
    /// No runtime.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let env = |name: &str| std::env::var(name).ok();
        let account = identity::account(&env);
        let login = PathBuf::from(format!("/run/user/{}", account.uid));
        let given = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let has = |dir: &PathBuf| dir.join("systemd/private").exists() || dir.join("bus").exists();
        let xdg = [Some(login.clone()), given].into_iter().flatten().find(has).unwrap_or(login);
        Ok(Self { runtime, account, xdg })
    }

    /// Whose it is.
    pub fn account(&self) -> &identity::Account {
        &self.account
    }

    fn ask(&self, program: &str, args: &[&str]) -> Result<Said, String> {
        let said = self.runtime.block_on(program::said(&self.xdg, program, args));
        said.map_err(|e| format!("{program}: {e}"))
    }

    /// A command to the user's service manager.
    fn systemctl(&self, args: &[&str]) -> Did {
        let all: Vec<&str> =
            ["--user", "--no-ask-password"].into_iter().chain(args.iter().copied()).collect();
        let said = self.ask("systemctl", &all)?;
        if said.good {
            Ok(())
        } else {
            Err(format!("systemctl --user {}: {}", args.join(" "), one_line(&said.err)))
        }
    }

    /// Asks the user's service manager itself: no process is needed for it. `None`: it has to be asked by one.
    fn direct<T>(&self, asked: impl Future<Output = io::Result<T>>) -> Option<T> {
        let done = self.runtime.block_on(async { tokio::time::timeout(WITHIN, asked).await });
        done.map_err(|_| io::ErrorKind::TimedOut.into())
            .flatten()
            .inspect_err(|error| tracing::debug!(%error, "the service manager is asked by systemctl"))
            .ok()
    }

    /// Has the service manager do something: asked itself, else by systemctl with these words.
    fn ordered(&self, asked: impl Future<Output = io::Result<()>>, words: &[&str]) -> Did {
        self.direct(asked).map_or_else(|| self.systemctl(words), Ok)
    }

    /// Runs a future of the agent's client.
    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Where the user manager's sockets are.
    pub fn xdg(&self) -> &Path {
        &self.xdg
    }
}

impl Host for RealHost {
    fn before(&mut self, _act: &str) -> io::Result<()> {
        Ok(())
    }

    fn clock(&mut self) -> Clock {
        clock()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn own(&mut self) -> io::Result<Own> {
        let exe = PathBuf::from("/proc/self/exe");
        let path = std::fs::read_link(&exe)?;
        // Going back from an earlier attempt may have removed it; its bytes are there as long as it runs.
        let path = if path.is_file() { path } else { exe };
        let size = std::fs::metadata("/proc/self/exe")?.len();
        let sha256 = identity::binary_sha256().ok_or(io::ErrorKind::Other)?.to_owned();
        Ok(Own { path, sha256, size })
    }

    fn me(&self) -> (u32, u64) {
        ProcessId::me().map_or((std::process::id(), 0), |me| (me.pid.cast_unsigned(), me.start))
    }

    fn lives(&self, process: (u32, u64)) -> bool {
        lives(process)
    }

    fn keep_lock(&mut self, layout: &Layout, holder: &Holder) {
        let (layout, holder) = (layout.clone(), holder.clone());
        // Ends with the process, or when the lock is not its own any more.
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(RENEW);
                if !lock::renew(&layout, &holder, &clock()) {
                    return;
                }
            }
        });
    }

    fn can_execute(&mut self, dir: &Path) -> bool {
        super::facts::can_execute(dir) != Some(false)
    }

    fn tmux(&mut self) -> bool {
        let usual = "/usr/local/bin:/usr/bin:/bin";
        let home = self.account.home.as_ref().map(|home| home.join(".local/bin"));
        let own = std::env::var_os("PATH");
        let all = own.iter().flat_map(std::env::split_paths).chain(std::env::split_paths(usual)).chain(home);
        all.into_iter().any(|dir| dir.join("tmux").is_file())
    }

    fn sessions(&mut self) -> Vec<Found> {
        sessions::scan()
    }

    fn programs_in_use(&mut self) -> Vec<PathBuf> {
        // Everything of this user's; the caller compares whole paths.
        sessions::programs_below(Path::new("/"))
    }

    fn agent(&mut self, socket: &Path) -> Option<Running> {
        socket.exists().then(|| self.runtime.block_on(running(socket)))?
    }

    fn ended_by_itself(&mut self, socket: &Path, session: &str) -> Option<String> {
        let endpoint = Endpoint::Unix(socket.to_path_buf());
        let asked = async {
            let client = Client::connect(&endpoint, ANSWER).await.ok()?.with_timeout(ANSWER);
            let detail = client.get_session(&SessionId(session.to_owned())).await.ok()?;
            client.close().await;
            let outcome = detail.info.outcome?;
            (outcome.state != cm_protocol::State::Lost).then(|| outcome.state.to_string())
        };
        self.runtime.block_on(asked)
    }

    fn shut_down(&mut self, socket: &Path) -> Did {
        let endpoint = Endpoint::Unix(socket.to_path_buf());
        self.runtime.block_on(async {
            let client = Client::connect(&endpoint, ANSWER).await.map_err(|e| e.to_string())?;
            client.shutdown(Shutdown::default()).await.map_err(|e| e.to_string())?;
            client.close().await;
            for _ in 0..100 {
                if agent_gone(socket) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(format!("the agent on {} does not end", socket.display()))
        })
    }

    fn end_session(&mut self, socket: &Path, session: &str) -> Did {
        let id = SessionId(session.to_owned());
        let endpoint = Endpoint::Unix(socket.to_path_buf());
        let by_agent = async {
            let client = Client::connect(&endpoint, ANSWER).await.ok()?.with_timeout(WITHIN);
            client.kill_session(&id).await.ok()
        };
        if socket.exists() && self.runtime.block_on(by_agent).is_some() {
            return Ok(());
        }
        let unit = format!("cm-session-{}.service", session.trim_start_matches("cm-"));
        // There is none where it runs detached.
        let _ = self.systemctl(&["stop", &unit]);
        let _ = self.systemctl(&["reset-failed", &unit]);
        let marker = Marker::terminal(session);
        let ended = self.runtime.block_on(end_tree(&[], Some(&marker), Grace::default()));
        if ended.survivors.is_empty() { Ok(()) } else { Err(format!("{session} does not end")) }
    }

    fn listener(&mut self, layout: &Layout) -> Option<(u32, PathBuf)> {
        agent_lock::listening_with_pid(&layout.state)
    }

    fn manager(&mut self) -> Result<String, NoManager> {
        if !Path::new("/run/systemd/system").exists() {
            return Err(NoManager::NoSystemd);
        }
        let private = self.xdg.join("systemd/private");
        // Made anew at each of its starts. Whether it answers shows when it is asked for the unit: a connection
        // only to find out would leave a line in its log.
        match std::fs::symlink_metadata(&private) {
            Ok(meta) => Ok(format!("{}-{}-{}", meta.ino(), meta.ctime(), meta.ctime_nsec())),
            Err(_) if self.xdg.join("bus").exists() => Ok("bus".into()),
            Err(_) => Err(NoManager::NotRunning),
        }
    }

    fn manager_kind(&mut self) -> String {
        let places = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
        let meta = places.iter().find_map(|place| std::fs::metadata(place).ok());
        meta.map_or_else(|| "unknown".into(), |meta| format!("{}-{}", meta.len(), meta.mtime()))
    }

    fn unit(&mut self) -> Result<UnitNow, String> {
        self.block(probe::unit(&self.xdg)).map(|(unit, _)| unit)
    }

    fn reload(&mut self) -> Did {
        self.ordered(direct::reload(&self.xdg), &["daemon-reload"])
    }

    fn reload_later(&mut self) -> Did {
        let words =
            ["--user", "--quiet", "--collect", "--on-active=1", "systemctl", "--user", "daemon-reload"];
        let said = self.ask("systemd-run", &words)?;
        if said.good { Ok(()) } else { Err(one_line(&said.err)) }
    }

    fn restart(&mut self) -> Did {
        self.ordered(direct::restart(&self.xdg, UNIT), &["restart", "--no-block", UNIT])
    }

    fn kill_main(&mut self) -> Did {
        // There may be none at this moment.
        let _ = self.systemctl(&["kill", "--kill-who=main", "--signal=KILL", UNIT]);
        Ok(())
    }

    fn stop(&mut self, wait: bool) -> Did {
        let words: &[&str] = if wait { &["stop", UNIT] } else { &["stop", "--no-block", UNIT] };
        match self.ordered(direct::stop(&self.xdg, &[UNIT], wait), words) {
            Err(why) if why.contains("not loaded") || why.contains("not found") => Ok(()),
            other => other,
        }
    }

    fn forget_failure(&mut self) -> Did {
        match self.ordered(direct::forget_failure(&self.xdg, UNIT), &["reset-failed", UNIT]) {
            Err(why) if why.contains("not loaded") => Ok(()),
            other => other,
        }
    }

    fn refused(&mut self, directives: &[&str]) -> Vec<String> {
        if self.takes(directives) {
            return Vec::new();
        }
        directives.iter().filter(|one| !self.takes(&[one])).map(|one| (*one).to_owned()).collect()
    }

    fn arm(&mut self, program: &Path, layout: &Layout, deployment: &str, seconds: f64) -> Did {
        // The manager expands `$` in arguments (systemd-run would turn that off from 254 on).
        let dir = layout.dir.display().to_string().replace('$', "$$");
        let program = program.display().to_string();
        let argv =
            [&program, "install", "revert", "--at-deadline", "--deployment", deployment, "--dir", &dir];
        let argv = argv.map(str::to_owned);
        let late = Duration::from_secs_f64(seconds.max(0.0)).as_micros();
        let late = u64::try_from(late).unwrap_or(u64::MAX);
        if self.direct(direct::later(&self.xdg, REVERT, REVERTS, late, &argv)).is_some() {
            return Ok(());
        }
        let (on, description) = (format!("--on-active={seconds:.1}s"), format!("--description={REVERTS}"));
        let mut words = vec!["--user", "--quiet", "--collect", "--unit", REVERT, &on];
        words.extend(["--timer-property=AccuracySec=100ms", &description, "--"]);
        words.extend(argv.iter().map(String::as_str));
        let said = self.ask("systemd-run", &words)?;
        if said.good {
            return Ok(());
        }
        // One that was left over holds the name.
        self.disarm();
        let said = self.ask("systemd-run", &words)?;
        if said.good { Ok(()) } else { Err(format!("systemd-run: {}", one_line(&said.err))) }
    }

    fn disarm(&mut self) {
        let (timer, service) = (format!("{REVERT}.timer"), format!("{REVERT}.service"));
        // The timer only, if this process is what it has started.
        let inside =
            std::fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| groups.contains(&service));
        let mut units = vec![timer.as_str()];
        if !inside {
            units.push(&service);
        }
        // Not there is what is wanted.
        let _ = self.ordered(direct::stop(&self.xdg, &units, true), &[&["stop"], &units[..]].concat());
    }

    fn log(&mut self, since: f64) -> Vec<String> {
        let since = format!("--since=@{}", since.floor());
        let unit = format!("_SYSTEMD_USER_UNIT={UNIT}");
        let words = ["-q", "-o", "cat", "--no-pager", "-n", "40", &since, &unit];
        let Ok(said) = self.ask("journalctl", &words) else { return Vec::new() };
        let lines: Vec<&str> = said.out.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
        last.map(|line| line.chars().take(LOG_BYTES).collect()).collect()
    }

    fn lingers(&mut self) -> bool {
        systemd::lingers(&self.account.name)
    }

    fn linger(&mut self, on: bool) -> Did {
        let verb = if on { "enable-linger" } else { "disable-linger" };
        let said = self.ask("loginctl", &["--no-ask-password", verb, &self.account.name])?;
        if said.good { Ok(()) } else { Err(one_line(&said.err)) }
    }

    fn user(&self) -> String {
        self.account.name.clone()
    }
}

impl RealHost {
    /// Whether the manager starts a unit with these.
    fn takes(&self, directives: &[&str]) -> bool {
        let mut words = vec!["--user", "--quiet", "--wait", "--collect"];
        for one in directives {
            words.extend(["-p", one]);
        }
        words.extend(["--", "/bin/true"]);
        self.ask("systemd-run", &words).is_ok_and(|said| said.good)
    }
}

/// Whether nobody listens there any more.
fn agent_gone(socket: &Path) -> bool {
    agent_lock::listener(socket).is_err()
}
