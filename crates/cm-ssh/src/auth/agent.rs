//! Whether an ssh agent answers at all: libssh2 would wait for it for ever.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an agent may take to list its keys.
const LIMIT: Duration = Duration::from_secs(2);
/// "List your keys": a length and a number.
const LIST: [u8; 5] = [0, 0, 0, 1, 11];

/// Asks the agent behind `socket` for its keys, and waits for the beginning of an answer.
pub fn answers(socket: &Path) -> Result<(), String> {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.write_all(&LIST)?;
        stream.read_exact(&mut [0; 5])
    };
    ask().map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock => format!("does not answer within {LIMIT:?}"),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => "does not run".to_owned(),
        _ => format!("does not answer: {error}"),
    })
}
