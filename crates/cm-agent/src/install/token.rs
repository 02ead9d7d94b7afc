//! The token that is made on the host: once, kept over deployments, and changed when asked.

use super::disk;
use super::host::Host;
use super::layout::{self, Layout};
use super::trouble::{Trouble, at};

/// Makes sure there is one.
pub fn ensure(host: &mut dyn Host, layout: &Layout) -> Result<(), Trouble> {
    let whole = layout::bytes(&layout.token()).is_some_and(|text| text.trim_ascii().len() >= 64);
    if whole { Ok(()) } else { make(host, layout) }
}

/// Makes a new one in its place.
pub fn make(host: &mut dyn Host, layout: &Layout) -> Result<(), Trouble> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| Trouble::failed(format!("no random bytes for a token: {e}")))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    disk::write(host, &layout.token(), format!("{text}\n").as_bytes(), 0o600)
        .map_err(at("write", &layout.token()))
}
