//! Trusting a host: reading known_hosts, choosing what key types to ask for, judging the key that is shown.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding as _};

use crate::error::HostKeyError;
use crate::host_certificate::{self, Vouched};
use crate::known_hosts::{KnownHosts, Names, Verdict, blob_type, fingerprint};
use crate::limits;
use crate::target::{Pin, Target, UnknownHost};

/// Plain host keys, good ones first.
const PLAIN: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Certificates of hosts; only asked for where an authority is known.
const CERTIFICATES: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,\
ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,\
rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com";

/// What decides whether a host is the right one.
pub struct Trust {
    known: KnownHosts,
    names: Names,
    pin: Option<Pin>,
    unknown: UnknownHost,
    files: Vec<PathBuf>,
    /// Lists of key types to ask for, one handshake each, until one settles it.
    pub offers: Vec<String>,
}

/// What to do about a key.
#[derive(Debug)]
pub enum Doubt {
    /// It is not the right one.
    Final(Box<HostKeyError>),
    /// It is not the right one, but the host may have another.
    Another(Box<HostKeyError>),
}

impl Trust {
    /// Reads the known_hosts files of `target`.
    pub fn load(target: &Target) -> Result<Self, Box<HostKeyError>> {
        let mut known = KnownHosts::default();
        for file in &target.known_hosts {
            for warning in known.add(file, &read(file)?) {
                warn_once(&warning.file, warning.line, warning.why);
            }
        }
        let names = Names::of(&target.address, target.port, target.host_key_alias.as_deref());
        let offers = offers(&known, &names, target.host_key.as_ref());
        Ok(Self {
            known,
            names,
            pin: target.host_key.clone(),
            unknown: target.unknown_host,
            files: target.known_hosts.clone(),
            offers,
        })
    }

    /// Whether `blob`, the key or certificate that the host has just proved to have, is the right one.
    pub fn judge(&self, blob: &[u8], now: SystemTime) -> Result<(), Doubt> {
        if !host_certificate::is_certificate(blob) {
            return self.judge_key(blob);
        }
        // A clock before 1970 makes every certificate invalid.
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let bad = |key: &[u8], why| {
            let seen = fingerprint(key);
            Doubt::Final(Box::new(HostKeyError::Certificate { seen, why }))
        };
        match host_certificate::judge(&self.known, &self.names, blob, now) {
            Ok(Vouched::Good) => Ok(()),
            Ok(Vouched::Unknown { key }) => self.judge_key(&key),
            Ok(Vouched::Bad { key, why }) => Err(bad(&key, why)),
            Err(why) => Err(bad(blob, why)),
        }
    }

    fn judge_key(&self, blob: &[u8]) -> Result<(), Doubt> {
        let (algorithm, seen) = (blob_type(blob).unwrap_or("unknown").to_owned(), fingerprint(blob));
        if let Some(entry) = self.known.revoked(&self.names, blob) {
            let (file, line) = (entry.file.clone(), entry.line);
            return Err(Doubt::Final(Box::new(HostKeyError::Revoked { seen, file, line })));
        }
        if let Some(pin) = &self.pin {
            let right = match pin {
                Pin::Fingerprint(_) => pin.to_string() == seen,
                Pin::Key { blob: wanted, .. } => wanted == blob,
            };
            let wanted = pin.to_string();
            return if right {
                Ok(())
            } else {
                Err(Doubt::Another(Box::new(HostKeyError::Pin { wanted, algorithm, seen })))
            };
        }
        let host = self.names.name.clone();
        let error = match self.known.judge(&self.names, blob) {
            Verdict::Known => return Ok(()),
            Verdict::Revoked { file, line } => HostKeyError::Revoked { seen, file, line },
            Verdict::Changed { file, line, known } => {
                HostKeyError::Changed { host, known: known.join(", "), algorithm, seen, file, line }
            }
            Verdict::OtherType { file, line, known } => {
                HostKeyError::OtherType { host, known: known.join(", "), algorithm, seen, file, line }
            }
            Verdict::Unknown => match (self.unknown, self.files.first()) {
                (UnknownHost::AcceptNew, Some(file)) => {
                    return self.append(file, &algorithm, blob).map_err(Doubt::Final);
                }
                (UnknownHost::AcceptNew, None) | (UnknownHost::Refuse, _) => {
                    HostKeyError::Unknown { algorithm, seen, files: list(&self.files) }
                }
            },
        };
        Err(Doubt::Final(Box::new(error)))
    }

