//! What is delivered besides the code: Nix, units, what prepares a host, and a release that finds its own parts.

use std::fs;
use std::path::{Path, PathBuf};

use cm_agent::install::unit;

use crate::dist::{self, Dist};
use crate::failure::Failure;
use crate::need::Need;
use crate::sh::{LONG, Run, SHORT};
use crate::test::{Runner, Tally, color, counted};
use crate::workspace::Workspace;

/// What this takes.
pub const NEEDS: [Need; 12] = [
    Need::Git,
    Need::Tmux,
    Need::Ssh,
    Need::Sshd,
    Need::Nextest,
    Need::Nix,
    Need::Libraries,
    Need::NixpkgsFmt,
    Need::Deadnix,
    Need::SystemdAnalyze,
    Need::CloudInitModules,
    Need::Cyclonedx,
];

/// Runs all of it, the quickest first.
pub fn run(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let scratch = workspace.target.join("packaging");
    tally += units(workspace, &scratch)?;
    tally += cloud_init(workspace, &scratch)?;
    tally += release(workspace, &scratch)?;
    if tally.failed == 0 {
        let nix = Run::new(workspace.root.join("deploy/nix/check.sh")).dir(&workspace.root);
        tally += counted(nix, Runner::Libtest, "deploy/nix/check.sh")?;
    }
    Ok(tally)
}

/// A check of ours that has passed.
fn passed(what: &str) -> Tally {
    println!("ok    {what}");
    Tally { passed: 1, ..Tally::default() }
}

/// systemd reads the unit that people install by hand, the one that is installed, and the drop-in; and it would
/// have said so if it did not understand something.
fn units(workspace: &Workspace, scratch: &Path) -> Result<Tally, Failure> {
    let delivered = workspace.root.join("deploy/systemd");
    let hardening = read(&delivered.join("hardening.conf"))?;
    let program = "ExecStart=%h/.local/bin/cm-agent";
    let by_hand = read(&delivered.join("cm-agent.service"))?.replace(program, "ExecStart=/bin/true");
    let mut tally = Tally::default();
    verify(scratch, &by_hand, None)?;
    tally += passed("systemd reads the unit for installing by hand");
    verify(scratch, &by_hand, Some(&hardening))?;
    tally += passed("systemd reads it with the hardening as a drop-in");
    let dir = fresh(&scratch.join("installed"))?;
    for name in ["installer", "current"] {
        std::os::unix::fs::symlink(if name == "current" { "." } else { "/bin/true" }, dir.join(name))
            .map_err(Failure::file("link", dir.join(name)))?;
    }
    std::os::unix::fs::symlink("/bin/true", dir.join("cm-agent"))
        .map_err(Failure::file("link", dir.join("cm-agent")))?;
    let parts = unit::Parts { dir: &dir, own_token: true, hardening: &unit::HARDENING };
    verify(scratch, &unit::render(parts), None)?;
    tally += passed("systemd reads the unit that is installed");
    let wrong = hardening.replace("RestrictRealtime=", "RestrictRealTime=");
    if verify(scratch, &by_hand, Some(&wrong)).is_ok() {
        return Err(Failure::check(
            "systemd-analyze says nothing of a key that there is not",
            "see verify()",
        ));
    }
    tally += passed("and would have said if it did not");
    Ok(tally)
}

/// Has systemd read a unit with a drop-in. Of what it does not know it says so, and succeeds.
fn verify(scratch: &Path, unit: &str, drop_in: Option<&str>) -> Result<(), Failure> {
    let dir = fresh(&scratch.join("unit"))?;
    let runtime = fresh(&scratch.join("run"))?;
    let file = dir.join("cm-agent.service");
    write(&file, unit)?;
    if let Some(text) = drop_in {
        write(&fresh(&dir.join("cm-agent.service.d"))?.join("drop-in.conf"), text)?;
    }
    let mut said = Vec::new();
    let good = Run::new("systemd-analyze")
        .args(["--user", "--man=no", "verify"])
        .arg(&file)
        .env("XDG_RUNTIME_DIR", &runtime)
        .watch(SHORT, |line| said.push(line.to_owned()))?;
    if good && said.is_empty() {
        return Ok(());
    }
    Err(Failure::check(format!("systemd-analyze: {}", said.join("\n")), format!("see {}", file.display())))
}

