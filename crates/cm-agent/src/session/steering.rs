//! Bringing the highlight of a drawn dialog to an option, every key accounted for before the next one. PURE.
//!
//! A tool may take a key late: one that was pressed again counts twice then, and the highlight moves on after it
//! was seen where it should be. As long as that can be, the deciding key waits.

use std::time::Duration;

use crate::tmux::Key;
use crate::tool::{FoundPrompt, Layout};

/// How long a key may take to move the highlight before it is pressed again.
const MOVE: Duration = Duration::from_secs(1);
/// How long the highlight must stand still where a key was pressed again: the first one may only have been late,
/// and the second one is then still to come.
const SETTLE: Duration = Duration::from_millis(1500);
/// How often a key that moves nothing is pressed.
const TRIES: u32 = 4;
/// Moves of the highlight at most; no dialog has more options.
const MOVES: u32 = 40;

/// What is to be done to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// It stands there, and stays.
    There,
    /// Press this key.
    Press(Key),
    /// Look again when the screen changes, at the latest then.
    Look(Duration),
    /// It cannot be brought there.
    Unreachable,
}

/// The highlight on its way.
#[derive(Debug, Default)]
pub struct Steering {
    moves: u32,
    /// Keys that were pressed and moved nothing yet. While there are some, the highlight may still move.
    owed: u32,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    /// Nothing is under way.
    #[default]
    Still,
    /// It was told to move from this option; backwards or not.
    Moving { from: usize, back: bool, until: Duration },
    /// Keys may still be on their way; until then it must stand still.
    Settling { at: usize, back: bool, until: Duration },
}

impl Steering {
    /// What to do next, given the dialog on the newest screen.
    pub fn step(&mut self, found: &FoundPrompt, wanted: usize, now: Duration) -> Steer {
        match self.stage {
            Stage::Moving { from, back, until } | Stage::Settling { at: from, back, until } => {
                match highlighted(found) {
                    Some(at) if at == from && now >= until => {
                        if matches!(self.stage, Stage::Settling { .. }) {
                            // What was still to come is lost.
                            self.stage = Stage::Still;
                        }
                        self.aim(found, wanted, now)
                    }
                    Some(at) if at != from => {
                        let options = found.options.len();
                        let steps = if back { from + options - at } else { at + options - from } % options;
                        self.owed = self.owed.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
                        if self.owed == 0 {
                            self.stage = Stage::Still;
                            return self.aim(found, wanted, now);
                        }
                        let until = now + SETTLE;
                        self.stage = Stage::Settling { at, back, until };
                        Steer::Look(until)
                    }
                    _ if now < until => Steer::Look(until),
                    _ => Steer::Unreachable,
                }
            }
            Stage::Still => self.aim(found, wanted, now),
        }
    }

    fn aim(&mut self, found: &FoundPrompt, wanted: usize, now: Duration) -> Steer {
        let Some(at) = highlighted(found) else { return Steer::Unreachable };
        if at == wanted {
            self.stage = Stage::Still;
            return Steer::There;
        }
        let back = at > wanted;
        let name = match (found.layout == Layout::Horizontal, back) {
            (true, false) => "Right",
            (true, true) => "Left",
            (false, false) => "Down",
            (false, true) => "Up",
        };
        // One that has moved nothing is pressed again, unless it was often enough.
        self.owed = if matches!(self.stage, Stage::Moving { .. }) { self.owed + 1 } else { 1 };
        self.moves += 1;
        let Ok(key) = Key::parse(name) else { return Steer::Unreachable };
        if self.owed > TRIES || self.moves > MOVES {
            return Steer::Unreachable;
        }
        self.stage = Stage::Moving { from: at, back, until: now + MOVE };
        Steer::Press(key)
    }
}

/// The one highlighted option; none if it is not surely one.
fn highlighted(found: &FoundPrompt) -> Option<usize> {
    let mut marked = found.options.iter().enumerate().filter(|(_, option)| option.selected);
    match (marked.next(), marked.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}
