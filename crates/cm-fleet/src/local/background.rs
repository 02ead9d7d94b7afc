//! This program as the agent: `cm-fleet __agent …`, in the background where it was started on demand.

use std::ffi::OsString;
use std::process::ExitCode;

/// What makes this program an agent, as the first argument.
pub const WORD: &str = "__agent";
/// Leave the session of whoever started us before anything else.
pub const FLAG: &str = "--background";

/// Runs the agent with `args` (those after `__agent`).
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    if args.next_if(|arg| arg == FLAG).is_some() {
        // Away from the terminal: neither its Ctrl-C nor its hang-up is meant for an agent others use too.
        // It fails only for the leader of a process group: started by hand as a job of its own. Then the
        // terminal does not reach us either, as long as we are not in its foreground.
        if let Err(error) = rustix::process::setsid() {
            eprintln!("the agent stays in the session it was started from: {error}");
        }
    }
    let mut all = vec![OsString::from("cm-agent")];
    all.extend(args);
    cm_agent::cli::main_with(&[WORD], all)
}
