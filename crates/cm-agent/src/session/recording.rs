//! Writing down what a session's state machine is given and decides, for `replay`; bounded, private, never in the way.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use cm_protocol::PolicyChoice;

use super::record::SessionRecord;
use crate::host::clock;
use crate::tool::recording::{Entry, Line, Start, shown};
use crate::tool::{Effect, Input, Machine, Screen};

/// Bytes of one session's recording at most.
const MOST: u64 = 32 * 1024 * 1024;

/// A session's recording. Where it cannot be written the session goes on without one.
pub(super) struct Recorder {
    file: Option<BufWriter<File>>,
    written: u64,
    last: Option<Screen>,
}

impl Recorder {
    /// Opens, or goes on with, a recording.
    pub(super) fn open(path: &Path, record: &SessionRecord, machine: &Machine, policy: PolicyChoice) -> Self {
        let opened = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let (file, written) = match opened {
            Ok(file) => {
                let written = file.metadata().map_or(0, |meta| meta.len());
                (Some(BufWriter::new(file)), written)
            }
            Err(error) => {
                tracing::warn!(session = %record.id, path = %path.display(), %error, "cannot be recorded");
                (None, 0)
            }
        };
        let mut recorder = Self { file, written, last: None };
        let bearings = machine.bearings();
        let profile = machine.profile();
        recorder.write(
            Entry::Start(Box::new(Start {
                session: record.id.to_string(),
                tool: record.tool.clone(),
                tool_version: record.tool_version.clone(),
                profile: format!("{} {}", profile.name, profile.version),
                policy: Some(policy),
                task: !record.task_text.is_empty(),
                work_dir: bearings.work_dir.clone(),
                home: bearings.home.clone(),
                check: bearings.check,
                memory: record.memory.as_deref().cloned(),
            })),
            clock::now(),
        );
        recorder
    }

    /// The state machine is given something.
    pub(super) fn input(&mut self, input: &Input<'_>, now: Duration) {
        if self.file.is_none() {
            return;
        }
        if let Input::Screen(screen) = input
            && self.last.as_ref() == Some(*screen)
        {
            // Given twice it changes nothing.
            return;
        }
        let entry = Entry::of(input, self.last.as_ref());
        if let Input::Screen(screen) = input {
            self.last = Some((*screen).clone());
        }
        self.write(entry, now);
    }

    /// It has decided something.
    pub(super) fn effects(&mut self, effects: &[Effect], rule: &str, now: Duration) {
        for effect in effects {
            self.write(Entry::Decided { effect: shown(effect), rule: rule.to_owned() }, now);
        }
        // What led to a decision is worth more than a write saved.
        if !effects.is_empty()
            && let Some(file) = &mut self.file
        {
            // A full disk ends the recording, not the session: the next write finds out.
            let _ = file.flush();
        }
    }

    fn write(&mut self, entry: Entry, now: Duration) {
        let Some(file) = &mut self.file else { return };
        let over = self.written > MOST;
        let entry = if over { Entry::Full } else { entry };
        let line = Line { at: now.as_secs_f64(), entry };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        self.written += text.len() as u64;
        if file.write_all(&text).is_err() || over {
            // Its beginning is what explains the most; there is no room for the rest.
            let _ = file.flush();
            self.file = None;
        }
    }
}
