//! A closer look at a host: each finding with its remedy. Nothing here asks the network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cm_protocol::deploy::{Facts, Finding, Verdict};

use super::facts::can_execute;
use super::host::UnitNow;
use super::layout::Layout;
use super::sessions::Found;
use crate::tool::{Profiles, login};

/// How long a tool may take to say its version.
const VERSION: Duration = Duration::from_secs(5);
/// Free bytes below which a disk is called full.
const LITTLE: u64 = 500 << 20;
/// The port that the original's clients expect.
const PORT: u16 = 9876;

/// Looks at everything.
pub fn look(facts: &Facts, layout: &Layout, unit: Option<&UnitNow>, found: &[Found]) -> Vec<Finding> {
    let mut all =
        vec![manager(facts), linger(facts), tmux(facts), git(facts), disk(facts), exec(layout, facts)];
    all.extend(agent(facts, unit));
    all.extend(logins_scope(facts, found));
    all.push(clock());
    all.push(port(facts));
    all.extend(tools(facts, layout));
    all
}

fn finding(what: &str, verdict: Verdict, seen: impl Into<String>) -> Finding {
    Finding { what: what.into(), verdict, seen: seen.into(), remedy: None }
}

fn bad(what: &str, verdict: Verdict, seen: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { remedy: Some(remedy.into()), ..finding(what, verdict, seen) }
}

fn manager(facts: &Facts) -> Finding {
    let version = facts.systemd.as_deref().unwrap_or("?");
    if facts.user_manager {
        return finding("systemd", Verdict::Good, format!("systemd {version}, a user manager answers"));
    }
    let remedy = format!(
        "sudo loginctl enable-linger {}; sudo apt-get install dbus-user-session libpam-systemd",
        facts.user
    );
    bad("systemd", Verdict::Bad, format!("no user manager answers (systemd {version})"), remedy)
}

fn linger(facts: &Facts) -> Finding {
    match facts.linger {
        Some(true) => finding("linger", Verdict::Good, "on"),
        Some(false) => {
            let remedy = format!("sudo loginctl enable-linger {}", facts.user);
            bad("linger", Verdict::Poor, "off: everything ends at the last logout", remedy)
        }
        None => finding("linger", Verdict::Unsure, "no systemd"),
    }
}

fn tmux(facts: &Facts) -> Finding {
    let Some(version) = &facts.tmux else {
        return bad("tmux", Verdict::Bad, "not found", "sudo apt-get install tmux");
    };
    match crate::tmux::Version::parse(&format!("tmux {version}")) {
        Some(parsed) if !parsed.is_enough() => {
            bad("tmux", Verdict::Bad, format!("{version} is too old"), "install a newer tmux")
        }
        _ => finding("tmux", Verdict::Good, version.clone()),
    }
}

fn git(facts: &Facts) -> Finding {
    match &facts.git {
        Some(version) => finding("git", Verdict::Good, version.clone()),
        None => bad(
            "git",
            Verdict::Poor,
            "not found: no work trees, no changes shown",
            "sudo apt-get install git",
        ),
    }
}

fn disk(facts: &Facts) -> Finding {
    match facts.disk_free {
        Some(free) if free < LITTLE => {
            bad("disk", Verdict::Poor, format!("{} MiB free", free >> 20), "make room in the home directory")
        }
        Some(free) => {
            finding("disk", Verdict::Good, format!("{:.1} GiB free", free as f64 / f64::from(1 << 30)))
        }
        None => finding("disk", Verdict::Unsure, "the file system does not say"),
    }
}

fn exec(layout: &Layout, facts: &Facts) -> Finding {
    let dir = layout.dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    match facts.exec.or_else(|| can_execute(dir)) {
        Some(false) => bad(
            "exec",
            Verdict::Bad,
            format!("{} is mounted noexec", dir.display()),
            "name another directory for the agent in the inventory",
        ),
        _ => finding("exec", Verdict::Good, format!("programs may run from {}", dir.display())),
    }
}

fn agent(facts: &Facts, unit: Option<&UnitNow>) -> Vec<Finding> {
    let mut all = Vec::new();
    match (&facts.installed, &facts.running) {
        (Some(installed), Some(running)) if installed.binary.sha256 != running.sha256 => all.push(bad(
            "agent",
            Verdict::Poor,
            format!("version {} runs, {} is installed", running.version, installed.binary.version),
            "systemctl --user restart cm-agent (sessions go on)",
        )),
        (_, Some(running)) => {
            all.push(finding(
                "agent",
                Verdict::Good,
                format!("{} runs, {} sessions", running.version, running.sessions),
            ));
        }
        (Some(_), None) => all.push(bad(
            "agent",
            Verdict::Bad,
            "installed, and does not answer",
            "journalctl --user -u cm-agent; systemctl --user restart cm-agent",
        )),
        (None, None) => all.push(finding("agent", Verdict::Unsure, "not installed")),
    }
    if unit.is_some_and(|unit| unit.restarts > 0) {
        let restarts = unit.map_or(0, |unit| unit.restarts);
        let seen = format!("restarted {restarts} times by systemd since it was started");
        all.push(bad("unit", Verdict::Poor, seen, "journalctl --user -u cm-agent"));
    }
    let drift = facts.unit.iter().flat_map(|unit| &unit.drift);
    all.extend(
        drift.map(|what| {
            bad("drift", Verdict::Poor, what.clone(), "deploy again, or put it into the inventory")
        }),
    );
    all
}

