//! git in a repository of the user's own, bounded in bytes and time; no hook or program of theirs is started.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::failure::{Failure, Kind};

/// How long one git may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Bytes of its output that are kept.
const OUTPUT: u64 = 16 << 20;

/// A repository.
#[derive(Debug, Clone)]
pub struct Git {
    /// Where branches and objects are, absolute.
    pub dir: PathBuf,
}

/// What git said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: Vec<u8>,
    /// What it complained of.
    pub complaints: String,
}

impl Said {
    /// What it printed, on one line.
    pub fn line(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Why it refused, on one line.
    pub fn why(&self) -> String {
        crate::dispatch::carry::script::why(&self.complaints, self.code)
    }
}

impl Git {
    /// The repository around a directory.
    ///
    /// # Errors
    /// There is none, or no git.
    pub async fn around(directory: &Path) -> Result<Self, Failure> {
        let absolute = std::path::absolute(directory)
            .map_err(|e| Failure::usage(format!("{} is no path", directory.display())).because(&e))?;
        let said = Self { dir: absolute.clone() }.run(&["rev-parse", "--git-common-dir"]).await?;
        if said.code != Some(0) {
            let what = format!("{} is in no git repository to bring branches into", directory.display());
            return Err(Failure::usage(what)
                .caused_by(said.why())
                .hint("go to one, or name it with --into DIR"));
        }
        Ok(Self { dir: absolute.join(said.line()) })
    }

    /// Runs git.
    ///
    /// # Errors
    /// There is none, or it does not end in time. That it refuses is no error.
    pub async fn run(&self, args: &[&str]) -> Result<Said, Failure> {
        let cannot = |why: &str| {
            let what = format!("cannot run `git {}` in {}", args.first().unwrap_or(&""), self.dir.display());
            Failure::new(Kind::Task, what).caused_by(why)
        };
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir);
        command.args(["--no-pager", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]);
        command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(args);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"] {
            command.env_remove(name);
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot(&error.to_string()))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let talk = async {
            let (out, err) = tokio::try_join!(read(out), read(err))?;
            Ok::<_, std::io::Error>((child.wait().await?, out, err))
        };
        match timeout(WITHIN, talk).await {
            Ok(Ok((status, out, err))) => {
                Ok(Said { code: status.code(), out, complaints: String::from_utf8_lossy(&err).into_owned() })
            }
            Ok(Err(error)) => Err(cannot(&error.to_string())),
            Err(_) => Err(cannot(&format!("it took longer than {} s", WITHIN.as_secs()))),
        }
    }

    /// The commit a name stands for; `None`: there is no such thing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn commit(&self, name: &str) -> Result<Option<String>, Failure> {
        let name = format!("{name}^{{commit}}");
        let said = self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await?;
        Ok(Some(said.line()).filter(|id| said.code == Some(0) && cm_agent::work::parse::is_id(id)))
    }
}

/// Reads the beginning, and drops the rest: nobody waits on a full pipe.
async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return Ok(kept) };
    (&mut from).take(OUTPUT).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(kept)
}
