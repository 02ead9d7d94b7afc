//! Private keys and certificates in files: read, judged, and decrypted once.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use ssh_key::{LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::certificate;
use crate::limits;
use crate::secret::{Secret, Secrets};

/// A private key that can be used.
pub struct Identity {
    /// In a form that libssh2 reads.
    pub pem: Zeroizing<String>,
    /// What it is still locked with: only keys that are not in OpenSSH's own format.
    pub passphrase: Option<Secret>,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("others may read it (mode {mode:04o}); chmod 600 '{}'", path.display())]
    Modes { path: PathBuf, mode: u32 },
    #[error("is no private key: {0}")]
    NotAKey(String),
    #[error("is encrypted, and its passphrase is not known")]
    NoPassphrase,
    #[error("does not open with the passphrase that was given")]
    WrongPassphrase,
    #[error("is a key of a security device; add it to your ssh agent (ssh-add)")]
    Device,
}

impl Identity {
    /// Reads the key in `path`, and asks `secrets` if it is encrypted.
    pub fn read(path: &Path, secrets: &dyn Secrets) -> Result<Self, IdentityError> {
        let text = Zeroizing::new(private_text(path)?);
        if !text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return pem(path, text, secrets);
        }
        let key = match PrivateKey::from_openssh(text.as_bytes()) {
            Ok(key) => key,
            // ssh-key refuses elliptic keys whose number happens to be short. libssh2 takes them.
            Err(_) if is_open(&text) => return Ok(Self { pem: text, passphrase: None }),
            Err(error) => return Err(IdentityError::NotAKey(error.to_string())),
        };
        if key.public_key().algorithm().as_str().starts_with("sk-") {
            return Err(IdentityError::Device);
        }
        if !key.is_encrypted() {
            return Ok(Self { pem: text, passphrase: None });
        }
        let passphrase = secrets.passphrase(path).ok_or(IdentityError::NoPassphrase)?;
        match key.decrypt(passphrase.expose()).and_then(|key| key.to_openssh(LineEnding::LF)) {
            Ok(pem) => Ok(Self { pem, passphrase: None }),
            // What a wrong passphrase gives is nonsense, which shows in the two numbers at its beginning.
            Err(ssh_key::Error::Crypto) => Err(IdentityError::WrongPassphrase),
            // The same short numbers: libssh2 opens it, anew for each host.
            Err(_) => Ok(Self { pem: text, passphrase: Some(passphrase) }),
        }
    }
}

/// Whether a key in OpenSSH's format is not encrypted.
fn is_open(text: &str) -> bool {
    const MAGIC: &[u8] = b"openssh-key-v1\0\0\0\0\x04none";
    let body =
        Zeroizing::new(text.lines().filter(|line| !line.starts_with('-')).map(str::trim).collect::<String>());
    Base64::decode_vec(&body).map(Zeroizing::new).is_ok_and(|bytes| bytes.starts_with(MAGIC))
}

/// A key in one of OpenSSL's formats, which libssh2 reads and unlocks by itself.
fn pem(path: &Path, text: Zeroizing<String>, secrets: &dyn Secrets) -> Result<Identity, IdentityError> {
    if !text.contains("-----BEGIN ") || !text.contains("PRIVATE KEY-----") {
        return Err(IdentityError::NotAKey("no \"BEGIN … PRIVATE KEY\" line".to_owned()));
    }
    let encrypted = text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
    let passphrase =
        if encrypted { Some(secrets.passphrase(path).ok_or(IdentityError::NoPassphrase)?) } else { None };
    Ok(Identity { pem: text, passphrase })
}

/// The text of a private key that nobody else may read.
fn private_text(path: &Path) -> Result<String, IdentityError> {
    let unreadable = |error: std::io::Error| IdentityError::Unreadable(error.to_string());
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    let mine = meta.uid() == rustix::process::getuid().as_raw();
    if mine && meta.mode() & 0o077 != 0 {
        return Err(IdentityError::Modes { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    bounded(file).map_err(unreadable)
}

fn bounded(file: File) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(limits::KEY_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// The public key that belongs to the private key in `path`, without decrypting it: from the file
/// beside it (`X.pub`), from the private key itself, or because `path` is a public key.
pub fn public_key(path: &Path) -> Option<Vec<u8>> {
    let beside = with_suffix(path, ".pub");
    let own = File::open(path).and_then(bounded).map(Zeroizing::new).ok();
    let text = File::open(beside).and_then(bounded).ok();
    text.iter()
        .map(String::as_str)
        .chain(own.iter().map(|text| text.as_str()))
        .find_map(|text| PublicKey::from_openssh(text.trim()).ok())
        .or_else(|| {
            let key = PrivateKey::from_openssh(own.as_ref()?.as_bytes()).ok()?;
            Some(key.public_key().clone())
        })?
        .to_bytes()
        .ok()
}

/// A user's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCertificate {
    /// Where it is.
    pub path: PathBuf,
    /// As libssh2 reads it.
    pub text: String,
    /// The certificate as it goes over the wire.
    pub blob: Vec<u8>,
    /// The key that it certifies.
    pub key: Vec<u8>,
    /// From when it is valid, in seconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

impl UserCertificate {
    /// The certificate in `path`; the error says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = File::open(path).and_then(bounded).map_err(|error| format!("cannot be read: {error}"))?;
        let wrong = |error: ssh_key::Error| format!("is no certificate: {error}");
        let blob = text.split_whitespace().nth(1).and_then(|word| Base64::decode_vec(word).ok());
        let blob = blob.ok_or_else(|| "is no certificate: it is not `TYPE BASE64`".to_owned())?;
        let certificate = certificate::read(&blob).map_err(wrong)?;
        if !certificate.cert_type().is_user() {
            return Err("is a host's certificate, not a user's".to_owned());
        }
        let key = PublicKey::from(certificate.public_key().clone()).to_bytes().map_err(wrong)?;
        let (from, until) = (certificate.valid_after(), certificate.valid_before());
        Ok(Self { path: path.to_owned(), text: text.trim().to_owned(), blob, key, from, until })
    }

    /// Why it is not valid at `now`, in seconds since 1970.
    pub fn invalid(&self, now: u64) -> Option<String> {
        if now < self.from {
            Some(format!("is valid only in {}; is this machine's clock right?", rough(self.from - now)))
        } else if now >= self.until {
            Some(format!("expired {} ago; get a new one", rough(now - self.until)))
        } else {
            None
        }
    }
}

/// `X` with `suffix` behind its last letter.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A time in one unit.
fn rough(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_valid_for_a_time() {
        let certificate = UserCertificate {
            path: PathBuf::from("c"),
            text: String::new(),
            blob: Vec::new(),
            key: Vec::new(),
            from: 1000,
            until: 2000,
        };
        let check = |now: u64, expected: Option<&str>| {
            let why = certificate.invalid(now);
            assert_eq!(why.as_deref(), expected, "{now}");
        };
        check(999, Some("is valid only in 1 s; is this machine's clock right?"));
        check(1000, None);
        check(1999, None);
        check(2000, Some("expired 0 s ago; get a new one"));
        check(2000 + 600, Some("expired 10 minutes ago; get a new one"));
        check(2000 + 86_400 * 3, Some("expired 3 days ago; get a new one"));
    }
}
