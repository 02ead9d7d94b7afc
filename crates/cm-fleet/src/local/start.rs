//! Starting the agent of this machine in the background, once however many commands want it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::{Places, Reached, reach};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::report::clean::clean;

/// How long an agent may take to listen.
const DEADLINE: Duration = Duration::from_secs(5);
/// After it died of something else than another agent's lock, that long for another to appear.
const GRACE: Duration = Duration::from_millis(300);
/// A log over this is put aside when an agent starts.
const LOG_BYTES: u64 = 4 << 20;
/// Lines of the log shown when an agent did not start.
const LOG_LINES: usize = 10;
/// Bytes of the log read at most.
const TAIL_BYTES: u64 = 16 << 10;

/// The program that becomes the agent.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Launch {
    /// This very program, as the agent. `/proc/self/exe` is right even after it was replaced on disk.
    /// It is told where to listen: the two must not have different ideas of that.
    pub fn agent(socket: &Path) -> Self {
        let words = ["__agent", super::background::FLAG, "serve", "--on-demand", "--socket"];
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.push(socket.into());
        Self { program: "/proc/self/exe".into(), args }
    }
}

/// Starts an agent and returns the socket once one listens, be it this one or another that was quicker: the
/// agent's own lock lets only one live, and says where that one listens.
///
/// # Errors
/// It could not be started, died or did not listen in time; the failure shows what its log says.
pub async fn start(launch: &Launch, places: &Places) -> Result<PathBuf, Failure> {
    let path = places.log();
    let (log, begin) = open_log(&path).map_err(|e| {
        Failure::new(Kind::Unreachable, format!("cannot write the agent's log {}", path.display()))
            .because(&e)
    })?;
    let cannot = |e: &io::Error| Failure::new(Kind::Unreachable, "cannot start the agent").because(e);
    let (ready, address) = ready_socket().map_err(|e| cannot(&e))?;
    let mut child = spawn(launch, log, &address).map_err(|e| cannot(&e))?;
    let ended = wait_until_listening(places, &mut child, &ready).await;
    ended.map_err(|why| did_not_start(why, places, begin))
}

/// Why no agent listens.
enum NotStarted {
    /// The process ended.
    Died(ExitStatus),
    /// It lives, but does not listen.
    Silent,
    /// The socket is there, but something else is wrong with it.
    Unclear(io::Error),
}

/// The log, opened to append, and where it ends now. Put aside first where it has grown large.
fn open_log(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_BYTES) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let begin = log.metadata()?.len();
    Ok((log, begin))
}

/// Where the agent says `READY=1`, the way it tells systemd: an abstract socket, so that nothing is left
/// behind. What arrives is only ever a reason to try to connect.
fn ready_socket() -> io::Result<(UnixDatagram, String)> {
    let mut bits = [0_u8; 16];
    getrandom::fill(&mut bits).map_err(io::Error::other)?;
    let name = format!("cm-fleet-{:032x}", u128::from_ne_bytes(bits));
    let socket = StdDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    socket.set_nonblocking(true)?;
    Ok((UnixDatagram::from_std(socket)?, format!("@{name}")))
}

/// No process group of its own here: a group's leader could not leave our session by `setsid`.
fn spawn(launch: &Launch, log: File, ready: &str) -> io::Result<Child> {
    Command::new(&launch.program)
        .arg0("cm-fleet")
        .args(&launch.args)
        .env("NOTIFY_SOCKET", ready)
        .env_remove("TMUX")
        .env_remove("TMUX_PANE")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Tries again whenever there is a reason: the agent says so, it has died, or – for an agent somebody
/// else is starting, which tells us nothing – a pause that doubles.
async fn wait_until_listening(
    places: &Places,
    child: &mut Child,
    ready: &UnixDatagram,
) -> Result<PathBuf, NotStarted> {
    let mut deadline = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(20);
    let mut died = None;
    let mut word = [0_u8; 256];
    loop {
        let now = Instant::now();
        tokio::select! {
            status = child.wait(), if died.is_none() => {
                let status = status.map_err(NotStarted::Unclear)?;
                // Refused means: another agent holds the lock and will listen in a moment.
                if status.code() != Some(i32::from(Exit::Refused.code())) {
                    deadline = deadline.min(now + GRACE);
                }
                died = Some(status);
            }
            got = ready.recv(&mut word) => { got.map_err(NotStarted::Unclear)?; }
            () = tokio::time::sleep_until(deadline.min(now + pause)) => pause = (pause * 2).min(GRACE),
        }
        match reach(&places.socket).await {
            Reached::Yes(_) => return Ok(places.socket.clone()),
            Reached::Unclear(error) => return Err(NotStarted::Unclear(error)),
            Reached::Nobody(_) => {}
        }
        match died.and_then(|_| places.elsewhere()) {
            Some(socket) => return Ok(socket),
            None if Instant::now() < deadline => {}
            None => return Err(died.map_or(NotStarted::Silent, NotStarted::Died)),
        }
    }
}

fn did_not_start(why: NotStarted, places: &Places, begin: u64) -> Failure {
    let refused = matches!(&why, NotStarted::Died(s) if s.code() == Some(i32::from(Exit::Refused.code())));
    let what = match why {
        NotStarted::Died(status) => format!("the agent did not start: it ended with {status}"),
        NotStarted::Silent => {
            format!("the agent did not start: it does not listen after {} s", DEADLINE.as_secs())
        }
        NotStarted::Unclear(e) => format!("the agent did not start: {}: {e}", places.socket.display()),
    };
    let failure = Failure::new(Kind::Unreachable, what);
    let log = places.log();
    let said = log_since(&log, begin, LOG_LINES).unwrap_or_default();
    let failure = if said.is_empty() { failure } else { failure.caused_by(said) };
    let failure = match refused {
        false => failure,
        true => failure.hint("nobody answers where the agent that runs listens: end it (its pid is above)"),
    };
    failure.hint(format!("its log is {}", log.display()))
}

/// The last lines of the log after byte `begin`, made harmless; from its last 16 KiB at most.
///
/// # Errors
/// The file cannot be read.
pub fn log_since(path: &Path, begin: u64, lines: usize) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(begin.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes), lines))
}

