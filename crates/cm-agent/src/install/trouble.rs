//! Why an installation does not go on: what kind of failure, the reason, the next move.

use std::io;
use std::path::Path;

use cm_protocol::deploy::FailureKind;

/// Something is in the way.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct Trouble {
    /// At fault, or refused.
    pub kind: FailureKind,
    /// Why.
    pub why: String,
    /// The next move.
    pub remedy: Option<String>,
}

impl Trouble {
    /// The host or the program is at fault.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { kind: FailureKind::Failed, why: why.into(), remedy: None }
    }

    /// A rule says no.
    pub fn refused(why: impl Into<String>) -> Self {
        Self { kind: FailureKind::Refused, why: why.into(), remedy: None }
    }

    /// With the next move.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Adds to an error of the file system what was tried, and on what.
pub fn at(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    let path = path.to_path_buf();
    move |error| {
        let trouble = Trouble::failed(format!("cannot {act} {}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let free = crate::host::limits::free_bytes(path.parent().unwrap_or(&path)).unwrap_or(0);
                Trouble { why: format!("{} ({free} bytes are free)", trouble.why), ..trouble }
                    .remedy("make room there, or install elsewhere")
            }
            _ => trouble,
        }
    }
}
