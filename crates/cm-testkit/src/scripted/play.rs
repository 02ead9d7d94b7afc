//! PURE. What a scripted program does: frames drawn, keys understood, lines entered. Time is an argument.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::act::Act;
use super::draw::{heading, moved, parts};
use super::keys::Key;
use super::script::{Echo, Frame, Script, Then};
use super::typed::{Pressed, Typed};

/// A script being played.
#[derive(Debug)]
pub struct Play {
    script: Script,
    at: usize,
    /// When its drawing began.
    began: Duration,
    stage: Stage,
    spun: usize,
    typed: Typed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first part stands.
    Half,
    /// All of it stands since then.
    Whole(Duration),
    /// This `then` happened, and the frame stays until then.
    Leaving(usize, Duration),
    /// It has ended.
    Over,
}

impl Play {
    /// Begins with the first frame.
    pub fn start(script: Script, now: Duration) -> (Self, Vec<Act>) {
        let mut play =
            Self { script, at: 0, began: now, stage: Stage::Over, spun: 0, typed: Typed::default() };
        // A paste is told from typing only if the terminal is asked to mark it.
        let mut acts = vec![Act::Write("\x1b[?2004h".to_owned())];
        play.enter(0, now, &mut acts);
        (play, acts)
    }

    /// The frame's name.
    pub fn name(&self) -> &str {
        &self.frame().name
    }

    /// When to call [`Play::tick`] again at the latest.
    pub fn wake(&self) -> Option<Duration> {
        let ms = Duration::from_millis;
        let frame = self.frame();
        let mut times = Vec::new();
        match self.stage {
            Stage::Half => {
                let half = frame.half.as_ref().filter(|half| half.file.is_none());
                times.extend(half.map(|half| self.began + ms(half.wait_ms)));
            }
            Stage::Whole(since) => {
                times.extend(frame.then.iter().filter_map(|then| Some(since + ms(then.after?))));
                times.extend(self.next_spin());
            }
            Stage::Leaving(_, until) => {
                times.push(until);
                times.extend(self.next_spin());
            }
            Stage::Over => {}
        }
        times.into_iter().min()
    }

