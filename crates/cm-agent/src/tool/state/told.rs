//! What a session is told beside its screen: by its tool, by a script, by a person's keys (PURE).

use std::time::Duration;

use cm_protocol::ReportStatus;

use super::Machine;
use super::memory::{ByHooks, Instance, Phase, Source, Stage, Voice};
use crate::tool::detect::{Activity, Seen};
use crate::tool::hooks::Heard;

/// A tool that works on so long after a person's key to break off was not broken off by it.
const GOES_ON: Duration = Duration::from_secs(3);

impl Machine {
    pub(super) fn on_report(&mut self, voice: Voice, mut heard: Heard) {
        let works = heard.status == ReportStatus::Working;
        if voice == Voice::Hooks {
            self.memory.by_hooks = match heard.status {
                ReportStatus::Working => ByHooks::Begun,
                ReportStatus::Done => ByHooks::Over,
                ReportStatus::Idle | ReportStatus::Failed | ReportStatus::Waiting => ByHooks::Nothing,
            };
        }
        if works {
            self.goes_on();
        }
        // One authority (failure 7): what a stronger voice says is not overruled by a weaker one. But it may
        // know more of why.
        if self.memory.report.is_some() && voice < self.memory.voice {
            if heard.status == ReportStatus::Failed && self.memory.is_round() {
                self.memory.aside = heard.message;
            }
            return;
        }
        if self.profile.life_is_process() && heard.status != ReportStatus::Waiting {
            // Only its exit ends it; what it says is still worth showing.
            heard.status = ReportStatus::Working;
        }
        if let (None, Some(before)) = (&heard.message, &self.memory.report)
            && before.status == heard.status
            && voice != self.memory.voice
        {
            heard.message.clone_from(&before.message);
        }
        self.memory.voice = voice;
        self.memory.spoken |= heard.status == ReportStatus::Working && self.memory.is_round();
        if self.memory.report.as_ref() == Some(&heard) {
            return;
        }
        let same_question = heard.status == ReportStatus::Waiting
            && self.memory.asked.as_ref().is_some_and(|asked| {
                asked.source == Source::Report
                    && asked.prompt.text == heard.message.as_deref().unwrap_or_default()
            });
        if !same_question {
            self.question_spoken_of(voice, heard.status);
        }
        let works = heard.status == ReportStatus::Working;
        self.memory.report = Some(heard);
        self.watch.reported_at = self.watch.now;
        let rule = format!("{}: working", voice.as_str());
        match &mut self.memory.phase {
            Phase::Idle | Phase::Settled { .. } | Phase::Interrupted { .. } if works => {
                self.keep_mark();
                self.begin_round(&rule);
            }
            Phase::Starting { given: true, .. } if works => self.begin_round(&rule),
            Phase::Round { worked, .. } => *worked |= works,
            _ => {}
        }
    }

    /// What a word from inside means for the open question.
    fn question_spoken_of(&mut self, voice: Voice, status: ReportStatus) {
        let blocked = status == ReportStatus::Waiting;
        match &mut self.memory.asked {
            // That it is blocked is what its dialog says already; and hooks do not say when one has gone.
            Some(Instance { source: Source::Drawn | Source::Screen(_), .. })
                if voice == Voice::Hooks || (voice == Voice::Status && blocked) => {}
            // Somebody has answered. The dialog may be seen a moment longer: it is no new one.
            Some(Instance { source: Source::Drawn, stage, .. }) => {
                if matches!(stage, Stage::Asked | Stage::AskedAgain) {
                    *stage = Stage::AnsweredByPerson;
                    self.watch.answered_at = self.watch.now;
                }
            }
            _ => {
                self.memory.asked = None;
                self.watch.gone = None;
            }
        }
    }

    /// `words`: something was entered; else keys alone, which may answer a question and begin nothing.
    pub(super) fn on_keys(&mut self, words: bool) {
        // What comes to rest after words were entered is what those words began.
        self.memory.interrupting &= !words;
        if let Some(asked) = &mut self.memory.asked {
            if asked.source == Source::Report {
                self.memory.asked = None;
                self.memory.report = Some(Heard { status: ReportStatus::Working, message: None });
            } else {
                asked.stage = Stage::AnsweredByPerson;
            }
            self.watch.answered_at = self.watch.now;
        } else if words
            && matches!(self.memory.phase, Phase::Idle | Phase::Settled { .. } | Phase::Interrupted { .. })
        {
            self.keep_mark();
            self.begin_round("keys submitted");
        }
    }

    /// A person wants to break the turn off: if it comes to rest now, that is why.
    pub(super) fn on_interrupting(&mut self) {
        let seen = self.watch.look.as_ref().map(|look| &look.observation.kind);
        let rests = match &self.memory.report {
            Some(heard) if self.memory.voice != Voice::Report => {
                !matches!(heard.status, ReportStatus::Working | ReportStatus::Waiting)
            }
            _ => matches!(seen, Some(Seen::AtPrompt { .. })),
        };
        if self.memory.is_round() && !rests {
            self.memory.interrupting = true;
            self.watch.interrupted_at = self.watch.now;
        }
    }

    /// The tool shows that it works. Long after such a key: the key did something else.
    pub(super) fn goes_on(&mut self) {
        if self.watch.now.saturating_sub(self.watch.interrupted_at) >= GOES_ON {
            self.memory.interrupting = false;
        }
    }

    /// What a voice said holds no more: the screen counts again, or what is said next.
    pub(super) fn on_silence(&mut self, voice: Voice) {
        if self.memory.voice == voice && self.memory.report.take().is_some() {
            self.memory.voice = Voice::default();
            self.watch.quiet_since = self.watch.now;
            self.watch.steady_since = self.watch.now;
        }
    }

    pub(super) fn on_activity(&mut self, activity: Activity) {
        self.memory.hooked = true;
        if let Phase::Round { worked, .. } = &mut self.memory.phase {
            *worked = true;
            self.memory.activity = Some(activity);
        }
    }
}
