//! Answering a question that takes several options: each box is ticked by its label and seen ticked, and only
//! then it is submitted. PURE.
//!
//! A key that ticks is pressed once: pressed again because it was late, it would take the tick away.

use std::time::Duration;

use super::choosing::{Act, Chosen, EFFECT, REDRAW};
use super::steering::{Steer, Steering};
use crate::tmux::Key;
use crate::tool::{FoundPrompt, Layout, PromptKind};

/// How long a key may take to show in its box.
const TICK: Duration = Duration::from_secs(3);
/// What the line is called that ends the list of boxes.
const SUBMIT: [&str; 5] = ["submit", "done", "continue", "confirm", "next"];
/// How the question after it begins, or what a profile calls it: it shows all answers once more.
const REVIEW: &str = "review";

/// The keys of a tool that has boxes, and its ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// Ticks the highlighted box.
    pub tick: Key,
    /// Ends the list, where no line of it does.
    pub submit: Option<Key>,
    /// A dialog takes no keys for so long after it was drawn.
    pub deaf: Duration,
}

/// One answer of several options, from the first look to the verdict.
#[derive(Debug)]
pub struct Ticking {
    labels: Vec<String>,
    ways: Ways,
    steering: Steering,
    stage: Stage,
    /// When it counts as gone; it is not to be seen just now.
    gone_at: Option<Duration>,
    /// The keys that were pressed, as tmux names them.
    pub pressed: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// Boxes are ticked, one after the other.
    Ticking,
    /// The key was pressed at this option.
    Ticked { at: usize, until: Duration },
    /// The list was submitted; a page that shows the answers may follow.
    Submitted { until: Duration },
    /// That page stands there since then.
    Reviewing { since: Duration },
    /// It was confirmed.
    Confirmed { until: Duration },
}

impl Ticking {
    /// Begins; nothing is done before the first [`Ticking::step`]. Exactly these boxes will be ticked.
    pub fn new(labels: Vec<String>, ways: Ways) -> Self {
        let (steering, pressed) = (Steering::default(), Vec::new());
        Self { labels, ways, steering, stage: Stage::Ticking, gone_at: None, pressed }
    }

    /// What to do next. `found`: the same question on the newest screen, if it still stands there; `page`:
    /// whatever dialog stands there.
    pub fn step(&mut self, found: Option<&FoundPrompt>, page: Option<&FoundPrompt>, now: Duration) -> Act {
        let review = page.filter(|page| is_review(page));
        match (&self.stage, found, review) {
            (Stage::Ticking | Stage::Ticked { .. }, Some(found), _) => {
                self.gone_at = None;
                self.tick(found, now)
            }
            (Stage::Ticking | Stage::Ticked { .. }, None, _) => self.gone(Chosen::Dropped, now),
            (Stage::Submitted { until }, Some(_), _) | (Stage::Confirmed { until }, _, Some(_)) => {
                match now < *until {
                    true => Act::Look(*until),
                    false => Act::Finished(Chosen::NoEffect),
                }
            }
            (Stage::Submitted { .. }, None, Some(_)) => {
                (self.stage, self.gone_at) = (Stage::Reviewing { since: now }, None);
                Act::Look(now + self.ways.deaf)
            }
            (Stage::Submitted { .. }, None, None) => self.gone(Chosen::Accepted, now),
            (Stage::Reviewing { since }, _, Some(page)) => {
                self.gone_at = None;
                let ready = *since + self.ways.deaf;
                if now < ready { Act::Look(ready) } else { self.confirm(page, now) }
            }
            (Stage::Reviewing { .. }, _, None) => self.gone(Chosen::Dropped, now),
            (Stage::Confirmed { .. }, _, None) => Act::Finished(Chosen::Accepted),
        }
    }

    /// Out of sight: for good only after a moment.
    fn gone(&mut self, then: Chosen, now: Duration) -> Act {
        let gone_at = *self.gone_at.get_or_insert(now + REDRAW);
        if now < gone_at { Act::Look(gone_at) } else { Act::Finished(then) }
    }

