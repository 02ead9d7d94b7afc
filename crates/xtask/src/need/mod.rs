//! What a machine lacks, and putting it there: where that is allowed, else saying the exact command.

mod known;
mod version;

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::sh::{self, LONG, Run};
use crate::workspace::Workspace;

pub use known::Need;
use known::{How, State};
pub use version::Version;

/// apt must never ask, and waits for another apt (a fresh cloud machine runs one at boot).
const APT: [&str; 5] = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install"];

/// How cargo's tools are compiled: soon ready rather than fast. They run for seconds.
const QUICK: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// Sees to it that everything in `needs` is there. What is missing is installed: system packages
/// with apt (as root or through a sudo that does not ask), cargo's tools into the build directory.
pub fn ensure(workspace: &Workspace, needs: &[Need]) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for need in needs {
        match need.look(workspace) {
            State::Good(version) => println!("have  {:<16} {version}", need.name()),
            State::Lacking(why) => {
                println!("need  {:<16} {why}", need.name());
                missing.push((*need, why));
            }
        }
    }
    install_packages(&missing)?;
    for (need, _) in &missing {
        match need.how() {
            How::Package(_) => {}
            How::Component(name) => {
                Run::new("rustup").args(["component", "add", name]).live(LONG).map_err(|failure| {
                    missing_failure(
                        need.name(),
                        &failure.to_string(),
                        &format!("rustup component add {name}"),
                    )
                })?;
            }
            How::Crate { name, version } => Run::cargo()
                .args(["install", "--locked", "--version", version, name, "--root"])
                .arg(workspace.tools())
                .envs(QUICK)
                .live(LONG)?,
        }
    }
    for (need, _) in &missing {
        if let State::Lacking(why) = need.look(workspace) {
            let next = format!("install a newer {} by hand and run this again", need.name());
            return Err(Failure::check(format!("{}: still not usable: {why}", need.name()), next));
        }
    }
    Ok(())
}

/// Installs the packages among `missing`, all in one go.
fn install_packages(missing: &[(Need, String)]) -> Result<(), Failure> {
    let packages: BTreeSet<&str> = missing.iter().flat_map(|(need, _)| need.packages()).copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    let what = missing
        .iter()
        .filter(|(need, _)| !need.packages().is_empty())
        .map(|(need, why)| format!("{} ({why})", need.name()))
        .collect::<Vec<_>>()
        .join(", ");
    let list = packages.iter().copied().collect::<Vec<_>>().join(" ");
    let by_hand = format!("sudo apt-get install -y --no-install-recommends {list}");
    if !Run::new("apt-get").arg("--version").succeeds() {
        let command = format!("(your package manager; on Debian and Ubuntu: {by_hand})");
        return Err(Failure::Missing { what, command });
    }
    if !sh::may_be_root() {
        return Err(Failure::Missing { what, command: by_hand });
    }
    let apt = || Run::as_root("env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    apt().args(["-qq", "update"]).live(LONG)?;
    apt().args(APT).args(packages).live(LONG)
}

fn missing_failure(name: &str, why: &str, command: &str) -> Failure {
    Failure::Missing { what: format!("{name} ({why})"), command: command.to_owned() }
}
