//! The one owner of all sessions and of the order of events.
