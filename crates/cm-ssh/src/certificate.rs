//! PURE. Reading certificates, also those that are valid forever (which ssh-key takes for nonsense).

use ssh_key::{Certificate, Error};

/// Reads a certificate as it goes over the wire. One that is valid forever, or longer than ssh-key counts, is read
/// as one that is valid for as long as it counts.
pub fn read(blob: &[u8]) -> Result<Certificate, Error> {
    match Certificate::from_bytes(blob) {
        Err(Error::Time) => {}
        read => return read,
    }
    let mut bounded = blob.to_vec();
    let end = until(blob).and_then(|at| bounded.get_mut(at..at + 8)).ok_or(Error::Time)?;
    end.copy_from_slice(&i64::MAX.to_be_bytes());
    Certificate::from_bytes(&bounded)
}

/// Where the end of its validity stands.
fn until(blob: &[u8]) -> Option<usize> {
    let after = |at: usize| {
        let length: [u8; 4] = blob.get(at..at + 4)?.try_into().ok()?;
        at.checked_add(4)?.checked_add(usize::try_from(u32::from_be_bytes(length)).ok()?)
    };
    let kind = blob.get(4..after(0)?)?;
    let numbers = match kind {
        k if k.starts_with(b"ssh-ed25519") => 1,
        k if k.starts_with(b"ssh-rsa") || k.starts_with(b"ecdsa-") || k.starts_with(b"sk-ssh-ed25519") => 2,
        k if k.starts_with(b"sk-ecdsa-") => 3,
        k if k.starts_with(b"ssh-dss") => 4,
        _ => return None,
    };
    // Its kind, a nonce, the key's numbers; serial and type; name and principals; the begin.
    let key = (0..2 + numbers).try_fold(0, |at, _| after(at))?;
    let principals = after(after(key.checked_add(12)?)?)?;
    principals.checked_add(8)
}
