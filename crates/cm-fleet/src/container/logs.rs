//! What an agent in a container has written, once or as it comes.

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::engine::Engine;
use super::error::EngineError;

/// Bytes of a line that are kept before it is told all the same.
const LINE: usize = 64 * 1024;

/// Reads the log of a container; `on` is told each line. With `follow` it ends with the container.
///
/// # Errors
/// There is no such container, or the engine does not say.
pub async fn read(
    engine: &Engine,
    container: &str,
    lines: u64,
    follow: bool,
    mut on: impl FnMut(String) + Send,
) -> Result<(), EngineError> {
    let tail = lines.to_string();
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).tail(&tail).build();
    let mut pieces = std::pin::pin!(engine.docker.logs(container, Some(options)));
    let mut open = String::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| EngineError::of(&format!("reading the log of {container}"), &e))?;
        open.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
        while let Some(end) = open.find('\n') {
            let line: String = open.drain(..=end).collect();
            on(line.trim_end().to_owned());
        }
        if open.len() > LINE {
            on(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        on(open);
    }
    Ok(())
}
