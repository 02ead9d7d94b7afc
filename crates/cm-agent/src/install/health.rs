//! Putting a generation in use, and waiting until its agent answers.

use std::path::PathBuf;
use std::time::Duration;

use cm_protocol::deploy::Running;

use super::host::{Clock, Host};
use super::layout::{self, Layout};
use super::sessions::Found;
use super::trouble::{Trouble, at};
use super::{disk, plan};

/// Between two looks at an agent that starts.
const LOOK: Duration = Duration::from_millis(25);
/// Looks at its socket before the service manager is asked how the unit is, which costs a process; and from then on
/// between two questions.
const LOOKS: (u32, u32) = (32, 8);

/// An agent that did not become healthy.
#[derive(Debug)]
pub struct NotHealthy {
    /// Why.
    pub trouble: Trouble,
    /// The service manager never came to run it.
    pub not_set_up: bool,
}

impl From<NotHealthy> for Trouble {
    fn from(not: NotHealthy) -> Self {
        not.trouble
    }
}

/// Puts a generation in use: link and unit file. Whether the unit file has changed.
pub fn switch(host: &mut dyn Host, layout: &Layout, number: u64) -> Result<bool, Trouble> {
    let source = layout.generation(number).join("unit");
    let text = layout::bytes(&source)
        .ok_or_else(|| Trouble::failed(format!("{} cannot be read", source.display())))?;
    let target = PathBuf::from(format!("generations/{number}"));
    disk::link(host, &target, &layout.current()).map_err(at("link", &layout.current()))?;
    let file = layout.unit_file();
    let changed = layout::bytes(&file).as_deref() != Some(&text);
    let wanted = layout.wanted();
    if let Some(dir) = wanted.parent() {
        disk::make_dir(host, dir).map_err(at("make", dir))?;
    }
    if changed {
        disk::write(host, &file, &text, 0o644).map_err(at("write", &file))?;
    }
    let linked = std::fs::read_link(&wanted).is_ok();
    disk::link(host, &file, &wanted).map_err(at("link", &wanted))?;
    Ok(changed || !linked)
}

/// Waits until the agent that was sent answers, in another process than before.
pub fn wait_healthy(
    host: &mut dyn Host,
    layout: &Layout,
    sha256: &str,
    old_pid: u32,
    seconds: f64,
) -> Result<Running, NotHealthy> {
    let failed = |why: String| NotHealthy { trouble: Trouble::failed(why), not_set_up: false };
    let began: Clock = host.clock();
    let mut other = None;
    let mut not_set_up = false;
    let mut ended = String::new();
    for round in 1_u32.. {
        let socket = layout.socket();
        let running = host.agent(&socket).filter(|running| running.pid != old_pid);
        let is_it = running.as_ref().is_some_and(|running| running.sha256 == sha256);
        if is_it || (round >= LOOKS.0 && round % LOOKS.1 == 0) {
            let mut unit = host.unit().map_err(failed)?;
            not_set_up |= unit.not_set_up;
            // Forgotten by the manager as soon as it tries again, and worth telling.
            if unit.ended.is_empty() && unit.restarts > 0 {
                unit.ended.clone_from(&ended);
            }
            ended.clone_from(&unit.ended);
            match running {
                Some(running) if is_it && unit.active == "active" && unit.main_pid == running.pid => {
                    return Ok(running);
                }
                Some(running) => other = Some(running),
                None => {}
            }
            if let Some(why) = plan::start_failed(&unit) {
                return Err(NotHealthy { trouble: Trouble::failed(why), not_set_up });
            }
        }
        if host.clock().up - began.up >= seconds {
            break;
        }
        host.sleep(LOOK);
    }
    let what = match other {
        Some(other) if other.sha256 != sha256 => {
            format!("process {} answers, whose program has sha256 {}", other.pid, other.sha256)
        }
        Some(other) => format!("process {} answers, which is not the unit's", other.pid),
        None => "nobody answers on its socket".into(),
    };
    Err(NotHealthy {
        not_set_up,
        ..failed(format!("the new agent is not healthy after {seconds} s: {what}"))
    })
}

/// The sessions of the agent that is deployed, among all of this user.
pub fn ours<'a>(found: &'a [Found], layout: &Layout) -> impl Iterator<Item = &'a Found> {
    let socket = layout.socket().display().to_string();
    found.iter().filter(move |one| one.agent.as_ref().is_none_or(|agent| *agent == socket))
}
