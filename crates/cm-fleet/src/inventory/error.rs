//! Why there is no inventory. PURE.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::yaml::Mistakes;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// None was named, and none is where they are looked for.
    #[error("there is no inventory: looked for {}", list(looked))]
    Missing {
        /// Where.
        looked: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error("cannot read the inventory {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It has mistakes.
    #[error(transparent)]
    Wrong(Mistakes),
}

impl InventoryError {
    /// As people read it, at the edge.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Missing { .. } => {
                Failure::usage(self.to_string()).hint("`cm-fleet init` writes one; or name yours: -i FILE")
            }
            Self::Unreadable(_, error) => {
                let failure = Failure::usage(self.to_string()).because(self);
                match error.kind() {
                    std::io::ErrorKind::NotFound => failure.hint("`cm-fleet init FILE` writes one"),
                    _ => failure,
                }
            }
            Self::Wrong(mistakes) => mistakes.failure(),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}
