//! The agent that tests deploy, and other builds of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::description::{AGENT_VARIABLE, Description};

/// A static `cm-agent` that runs on every test host: `CM_TEST_AGENT`, or the one that was built when the
/// hosts were started. Panics where there is none.
pub fn test_agent() -> PathBuf {
    let named = std::env::var_os(AGENT_VARIABLE).map(PathBuf::from);
    let path = named.or_else(|| Description::load().ok().and_then(|(description, _)| description.agent));
    match path {
        Some(path) if path.is_file() => path,
        Some(path) => panic!("there is no agent at {}\n  Next: cargo xtask hosts agent", path.display()),
        None => panic!("no agent for the test hosts\n  Next: cargo xtask hosts agent"),
    }
}

/// Another build of a program: it does the same and has another sha256. The new file lies in `dir` and is
/// called after `mark`; the same mark makes the same bytes.
pub fn another_build(program: &Path, mark: &str, dir: &Path) -> PathBuf {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let path = dir.join(format!("{name}-{mark}"));
    // What follows the last section of an ELF file is never loaded.
    let made = fs::read(program).and_then(|mut bytes| {
        bytes.extend_from_slice(format!("\nbuild {mark}\n").as_bytes());
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::metadata(program)?.permissions())
    });
    match made {
        Ok(()) => path,
        Err(error) => panic!("could not make another build of {}: {error}", program.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_another_file_and_does_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let [two, again, three] = ["v2", "v2", "v3"].map(|mark| {
            let path = another_build(Path::new("/bin/true"), mark, dir.path());
            assert!(std::process::Command::new(&path).status().unwrap().success());
            fs::read(path).unwrap()
        });
        assert_eq!(two, again);
        assert_ne!(two, three);
        assert_ne!(two, fs::read("/bin/true").unwrap());
    }
}