    /// The files that something waits for.
    pub fn files(&self) -> Vec<PathBuf> {
        let frame = self.frame();
        match self.stage {
            Stage::Half => frame.half.iter().filter_map(|half| half.file.clone()).collect(),
            Stage::Whole(_) => frame.then.iter().filter_map(|then| then.file.clone()).collect(),
            Stage::Leaving(..) | Stage::Over => Vec::new(),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        // Each round does one thing; a script that leads in circles without time passing is not followed for ever.
        for _ in 0..self.script.frame.len() + 1 {
            let due = self.wake().is_some_and(|wake| wake <= now);
            if !due {
                break;
            }
            self.due(now, &mut acts);
        }
        acts
    }

    /// A file has appeared.
    pub fn file(&mut self, path: &Path, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        match self.stage {
            Stage::Half => self.complete(now, &mut acts),
            Stage::Whole(_) => {
                let found = self.frame().then.iter().position(|then| then.file.as_deref() == Some(path));
                if let Some(then) = found {
                    self.leave(then, "", now, &mut acts);
                }
            }
            Stage::Leaving(..) | Stage::Over => {}
        }
        acts
    }

    /// A key was pressed, or something pasted.
    pub fn key(&mut self, key: &Key, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        let frame = self.frame().name.clone();
        let taken = match key {
            Key::Press(name) => self.press(name, now, &mut acts),
            Key::Paste(text) => self.paste(text, &mut acts),
        };
        let (key, pasted) = match key {
            Key::Press(name) => (name.clone(), false),
            Key::Paste(text) => (text.clone(), true),
        };
        acts.insert(0, Act::Key { frame, key, pasted, taken });
        acts
    }

    fn frame(&self) -> &Frame {
        &self.script.frame[self.at]
    }

    /// What is waited for has come.
    fn due(&mut self, now: Duration, acts: &mut Vec<Act>) {
        match self.stage {
            Stage::Half => self.complete(now, acts),
            Stage::Leaving(then, until) if until <= now => self.follow(then, now, acts),
            Stage::Whole(since) => {
                let is_due =
                    |then: &Then| then.after.is_some_and(|after| since + Duration::from_millis(after) <= now);
                match self.frame().then.iter().position(is_due) {
                    Some(then) => self.leave(then, "", now, acts),
                    None => self.spin(now, acts),
                }
            }
            Stage::Leaving(..) => self.spin(now, acts),
            Stage::Over => {}
        }
    }

    fn enter(&mut self, at: usize, now: Duration, acts: &mut Vec<Act>) {
        self.at = at;
        self.began = now;
        self.spun = 0;
        self.typed = Typed::default();
        let frame = self.frame();
        let mut out = heading(frame);
        let (first, rest) = parts(frame);
        out += &first;
        self.stage = if rest.is_some() { Stage::Half } else { Stage::Whole(now) };
        acts.push(Act::Write(out));
        if self.stage != Stage::Half {
            self.stand(now, acts);
        }
    }

    /// Draws the second part.
    fn complete(&mut self, now: Duration, acts: &mut Vec<Act>) {
        acts.extend(parts(self.frame()).1.map(Act::Write));
        self.stand(now, acts);
    }

    /// The frame stands, whole.
    fn stand(&mut self, now: Duration, acts: &mut Vec<Act>) {
        self.stage = Stage::Whole(now);
        if self.frame().spin.is_some() {
            self.spin(now, acts);
        }
        let frame = self.frame();
        let mut out = String::new();
        if let Some((column, row)) = frame.cursor {
            out += &moved(column, row);
        } else if let Some(echo) = &frame.echo {
            out += &moved(echo.at.0, echo.at.1);
        }
        acts.push(Act::Write(out));
        acts.push(Act::Drawn(frame.name.clone()));
        if let Some(code) = frame.exit {
            self.stage = Stage::Over;
            acts.push(Act::Exit(code));
        }
    }

    /// A `then` has happened.
    fn leave(&mut self, then: usize, line: &str, now: Duration, acts: &mut Vec<Act>) {
        let happened = &self.frame().then[then];
        if let Some(path) = &happened.touch {
            acts.push(Act::Touch(path.clone(), line.to_owned()));
        }
        if happened.stays > 0 {
            self.stage = Stage::Leaving(then, now + Duration::from_millis(happened.stays));
        } else {
            self.follow(then, now, acts);
        }
    }

    fn follow(&mut self, then: usize, now: Duration, acts: &mut Vec<Act>) {
        let goto = self.frame().then[then].goto.as_deref();
        // Both exist: the script was checked when it was read.
        let named = goto.and_then(|name| self.script.frame.iter().position(|frame| frame.name == name));
        let next = named.unwrap_or(self.at + 1).min(self.script.frame.len() - 1);
        self.enter(next, now, acts);
    }

    fn press(&mut self, name: &str, now: Duration, acts: &mut Vec<Act>) -> bool {
        let Stage::Whole(since) = self.stage else { return false };
        let is_meant = |then: &Then| {
            let on = then.on.as_deref();
            (on == Some(name) || on == Some("any")) && now >= since + Duration::from_millis(then.deaf)
        };
        if let Some(then) = self.frame().then.iter().position(is_meant) {
            self.leave(then, "", now, acts);
            return true;
        }
        match self.frame().echo.clone() {
            Some(echo) => self.edit(&echo, name, now, acts),
            None => false,
        }
    }

    /// A key in the box.
    fn edit(&mut self, echo: &Echo, name: &str, now: Duration, acts: &mut Vec<Act>) -> bool {
        match self.typed.press(echo, name, now) {
            Pressed::Lost => return false,
            Pressed::Changed => acts.extend(self.typed.drawn(echo).map(Act::Write)),
            Pressed::Entered(line) => {
                acts.push(Act::Line(line.clone()));
                let meant = |then: &Then| then.line.as_deref().is_some_and(|part| line.contains(part));
                match self.frame().then.iter().position(meant) {
                    Some(then) => self.leave(then, &line, now, acts),
                    None => acts.extend(self.typed.drawn(echo).map(Act::Write)),
                }
            }
        }
        true
    }

    fn paste(&mut self, text: &str, acts: &mut Vec<Act>) -> bool {
        let (Stage::Whole(_), Some(echo)) = (self.stage, self.frame().echo.clone()) else { return false };
        self.typed.paste(&echo, text);
        acts.extend(self.typed.drawn(&echo).map(Act::Write));
        true
    }

    fn next_spin(&self) -> Option<Duration> {
        let spin = self.frame().spin.as_ref()?;
        let done = u32::try_from(self.spun).unwrap_or(u32::MAX);
        Some(self.began + Duration::from_millis(spin.every_ms).saturating_mul(done))
    }

    fn spin(&mut self, now: Duration, acts: &mut Vec<Act>) {
        let Some(spin) = self.frame().spin.clone() else { return };
        let text = &spin.texts[self.spun % spin.texts.len()];
        let text = text.replace("{s}", &(now - self.began).as_secs().to_string());
        acts.push(Act::Write(format!("\x1b7{}{text}\x1b8", moved(spin.at.0, spin.at.1))));
        // What was missed is not made up for.
        let every = u128::from(spin.every_ms);
        let passed = (now - self.began).as_millis() / every.max(1);
        self.spun = usize::try_from(passed).unwrap_or(usize::MAX - 1).max(self.spun) + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::parse;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn play(text: &str) -> (Play, Vec<Act>) {
        Play::start(parse("test", text).unwrap(), ms(0))
    }

    fn press(play: &mut Play, name: &str, at: u64) -> Vec<Act> {
        play.key(&Key::Press(name.to_owned()), ms(at))
    }

    fn drawn(acts: &[Act]) -> Vec<&str> {
        acts.iter()
            .filter_map(|act| if let Act::Drawn(name) = act { Some(name.as_str()) } else { None })
            .collect()
    }

    fn written(acts: &[Act]) -> String {
        acts.iter()
            .filter_map(|act| if let Act::Write(text) = act { Some(text.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn time_keys_and_files_lead_on() {
        let (mut play, acts) = play(
            "[[frame]]\nname = 'a'\ntext = 'A'\nthen = [{ after = 100 }]\n\
             [[frame]]\nname = 'b'\nthen = [{ on = '1', goto = 'd' }, { on = 'y' }]\n\
             [[frame]]\nname = 'c'\nthen = [{ file = 'go', goto = 'd' }]\n\
             [[frame]]\nname = 'd'\nexit = 3\n",
        );
        assert_eq!(drawn(&acts), ["a"]);
        assert_eq!(play.wake(), Some(ms(100)));
        assert_eq!(play.tick(ms(99)), []);
        assert_eq!(drawn(&play.tick(ms(100))), ["b"]);
        assert!(drawn(&press(&mut play, "2", 110)).is_empty());
        assert_eq!(drawn(&press(&mut play, "y", 120)), ["c"]);
        assert_eq!(play.files(), [PathBuf::from("go")]);
        let acts = play.file(Path::new("go"), ms(130));
        assert_eq!(acts.last(), Some(&Act::Exit(3)));
        assert_eq!(play.wake(), None);
    }

    #[test]
    fn an_answered_dialog_may_stay_and_what_is_pressed_meanwhile_leads_nowhere() {
        let (mut play, _) = play(
            "[[frame]]\nname = 'ask'\nthen = [{ on = '1', stays = 500, deaf = 50 }]\n[[frame]]\nname = 'end'\n",
        );
        let taken = |acts: &[Act]| matches!(acts[0], Act::Key { taken: true, .. });
        assert!(!taken(&press(&mut play, "1", 49)));
        assert!(taken(&press(&mut play, "1", 60)));
        assert!(!taken(&press(&mut play, "1", 70)));
        assert!(drawn(&play.tick(ms(559))).is_empty());
        assert_eq!(drawn(&play.tick(ms(560))), ["end"]);
    }

    #[test]
    fn half_a_frame_takes_no_keys_until_it_is_whole() {
        let (mut play, acts) = play(
            "[[frame]]\nname = 'a'\ntext = 'é12345'\nhalf = { bytes = 3, wait_ms = 50 }\n\
             then = [{ on = '1', goto = 'a' }]\n",
        );
        assert!(written(&acts).ends_with("é1") && drawn(&acts).is_empty());
        assert!(matches!(press(&mut play, "1", 10)[0], Act::Key { taken: false, .. }));
        let acts = play.tick(ms(50));
        assert!(written(&acts).starts_with("2345"));
        assert_eq!(drawn(&acts), ["a"]);
    }

    #[test]
    fn the_box_shows_what_is_typed_and_gives_lines() {
        let (mut play, _) = play(
            "[[frame]]\nname = 'box'\necho = { at = [2, 0], collapse_over = 2, swallow_enter_ms = 100 }\n\
             then = [{ line = 'go', touch = 'got', goto = 'end' }]\n[[frame]]\nname = 'end'\n",
        );
        assert!(written(&press(&mut play, "x", 0)).ends_with("x"));
        // Enter right behind what was typed is lost.
        assert_eq!(press(&mut play, "Enter", 50).len(), 1);
        assert_eq!(press(&mut play, "Enter", 200)[1], Act::Line("x".to_owned()));
        let acts = play.key(&Key::Paste("go\non\nand on".to_owned()), ms(300));
        assert!(written(&acts).ends_with("[Pasted text #1 +2 lines]"));
        let acts = press(&mut play, "Enter", 310);
        assert_eq!(acts[1], Act::Line("go\non\nand on".to_owned()));
        assert_eq!(acts[2], Act::Touch("got".into(), "go\non\nand on".to_owned()));
        assert_eq!(drawn(&acts), ["end"]);
    }

    #[test]
    fn a_spinner_never_stops() {
        let (mut play, acts) =
            play("[[frame]]\nspin = { at = [0, 1], texts = ['- {s}', '+ {s}'], every_ms = 100 }\n");
        assert!(written(&acts).contains("\x1b[2;1H- 0"));
        assert_eq!(play.wake(), Some(ms(100)));
        assert!(written(&play.tick(ms(100))).contains("+ 0"));
        assert!(written(&play.tick(ms(60_000))).contains(" 60"));
        assert_eq!(play.wake(), Some(ms(60_100)));
    }

    #[test]
    fn a_script_that_turns_in_circles_does_not_hang() {
        let (mut play, _) = play("[[frame]]\nname = 'a'\nthen = [{ after = 0, goto = 'a' }]\n");
        assert_eq!(drawn(&play.tick(ms(1))).len(), 2);
    }
}
