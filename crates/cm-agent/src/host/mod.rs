//! The machine under the agent: directories, units, processes, identity.
