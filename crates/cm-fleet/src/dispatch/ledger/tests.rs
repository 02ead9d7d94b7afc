//! The record of a run: kept, read again whatever was left of it, followed, found, cleared away.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{LedgerError, Mark, Synced};
use crate::report::event::{RunEvent, RunEventKind, Stop};

mod appending;
mod places;
mod reading;

const RUN: &str = "run-00112233445566aa";

/// An event that says a number.
fn event(number: usize) -> RunEvent {
    let kind = match number % 3 {
        0 => RunEventKind::TaskQueued { task: number, fence: false },
        1 => RunEventKind::TaskPlaced { task: number, host: format!("h{number}"), attempt: 1 },
        _ => RunEventKind::HostNotice {
            host: "漢字".into(),
            topic: "x".into(),
            message: format!("line\nbreak \u{0} {number}"),
        },
    };
    // Quarters are written and read without loss.
    RunEvent { at: 1000.0 + number as f64 / 4.0, kind }
}

fn events(count: usize) -> Vec<RunEvent> {
    (0..count).map(event).collect()
}

/// Events as they stand in a file.
fn lines(events: &[RunEvent]) -> Vec<u8> {
    let line = |event| serde_json::to_vec(event).expect("JSON");
    events.iter().flat_map(|event| line(event).into_iter().chain([b'\n'])).collect()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn now() -> SystemTime {
    SystemTime::now()
}

/// What is said, without the directory.
fn said(error: &LedgerError, dir: &Path) -> String {
    error.failure().to_string().replace(&dir.display().to_string(), "DIR")
}
