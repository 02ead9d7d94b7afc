//! An end-to-end check of any running agent, a line per step.
