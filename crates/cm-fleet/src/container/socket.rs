//! Where a host's engine listens, and what is wrong where none answers. PURE.

use super::error::Trouble;
use super::wanted::EngineWanted;
use crate::deploy::script::{BEGIN, END, after_mark, in_sh};
use crate::inventory::Engine;

/// Where Docker listens.
pub const DOCKER: &str = "/var/run/docker.sock";
/// Where root's Podman listens.
pub const PODMAN: &str = "/run/podman/podman.sock";

/// Where an engine may listen without anybody having looked; empty: somebody has to look.
pub fn guesses(wanted: &EngineWanted, user: &str) -> Vec<String> {
    match (&wanted.socket, wanted.kind) {
        (Some(socket), _) if socket.starts_with('~') => Vec::new(),
        (Some(socket), _) => vec![socket.clone()],
        (None, Engine::Podman) if user == "root" => vec![PODMAN.to_owned()],
        (None, Engine::Podman) => Vec::new(),
        (None, Engine::Docker | Engine::Auto) => vec![DOCKER.to_owned()],
    }
}

/// What somebody who looked has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Who we are there.
    pub user: String,
    /// The user's number.
    pub uid: String,
    /// The user's home.
    pub home: String,
    /// Sockets that are there: where, and how.
    pub sockets: Vec<(String, How)>,
    /// Programs that are there: `docker`, `dockerd`, `podman`.
    pub programs: Vec<String>,
}

/// How a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It may be used.
    Open,
    /// It may be used, and an engine was heard there.
    Answers,
    /// It may not.
    Denied,
}

