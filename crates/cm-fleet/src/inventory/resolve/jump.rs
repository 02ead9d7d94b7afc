//! The way to a host: which hosts it is reached through, and that the way ends. PURE.

use super::{Definitions, chain, circle};
use crate::inventory::Host;
use crate::inventory::value::Jump;
use crate::yaml::{At, Many, Reader};

/// The hosts on the way. An inherited way ends before the host itself: a bastion in `defaults` needs no
/// exception for the bastion.
pub fn way(name: &str, jump: Option<&Many<At<Jump>>>, own: bool, reader: &mut Reader<'_>) -> Vec<String> {
    let Some(Many(all)) = jump else { return Vec::new() };
    if let (Some(none), true) = (all.iter().find(|hop| hop.value.0 == "none"), all.len() > 1) {
        reader.wrong(none.place, "`none` means directly: it stands alone");
    }
    let hops = all.iter().take_while(|hop| own || hop.value.0 != name);
    hops.map(|hop| hop.value.0.clone()).collect()
}

/// Notes a way that leads through its own goal.
pub fn check(hosts: &Definitions<'_>, resolved: &[Host], reader: &mut Reader<'_>) {
    let through = |host: &Host| host.jump.iter().filter_map(|hop| hosts.find(hop)).collect::<Vec<_>>();
    let edges: Vec<Vec<usize>> = resolved.iter().map(through).collect();
    let Some(nodes) = circle(&edges) else { return };
    let names: Vec<&str> = nodes.iter().map(|index| resolved[*index].name.as_str()).collect();
    let Some(first) = nodes.first().map(|index| &hosts.all[*index]) else { return };
    let said = first.own.and_then(|own| own.jump.as_ref()).and_then(|jump| jump.0.first());
    let place = said.map_or(first.name.place, |hop| hop.place);
    reader.wrong(place, format!("the way to `{}` leads through itself: {}", names[0], chain(&names)));
}
