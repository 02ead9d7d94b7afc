//! How a run is shown, and who is called: what `dispatch` and `runs` have in common.

use clap::Args;

use crate::inbox::calling::{Calls, calling};
use crate::parse;
use crate::report::json::Json;
use crate::report::plain::Plain;
use crate::report::tty::Tty;
use crate::report::{View, terminal};

/// How a run is shown.
#[derive(Debug, Clone, Args)]
pub struct ShowRun {
    /// Events as JSON lines on standard output, the last one `run_finished`
    #[arg(long, conflicts_with_all = ["plain", "quiet"])]
    json: bool,
    /// Lines instead of bars
    #[arg(long, conflicts_with = "quiet")]
    plain: bool,
    /// Only what failed
    #[arg(long, short)]
    quiet: bool,
    /// Run this when a task waits for a person, and when the run ends (see `cm-fleet inbox --help`)
    #[arg(long, value_name = "CMD", value_parser = parse::command)]
    notify: Option<String>,
    /// Do not ring the terminal's bell when a task waits for a person, and send it no notification
    #[arg(long)]
    no_bell: bool,
}

impl ShowRun {
    /// [`Self::view`], and people are called.
    pub fn calling(&self, detach: bool) -> (Box<dyn View>, Calls) {
        // Whoever detaches is not there to be called.
        calling(self.view(detach), self.notify.clone(), self.no_bell || detach)
    }

    /// Bars on a terminal, lines elsewhere, JSON where it was asked for. `detach`: there is nothing to follow.
    fn view(&self, detach: bool) -> Box<dyn View> {
        let (out, log) = (std::io::stdout(), std::io::stderr());
        let columns = terminal::stdout_columns();
        let paint = terminal::paint_stdout();
        if self.json {
            Box::new(Json::new(out))
        } else if self.quiet {
            Box::new(Plain::new(log, out, columns, paint).quiet())
        } else if self.plain || detach || !terminal::can_draw() {
            Box::new(Plain::new(log, out, columns, paint))
        } else {
            Box::new(Tty::new(out, paint))
        }
    }
}