/// Looks at everywhere an engine may listen. Prints lines of `key=value`.
pub fn look(wanted: &EngineWanted) -> String {
    // Read by the inventory, which takes no quote and no dollar in a path.
    let own = wanted.socket.as_deref().unwrap_or_default();
    let own = own.strip_prefix('~').map_or_else(|| own.to_owned(), |rest| format!("$HOME{rest}"));
    in_sh(&format!(
        r#"echo {BEGIN}
u=$(id -u)
echo uid=$u
echo user=$(id -un)
echo home=$HOME
for p in docker dockerd podman; do command -v $p >/dev/null 2>&1 && echo program=$p; done
test -x /usr/sbin/dockerd && echo program=dockerd
r=${{XDG_RUNTIME_DIR:-/run/user/$u}}
for s in "{own}" {DOCKER} "$r/docker.sock" "$r/podman/podman.sock" {PODMAN}; do
test -n "$s" || continue
d=${{s%/*}}
if test -e "$d" && ! test -x "$d"; then echo "denied=$s"; continue; fi
test -S "$s" || continue
if test -r "$s" && test -w "$s"; then :; else echo "denied=$s"; continue; fi
if curl -sf -m 3 --unix-socket "$s" http://engine/_ping >/dev/null 2>&1; then echo "answers=$s"
else echo "open=$s"; fi
done
echo {END}"#
    ))
}

/// Reads what [`look`] printed.
pub fn seen(printed: &str) -> Option<Look> {
    let answer = after_mark(printed)?;
    let mut look = Look::default();
    for line in answer.lines().map(str::trim_end).take_while(|line| *line != END) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.to_owned();
        match key {
            "uid" => look.uid = value,
            "user" => look.user = value,
            "home" => look.home = value,
            "program" if !look.programs.contains(&value) => look.programs.push(value),
            "open" => look.sockets.push((value, How::Open)),
            "answers" => look.sockets.push((value, How::Answers)),
            "denied" => look.sockets.push((value, How::Denied)),
            _ => {}
        }
    }
    Some(look)
}

/// What to do after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Try this one.
    Try(String),
    /// Nothing can be tried.
    Give {
        /// What is wrong.
        trouble: Trouble,
        /// In words.
        why: String,
        /// The next move.
        remedy: String,
    },
}

/// Whether a socket is of the engine that is wanted.
pub fn fits(wanted: &EngineWanted, path: &str) -> bool {
    match (&wanted.socket, wanted.kind) {
        (Some(own), _) => own.strip_prefix('~').map_or(path == own, |rest| path.ends_with(rest)),
        (None, Engine::Auto) => true,
        (None, Engine::Docker) => path.ends_with("docker.sock"),
        (None, Engine::Podman) => path.ends_with("podman.sock"),
    }
}

/// What to do, where `tried` did not open.
pub fn next(wanted: &EngineWanted, look: &Look, tried: &[String]) -> Next {
    let there: Vec<&(String, How)> = look.sockets.iter().filter(|(path, _)| fits(wanted, path)).collect();
    let fresh = |how: How| there.iter().find(|(path, seen)| *seen == how && !tried.contains(path));
    if let Some((path, _)) = fresh(How::Answers).or_else(|| fresh(How::Open)) {
        return Next::Try(path.clone());
    }
    let one = |how: How| there.iter().find(|(_, seen)| *seen == how).map(|(path, _)| path.as_str());
    let (trouble, why, remedy) = match (one(How::Answers), one(How::Denied), one(How::Open)) {
        (Some(path), ..) => (
            Trouble::Forbidden,
            format!("its sshd opens no stream to the engine's socket {path}"),
            "in its sshd_config: AllowStreamLocalForwarding yes (and no DisableForwarding)".to_owned(),
        ),
        (None, Some(path), _) => denied(path, &look.user),
        (None, None, Some(path)) => stopped(&format!("nobody listens at {path}"), path),
        (None, None, None) => none(wanted, look),
    };
    Next::Give { trouble, why, remedy }
}

/// The socket is not for us.
pub fn denied(path: &str, user: &str) -> (Trouble, String, String) {
    let remedy = if path.contains("podman") {
        "use the user's own Podman: systemctl --user enable --now podman.socket, and leave `socket` out"
            .to_owned()
    } else {
        format!(
            "on the host: sudo usermod -aG docker {user}, or rootless Docker (dockerd-rootless-setuptool.sh install); \
             then deploy again"
        )
    };
    (Trouble::Denied, format!("the user {user} may not use the engine's socket {path}"), remedy)
}

/// The engine does not run.
pub fn stopped(why: &str, path: &str) -> (Trouble, String, String) {
    let start = match (path.contains("podman"), path.contains("/user/")) {
        (true, true) => "systemctl --user enable --now podman.socket",
        (true, false) => "sudo systemctl enable --now podman.socket",
        (false, true) => "systemctl --user enable --now docker",
        (false, false) => "sudo systemctl enable --now docker",
    };
    let why = format!("the container engine does not run: {why}");
    (
        Trouble::Stopped,
        why,
        format!("on the host: {start} (where it runs: AllowStreamLocalForwarding yes for its sshd)"),
    )
}

fn none(wanted: &EngineWanted, look: &Look) -> (Trouble, String, String) {
    let has = |name: &str| look.programs.iter().any(|program| program == name);
    if let Some(socket) = &wanted.socket {
        if look.programs.is_empty() {
            return absent(wanted);
        }
        return stopped(&format!("there is no socket {socket}"), socket);
    }
    match wanted.kind {
        Engine::Docker | Engine::Auto if has("dockerd") => stopped(&format!("there is no {DOCKER}"), DOCKER),
        Engine::Podman | Engine::Auto if has("podman") => {
            let path = format!("/run/user/{}/podman/podman.sock", look.uid);
            stopped(&format!("there is no {path}"), &path)
        }
        _ => absent(wanted),
    }
}

/// There is no engine.
pub fn absent(wanted: &EngineWanted) -> (Trouble, String, String) {
    let (what, install) = match wanted.kind {
        Engine::Podman => {
            ("Podman", "sudo apt-get install podman; systemctl --user enable --now podman.socket")
        }
        _ => ("Docker", "sudo apt-get install docker.io, and sudo usermod -aG docker USER"),
    };
    (
        Trouble::Absent,
        format!("there is no container engine ({what})"),
        format!("on the host: {install}; or `runtime: systemd`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: Engine, socket: Option<&str>) -> EngineWanted {
        EngineWanted { kind, socket: socket.map(str::to_owned), here: false }
    }

    #[test]
    fn what_to_do_after_a_look() {
        use How::{Answers, Denied, Open};
        let user = "/run/user/7/docker.sock";
        let podman = "/run/user/7/podman/podman.sock";
        let check = |kind,
                     own: Option<&str>,
                     sockets: &[(&str, How)],
                     programs: &[&str],
                     tried: &[&str],
                     to: &str| {
            let look = Look {
                user: "ada".into(),
                uid: "7".into(),
                home: "/home/ada".into(),
                sockets: sockets.iter().map(|(path, how)| ((*path).to_owned(), *how)).collect(),
                programs: programs.iter().map(|p| (*p).to_owned()).collect(),
            };
            let tried: Vec<String> = tried.iter().map(|t| (*t).to_owned()).collect();
            let got = match next(&wanted(kind, own), &look, &tried) {
                Next::Try(path) => path,
                Next::Give { trouble, remedy, .. } => {
                    assert!(!remedy.is_empty());
                    format!("{trouble:?}")
                }
            };
            assert_eq!(got, to, "{look:?}");
        };
        let auto = Engine::Auto;
        check(auto, None, &[], &[], &[DOCKER], "Absent");
        check(auto, None, &[], &["docker"], &[DOCKER], "Absent");
        check(auto, None, &[], &["docker", "dockerd"], &[DOCKER], "Stopped");
        check(auto, None, &[(DOCKER, Denied)], &["dockerd"], &[DOCKER], "Denied");
        check(auto, None, &[(DOCKER, Open)], &["dockerd"], &[DOCKER], "Stopped");
        check(auto, None, &[(DOCKER, Answers)], &["dockerd"], &[DOCKER], "Forbidden");
        check(auto, None, &[(DOCKER, Denied), (user, Open)], &[], &[DOCKER], user);
        check(auto, None, &[(DOCKER, Open), (user, Open), (podman, Answers)], &[], &[DOCKER], podman);
        check(Engine::Docker, None, &[(podman, Answers)], &["podman"], &[DOCKER], "Absent");
        check(Engine::Podman, None, &[(podman, Answers)], &["podman"], &[], podman);
        check(Engine::Podman, None, &[], &["podman"], &[], "Stopped");
        check(Engine::Podman, None, &[], &["docker"], &[], "Absent");
        check(auto, Some("/x/e.sock"), &[(DOCKER, Answers)], &["docker"], &["/x/e.sock"], "Stopped");
        check(auto, Some("~/e.sock"), &[("/home/ada/e.sock", Answers)], &[], &[], "/home/ada/e.sock");
    }

    #[test]
    fn the_shell_of_this_machine_understands_the_question() {
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &look(&wanted(Engine::Auto, Some("~/nowhere.sock")))])
            .output()
            .expect("sh");
        let look = seen(&String::from_utf8_lossy(&output.stdout)).expect("a look");
        assert!(!look.user.is_empty() && look.home.starts_with('/'), "{look:?}");
        assert!(String::from_utf8_lossy(&output.stderr).is_empty(), "{output:?}");
        assert_eq!(seen("nothing"), None);
    }
}
