//! Who did what to this installation: one JSON line each in `deploy.log`, which is bounded.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use serde::Serialize;

use super::host::Host;
use super::layout::Layout;

/// Bytes of the log before it becomes `deploy.log.1`.
const MOST: u64 = 256 << 10;

/// One line.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// When, Unix seconds by the host's clock.
    pub at: f64,
    /// Who: `user@machine`, or `timer`.
    pub by: &'a str,
    /// `install`, `confirm`, `revert`, `rollback`, `uninstall`, `rotate-token`.
    pub act: &'a str,
    /// The deployment.
    pub deployment: &'a str,
    /// The generation before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The generation after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The program after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<&'a str>,
    /// What came of it.
    pub result: &'a str,
}

/// Writes a line. The log is for people: that it cannot be written stops nothing.
pub fn write(host: &mut dyn Host, layout: &Layout, entry: &Entry<'_>) {
    let path = layout.file("deploy.log");
    if !layout.dir.is_dir() || host.before("write deploy.log").is_err() {
        return;
    }
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > MOST) {
        let _ = std::fs::rename(&path, layout.file("deploy.log.1"));
    }
    let at = if entry.at == 0.0 { host.clock().unix } else { entry.at };
    let Ok(mut line) = serde_json::to_vec(&Entry { at, ..entry.clone() }) else { return };
    line.push(b'\n');
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let _ = opened.and_then(|mut file| file.write_all(&line));
}
