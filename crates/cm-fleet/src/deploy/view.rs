//! Shows a deployment: bars on a terminal, plain lines elsewhere, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::event::{DeployEvent, DeployEventKind};
use super::fold::DeployState;
use super::words;
use crate::report::clean::{clean, fit, pad, width};
use crate::report::paint::Paint;
use crate::report::terminal;
use crate::report::words::{Line, Tone, clock};

/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(250);
/// Frames of the spinner.
const SPIN: &[&str] = &["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"];
/// Columns a host's name takes at most.
const NAME: usize = 24;
/// Columns of a line's word.
const WORD: usize = 10;

/// A reader of the events that shows them. An error means that nobody reads any more.
pub enum View<W> {
    /// Bars on standard error, lines above them.
    Bars(Box<Bars>),
    /// A line for each thing that happens.
    Plain {
        /// Where lines go.
        out: W,
        /// Their colours.
        paint: Paint,
    },
    /// Each event as a line of JSON.
    Json {
        /// Where they go.
        out: W,
    },
}

impl<W: Write> View<W> {
    /// Shows one more event; `state` already contains it.
    ///
    /// # Errors
    /// What is written to is gone or full.
    pub fn event(&mut self, event: &DeployEvent, state: &DeployState) -> io::Result<()> {
        match self {
            Self::Bars(bars) => bars.event(event, state),
            Self::Plain { out, paint } => match words::line(event, state) {
                None => Ok(()),
                Some(line) => {
                    out.write_all(plain(&line, event.at, *paint).as_bytes())?;
                    out.flush()
                }
            },
            Self::Json { out } => {
                serde_json::to_writer(&mut *out, event)?;
                out.write_all(b"\n")?;
                out.flush()
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64, state: &DeployState) {
        if let Self::Bars(bars) = self {
            bars.frame += 1;
            bars.draw(now, state);
        }
    }

    /// How often [`View::tick`] is wanted.
    pub fn tick_every(&self) -> Option<Duration> {
        matches!(self, Self::Bars(_)).then_some(TICK)
    }

    /// Clears what is drawn so that a question can be asked below it.
    pub fn pause(&mut self) {
        if let Self::Bars(bars) = self {
            bars.clear();
        }
    }
}

/// A line of a report as text.
fn plain(line: &Line, at: f64, paint: Paint) -> String {
    let mut text = format!("{} {} {} {}", clock(at), pad(&line.who, 10), pad(&line.word, WORD), line.text);
    text.truncate(text.trim_end().len());
    let mut text = coloured(&text, line.tone, paint) + "\n";
    for more in &line.more {
        text.push_str(&format!("{:32}{more}\n", ""));
    }
    text
}

fn coloured(text: &str, tone: Tone, paint: Paint) -> String {
    match tone {
        Tone::Normal => text.to_owned(),
        Tone::Quiet => paint.dim(text),
        Tone::Good => paint.good(text),
        Tone::Bad => paint.bad(text),
        Tone::Attention => paint.attention(text),
    }
}

/// One bar for each host while it lasts, and a total.
pub struct Bars {
    all: MultiProgress,
    bars: BTreeMap<usize, ProgressBar>,
    total: Option<ProgressBar>,
    frame: usize,
    paint: Paint,
    rows: usize,
    _keys: terminal::SilentKeys,
}

impl Bars {
    /// On standard error.
    pub fn new(paint: Paint) -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            bars: BTreeMap::new(),
            total: None,
            frame: 0,
            paint,
            rows: terminal::rows().unwrap_or(24),
            _keys: terminal::SilentKeys::new(),
        }
    }

    fn event(&mut self, event: &DeployEvent, state: &DeployState) -> io::Result<()> {
        if let DeployEventKind::RunFinished(summary) = &event.kind {
            self.clear();
            let tone = if summary.exit() == crate::exit::Exit::Done { Tone::Good } else { Tone::Bad };
            let text = words::summary_text(summary, state.verb);
            return self.all.println(coloured(&text, tone, self.paint));
        }
        let shown = !matches!(event.kind, DeployEventKind::RunStarted { .. });
        if let Some(line) = words::line(event, state).filter(|_| shown) {
            let longest = state.hosts.iter().map(|h| width(&clean(&h.name))).max().unwrap_or(0).min(NAME);
            let who = self.paint.bold(&pad(&fit(&line.who, NAME), longest));
            let word = coloured(&pad(&line.word, WORD), line.tone, self.paint);
            self.all.println(format!("{who} {word} {}", line.text))?;
            line.more.iter().try_for_each(|more| self.all.println(format!("    {more}")))?;
        }
        self.draw(event.at, state);
        Ok(())
    }

    fn draw(&mut self, now: f64, state: &DeployState) {
        let columns = terminal::columns().unwrap_or(80);
        // A screen full of bars scrolls and smears: what does not fit is in the total alone.
        let room = self.rows.saturating_sub(3).max(1);
        let names = state.hosts.iter().map(|h| width(&clean(&h.name))).max().unwrap_or(0).min(NAME);
        for (number, host) in state.hosts.iter().enumerate() {
            match words::bar(&host.phase) {
                Some((word, rest)) if self.bars.contains_key(&number) || self.bars.len() < room => {
                    let all = &self.all;
                    let total = &self.total;
                    let bar = self.bars.entry(number).or_insert_with(|| {
                        let bar = ProgressBar::new_spinner().with_style(style());
                        match total {
                            Some(total) => all.insert_before(total, bar),
                            None => all.add(bar),
                        }
                    });
                    let name = pad(&fit(&clean(&host.name), names), names);
                    let lead = format!("{} {name}  {}", SPIN[self.frame % SPIN.len()], pad(word, WORD));
                    let room = columns.saturating_sub(2 + width(&lead));
                    bar.set_message(format!("{lead} {}", fit(&rest, room)));
                }
                Some(_) => {}
                None => {
                    if let Some(bar) = self.bars.remove(&number) {
                        bar.finish_and_clear();
                        self.all.remove(&bar);
                    }
                }
            }
        }
        let total =
            self.total.get_or_insert_with(|| self.all.add(ProgressBar::new_spinner().with_style(style())));
        total.set_message(self.paint.dim(&fit(&words::total(state, now), columns.saturating_sub(1))));
    }

    fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        if let Some(total) = self.total.take() {
            total.finish_and_clear();
            self.all.remove(&total);
        }
    }
}

/// The message is the whole line.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