    fn tick(&mut self, found: &FoundPrompt, now: Duration) -> Act {
        let submit = found.options.iter().position(|option| {
            option.checked.is_none() && SUBMIT.contains(&option.label.to_lowercase().as_str())
        });
        let here = |label: &String| {
            found.options.iter().filter(|o| o.checked.is_some() && o.label == *label).count() == 1
        };
        if !self.labels.iter().all(here) {
            return Act::Finished(Chosen::Dropped);
        }
        if found.layout != Layout::Vertical || (submit.is_none() && self.ways.submit.is_none()) {
            return Act::Finished(Chosen::Unreachable);
        }
        let wrong = found.options.iter().position(|option| {
            option.checked.is_some_and(|ticked| ticked != self.labels.contains(&option.label))
        });
        if let Stage::Ticked { at, until } = self.stage {
            match wrong {
                Some(wrong) if wrong == at && now < until => return Act::Look(until),
                Some(wrong) if wrong == at => return Act::Finished(Chosen::Unreachable),
                _ => self.stage = Stage::Ticking,
            }
        }
        match (wrong, submit) {
            (Some(at), _) => match self.steering.step(found, at, now) {
                Steer::There => {
                    self.stage = Stage::Ticked { at, until: now + TICK };
                    self.press(self.ways.tick.clone())
                }
                steer => self.steered(steer),
            },
            (None, Some(at)) => match self.steering.step(found, at, now) {
                Steer::There => self.submit(Key::enter(), now),
                steer => self.steered(steer),
            },
            (None, None) => match self.ways.submit.clone() {
                Some(key) => self.submit(key, now),
                None => Act::Finished(Chosen::Unreachable),
            },
        }
    }

    fn submit(&mut self, key: Key, now: Duration) -> Act {
        self.stage = Stage::Submitted { until: now + EFFECT };
        self.steering = Steering::default();
        self.press(key)
    }

    /// The page that shows all answers once more.
    fn confirm(&mut self, page: &FoundPrompt, now: Duration) -> Act {
        let yes = page.options.iter().position(|option| option.label.to_lowercase().starts_with("submit"));
        let steer = match yes {
            Some(at) => self.steering.step(page, at, now),
            None if page.options.is_empty() => Steer::There,
            None => Steer::Unreachable,
        };
        match steer {
            Steer::There => {
                self.stage = Stage::Confirmed { until: now + EFFECT };
                self.press(Key::enter())
            }
            steer => self.steered(steer),
        }
    }

    fn steered(&mut self, steer: Steer) -> Act {
        match steer {
            Steer::Press(key) => self.press(key),
            Steer::Look(until) => Act::Look(until),
            Steer::There | Steer::Unreachable => Act::Finished(Chosen::Unreachable),
        }
    }

    fn press(&mut self, key: Key) -> Act {
        self.pressed.push(key.as_str().to_owned());
        Act::Press(key)
    }
}

fn is_review(page: &FoundPrompt) -> bool {
    matches!(page.kind, PromptKind::Question | PromptKind::Text)
        && (page.rule == REVIEW || page.text.to_lowercase().starts_with(REVIEW))
}

#[cfg(test)]
mod tests {
    use cm_protocol::{Meaning, PromptOption};

    use super::*;

    /// `>` marks the highlight, `+` a ticked box, `-` an empty one.
    fn dialog(text: &str, options: &str) -> FoundPrompt {
        let option = |text: &str| {
            let (selected, text) = text.strip_prefix('>').map_or((false, text), |rest| (true, rest));
            let checked = text.starts_with(['+', '-']).then(|| text.starts_with('+'));
            let label = text.trim_start_matches(['+', '-']).to_owned();
            PromptOption { label, key: None, selected, checked, meaning: Meaning::Answer }
        };
        FoundPrompt {
            layout: Layout::Vertical,
            options: options.split(' ').filter(|text| !text.is_empty()).map(option).collect(),
            ..FoundPrompt::plain(PromptKind::Question, text, "r")
        }
    }

