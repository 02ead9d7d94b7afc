//! One question to a running agent, one line and an exit code: for units, containers and people.