/// Sessions in a login's scope end with that login on hosts that kill users' processes.
fn logins_scope(facts: &Facts, found: &[Found]) -> Option<Finding> {
    let inside = |one: &&Found| {
        one.groups.split(['/', '\n']).any(|part| part.starts_with("session-") && part.ends_with(".scope"))
    };
    let count = found.iter().filter(inside).count();
    let remedy =
        format!("start them again under the deployed agent; sudo loginctl enable-linger {}", facts.user);
    (count > 0).then(|| {
        bad("sessions", Verdict::Poor, format!("{count} live in a login's scope and may end with it"), remedy)
    })
}

/// Whether anything keeps the clock right; how wrong it is, the client sees by [`Facts::now`].
fn clock() -> Finding {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return finding("clock", Verdict::Good, "kept by systemd-timesyncd");
    }
    let chrony = Path::new("/run/chrony").exists() || Path::new("/run/ntpd.pid").exists();
    if chrony {
        finding("clock", Verdict::Good, "kept by an NTP service")
    } else {
        finding("clock", Verdict::Unsure, "no NTP service seen; in a container or VM its host may keep it")
    }
}

fn port(facts: &Facts) -> Finding {
    match crate::host::ports::holder(PORT) {
        None => finding("port", Verdict::Good, format!("{PORT} is free")),
        Some(holder) if facts.running.as_ref().is_some_and(|r| i64::from(r.pid) == i64::from(holder.pid)) => {
            finding("port", Verdict::Good, format!("{PORT} is the agent's"))
        }
        Some(holder) => {
            finding("port", Verdict::Unsure, format!("{PORT} is held by {} ({})", holder.command, holder.pid))
        }
    }
}

/// The coding tools: where a session would find them, their versions, and whether somebody has logged in.
fn tools(facts: &Facts, layout: &Layout) -> Vec<Finding> {
    let settings = layout.installed().map(|stored| stored.manifest.settings).unwrap_or_default();
    // As the unit and its settings have it, not as this login has.
    let usual =
        format!("{}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", facts.home);
    let path = crate::settings::search_path(&settings, Some(&facts.home), &usual);
    let own = std::env::var("PATH").unwrap_or_default();
    let profiles = Profiles::builtin();
    let (sender, told) = mpsc::channel();
    for (place, traces) in login::KNOWN.iter().enumerate() {
        let name = traces.tool;
        let profile = profiles.for_tool(name);
        let find = |path: &str| {
            let dirs: Vec<PathBuf> = std::env::split_paths(path).collect();
            dirs.into_iter().map(|dir| dir.join(&profile.program)).find(|file| file.is_file())
        };
        let (found, only_here) = (find(&path), find(&own));
        let exists = |file: &str| Path::new(&facts.home).join(file).exists();
        let logged_in = traces.found(exists, |name| settings.env.contains_key(name));
        let (sender, path, args) = (sender.clone(), path.clone(), profile.launch.version_args.clone());
        std::thread::spawn(move || {
            let finding = tool(name, found, only_here, logged_in, &path, &args);
            // Nobody waits for one that is late.
            let _ = sender.send((place, finding));
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while let Ok(one) = told.recv_timeout(VERSION) {
        all.push(one);
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, finding)| finding).collect()
}

fn tool(
    name: &str,
    found: Option<PathBuf>,
    only_here: Option<PathBuf>,
    logged_in: bool,
    path: &str,
    version_args: &[String],
) -> Finding {
    let what = format!("tool {name}");
    let Some(program) = found else {
        return match only_here {
            Some(here) => {
                let dir = here.parent().unwrap_or(Path::new("/")).display().to_string();
                let seen = format!("{} is not where sessions look for programs", here.display());
                bad(&what, Verdict::Poor, seen, format!("add {dir} to `path` in the inventory"))
            }
            None => finding(&what, Verdict::Unsure, "not installed"),
        };
    };
    let said = Command::new(&program).args(version_args).env("PATH", path).stdin(Stdio::null()).output();
    let version = said.ok().and_then(|out| {
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.lines().next().map(|line| line.chars().take(60).collect::<String>())
    });
    let seen =
        format!("{} ({})", version.unwrap_or_else(|| "version unknown".into()).trim(), program.display());
    if logged_in {
        finding(&what, Verdict::Good, format!("{seen}, logged in as far as files tell"))
    } else {
        let remedy = format!("log in once on this host ({name}), or give its key as a secret in `env`");
        bad(&what, Verdict::Unsure, format!("{seen}, no login found"), remedy)
    }
}
