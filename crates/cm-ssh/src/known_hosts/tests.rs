//! What known_hosts files mean.
