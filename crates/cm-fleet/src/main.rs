//! `cm-fleet`: parse, trace, run, exit code.

fn main() -> std::process::ExitCode {
    cm_fleet::cli::main()
}
