//! PURE. known_hosts files: whether a host's key is known, changed, revoked, or certified by a known authority.
//!
//! Understood are several names, wildcards, `!` negation, `[host]:port`, hashed names, the markers `@revoked`
//! and `@cert-authority`, comments, and any line ending. A line that makes no sense is a [`Warning`]; the
//! others count.

mod line;
pub(crate) mod pattern;

use std::path::{Path, PathBuf};

use base64ct::{Base64Unpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

pub use line::{Entry, Marker};
pub(crate) use pattern::matches;

/// What all known_hosts files together say.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The names under which a host is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Its name, `[name]:port` where the port is not 22, or its alias.
    pub name: String,
    /// The name without the port. A key known under it is good for another port, too, but a different one
    /// there is no change.
    pub portless: Option<String>,
}

impl Names {
    /// The names of the host at `address` and `port`; `alias` stands for both.
    pub fn of(address: &str, port: u16, alias: Option<&str>) -> Self {
        match alias {
            Some(alias) => Self { name: alias.to_lowercase(), portless: None },
            None if port == 22 => Self { name: address.to_lowercase(), portless: None },
            None => {
                let address = address.to_lowercase();
                Self { name: format!("[{address}]:{port}"), portless: Some(address) }
            }
        }
    }
}

/// What is known about a key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's.
    Known,
    /// The host is in no file.
    Unknown,
    /// The host has another key of this type.
    Changed {
        /// Where the first of the others stands.
        file: PathBuf,
        /// In which line, from 1.
        line: usize,
        /// The fingerprints of the others.
        known: Vec<String>,
    },
    /// The host has keys, but none of this type.
    OtherType {
        /// Where the first of them stands.
        file: PathBuf,
        /// In which line, from 1.
        line: usize,
        /// Their types.
        known: Vec<String>,
    },
    /// The key is marked `@revoked` for this host.
    Revoked {
        /// Where.
        file: PathBuf,
        /// In which line, from 1.
        line: usize,
    },
}

impl KnownHosts {
    /// Adds what `text`, the content of `file`, says. Returns what was left out.
    pub fn add(&mut self, file: &Path, text: &[u8]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            match line::parse(file, index + 1, line) {
                Ok(entry) => self.entries.extend(entry),
                Err(why) => warnings.push(Warning { file: file.to_owned(), line: index + 1, why }),
            }
        }
        warnings
    }

    /// What is known about the host `names` showing the key `blob`, which is no certificate.
    pub fn judge(&self, names: &Names, blob: &[u8]) -> Verdict {
        if let Some(entry) = self.revoked(names, blob) {
            return Verdict::Revoked { file: entry.file.clone(), line: entry.line };
        }
        let known = self.keys(&names.name);
        if known.iter().any(|entry| entry.blob == blob) {
            return Verdict::Known;
        }
        let same_type: Vec<&Entry> =
            known.iter().copied().filter(|entry| Some(entry.algorithm.as_str()) == blob_type(blob)).collect();
        if let Some(first) = same_type.first() {
            return Verdict::Changed {
                file: first.file.clone(),
                line: first.line,
                known: same_type.iter().map(|entry| fingerprint(&entry.blob)).collect(),
            };
        }
        if let Some(first) = known.first() {
            return Verdict::OtherType { file: first.file.clone(), line: first.line, known: types(&known) };
        }
        let portless = names.portless.as_deref().map(|name| self.keys(name)).unwrap_or_default();
        if portless.iter().any(|entry| entry.blob == blob) { Verdict::Known } else { Verdict::Unknown }
    }

    /// The line that says `blob`, a key of the host or of an authority, is not to be trusted.
    pub fn revoked(&self, names: &Names, blob: &[u8]) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.marker == Marker::Revoked
                && entry.blob == blob
                && (entry.is_for(&names.name)
                    || names.portless.as_deref().is_some_and(|name| entry.is_for(name)))
        })
    }

    /// The types of the keys known for the host, without double ones, in the order of the files.
    pub fn key_types(&self, names: &Names) -> KeyTypes {
        let known = self.keys(&names.name);
        if known.is_empty() {
            let portless = names.portless.as_deref().map(|name| self.keys(name)).unwrap_or_default();
            KeyTypes { required: Vec::new(), likely: types(&portless) }
        } else {
            KeyTypes { required: types(&known), likely: Vec::new() }
        }
    }

    /// The keys whose certificates are good for the host.
    pub fn authorities(&self, names: &Names) -> Vec<&Entry> {
        self.entries
            .iter()
            .filter(|entry| {
                entry.marker == Marker::CertAuthority
                    && (entry.is_for(&names.name)
                        || names.portless.as_deref().is_some_and(|name| entry.is_for(name)))
            })
            .collect()
    }

    /// The keys of one name.
    fn keys(&self, name: &str) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.marker == Marker::None && entry.is_for(name)).collect()
    }
}

/// Which types of key a host may show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTypes {
    /// Known for this very host: any other type would be a change.
    pub required: Vec<String>,
    /// Known for the same address at another port: to be asked for first.
    pub likely: Vec<String>,
}

fn types(entries: &[&Entry]) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for entry in entries {
        if !types.contains(&entry.algorithm) {
            types.push(entry.algorithm.clone());
        }
    }
    types
}

/// The type that stands at the beginning of every public key.
pub fn blob_type(blob: &[u8]) -> Option<&str> {
    let length = usize::try_from(u32::from_be_bytes(blob.get(..4)?.try_into().ok()?)).ok()?;
    std::str::from_utf8(blob.get(4..)?.get(..length)?).ok()
}

/// A key's fingerprint as OpenSSH prints it: `SHA256:…`.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", Base64Unpadded::encode_string(&Sha256::digest(blob)))
}

#[cfg(test)]
mod tests;
