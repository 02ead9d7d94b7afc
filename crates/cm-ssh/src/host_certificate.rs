//! PURE. Hosts' certificates: whether a known authority vouches for a host's key.

use ssh_key::{Certificate, PublicKey};

use crate::certificate;
use crate::known_hosts::{KnownHosts, Names, blob_type, matches};
use crate::signature::is_good;

/// What a certificate says.
#[derive(Debug, PartialEq, Eq)]
pub enum Vouched {
    /// A known authority vouches for the key.
    Good,
    /// No authority that is known for this host has signed it: only the key in it counts.
    Unknown {
        /// That key, as it goes over the wire.
        key: Vec<u8>,
    },
    /// One has, but it is not good here and now.
    Bad {
        /// The key in it.
        key: Vec<u8>,
        /// What is wrong.
        why: String,
    },
}

/// Whether a key is a certificate.
pub fn is_certificate(blob: &[u8]) -> bool {
    blob_type(blob).is_some_and(|kind| kind.ends_with("-cert-v01@openssh.com"))
}

/// Judges the certificate `blob` that the host `names` shows at `now`, in seconds since 1970. `Err`: it is none.
pub fn judge(known: &KnownHosts, names: &Names, blob: &[u8], now: u64) -> Result<Vouched, String> {
    let wrong = |error: ssh_key::Error| format!("its certificate cannot be read: {error}");
    let certificate = certificate::read(blob).map_err(wrong)?;
    let key = PublicKey::from(certificate.public_key().clone()).to_bytes().map_err(wrong)?;
    let authority = PublicKey::from(certificate.signature_key().clone()).to_bytes().map_err(wrong)?;
    if !known.authorities(names).iter().any(|entry| entry.blob == authority) {
        return Ok(Vouched::Unknown { key });
    }
    Ok(match flaw(known, names, &certificate, blob, &key, &authority, now) {
        None => Vouched::Good,
        Some(why) => Vouched::Bad { key, why },
    })
}

fn flaw(
    known: &KnownHosts,
    names: &Names,
    certificate: &Certificate,
    blob: &[u8],
    key: &[u8],
    authority: &[u8],
    now: u64,
) -> Option<String> {
    if let Some(entry) = known.revoked(names, authority).or_else(|| known.revoked(names, key)) {
        return Some(format!("revoked in {}, line {}", entry.file.display(), entry.line));
    }
    if !certificate.cert_type().is_host() {
        return Some("it is a user's, not a host's".to_owned());
    }
    if now < certificate.valid_after() || now >= certificate.valid_before() {
        return Some("it is expired or not yet valid; renew it, or correct this machine's clock".to_owned());
    }
    let name = names.portless.as_deref().unwrap_or(&names.name);
    let principals = certificate.valid_principals();
    if !principals.iter().any(|principal| matches(&principal.to_lowercase(), name)) {
        let list = principals.join(", ");
        return Some(format!(
            "it is for {}, not for {name}",
            if list.is_empty() { "no host" } else { &list }
        ));
    }
    if !certificate.critical_options().is_empty() {
        return Some("it has critical options, and hosts' certificates know none".to_owned());
    }
    // The signature is the last field, and covers all before it: three lengths, its type, and itself.
    let signature = certificate.signature();
    let length = 12 + signature.algorithm().as_str().len() + signature.as_bytes().len();
    let signed = blob.len().checked_sub(length).and_then(|end| blob.get(..end));
    let good = signed.is_some_and(|data| is_good(certificate.signature_key(), data, signature));
    (!good).then(|| "the authority's signature is not good".to_owned())
}
