//! A scratch home and an environment for each real tool, in which it talks to a model server and nobody else.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use cm_testkit::{homes, model::ModelServer, tools::Tools};
//! # let (dir, project) = (std::path::Path::new("/a"), std::path::Path::new("/b"));
//! let model = ModelServer::start()?;
//! let home = homes::claude(&Tools::usual(), dir, project, &model.url(), homes::Trusted::Yes)?;
//! let mut command = home.command(); // or home.argv(), for tmux
//! # Ok(())
//! # }
//! ```

mod aider;
mod claude;
mod codex;
mod gemini;
mod opencode;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{ToolError, Tools};

/// What keeps a tool from reaching anything but this machine: a proxy nobody listens at.
pub const OFFLINE: [(&str, &str); 8] = [
    ("HTTP_PROXY", "http://127.0.0.1:9"),
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("ALL_PROXY", "http://127.0.0.1:9"),
    ("NO_PROXY", "127.0.0.1,localhost"),
    ("http_proxy", "http://127.0.0.1:9"),
    ("https_proxy", "http://127.0.0.1:9"),
    ("all_proxy", "http://127.0.0.1:9"),
    ("no_proxy", "127.0.0.1,localhost"),
];

/// The key the tools are given. The server takes any.
pub const KEY: &str = "sk-test-0123456789abcdefghijklmnop";

/// Variables of the person who runs the tests that would log a tool in, or tell it that it runs inside another.
const KEYS: [&str; 9] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDECODE",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CODEX_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
];

/// A real tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// Claude Code, the newest pinned.
    Claude,
    /// Claude Code 2.1.197.
    Claude197,
    /// Codex.
    Codex,
    /// gemini-cli.
    Gemini,
    /// opencode.
    OpenCode,
    /// aider.
    Aider,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Claude, Self::Claude197, Self::Codex, Self::Gemini, Self::OpenCode, Self::Aider];

    /// Its name among the pinned tools.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Claude197 => "claude-2.1.197",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::OpenCode => "opencode",
            Self::Aider => "aider",
        }
    }
}

/// Whether the tool trusts the project's directory already; where it does not, it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// It does.
    Yes,
    /// It has never seen it.
    No,
}

/// What the home holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A key, and everything a first start would ask.
    Yes,
    /// Everything but a key.
    No,
    /// Nothing at all: a first start.
    Empty,
}

/// What a home is made for.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    /// Which tool.
    pub tool: Tool,
    /// An empty directory, or one that is to be made. The home is in it.
    pub dir: &'a Path,
    /// Where the tool will work. It must exist.
    pub project: &'a Path,
    /// The model server's.
    pub url: &'a str,
    /// Whether the project is trusted.
    pub trusted: Trusted,
    /// What else the home holds.
    pub login: Login,
}

/// How to start a tool in its scratch home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolHome {
    /// The program.
    pub program: PathBuf,
    /// Arguments it should have in any case; more may follow.
    pub args: Vec<String>,
    /// All it needs beside `PATH` and a terminal.
    pub env: BTreeMap<String, String>,
    /// The home directory.
    pub home: PathBuf,
    /// Where it is to work, with symbolic links resolved, as the tools see it.
    pub project: PathBuf,
}

/// Why a home could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no such tool here.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file could not be written.
    #[error("could not {act} {path}: {source}", path = .path.display())]
    File {
        /// "write", "create", "find".
        act: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Claude Code, the newest pinned, logged in.
pub fn claude(
    tools: &Tools,
    dir: &Path,
    project: &Path,
    url: &str,
    trusted: Trusted,
) -> Result<ToolHome, HomeError> {
    make(tools, &Spec { tool: Tool::Claude, dir, project, url, trusted, login: Login::Yes })
}

/// Codex, logged in.
pub fn codex(
    tools: &Tools,
    dir: &Path,
    project: &Path,
    url: &str,
    trusted: Trusted,
) -> Result<ToolHome, HomeError> {
    make(tools, &Spec { tool: Tool::Codex, dir, project, url, trusted, login: Login::Yes })
}

/// Makes the home.
pub fn make(tools: &Tools, spec: &Spec<'_>) -> Result<ToolHome, HomeError> {
    let program = tools.find(spec.tool.name())?;
    seed(program, spec)
}

/// As [`make`], for a program wherever it is.
pub fn seed(program: PathBuf, spec: &Spec<'_>) -> Result<ToolHome, HomeError> {
    let home = spec.dir.join("home");
    create(&home)?;
    let file = |act| move |path: &Path, source| HomeError::File { act, path: path.to_owned(), source };
    let project = spec.project.canonicalize().map_err(|source| file("find")(spec.project, source))?;
    let home = home.canonicalize().map_err(|source| file("find")(&home, source))?;
    let mut made = ToolHome { program, args: Vec::new(), env: BTreeMap::new(), home, project };
    let at = made.home.to_string_lossy().into_owned();
    made.env("HOME", &at);
    for (name, value) in OFFLINE {
        made.env(name, value);
    }
    match spec.tool {
        Tool::Claude | Tool::Claude197 => claude::seed(&mut made, spec)?,
        Tool::Codex => codex::seed(&mut made, spec)?,
        Tool::Gemini => gemini::seed(&mut made, spec)?,
        Tool::OpenCode => opencode::seed(&mut made, spec)?,
        Tool::Aider => aider::seed(&mut made, spec)?,
    }
    Ok(made)
}

impl ToolHome {
    /// A command with this environment and nothing else but `PATH` and `LANG`, in the project's directory.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(surroundings()).envs(&self.env).current_dir(&self.project);
        command
    }

    /// The same as words, for something that starts commands in an environment of its own, as tmux does:
    /// `env NAME=VALUE … program …`.
    pub fn argv(&self, more: &[&str]) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["env".into()];
        for name in KEYS.iter().filter(|name| !self.env.contains_key(**name)) {
            words.extend(["-u".into(), OsString::from(name)]);
        }
        words.extend(self.env.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))));
        words.push(self.program.clone().into());
        words.extend(self.args.iter().map(OsString::from));
        words.extend(more.iter().map(OsString::from));
        words
    }

    /// Ends what runs in this home still: some tools leave helpers behind, which outlive them.
    pub fn end_all(&self) {
        let mark = format!("HOME={}\0", self.home.display());
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            let mut environment = fs::read(process.path().join("environ")).unwrap_or_default();
            environment.insert(0, 0);
            let is_ours =
                environment.windows(mark.len() + 1).any(|at| at[0] == 0 && at[1..] == *mark.as_bytes());
            if let Some(pid) = process.file_name().to_str().filter(|_| is_ours) {
                // It may have ended by itself meanwhile.
                let _ = Command::new("kill").args(["-KILL", pid]).output();
            }
        }
    }

    fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    fn arg(&mut self, arg: impl Into<String>) {
        self.args.push(arg.into());
    }

    /// Writes a file in the home.
    fn write(&self, path: &str, text: &str) -> Result<(), HomeError> {
        let path = self.home.join(path);
        if let Some(parent) = path.parent() {
            create(parent)?;
        }
        fs::write(&path, text).map_err(|source| HomeError::File { act: "write", path, source })
    }
}

fn create(dir: &Path) -> Result<(), HomeError> {
    fs::create_dir_all(dir).map_err(|source| HomeError::File { act: "create", path: dir.to_owned(), source })
}

/// What a program gets of ours.
fn surroundings() -> impl Iterator<Item = (String, OsString)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    [("PATH".to_owned(), path), ("LANG".to_owned(), "C.UTF-8".into())].into_iter()
}
