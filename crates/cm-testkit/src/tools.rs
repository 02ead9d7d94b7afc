//! Which real tools the tests know, at which versions, and where `cargo xtask tools` has put them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Says where the tools are, in place of the build directory.
pub const DIR_VARIABLE: &str = "CM_TOOLS_DIR";

/// In a tool's directory, once it is installed and has answered.
const STAMP: &str = ".installed";

/// A tool at a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What tests call it.
    pub name: String,
    /// What it is called on a command line.
    pub program: String,
    /// As it says it.
    pub version: String,
    /// Its name with npm, if it comes from there.
    pub npm: Option<String>,
    /// Its name with pip, if it comes from there.
    pub pip: Option<String>,
    /// The program, inside the tool's directory.
    pub path: PathBuf,
    /// The least major version of node it runs with.
    #[serde(default)]
    pub node: u32,
    /// The versions of Python it runs with, best first.
    #[serde(default)]
    pub python: Vec<String>,
}

/// Why there is no such tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Not among the pinned ones.
    #[error("no tool is called {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// Pinned, but not there.
    #[error(
        "{name} {version} is not installed in {dir}\n  Next: cargo xtask tools {name} (or set {DIR_VARIABLE} to where it is)",
        dir = .dir.display()
    )]
    Missing {
        /// Which.
        name: String,
        /// At which version.
        version: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The list itself is broken.
    #[error("crates/xtask/tools.toml: {0}")]
    Pins(Box<toml::de::Error>),
}

/// All tools there are, in the order of the file.
pub fn pins() -> Result<Vec<Pin>, ToolError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        tool: Vec<Pin>,
    }
    let text = include_str!("../../xtask/tools.toml");
    toml::from_str::<File>(text).map(|file| file.tool).map_err(|error| ToolError::Pins(Box::new(error)))
}

/// The pin with a name. `name@version` is the same tool at another version.
pub fn pin(name: &str) -> Result<Pin, ToolError> {
    let (base, version) = name.split_once('@').map_or((name, None), |(base, version)| (base, Some(version)));
    let all = pins()?;
    let Some(pin) = all.iter().find(|pin| pin.name == base) else {
        let known = all.iter().map(|pin| pin.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ToolError::Unknown { name: name.to_owned(), known });
    };
    let mut pin = pin.clone();
    if let Some(version) = version {
        version.clone_into(&mut pin.version);
        name.clone_into(&mut pin.name);
    }
    Ok(pin)
}

/// Where tools are installed: one directory for each version of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// In this directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where `CM_TOOLS_DIR` says, else in the build directory the running program is in.
    pub fn usual() -> Self {
        match std::env::var_os(DIR_VARIABLE) {
            Some(dir) if !dir.is_empty() => Self::at(dir),
            _ => Self::in_target(&target()),
        }
    }

    /// Where `CM_TOOLS_DIR` says, else in this build directory.
    pub fn of(target: &Path) -> Self {
        match std::env::var_os(DIR_VARIABLE) {
            Some(dir) if !dir.is_empty() => Self::at(dir),
            _ => Self::in_target(target),
        }
    }

    fn in_target(target: &Path) -> Self {
        Self::at(target.join("tools/cli"))
    }

    /// All of them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of one.
    pub fn dir_of(&self, pin: &Pin) -> PathBuf {
        self.dir.join(format!("{}-{}", pin.program, pin.version))
    }

    /// The program of one, whether it is there or not.
    pub fn program_of(&self, pin: &Pin) -> PathBuf {
        self.dir_of(pin).join(&pin.path)
    }

    /// The file that says a tool is installed, and from what.
    pub fn stamp_of(&self, pin: &Pin) -> PathBuf {
        self.dir_of(pin).join(STAMP)
    }

    /// Whether it is there and was seen to work.
    pub fn has(&self, pin: &Pin) -> bool {
        self.stamp_of(pin).is_file() && self.program_of(pin).is_file()
    }

    /// The program of the tool with a name.
    pub fn find(&self, name: &str) -> Result<PathBuf, ToolError> {
        let pin = pin(name)?;
        if self.has(&pin) {
            return Ok(self.program_of(&pin));
        }
        Err(ToolError::Missing { name: pin.name, version: pin.version, dir: self.dir.clone() })
    }
}

/// The program of the tool with a name, where [`Tools::usual`] says.
pub fn find(name: &str) -> Result<PathBuf, ToolError> {
    Tools::usual().find(name)
}

/// The build directory: cargo marks it with a file, and whatever runs here was built into it.
pub(crate) fn target() -> PathBuf {
    let running = std::env::current_exe().unwrap_or_default();
    let marked = running.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_comes_from_one_place_and_has_a_directory_of_its_own() {
        let tools = Tools::at("/t");
        let mut dirs = Vec::new();
        for pin in pins().unwrap() {
            assert!(pin.npm.is_some() != pin.pip.is_some(), "{}", pin.name);
            assert!(pin.pip.is_none() || !pin.python.is_empty(), "{}", pin.name);
            dirs.push(tools.dir_of(&pin));
        }
        assert!(dirs.contains(&PathBuf::from("/t/claude-2.1.197")));
        let count = dirs.len();
        dirs.sort();
        dirs.dedup();
        assert_eq!(dirs.len(), count);
    }

    #[test]
    fn what_is_missing_is_said_with_the_next_move() {
        let check = |name: &str, expected: &str| {
            let error = Tools::at("/nowhere").find(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("codex", "Next: cargo xtask tools codex");
        check("claude@2.1.300", "claude@2.1.300 2.1.300 is not installed in /nowhere");
        check("nothing", "there are: claude, ");
    }

    #[test]
    fn what_has_a_stamp_and_a_program_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::at(dir.path());
        let pin = pin("aider").unwrap();
        std::fs::create_dir_all(tools.dir_of(&pin).join("bin")).unwrap();
        std::fs::write(tools.program_of(&pin), "").unwrap();
        assert!(!tools.has(&pin));
        std::fs::write(tools.stamp_of(&pin), "").unwrap();
        assert_eq!(tools.find("aider").unwrap(), dir.path().join("aider-0.86.2/bin/aider"));
    }
}
