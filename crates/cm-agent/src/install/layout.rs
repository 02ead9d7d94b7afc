//! Where an installation keeps what, and reading it back.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use cm_protocol::deploy::{Manifest, Pane};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The agent's unit.
pub const UNIT: &str = "cm-agent.service";
/// The transient unit that goes back.
pub const REVERT: &str = "cm-agent-revert";
/// The most of one of our own files that is read, in bytes.
const MOST: u64 = 16 << 20;
/// The most generations that are looked at.
const GENERATIONS: usize = 1000;

/// The places of one user's installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Everything of the installation but the unit.
    pub dir: PathBuf,
    /// The user's units: `~/.config/systemd/user`.
    pub units: PathBuf,
    /// The agent's journal and transcripts.
    pub state: PathBuf,
    /// The agent's sockets.
    pub runtime: PathBuf,
}

/// What is known of a generation besides its manifest: `generations/<n>/generation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The deployment that made it.
    pub deployment: String,
    /// When, Unix seconds.
    pub at: f64,
    /// Hardening that was dropped from its unit.
    #[serde(default)]
    pub dropped: Vec<String>,
    /// The service manager that refused it.
    #[serde(default)]
    pub probed: String,
    /// The generation that was in use before it. Not always the number before its own: that one may have been taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

/// One generation on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its number.
    pub number: u64,
    /// What it was made from.
    pub manifest: Manifest,
    /// How it came to be.
    pub origin: Origin,
}

/// A deployment under way: `pending.json`, from before the new generation is used until it is confirmed or gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The deployment.
    pub deployment: String,
    /// Whose: `user@machine`.
    pub owner: String,
    /// The generation that is tried.
    pub generation: u64,
    /// It was made by this deployment, and goes with it.
    pub fresh: bool,
    /// The one to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// A unit that somebody else had put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_unit: Option<String>,
    /// When the host goes back: seconds since boot …
    pub deadline: f64,
    /// … of this boot.
    pub boot_id: String,
    /// The service manager that has the timer.
    pub manager: String,
    /// Seconds it stays unconfirmed.
    pub confirm_seconds: u64,
    /// Whether lingering was off before.
    pub enabled_linger: bool,
    /// Sessions' processes before the new generation was used.
    #[serde(default)]
    pub before: Vec<Pane>,
    /// The link may have been switched.
    #[serde(default)]
    pub activated: bool,
    /// It has been seen healthy.
    #[serde(default)]
    pub healthy: bool,
    /// Going back has begun: it is too late to confirm.
    #[serde(default)]
    pub reverting: bool,
}

/// What is remembered of the host as long as anything is installed: `host.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// We made the user's services run without a login; uninstalling takes it back.
    pub enabled_linger: bool,
    /// The deployment that was confirmed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
}

impl Layout {
    /// The places for this user: `dir`, else `~/.local/share/cm-agent`.
    ///
    /// # Errors
    /// No home is known, or `dir` is relative.
    pub fn find(dir: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let home = crate::host::identity::account(env).home.ok_or("no home directory is known: set HOME")?;
        let dir = match dir {
            Some(dir) if dir.is_absolute() => dir.to_path_buf(),
            Some(dir) => return Err(format!("--dir {}: an absolute path is needed", dir.display())),
            None => home.join(".local/share/cm-agent"),
        };
        let set = |name: &str| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
        let uid = rustix::process::getuid().as_raw();
        Ok(Self {
            dir,
            units: set("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("systemd/user"),
            state: set("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("cm-agent"),
            runtime: PathBuf::from(format!("/run/user/{uid}/cm-agent")),
        })
    }

    /// Where a program is kept.
    pub fn version(&self, sha256: &str) -> PathBuf {
        self.versions().join(sha256)
    }

    /// The program itself.
    pub fn program(&self, sha256: &str) -> PathBuf {
        self.version(sha256).join("cm-agent")
    }

    /// All programs.
    pub fn versions(&self) -> PathBuf {
        self.dir.join("versions")
    }

    /// All generations.
    pub fn generations(&self) -> PathBuf {
        self.dir.join("generations")
    }

    /// One of them.
    pub fn generation(&self, number: u64) -> PathBuf {
        self.generations().join(number.to_string())
    }

    /// The link to the one in use.
    pub fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// The link to the program that going back is done with: it has been seen to run.
    pub fn installer(&self) -> PathBuf {
        self.dir.join("installer")
    }

    /// A file of the installation's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The deployment's lock.
    pub fn lock(&self) -> PathBuf {
        self.file("lock")
    }

    /// The deployment under way.
    pub fn pending(&self) -> PathBuf {
        self.file("pending.json")
    }

    /// The token that was made here.
    pub fn token(&self) -> PathBuf {
        self.file("token")
    }

    /// What is remembered of the host.
    pub fn memory(&self) -> PathBuf {
        self.file("host.json")
    }

    /// The agent's unit file.
    pub fn unit_file(&self) -> PathBuf {
        self.units.join(UNIT)
    }

    /// The link that starts it at boot, as `systemctl enable` makes it.
    pub fn wanted(&self) -> PathBuf {
        self.units.join("default.target.wants").join(UNIT)
    }

    /// The agent's socket, where nothing else is chosen.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("agent.sock")
    }

    /// The number of the generation in use.
    pub fn in_use(&self) -> Option<u64> {
        fs::read_link(self.current()).ok()?.file_name()?.to_str()?.parse().ok()
    }

    /// The numbers of all generations, in order.
    pub fn numbers(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(self.generations()) else { return Vec::new() };
        let names = entries.flatten().take(GENERATIONS).filter_map(|e| e.file_name().into_string().ok());
        let mut numbers: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// One generation; `None` if it is not whole.
    pub fn stored(&self, number: u64) -> Option<Stored> {
        let dir = self.generation(number);
        let manifest: Manifest = read(&dir.join("manifest.json"))?;
        Some(Stored { number, manifest, origin: read(&dir.join("generation.json"))? })
    }

    /// The generation in use, if it is whole.
    pub fn installed(&self) -> Option<Stored> {
        self.stored(self.in_use()?)
    }

    /// The programs that are kept, by sha256.
    pub fn programs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.versions()) else { return Vec::new() };
        let names = entries.flatten().take(GENERATIONS).filter_map(|e| e.file_name().into_string().ok());
        let mut all: Vec<String> = names.filter(|sha| self.program(sha).is_file()).collect();
        all.sort_unstable();
        all
    }

    /// The deployment under way.
    pub fn under_way(&self) -> Option<Pending> {
        read(&self.pending())
    }

    /// What is remembered of the host.
    pub fn remembered(&self) -> Memory {
        read(&self.memory()).unwrap_or_default()
    }
}

/// Reads one of our JSON files; `None` where there is none, or it is not whole.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&bytes(path)?).ok()
}

/// Reads a file of ours, bounded.
pub fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut all).ok()?;
    Some(all)
}

/// The digest of a generation's settings, as both ends compute it.
pub fn digest(manifest: &Manifest) -> String {
    let text = manifest.settings.digest_text().unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