    /// Writes a new host's key into `file`, unless somebody else has written another one meanwhile.
    fn append(&self, file: &Path, algorithm: &str, blob: &[u8]) -> Result<(), Box<HostKeyError>> {
        let failed = |error: std::io::Error| {
            unusable(file, format!("cannot add the key of {}: {error}", self.names.name))
        };
        if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        let mut handle =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file).map_err(failed)?;
        if !handle.metadata().map_err(failed)?.is_file() {
            // /dev/null: whoever names it wants nothing written down.
            return Ok(());
        }
        handle.lock().map_err(failed)?;
        let text = bounded(&mut handle, file)?;
        let mut now = KnownHosts::default();
        now.add(file, &text);
        match now.judge(&self.names, blob) {
            Verdict::Unknown => {}
            Verdict::Known => return Ok(()),
            other => {
                let why =
                    format!("another key for {} was added while connecting: {other:?}", self.names.name);
                return Err(unusable(file, why));
            }
        }
        let gap = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
        let line = format!("{gap}{} {algorithm} {}\n", self.names.name, Base64::encode_string(blob));
        handle.write_all(line.as_bytes()).and_then(|()| handle.sync_data()).map_err(failed)?;
        tracing::info!(host = %self.names.name, key = %fingerprint(blob), file = %file.display(), "new host key accepted");
        Ok(())
    }
}

/// What to ask for, so that a host with several keys shows the one that is known.
fn offers(known: &KnownHosts, names: &Names, pin: Option<&Pin>) -> Vec<String> {
    let all = PLAIN.join(",");
    match pin {
        Some(Pin::Key { algorithm, .. }) => vec![wire_types(algorithm).join(","), all],
        Some(Pin::Fingerprint(_)) => {
            vec![PLAIN[0].to_owned(), PLAIN[1..4].join(","), PLAIN[4..].join(",")]
        }
        None => {
            let types = known.key_types(names);
            let certificates = (!known.authorities(names).is_empty()).then_some(CERTIFICATES);
            let wanted: Vec<&str> =
                types.required.iter().chain(&types.likely).flat_map(|kind| wire_types(kind)).collect();
            let rest =
                PLAIN.iter().copied().filter(|kind| types.required.is_empty() && !wanted.contains(kind));
            let first: Vec<&str> =
                certificates.into_iter().chain(wanted.iter().copied()).chain(rest).collect();
            // The second only tells what the host has in place of what is known.
            if types.required.is_empty() { vec![first.join(",")] } else { vec![first.join(","), all] }
        }
    }
}

/// The names under which a type of key is negotiated.
fn wire_types(algorithm: &str) -> Vec<&str> {
    if algorithm == "ssh-rsa" { vec!["rsa-sha2-512", "rsa-sha2-256"] } else { vec![algorithm] }
}

fn read(file: &Path) -> Result<Vec<u8>, Box<HostKeyError>> {
    match File::open(file) {
        Ok(mut handle) => bounded(&mut handle, file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unusable(file, format!("cannot be read: {error}"))),
    }
}

fn bounded(handle: &mut File, file: &Path) -> Result<Vec<u8>, Box<HostKeyError>> {
    let mut text = Vec::new();
    let read = handle.take(limits::KNOWN_HOSTS_FILE + 1).read_to_end(&mut text);
    read.map_err(|error| unusable(file, format!("cannot be read: {error}")))?;
    if text.len() as u64 > limits::KNOWN_HOSTS_FILE {
        return Err(unusable(file, format!("is over {} MiB long", limits::KNOWN_HOSTS_FILE / (1024 * 1024))));
    }
    Ok(text)
}

fn unusable(file: &Path, why: String) -> Box<HostKeyError> {
    Box::new(HostKeyError::File { file: file.to_owned(), why })
}

fn list(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "no known_hosts file (none is named)".to_owned();
    }
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A bad line is mentioned once in a run, not for each host.
fn warn_once(file: &Path, line: usize, why: &str) {
    static SAID: Mutex<Option<HashSet<(PathBuf, usize)>>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.get_or_insert_default().insert((file.to_owned(), line)) {
        tracing::warn!(file = %file.display(), line, "a line of known_hosts is left out: {why}");
    }
}
