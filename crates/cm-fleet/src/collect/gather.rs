//! What is fetched from one host: texts of sessions, page by page, and patches; one after the other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_client::Client;
use cm_client::protocol::{SessionId, Transcript};
use cm_ssh::{Exec, Input, Ssh, Status};

use super::files::{self, Fresh, PATCH, TRANSCRIPT};
use crate::container::engine::Road;
use crate::container::run::{self, Command};
use crate::deploy::script::{BEGIN, in_sh};
use crate::dispatch::carry::script::{answer, bad_repository};
use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::report::clean::clean_line;

/// Lines asked for at once.
const PAGE: u64 = 5000;
/// Bytes of a session's text that are kept.
const TEXT: usize = 256 << 20;
/// Bytes of a patch at most; agents write less.
const MOST: usize = 64 << 20;
/// How long a host may take to hand a patch over.
const HANDING: Duration = Duration::from_secs(120);
/// The file is not there.
const NONE: i32 = 94;

/// What is wanted of one task's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The task's place among the run's.
    pub task: usize,
    /// Where its results go; the directory is there.
    pub folder: PathBuf,
    /// Its session.
    pub session: SessionId,
    /// The patch's file on the host.
    pub patch: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Got {
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// The session's text may still grow.
    pub open: bool,
}

/// Fetches what is wanted of a host's sessions into their directories.
pub async fn gather(client: &Client, way: &Way, wanted: &[Want]) -> Vec<(usize, Got)> {
    let mut host = Host { way, ssh: None };
    let mut all = Vec::with_capacity(wanted.len());
    for want in wanted {
        let mut got = Got::default();
        match text(client, want).await {
            Ok(end) => got.open = !end,
            Err(why) => got.missing.push(format!("the session's text: {why}")),
        }
        let patched = match &want.patch {
            Some(path) => host.patch(path, &want.folder).await,
            // One of an attempt that does not count any more.
            None => files::remove(&want.folder, PATCH).map_err(|error| error.to_string()),
        };
        if let Err(why) = patched {
            got.missing.push(format!("the patch: {why}"));
        }
        all.push((want.task, got));
    }
    if let Some(ssh) = host.ssh {
        ssh.close().await;
    }
    all
}

/// The whole text; whether nothing is going to follow.
async fn text(client: &Client, want: &Want) -> Result<bool, String> {
    let cannot = |error: io::Error| format!("cannot write it: {error}");
    let mut fresh = Fresh::begin(&want.folder, TRANSCRIPT).map_err(cannot)?;
    let (mut next, mut bytes) = (0, 0);
    loop {
        let page = Transcript { session_id: want.session.clone(), from: Some(next), limit: Some(PAGE) };
        let page = client.transcript(page).await.map_err(|error| error.to_string())?;
        let mut lines = String::new();
        if page.gap {
            lines.push_str("[lines are missing here: they left the terminal's history too fast]\n");
        }
        for line in &page.lines {
            lines.push_str(&clean_line(line));
            lines.push('\n');
        }
        bytes += lines.len();
        fresh.more(lines.as_bytes()).map_err(cannot)?;
        let moved = page.next > next && !page.lines.is_empty();
        next = page.next.max(next);
        if page.end || !moved {
            fresh.done().map_err(cannot)?;
            return Ok(page.end);
        }
        if bytes > TEXT {
            fresh.done().map_err(cannot)?;
            return Err(format!("it is cut after {} MiB", TEXT >> 20));
        }
    }
}

/// A host, and the connection for what its agent does not hand out.
struct Host<'a> {
    way: &'a Way,
    ssh: Option<Ssh>,
}

impl Host<'_> {
    async fn patch(&mut self, path: &str, folder: &Path) -> Result<(), String> {
        if let Some(why) = bad_repository(path).filter(|_| !path.starts_with("~/")) {
            return Err(format!("{path:?} is no file: {why}"));
        }
        let bytes = match self.way {
            Way::Here(_) => here(path).map_err(|error| format!("{path}: {error}"))?,
            Way::There(_) => self.there(path).await?,
        };
        files::write(folder, PATCH, &bytes).map_err(|error| format!("cannot write it: {error}"))
    }

    async fn there(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let Way::There(tunnel) = self.way else { return Ok(Vec::new()) };
        if let Some((road, container)) = tunnel.container() {
            return self.inside(tunnel, &road, &container, path).await;
        }
        // A connection that failed once is not used again.
        let mut ssh = match self.ssh.take() {
            Some(ssh) => ssh,
            None => tunnel.ssh().await.map_err(|error| error.to_string())?,
        };
        let input = Input::Parts(vec![format!("{path}\n").into_bytes().into()]);
        let exec = Exec { input, deadline: HANDING, limit: MOST + (1 << 16) };
        let output = ssh.run(&in_sh(&script()), exec, |_| {}).await.map_err(|error| error.to_string())?;
        self.ssh = Some(ssh);
        let code = match output.status {
            Status::Exited(code) => Some(code),
            Status::Signal(_) => None,
        };
        read(path, code, &output.stdout, &output.stderr_text())
    }

    async fn inside(
        &self,
        tunnel: &Tunnel,
        road: &Road,
        container: &str,
        path: &str,
    ) -> Result<Vec<u8>, String> {
        let words = ["/bin/sh", "-c", &script()].map(str::to_owned);
        let input = [format!("{path}\n").into_bytes().into()];
        let command =
            Command { container, words: &words, input: &input, limit: MOST + (1 << 16), deadline: HANDING };
        let output =
            run::once(road, tunnel.keys(), &command, |_| {}).await.map_err(|error| error.to_string())?;
        let code = i32::try_from(output.status).ok();
        read(path, code, &output.stdout, &String::from_utf8_lossy(&output.stderr))
    }
}

/// What [`script`] has printed.
fn read(path: &str, code: Option<i32>, stdout: &[u8], stderr: &str) -> Result<Vec<u8>, String> {
    let patch = answer(stdout).filter(|_| code == Some(0));
    match (code, patch) {
        (Some(NONE), _) => Err(format!("{path} is not there any more")),
        (_, Some(patch)) if patch.len() > MOST => Err(format!("{path} is over {} MiB", MOST >> 20)),
        (_, Some(patch)) => Ok(patch.to_vec()),
        _ => Err(format!("{path}: {}", clean_line(stderr.trim()))),
    }
}

/// Takes a path on standard input and prints that file; of a large one the beginning.
fn script() -> String {
    let most = MOST + 1;
    format!(
        r#"IFS= read -r f
test -f "$f" || exit {NONE}
echo {BEGIN}
exec head -c {most} "$f""#
    )
}

fn here(path: &str) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > MOST {
        true => Err(io::Error::other(format!("it is over {} MiB", MOST >> 20))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_means_the_same_to_every_shell() {
        assert!(!script().contains(['\'', '\\']), "{}", script());
    }

    #[test]
    fn only_files_are_read_here() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("x");
        std::fs::write(&file, "diff").expect("written");
        assert_eq!(here(file.to_str().expect("text")).expect("read"), b"diff");
        assert!(here(dir.path().to_str().expect("text")).is_err());
        assert!(here("/dev/null").is_err() && here("/no/such").is_err());
    }
}
