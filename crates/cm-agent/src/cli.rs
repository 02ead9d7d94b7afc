//! The agent's command line: parse, call one function, exit code.
