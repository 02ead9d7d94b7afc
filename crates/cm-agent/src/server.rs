//! Connections: listen, log in, read commands, write answers and events.
