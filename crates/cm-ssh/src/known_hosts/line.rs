//! PURE. One line of a known_hosts file.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use super::blob_type;
use super::pattern;

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file it stands in.
    pub file: PathBuf,
    /// Which line it is, from 1.
    pub line: usize,
    /// What the key is good for.
    pub marker: Marker,
    names: Names,
    /// The key's type.
    pub algorithm: String,
    /// The key as it goes over the wire.
    pub blob: Vec<u8>,
}

/// What the key of a line is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// It is the host's.
    None,
    /// It signs the certificates of such hosts.
    CertAuthority,
    /// Nothing: such hosts must not show it.
    Revoked,
}

/// The names of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    /// Patterns between commas, in small letters.
    Patterns(Vec<String>),
    /// One name, as HMAC-SHA1 of it.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl Entry {
    /// Whether the line is for a host of this name, which is in small letters.
    pub fn is_for(&self, name: &str) -> bool {
        match &self.names {
            Names::Patterns(patterns) => pattern::any(patterns, name),
            Names::Hashed { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
        }
    }
}

/// Reads a line; `None` if it is empty or a comment.
pub fn parse(file: &Path, number: usize, line: &[u8]) -> Result<Option<Entry>, &'static str> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    // A comment at its end may be in any encoding.
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next();
    let first = next().unwrap_or_default();
    let (marker, names) = match first {
        "@cert-authority" => (Marker::CertAuthority, next()),
        "@revoked" => (Marker::Revoked, next()),
        _ if first.starts_with('@') => return Err("an unknown marker"),
        _ => (Marker::None, Some(first)),
    };
    let (Some(names), Some(algorithm), Some(key)) = (names, next(), next()) else {
        return Err("names, type or key are missing");
    };
    let blob = Base64::decode_vec(key).map_err(|_| "the key is no base64")?;
    if blob_type(&blob) != Some(algorithm) {
        return Err("the key is not of the type that stands before it");
    }
    let names = self::names(names)?;
    Ok(Some(Entry {
        file: file.to_owned(),
        line: number,
        marker,
        names,
        algorithm: algorithm.to_owned(),
        blob,
    }))
}

fn names(text: &str) -> Result<Names, &'static str> {
    let Some(hashed) = text.strip_prefix('|') else {
        return Ok(Names::Patterns(text.split(',').map(str::to_lowercase).collect()));
    };
    let mut parts = hashed.split('|');
    let (Some("1"), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("a hashed name is not |1|salt|hash");
    };
    let decode = |part: &str| {
        Base64::decode_vec(part)
            .ok()
            .filter(|bytes| bytes.len() == 20)
            .ok_or("a hashed name is no base64 of 20 bytes")
    };
    Ok(Names::Hashed { salt: decode(salt)?, hash: decode(hash)? })
}