/// cloud-init's own check of what prepares a host. The program is taken out of its package, not installed: on a
/// machine that is not its own it would do its work at the next boot.
fn cloud_init(workspace: &Workspace, scratch: &Path) -> Result<Tally, Failure> {
    let root = workspace.tools().join("cloud-init");
    let modules = root.join("usr/lib/python3/dist-packages");
    if !modules.join("cloudinit/config/schema.py").is_file() {
        let there = fresh(&workspace.tools().join("cloud-init-package"))?;
        Run::new("apt-get").args(["--quiet", "download", "cloud-init"]).dir(&there).live(LONG)?;
        for entry in fs::read_dir(&there).map_err(Failure::file("read", &there))?.flatten() {
            Run::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&root).capture(LONG)?;
        }
    }
    let valid = |file: &Path| {
        Run::new("/usr/bin/python3")
            .args(["-W", "ignore", "-m", "cloudinit.config.schema", "--config-file"])
            .arg(file)
            .env("PYTHONPATH", &modules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .capture(SHORT)
    };
    let file = workspace.root.join("deploy/cloud-init/user-data.yaml");
    valid(&file)?;
    let mut tally = passed("cloud-init takes user-data.yaml");
    let wrong = fresh(&scratch.join("cloud-init"))?.join("user-data.yaml");
    write(&wrong, &read(&file)?.replace("lock_passwd:", "lock_password:"))?;
    if valid(&wrong).is_ok() {
        return Err(Failure::check(
            "cloud-init takes a key that there is not",
            format!("see {}", wrong.display()),
        ));
    }
    tally += passed("and refuses it with a mistake");
    Ok(tally)
}

/// A release, soon built; its checksums hold, and its cm-fleet finds the agents beside it.
fn release(workspace: &Workspace, scratch: &Path) -> Result<Tally, Failure> {
    use dist::Part::{AgentAarch64, AgentX8664, Completions, Fleet, Man, Sbom};
    let own = if cfg!(target_arch = "aarch64") { AgentAarch64 } else { AgentX8664 };
    let out = scratch.join("dist");
    let wanted = Dist::quick(out.clone(), &[own, Fleet, Man, Completions, Sbom]);
    dist::run(workspace, &wanted)?;
    Run::new("sha256sum").args(["--check", "--strict", "--quiet", "SHA256SUMS"]).dir(&out).live(SHORT)?;
    let mut tally = passed("a release has the checksums it says");
    for name in
        ["man/man1/cm-fleet-deploy.1", "completions/_cm-fleet", "cm-fleet.cdx.json", "cm-agent.cdx.json"]
    {
        read(&out.join(name))?;
    }
    tally += passed("it has manual pages, completions and bills of materials");
    let bash = "source \"$1\" && complete -p cm-fleet";
    Run::new("bash").args(["-c", bash, "_"]).arg(out.join("completions/cm-fleet.bash")).capture(SHORT)?;
    tally += passed("bash reads its completions");
    // What the test of that name does with files of its own, with the release's.
    let run = Run::cargo_with_tools(workspace)
        .args(["nextest", "run", "--locked", "--profile", "ci", "--color", color()])
        .args(["--package", "cm-fleet", "--test", "e2e", "release::"])
        .env("CM_DIST", &out);
    tally += counted(run, Runner::Nextest, "the test of a release")?;
    Ok(tally)
}

/// An empty directory.
fn fresh(dir: &Path) -> Result<PathBuf, Failure> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(Failure::file("remove", dir))?;
    }
    fs::create_dir_all(dir).map_err(Failure::file("create", dir))?;
    Ok(dir.to_owned())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::file("read", path))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(Failure::file("write", path))
}
