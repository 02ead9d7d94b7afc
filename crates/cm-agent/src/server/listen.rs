//! Opening the sockets, and saying who is in the way.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::host::ports;

/// How long whoever holds a socket may take to answer before it counts as alive.
const PROBE: Duration = Duration::from_secs(2);

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("another agent answers on {0}; stop it, or choose another --socket")]
    SocketInUse(PathBuf),
    /// The path is not ours to replace.
    #[error("{0} exists and is not a socket; remove it, or choose another --socket")]
    NotASocket(PathBuf),
    /// The port is taken.
    #[error("{address} is in use{by}; stop that, or choose another --listen")]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
        /// ` by PROGRAM (pid N)`, or nothing where that cannot be seen.
        by: String,
    },
    /// Anything else.
    #[error("{what} cannot be opened: {source}")]
    Io {
        /// The socket.
        what: String,
        /// The cause.
        source: io::Error,
    },
}

/// Opens a unix socket that only its user can use. What a dead agent left there is removed.
///
/// # Errors
/// Somebody else is there, or the directory does not allow it.
pub async fn listen_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let io = |source| ListenError::Io { what: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        Ok(meta) => {
            use std::os::unix::fs::FileTypeExt;
            if !meta.file_type().is_socket() {
                return Err(ListenError::NotASocket(path.to_owned()));
            }
            // Only a refusal proves that nobody is there; one who is slow is there.
            match tokio::time::timeout(PROBE, UnixStream::connect(path)).await {
                Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(io)?;
                }
                Ok(Err(e)) if e.kind() == io::ErrorKind::NotFound => {}
                _ => return Err(ListenError::SocketInUse(path.to_owned())),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
    }
    // No moment passes in which others could connect.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(io)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(io)?;
    Ok(listener)
}

/// Opens a TCP socket.
///
/// # Errors
/// The port is taken (by whom, where that can be seen), or the address is not this host's.
pub async fn listen_tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() != io::ErrorKind::AddrInUse {
            return ListenError::Io { what: address.to_string(), source };
        }
        let by = ports::holder(address.port())
            .map(|h| format!(" by {} (pid {})", h.command, h.pid))
            .unwrap_or_default();
        ListenError::PortInUse { address, by }
    })
}
