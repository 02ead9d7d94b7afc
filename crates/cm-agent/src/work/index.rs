//! An index of our own, with what git does not know yet.
