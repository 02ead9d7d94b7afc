//! `cm-fleet start TOOL TASK --ctx NAME`: one task for one context's agent; the rest is `dispatch`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser};

use super::dispatch::{self, Dispatch};
use super::hosts::ReachArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet start claude \"fix the failing test\" --ctx lab --path ~/src/app --check \"cargo test\"
  cm-fleet start shell \"make\" --ctx lab --detach

The same as `cm-fleet dispatch --tool TOOL TASK -i ~/.config/cm-fleet/contexts.yaml --on NAME`, which takes more
options, several tasks and several hosts.")]
pub struct Start {
    /// What does the task: a coding tool, `shell` for a script of sh, or any interactive program
    tool: String,
    /// The task
    task: String,
    /// The context: where (`cm-fleet ctx add` makes one)
    #[arg(long, value_name = "NAME")]
    ctx: String,
    /// Where it is done on the host [default: the home directory]
    #[arg(long, short = 'C', value_name = "DIR")]
    path: Option<PathBuf>,
    /// A name to find the session by
    #[arg(long, short)]
    name: Option<String>,
    /// A variable for the session; without a value yours is passed on. May be repeated
    #[arg(long, short, value_name = "K[=V]")]
    env: Vec<String>,
    /// An argument for the tool's own command line. May be repeated
    #[arg(long = "arg", value_name = "ARG", allow_hyphen_values = true)]
    args: Vec<String>,
    /// What may be done without asking: read-only, careful, trusting, a policy of yours, or a file
    #[arg(long, value_name = "NAME|FILE")]
    policy: Option<String>,
    /// A command that proves the task done, run where the task worked
    #[arg(long, value_name = "CMD")]
    check: Option<String>,
    /// End it as failed after this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Work in a git work tree of its own, on BRANCH [default: cm/TASK]
    #[arg(long, value_name = "BRANCH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    worktree: Option<String>,
    /// Keep the terminal after the end, for an hour
    #[arg(long)]
    keep: bool,
    /// Print the session's id and leave
    #[arg(long, short)]
    detach: bool,
    /// Events as JSON lines on standard output
    #[arg(long)]
    json: bool,
    /// Lines instead of bars
    #[arg(long)]
    plain: bool,
    /// Only what failed
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

/// `dispatch` alone, to be parsed from what was asked for.
#[derive(Debug, Parser)]
#[command(name = "cm-fleet start", no_binary_name = true, disable_help_flag = true)]
struct Alone {
    #[command(flatten)]
    dispatch: Dispatch,
}

/// Runs the task.
///
/// # Errors
/// There is no such context, or as of `dispatch`.
pub async fn run(args: Start, global: &Global) -> Result<Exit, Failure> {
    // Whether there is such a context is said in its own words.
    super::ctx::select(std::slice::from_ref(&args.ctx))?;
    let dispatch = args.dispatch(super::ctx::file()?)?;
    Box::pin(dispatch::run(dispatch, global)).await
}

impl Start {
    /// The same as arguments of `dispatch`; they stay in this process.
    fn dispatch(self, contexts: PathBuf) -> Result<Dispatch, Failure> {
        let mut all: Vec<OsString> =
            vec!["--tool".into(), self.tool.into(), "--inventory".into(), contexts.into(), "--on".into()];
        all.push(self.ctx.into());
        all.extend(self.reach.words());
        let mut give = |option: &str, value: OsString| {
            let mut joined = OsString::from(format!("--{option}="));
            joined.push(value);
            all.push(joined);
        };
        self.path.into_iter().for_each(|path| give("path", path.into()));
        self.env.into_iter().for_each(|env| give("env", env.into()));
        self.args.into_iter().for_each(|arg| give("arg", arg.into()));
        let texts = [
            ("name", self.name),
            ("policy", self.policy),
            ("check", self.check),
            ("timeout", self.timeout),
            ("worktree", self.worktree),
        ];
        for (option, value) in texts {
            value.into_iter().for_each(|value| give(option, value.into()));
        }
        let flags = [
            ("--keep", self.keep),
            ("--detach", self.detach),
            ("--json", self.json),
            ("--plain", self.plain),
            ("--quiet", self.quiet),
        ];
        all.extend(flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.into()));
        all.extend(["--".into(), self.task.into()]);
        match Alone::try_parse_from(all) {
            Ok(alone) => Ok(alone.dispatch),
            Err(error) => {
                let text = error.render().to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(Failure::usage(first.strip_prefix("error: ").unwrap_or(first)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    #[test]
    fn what_dispatch_is_told() {
        let check = |line: &[&str], expected: &[&str]| {
            let start = Line::try_parse_from(line).expect("understood").start;
            let told = match start.dispatch("/c/contexts.yaml".into()) {
                Ok(dispatch) => format!("{dispatch:?}"),
                Err(failure) => failure.to_string(),
            };
            expected.iter().for_each(|part| assert!(told.contains(part), "{part:?} is not in {told}"));
        };
        check(
            &["claude", "--ctx", "lab", "-C", "/s", "--detach", "--arg", "-v", "--env", "A=1", "--", "-x y"],
            &[
                r#"tool: "claude""#,
                r#"texts: ["-x y"]"#,
                r#"on: ["lab"]"#,
                "/c/contexts.yaml",
                r#"path: Some("/s")"#,
                "detach: true",
                r#"args: ["-v"]"#,
            ],
        );
        check(&["shell", "x", "--ctx", "lab", "--worktree"], &[r#"worktree: Some("")"#]);
        check(&["shell", "x", "--ctx", "lab", "--timeout", "never"], &["error: ", "never", "--timeout"]);
    }
}