    /// Steps are (milliseconds, what is drawn): the question's options, `review: ` and its options, or `gone`.
    #[track_caller]
    fn check(submit: Option<&str>, labels: &str, steps: &[(u64, &str)], expected: &str) {
        let key = |name: &str| Key::parse(name).expect("a key");
        let ways = Ways { tick: key("Space"), submit: submit.map(key), deaf: Duration::from_millis(200) };
        let mut ticking = Ticking::new(labels.split(' ').map(str::to_owned).collect(), ways);
        let acts: Vec<String> = steps
            .iter()
            .map(|(ms, drawn)| {
                let (found, page) = match (*drawn, drawn.strip_prefix("review:")) {
                    ("gone", _) => (None, None),
                    (_, Some(options)) => (None, Some(dialog("Review your answers", options.trim()))),
                    (options, None) => (Some(dialog("Which?", options)), Some(dialog("Which?", options))),
                };
                match ticking.step(found.as_ref(), page.as_ref(), Duration::from_millis(*ms)) {
                    Act::Press(key) => key.as_str().to_owned(),
                    Act::Type(text) => format!("type {text}"),
                    Act::Look(_) => "look".into(),
                    Act::Finished(chosen) => format!("{chosen:?}"),
                }
            })
            .collect();
        assert_eq!(acts.join(" "), expected, "{labels} {steps:?}");
    }

    #[test]
    fn each_box_is_seen_ticked_before_the_next() {
        let steps = [
            (0, ">-a -b -c Submit"),
            (10, ">-a -b -c Submit"),
            (20, ">+a -b -c Submit"),
            (30, "+a >-b -c Submit"),
            (40, "+a -b >-c Submit"),
            (50, "+a -b >+c Submit"),
            (60, "+a -b +c >Submit"),
            (70, "gone"),
            (470, "gone"),
        ];
        check(None, "a c", &steps, "Space look Down Down Space Down Enter look Accepted");
        // What was ticked and is not wanted is taken away.
        check(
            None,
            "b",
            &[(0, ">+a +b Submit"), (10, ">-a +b Submit"), (20, "-a >+b Submit"), (30, "-a +b >Submit")],
            "Space Down Down Enter",
        );
    }

    #[test]
    fn the_answers_are_confirmed_where_they_are_shown_again() {
        let steps = [
            (0, "+a >Submit"),
            (10, "gone"),
            (20, "review: Submit >Cancel"),
            (100, "review: Submit >Cancel"),
            (220, "review: Submit >Cancel"),
            (230, "review: >Submit Cancel"),
            (240, "review: >Submit Cancel"),
            (250, "gone"),
        ];
        check(None, "a", &steps, "Enter look look look Up Enter look Accepted");
        // With a key in place of a line, and a page with nothing to choose from.
        let steps = [(0, ">+a -b"), (10, "review:"), (210, "review:"), (220, "gone")];
        check(Some("Tab"), "a", &steps, "Tab look Enter Accepted");
        let stays = [(0, ">+a -b"), (10, "review:"), (210, "review:"), (4210, "review:")];
        check(Some("Tab"), "a", &stays, "Tab look Enter NoEffect");
    }

    #[test]
    fn what_is_not_surely_so_is_left_alone() {
        // A key that shows nothing is not pressed again.
        let deaf = [(0, ">-a Submit"), (2999, ">-a Submit"), (3000, ">-a Submit")];
        check(None, "a", &deaf, "Space look Unreachable");
        check(None, "a", &[(0, ">-a -b")], "Unreachable");
        check(None, "c", &[(0, ">-a Submit")], "Dropped");
        check(None, "a", &[(0, ">-a -a Submit")], "Dropped");
        check(None, "Submit", &[(0, ">-a Submit")], "Dropped");
        check(None, "a", &[(0, "gone"), (400, "gone")], "look Dropped");
        check(
            None,
            "a",
            &[(0, "+a >Submit"), (10, "+a >Submit"), (4000, "+a >Submit")],
            "Enter look NoEffect",
        );
        check(
            None,
            "a",
            &[(0, "+a >Submit"), (10, "review: X >Y"), (300, "review: X >Y")],
            "Enter look Unreachable",
        );
    }
}
