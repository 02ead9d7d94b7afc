//! `cargo xtask dist`: the files of a release, in one directory where `cm-fleet deploy` finds what it sends.

mod cross;
mod debian;
mod elf;
mod sbom;
mod sums;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::sh::{LONG, Run, SHORT};
use crate::workspace::Workspace;

/// What a release consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The agent for hosts with x86_64 processors, static.
    #[value(name = "agent-x86_64")]
    AgentX8664,
    /// The agent for hosts with aarch64 processors, static.
    #[value(name = "agent-aarch64")]
    AgentAarch64,
    /// cm-fleet for machines like this one.
    Fleet,
    /// Manual pages.
    Man,
    /// Completion scripts.
    Completions,
    /// What the programs are made of, as CycloneDX.
    Sbom,
}

/// The arguments.
#[derive(Debug, Args)]
pub struct Dist {
    /// Where to [default: dist in the build directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these parts; others that are there already stay
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// All but these parts
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "only")]
    skip: Vec<Part>,
    /// Soon built rather than fast, to try the command itself
    #[arg(long)]
    quick: bool,
}

impl Dist {
    /// A quick one of these parts, there.
    pub fn quick(out: PathBuf, only: &[Part]) -> Self {
        Self { out: Some(out), only: only.to_vec(), skip: Vec::new(), quick: true }
    }

    /// The parts to make, in order.
    fn parts(&self) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| self.only.is_empty() || self.only.contains(part))
            .filter(|part| !self.skip.contains(part))
            .collect()
    }
}

/// Makes what was asked for, and the checksums of everything that is there then. Where it is, absolute.
pub fn run(workspace: &Workspace, dist: &Dist) -> Result<PathBuf, Failure> {
    let began = Instant::now();
    let out = dist.out.clone().unwrap_or_else(|| workspace.target.join("dist"));
    let out = std::path::absolute(&out).map_err(Failure::file("find", &out))?;
    claim(&out)?;
    let making = Making { workspace, out: &out, quick: dist.quick };
    for part in dist.parts() {
        making.part(part)?;
    }
    let files = sums::write(&out)?;
    println!("\nin {}, after {:.0} s:", out.display(), began.elapsed().as_secs_f64());
    for (name, bytes) in files {
        println!("  {:>9} KiB  {name}", bytes.div_ceil(1024));
    }
    Ok(out)
}

/// Makes the directory. One with files of somebody else's is refused: parts of ours are replaced whole.
fn claim(out: &Path) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(Failure::file("create", out))?;
    let empty = fs::read_dir(out).map_err(Failure::file("read", out))?.next().is_none();
    if empty || out.join(sums::NAME).is_file() {
        // From now on it is ours, also if this is interrupted.
        return sums::write(out).map(|_| ());
    }
    Err(Failure::check(
        format!("{} has files that are no release of ours (there is no {})", out.display(), sums::NAME),
        "name an empty directory with --out",
    ))
}

struct Making<'a> {
    workspace: &'a Workspace,
    out: &'a Path,
    quick: bool,
}

