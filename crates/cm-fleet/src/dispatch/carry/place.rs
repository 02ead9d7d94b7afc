//! The machines that commits are carried between.

use cm_ssh::{Keys, Target};

use crate::fleet::way::Way;
use crate::sessions::LOCAL;

/// A machine.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// This one.
    Here,
    /// A host.
    There(&'a Target, &'a Keys),
}

impl Place<'_> {
    /// Its name in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Here => LOCAL,
            Self::There(target, _) => &target.name,
        }
    }
}

impl<'a> From<&'a Way> for Place<'a> {
    /// The machine an agent is on.
    fn from(way: &'a Way) -> Self {
        match way {
            Way::Here(_) => Self::Here,
            Way::There(tunnel) => Self::There(tunnel.target(), tunnel.keys()),
        }
    }
}
