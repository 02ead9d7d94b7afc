//! `cm-agent`: parse, trace, run, exit code.

fn main() {}
