//! Running git: a clean environment, a deadline, bounded output.