/// The last `count` lines, made harmless.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use cm_agent::host::Lock;
    use tokio::net::UnixListener;

    use super::*;

    fn places(dir: &tempfile::TempDir) -> Places {
        Places { socket: dir.path().join("agent.sock"), state: dir.path().join("state") }
    }

    fn sh(script: &str, dir: &tempfile::TempDir) -> Launch {
        let dir = dir.path().display().to_string();
        Launch { program: "/bin/sh".into(), args: vec!["-c".into(), script.into(), "sh".into(), dir.into()] }
    }

    #[tokio::test]
    async fn shows_the_log_of_an_agent_that_dies() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = places(&dir);
        std::fs::create_dir_all(places.log().parent().expect("has one")).expect("made");
        std::fs::write(places.log(), "of an earlier one\n").expect("written");
        let launch = sh("echo starting; printf 'tmux: not \\033[31mfound\\n' >&2; exit 7", &dir);
        let failure = start(&launch, &places).await.expect_err("it died");
        let text = failure.to_string().replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(text, @r"
        error: the agent did not start: it ended with exit status: 7
          caused by: starting
                     tmux: not found
          hint: its log is DIR/state/agent.log
        ");
        assert_eq!(failure.kind, Kind::Unreachable);
    }

    #[tokio::test]
    async fn the_one_refused_by_the_lock_waits_for_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = places(&dir);
        // Our agent is refused by the lock; the other one listens only after ours is gone.
        let launch = sh("touch $1/gone; exit 4", &dir);
        let other = async {
            while !dir.path().join("gone").exists() {
                tokio::task::yield_now().await;
            }
            UnixListener::bind(&places.socket).expect("bound")
        };
        let (started, _listener) = tokio::join!(start(&launch, &places), other);
        assert_eq!(started.expect("the other agent is found"), places.socket);
    }

    #[tokio::test]
    async fn the_one_refused_by_the_lock_finds_the_other_where_its_lock_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = places(&dir);
        std::fs::create_dir(&places.state).expect("made");
        let elsewhere = dir.path().join("elsewhere.sock");
        let mut lock = Lock::acquire(&places.state, std::time::SystemTime::now()).expect("free");
        let launch = sh("touch $1/gone; exit 4", &dir);
        let other = async {
            while !dir.path().join("gone").exists() {
                tokio::task::yield_now().await;
            }
            let listener = UnixListener::bind(&elsewhere).expect("bound");
            lock.listens_on(&elsewhere);
            listener
        };
        let (started, _listener) = tokio::join!(start(&launch, &places), other);
        assert_eq!(started.expect("the other agent is found"), elsewhere);
    }

    #[tokio::test]
    async fn ready_is_heard() {
        let (socket, address) = ready_socket().expect("a socket");
        let peer = StdDatagram::unbound().expect("a socket");
        let name = address.strip_prefix('@').expect("abstract");
        let to = SocketAddr::from_abstract_name(name).expect("a name");
        peer.send_to_addr(b"READY=1", &to).expect("sent");
        let mut word = [0; 16];
        assert_eq!(socket.recv(&mut word).await.expect("heard"), 7);
    }

    #[tokio::test]
    async fn a_large_log_is_put_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("agent.log");
        File::create(&log).and_then(|f| f.set_len(LOG_BYTES + 1)).expect("made");
        let (_, begin) = open_log(&log).expect("opened");
        assert_eq!(begin, 0);
        assert!(dir.path().join("agent.log.1").exists());
    }

    #[test]
    fn last_lines_are_few_and_harmless() {
        assert_eq!(last_lines("a\n\nb\n\x1b[2Jc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
