//! Passphrases: who is asked for one, and keys that have been decrypted once for all hosts.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::identity::{Identity, IdentityError};

/// A text that is never printed and is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Not for logs, arguments or files.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// Who knows the passphrases of private keys.
pub trait Secrets: Send + Sync {
    /// The passphrase of the key in the file `key`; `None` where it is not known. Called in a thread that may
    /// block, at most once for each key; other hosts that need the same key wait for the answer. Their time
    /// for logging in runs meanwhile: if a person is asked, see [`Keys::open`].
    fn passphrase(&self, key: &Path) -> Option<Secret>;
}

/// Knows no passphrase at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn passphrase(&self, _key: &Path) -> Option<Secret> {
        None
    }
}

/// The private keys of one run, read and decrypted once (bcrypt takes 0.3 s each time). Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    secrets: Box<dyn Secrets>,
    known: Mutex<HashMap<PathBuf, Arc<Slot>>>,
}

/// One key file. Its lock is held while the key is read, so that many hosts read it once.
type Slot = Mutex<Option<Result<Arc<Identity>, IdentityError>>>;

impl Keys {
    /// No key yet; passphrases come from `secrets`.
    pub fn new(secrets: impl Secrets + 'static) -> Self {
        Self(Arc::new(Inner { secrets: Box::new(secrets), known: Mutex::default() }))
    }

    /// Opens the keys in `paths` now, so that no host's deadline runs while a person types. Those that cannot be
    /// used are told of by the logins that need them.
    pub async fn open(&self, paths: Vec<PathBuf>) {
        let keys = self.clone();
        // If it panics, nothing is opened.
        let _ = tokio::task::spawn_blocking(move || {
            for path in paths {
                let _ = keys.load(&path);
            }
        })
        .await;
    }

    /// The key in `path`, from memory or the disk. Blocks.
    pub(crate) fn load(&self, path: &Path) -> Result<Arc<Identity>, IdentityError> {
        let slot = {
            // Nothing panics while it holds the lock; if it did, the map would still be whole.
            let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(path.to_owned()).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref() {
            return known.clone();
        }
        let read = Identity::read(path, self.0.secrets.as_ref()).map(Arc::new);
        // What a user may put right meanwhile is looked at anew; nobody is asked twice.
        if matches!(&read, Ok(_) | Err(IdentityError::NoPassphrase | IdentityError::WrongPassphrase)) {
            *slot = Some(read.clone());
        }
        read
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Keys(…)")
    }
}
