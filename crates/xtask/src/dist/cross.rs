//! Compiling the agent for this machine's architecture or another: which compiler, which linker.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dist::debian;
use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run, SHORT};
use crate::workspace::Workspace;

/// What compiles for an architecture.
#[derive(Debug, Default)]
pub struct Compiler {
    /// Another rustc than the one in use, with a build directory of its own: they would take turns in one.
    own: Option<(PathBuf, PathBuf)>,
    /// The linker, by the variable cargo reads.
    linker: Option<(String, &'static str)>,
}

impl Compiler {
    /// Cargo, told of it.
    pub fn cargo(&self, workspace: &Workspace) -> Run {
        let mut run = Run::cargo_with_tools(workspace);
        if let Some((rustc, target)) = &self.own {
            run = run.env("RUSTC", rustc).env("CARGO_TARGET_DIR", target);
        }
        match &self.linker {
            Some((variable, linker)) => run.env(variable, linker),
            None => run,
        }
    }

    /// Where it builds.
    pub fn target(&self, workspace: &Workspace) -> PathBuf {
        self.own.as_ref().map_or_else(|| workspace.target.clone(), |(_, target)| target.clone())
    }
}

/// Rust's name of Linux with glibc on an architecture.
pub fn triple(arch: &str) -> String {
    format!("{arch}-unknown-linux-gnu")
}

/// Finds or makes what compiles for `arch`: nothing special for this machine's own; else Rust's standard library
/// from rustup, or with a compiler of Debian's where rustup cannot have it, and gcc's linker with glibc from apt.
pub fn compiler(workspace: &Workspace, arch: &str) -> Result<Compiler, Failure> {
    if arch == std::env::consts::ARCH {
        return Ok(Compiler::default());
    }
    let foreign = || -> Result<Compiler, Failure> {
        let (need, gcc) = match arch {
            "aarch64" => (Need::GccAarch64, "aarch64-linux-gnu-gcc"),
            _ => (Need::GccX8664, "x86_64-linux-gnu-gcc"),
        };
        need::ensure(workspace, &[need])?;
        let own = if has_std(workspace, arch) || from_rustup(workspace, arch) {
            None
        } else {
            let dir = workspace.target.join("cross").join(arch);
            Some((debian::rustc(&dir, arch)?, dir.join("target")))
        };
        Ok(Compiler { own, linker: Some((variable(arch), gcc)) })
    };
    foreign().map_err(|failure| Failure::Missing {
        what: format!("a way to compile for {arch} ({failure})"),
        command: recipe(arch),
    })
}

/// What somebody does by hand who wants it.
fn recipe(arch: &str) -> String {
    format!(
        "rustup target add {} && sudo apt-get install gcc-{}-linux-gnu   # or leave it out: --skip agent-{arch}",
        triple(arch),
        arch.replace('_', "-"),
    )
}

/// The variable by which cargo is told a target's linker.
fn variable(arch: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", triple(arch).to_uppercase().replace('-', "_"))
}

/// Whether the toolchain in use has the standard library for it.
fn has_std(workspace: &Workspace, arch: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Run::new(rustc)
        .args(["--print", "target-libdir", "--target", &triple(arch)])
        .dir(&workspace.root)
        .capture(SHORT);
    asked.is_ok_and(|dir| holds_std(Path::new(dir.trim())))
}

/// Whether a directory has the standard library.
fn holds_std(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Has rustup fetch it; false where there is no rustup or no way to its server.
fn from_rustup(workspace: &Workspace, arch: &str) -> bool {
    let add = Run::new("rustup").args(["target", "add", &triple(arch)]).dir(&workspace.root);
    println!("$ {}", add.shown());
    match add.capture(LONG) {
        Ok(_) => has_std(workspace, arch),
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_cargo_and_people() {
        assert_eq!(variable("aarch64"), "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER");
        assert!(recipe("x86_64").contains("gcc-x86-64-linux-gnu"), "{}", recipe("x86_64"));
        assert!(recipe("aarch64").contains("rustup target add aarch64-unknown-linux-gnu"));
    }

    #[test]
    fn the_standard_library_is_a_file_by_that_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!holds_std(dir.path()) && !holds_std(&dir.path().join("nowhere")));
        fs::write(dir.path().join("libstd-1f.rmeta"), "").unwrap();
        assert!(!holds_std(dir.path()));
        fs::write(dir.path().join("libstd-1f.rlib"), "").unwrap();
        assert!(holds_std(dir.path()));
    }
}
