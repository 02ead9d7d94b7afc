//! Bars on a terminal: a line for each task that runs, a total under them, finished tasks above.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::clean::{clean, fit, pad, width};
use super::event::{RunEvent, RunEventKind};
use super::fold::{RunState, Status};
use super::paint::Paint;
use super::result::{self, Tails};
use super::words::{self, Line, Tone};
use super::{View, terminal};

/// How often bars are drawn: times move by seconds, the spinner four times as fast.
const TICK: Duration = Duration::from_millis(250);
/// Frames of the spinner.
const SPIN: &[&str] = &["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"];
/// Columns before what stands under a line.
const UNDER: usize = 4;
/// Tasks whose names decide how wide names are, whether they run or not.
const FEW: usize = 50;
/// Of very many events not every one is drawn: ticks come soon. Seconds.
const DRAWN_EVERY: f64 = 0.05;
/// Rows a name takes at most.
const LABEL: usize = 20;

/// Bars on `target`, the result on `out`.
pub struct Tty<W> {
    all: MultiProgress,
    bars: BTreeMap<usize, ProgressBar>,
    total: Option<ProgressBar>,
    frame: usize,
    /// When an event was last drawn, Unix seconds.
    drawn: f64,
    out: W,
    paint: Paint,
    rows: usize,
    /// Until the bars are gone.
    _keys: terminal::SilentKeys,
}

impl<W: Write> Tty<W> {
    /// Bars are drawn on standard error.
    pub fn new(out: W, paint: Paint) -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            bars: BTreeMap::new(),
            total: None,
            frame: 0,
            drawn: 0.0,
            out,
            paint,
            rows: terminal::rows().unwrap_or(24),
            _keys: terminal::SilentKeys::new(),
        }
    }

    fn say(&self, line: &Line) -> io::Result<()> {
        let word = pad(&line.word, 9);
        let word = match line.tone {
            Tone::Normal => word,
            Tone::Quiet => self.paint.dim(&word),
            Tone::Good => self.paint.good(&word),
            Tone::Bad => self.paint.bad(&word),
            Tone::Attention => self.paint.attention(&word),
        };
        let who = pad(&fit(&line.who, LABEL), LABEL.min(10));
        self.all.println(format!("{} {word} {}", self.paint.bold(&who), line.text).trim_end())?;
        line.more.iter().try_for_each(|more| self.all.println(format!("{:UNDER$}{more}", "")))
    }

    /// Adds, changes and removes bars until they show `state`.
    fn draw(&mut self, now: f64, state: &RunState) {
        let columns = terminal::columns().unwrap_or(80);
        let style = plain_style();
        // A screen full of bars scrolls and smears: what does not fit is in the total alone.
        let room = self.rows.saturating_sub(3).max(1);
        // Only what runs has a line, and there may be very many others.
        let held = state.hosts.iter().flat_map(|host| host.tasks.iter().take(room));
        let shown: BTreeSet<usize> = self.bars.keys().chain(held).copied().collect();
        let names = state.tasks.iter().take(FEW).chain(shown.iter().filter_map(|number| state.task(*number)));
        let label = names.map(|task| width(&clean(&task.plan.label))).max().unwrap_or(0).min(LABEL);
        // Where there are several hosts, each line says which one.
        let several = state.hosts.len() > 1;
        let on = several
            .then(|| state.hosts.iter().map(|host| width(&clean(&host.name))).max().unwrap_or(0).min(LABEL));
        for task in shown.iter().filter_map(|number| state.task(*number)) {
            let number = task.plan.number;
            match words::bar(&task.status, now) {
                Some((word, time, text)) if self.bars.contains_key(&number) || self.bars.len() < room => {
                    let bar = self.bars.entry(number).or_insert_with(|| {
                        let bar = ProgressBar::new_spinner().with_style(style.clone());
                        match &self.total {
                            Some(total) => self.all.insert_before(total, bar),
                            None => self.all.add(bar),
                        }
                    });
                    let name = pad(&fit(&clean(&task.plan.label), label), label);
                    let place = on.map_or_else(String::new, |columns| {
                        let host = clean(task.status.host().unwrap_or_default());
                        format!("{}  ", pad(&fit(&host, columns), columns))
                    });
                    let lead = format!("{} {name}  {place}", SPIN[self.frame % SPIN.len()]);
                    let rest = format!("  {time:>5}  {text}");
                    let word = pad(&word, 9);
                    let room = columns.saturating_sub(1 + width(&lead) + width(&word));
                    let word = match &task.status {
                        Status::Live(live) => self.paint.state(live.state, &word),
                        _ => self.paint.dim(&word),
                    };
                    bar.set_message(format!("{lead}{word}{}", fit(&rest, room)));
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
        let total = self
            .total
            .get_or_insert_with(|| self.all.add(ProgressBar::new_spinner().with_style(style.clone())));
        total.set_message(self.paint.dim(&fit(&words::total(state, now), columns.saturating_sub(1))));
    }

    fn end(&mut self, state: &RunState) -> io::Result<()> {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
        if let Some(total) = self.total.take() {
            total.finish_and_clear();
        }
        self.all.clear()?;
        let columns = terminal::columns();
        let mut text = result::tails(state, Tails::All, columns, self.paint);
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&result::table(state, columns, self.paint));
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// The message is the whole line: everything in it is drawn by `words`.
fn plain_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl<W: Write> View for Tty<W> {
    fn event(&mut self, event: &RunEvent, state: &RunState) -> io::Result<()> {
        let shown = match &event.kind {
            RunEventKind::RunFinished { .. } => return self.end(state),
            // The bars and the table say these.
            RunEventKind::RunStarted { .. } => false,
            RunEventKind::TaskStarted { warnings, .. } => !warnings.is_empty(),
            RunEventKind::TaskState { prompt, .. } => prompt.is_some(),
            RunEventKind::TaskConfirmed { .. } => false,
            // What was harmless and went well is in the result.
            RunEventKind::TaskReceipt { receipt, .. } => words::prompt::receipt(receipt).2 != Tone::Quiet,
            _ => true,
        };
        if shown && let Some(line) = words::line(event, state) {
            self.say(&line)?;
        }
        if state.tasks.len() <= FEW || event.at >= self.drawn + DRAWN_EVERY {
            self.drawn = event.at;
            self.draw(event.at, state);
        }
        Ok(())
    }

    fn tick(&mut self, now: f64, state: &RunState) -> io::Result<()> {
        self.frame += 1;
        self.draw(now, state);
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn wants_output(&self) -> bool {
        true
    }
}
