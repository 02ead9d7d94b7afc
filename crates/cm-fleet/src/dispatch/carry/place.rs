//! The machines that commits are carried between.

use cm_ssh::{Keys, Target};

use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::sessions::LOCAL;

/// A machine.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// This one.
    Here,
    /// A host.
    There(&'a Target, &'a Keys),
    /// The container a host's agent is in.
    In(&'a Tunnel, &'a Keys),
}

impl Place<'_> {
    /// Its name in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Here => LOCAL,
            Self::There(target, _) => &target.name,
            Self::In(tunnel, _) => tunnel.host(),
        }
    }
}

impl<'a> From<&'a Way> for Place<'a> {
    /// The machine an agent is on.
    fn from(way: &'a Way) -> Self {
        match way {
            Way::Here(_) => Self::Here,
            Way::There(tunnel) if tunnel.is_container() => Self::In(tunnel, tunnel.keys()),
            Way::There(tunnel) => Self::There(tunnel.target(), tunnel.keys()),
        }
    }
}
