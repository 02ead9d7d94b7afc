//! Installing one tool: npm or pip into its directory, asked for its version, stamped.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use cm_testkit::homes::OFFLINE;
use cm_testkit::tools::{Pin, Tools};
use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::need::{self, Need, Version};
use crate::sh::{self, Run, SHORT};
use crate::workspace::Workspace;

/// The slowest takes about a minute on a good line.
const DOWNLOAD: Duration = Duration::from_secs(15 * 60);
/// How long another xtask that installs the same tool is waited for.
const LOCK: Duration = Duration::from_secs(16 * 60);
/// A Python program of some size may take long to start for the first time.
const ANSWER: Duration = Duration::from_secs(180);

/// Sees to it that a tool is there and works.
pub fn ensure(workspace: &Workspace, tools: &Tools, pin: &Pin) -> Result<(), Failure> {
    let shown = format!("{} {}", pin.program, pin.version);
    if tools.has(pin) {
        println!("have  {shown}");
        return Ok(());
    }
    let dir = tools.dir_of(pin);
    let _lock = locked(&dir)?;
    if tools.has(pin) {
        println!("have  {shown}");
        return Ok(());
    }
    println!("need  {shown}");
    let began = Instant::now();
    // What an earlier try left behind is of unknown shape.
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(Failure::file("remove", &dir))?;
    }
    fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
    let from = match (&pin.npm, &pin.pip) {
        (Some(package), _) => npm(workspace, pin, package, &dir)?,
        (None, Some(package)) => pip(workspace, pin, package, &dir)?,
        (None, None) => {
            return Err(Failure::check(
                format!("{shown} comes from nowhere"),
                "give it `npm` or `pip` in tools.toml",
            ));
        }
    };
    let said = version(tools, pin, &dir)?;
    let stamp = tools.stamp_of(pin);
    fs::write(&stamp, format!("{from}\n{said}\n")).map_err(Failure::file("write", &stamp))?;
    println!("have  {shown} after {:.0} s, in {}", began.elapsed().as_secs_f64(), dir.display());
    Ok(())
}

/// Keeps other xtasks from installing the same tool meanwhile, until it is dropped.
fn locked(dir: &Path) -> Result<File, Failure> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = dir.with_file_name(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
    }
    let file = File::create(&path).map_err(Failure::file("create", &path))?;
    let taken = sh::until(LOCK, || flock(&file, FlockOperation::NonBlockingLockExclusive).ok());
    match taken {
        Some(()) => Ok(file),
        None => Err(Failure::check(
            format!("another process has been holding {} for long", path.display()),
            "see who installs there, end it, and run this again",
        )),
    }
}

fn npm(workspace: &Workspace, pin: &Pin, package: &str, dir: &Path) -> Result<String, Failure> {
    need::ensure(workspace, &[Need::Node, Need::Npm])?;
    let node = Run::new("node").arg("--version").capture(SHORT)?;
    if Version::find(&node).is_some_and(|found| found < Version::new(pin.node, 0)) {
        return Err(Failure::check(
            format!("{} needs node {} or newer, and here is {}", pin.name, pin.node, node.trim()),
            "install a newer node and run this again, or name only the other tools",
        ));
    }
    let wanted = format!("{package}@{}", pin.version);
    let install = Run::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--prefix"])
        .arg(dir)
        .arg(&wanted)
        .dir(dir);
    fetched(pin, install)?;
    Ok(format!("npm {wanted}"))
}

fn pip(workspace: &Workspace, pin: &Pin, package: &str, dir: &Path) -> Result<String, Failure> {
    let python = match python(pin) {
        Some(python) => python,
        None => {
            need::ensure(workspace, &[Need::Python])?;
            python(pin).ok_or_else(|| {
                Failure::check(
                    format!("{} runs with Python {} only, and none is here", pin.name, pin.python.join(", ")),
                    "install one of these and run this again, or name only the other tools",
                )
            })?
        }
    };
    Run::new(&python).args(["-m", "venv", "--clear"]).arg(dir).live(DOWNLOAD)?;
    let wanted = format!("{package}=={}", pin.version);
    let install = Run::new(dir.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .arg(&wanted);
    fetched(pin, install)?;
    Ok(format!("pip {wanted} with {python}"))
}

/// A Python that can make environments, of a version the tool runs with.
fn python(pin: &Pin) -> Option<String> {
    let script = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])";
    let named = pin.python.iter().map(|version| format!("python{version}"));
    named.chain(["python3".to_owned()]).find(|program| {
        let said = Run::new(program).args(["-c", script]).capture(SHORT);
        said.is_ok_and(|said| pin.python.iter().any(|version| version == said.trim()))
    })
}

/// Runs what downloads; says how to do it by hand if it fails.
fn fetched(pin: &Pin, install: Run) -> Result<(), Failure> {
    let command = install.shown();
    install.live(DOWNLOAD).map_err(|failure| Failure::Missing {
        what: format!("{} {} ({failure})", pin.name, pin.version),
        command,
    })
}

/// Asks it for its version, in a home of its own and without a network: some write and ask around at once.
fn version(tools: &Tools, pin: &Pin, dir: &Path) -> Result<String, Failure> {
    let home = dir.join("home");
    fs::create_dir_all(&home).map_err(Failure::file("create", &home))?;
    let said =
        Run::new(tools.program_of(pin)).arg("--version").env("HOME", &home).envs(OFFLINE).capture(ANSWER)?;
    let said = said.trim();
    if said.split(|c: char| c.is_whitespace() || c == 'v').any(|word| word == pin.version) {
        return Ok(said.to_owned());
    }
    Err(Failure::check(
        format!("{} was to be {}, and says {said:?} of itself", pin.name, pin.version),
        "correct crates/xtask/tools.toml",
    ))
}
