//! `cm-agent`: everything is in the library, so that `cm-fleet` can be an agent too.

use std::process::ExitCode;

fn main() -> ExitCode {
    cm_agent::cli::main()
}