impl Making<'_> {
    fn part(&self, part: Part) -> Result<(), Failure> {
        match part {
            Part::AgentX8664 => self.agent("x86_64"),
            Part::AgentAarch64 => self.agent("aarch64"),
            Part::Fleet => self.put(&self.fleet()?, "cm-fleet"),
            Part::Man => self.man(),
            Part::Completions => self.completions(),
            Part::Sbom => sbom::write(self.workspace, self.out),
        }
    }

    /// The agent for an architecture, by the name under which `cm-fleet deploy` looks for it.
    fn agent(&self, arch: &str) -> Result<(), Failure> {
        let compiler = cross::compiler(self.workspace, arch)?;
        let triple = cross::triple(arch);
        let profile = if self.quick { "hosts" } else { "release" };
        compiler
            .cargo(self.workspace)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .args(["build", "--locked", "--package", "cm-agent", "--bin", "cm-agent"])
            .args(["--profile", profile, "--target", &triple])
            .live(LONG)?;
        let built = compiler.target(self.workspace).join(&triple).join(profile).join("cm-agent");
        let name = format!("cm-agent-{arch}-linux");
        self.put(&built, &name)?;
        let path = self.out.join(&name);
        let bytes = fs::read(&path).map_err(Failure::file("read", &path))?;
        elf::must_be(&bytes, arch).map_err(|why| {
            Failure::check(
                format!("{name}: {why}"),
                "see RUSTFLAGS and cargo's configuration of this machine",
            )
        })?;
        runs(&path, arch)
    }

    /// cm-fleet, built; where it is.
    fn fleet(&self) -> Result<PathBuf, Failure> {
        let (profile, dir) = if self.quick { ("dev", "debug") } else { ("release", "release") };
        Run::cargo_with_tools(self.workspace)
            .args(["build", "--locked", "--package", "cm-fleet", "--bin", "cm-fleet", "--profile", profile])
            .live(LONG)?;
        Ok(self.workspace.target.join(dir).join("cm-fleet"))
    }

    fn man(&self) -> Result<(), Failure> {
        let dir = self.emptied("man/man1")?;
        Run::new(self.fleet()?).args(["man", "--dir"]).arg(&dir).capture(SHORT).map(|_| ())
    }

    fn completions(&self) -> Result<(), Failure> {
        let dir = self.emptied("completions")?;
        let fleet = self.fleet()?;
        for (shell, name) in [("bash", "cm-fleet.bash"), ("zsh", "_cm-fleet"), ("fish", "cm-fleet.fish")] {
            let script = Run::new(&fleet).args(["completions", shell]).capture(SHORT)?;
            let path = dir.join(name);
            fs::write(&path, script).map_err(Failure::file("write", &path))?;
        }
        Ok(())
    }

    /// A directory of the release, without what an earlier run has put there.
    fn emptied(&self, name: &str) -> Result<PathBuf, Failure> {
        let dir = self.out.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Failure::file("remove", &dir))?;
        }
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        Ok(dir)
    }

    /// Copies a program; whoever runs the one that was there is not disturbed.
    fn put(&self, from: &Path, name: &str) -> Result<(), Failure> {
        let (new, path) = (self.out.join(format!(".{name}.new")), self.out.join(name));
        fs::copy(from, &new).map_err(Failure::file("copy", from))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))
            .map_err(Failure::file("make executable", &new))?;
        fs::rename(&new, &path).map_err(Failure::file("rename", &new))
    }
}

/// Runs an agent where this machine can: its own, and another's with qemu.
fn runs(path: &Path, arch: &str) -> Result<(), Failure> {
    let qemu = format!("qemu-{arch}-static");
    let run = if arch == std::env::consts::ARCH {
        Run::new(path)
    } else if Run::new(&qemu).arg("--version").succeeds() {
        Run::new(qemu).arg(path)
    } else {
        println!("{} was not run here: that takes qemu-user-static", path.display());
        return Ok(());
    };
    println!("{arch}: {}", run.arg("--version").capture(SHORT)?.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_by_name() {
        let check = |only: &[Part], skip: &[Part], expected: &[Part]| {
            let dist = Dist { out: None, only: only.to_vec(), skip: skip.to_vec(), quick: false };
            assert_eq!(dist.parts(), expected);
        };
        check(&[], &[], Part::value_variants());
        check(&[Part::Sbom, Part::Fleet], &[], &[Part::Fleet, Part::Sbom]);
        check(
            &[],
            &[Part::AgentAarch64, Part::Sbom],
            &[Part::AgentX8664, Part::Fleet, Part::Man, Part::Completions],
        );
    }

    #[test]
    fn directories_of_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        claim(&out).unwrap();
        claim(&out).unwrap();
        fs::write(dir.path().join("notes"), "mine").unwrap();
        let failure = claim(dir.path()).unwrap_err().to_string();
        assert!(failure.contains("no release of ours") && failure.contains("--out"), "{failure}");
    }
}
