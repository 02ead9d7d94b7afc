//! Runs a command in a container: its input, its output, how it ended.

use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use cm_ssh::Keys;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::engine::{Engine, Road};
use super::error::EngineError;

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code.
    pub status: i64,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
    /// More was printed than was kept.
    pub cut: bool,
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The container.
    pub container: &'a str,
    /// The program and its arguments.
    pub words: &'a [String],
    /// Its standard input, piece by piece.
    pub input: &'a [Arc<[u8]>],
    /// Bytes of each of its outputs that are kept.
    pub limit: usize,
    /// How long it may take.
    pub deadline: Duration,
}

impl<'a> Command<'a> {
    /// Without input, of whose outputs 1 MiB each is kept.
    pub fn new(container: &'a str, words: &'a [String], deadline: Duration) -> Self {
        Self { container, words, input: &[], limit: 1 << 20, deadline }
    }
}

/// Runs a command over connections of its own.
///
/// # Errors
/// As [`run`], and where the engine is not reached.
pub async fn once(
    road: &Road,
    keys: &Keys,
    command: &Command<'_>,
    on: impl FnMut(&[u8]) + Send,
) -> Result<Output, EngineError> {
    let engine = road.connect(keys, None).await?;
    let after = road.connect(keys, Some(&engine.socket)).await?;
    run(engine, &after, command, on).await
}

/// Runs a command, telling its output as it comes. Takes up the connection: `after` is another one, over which the
/// engine is asked how it ended.
///
/// # Errors
/// It cannot be started, or takes longer than `deadline`.
pub async fn run(
    engine: Engine,
    after: &Engine,
    command: &Command<'_>,
    mut on: impl FnMut(&[u8]) + Send,
) -> Result<Output, EngineError> {
    let Command { container, words, input, limit, deadline } = *command;
    let act = format!("running {} in {container}", words.first().map_or("nothing", String::as_str));
    let of = |e: &bollard::errors::Error| EngineError::of(&act, e);
    let options = CreateExecOptions {
        attach_stdin: Some(!input.is_empty()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(words.to_vec()),
        ..CreateExecOptions::default()
    };
    let made = engine.docker.create_exec(container, options).await.map_err(|e| of(&e))?;
    let started = engine.docker.start_exec(&made.id, None::<StartExecOptions>).await.map_err(|e| of(&e))?;
    let StartExecResults::Attached { mut output, input: mut stdin } = started else {
        return Err(EngineError::Lost { act, why: "the engine did not attach".to_owned() });
    };
    let mut done = Output::default();
    let work = async {
        let feed = async {
            // A command that does not read to its end has said all it wants.
            for piece in input {
                let _ = stdin.write_all(piece).await;
            }
            let _ = stdin.shutdown().await;
        };
        let read = async {
            while let Some(piece) = output.next().await {
                match piece? {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        on(&message);
                        done.cut |= keep(&mut done.stdout, &message, limit);
                    }
                    LogOutput::StdErr { message } => done.cut |= keep(&mut done.stderr, &message, limit),
                    LogOutput::StdIn { .. } => {}
                }
            }
            Ok::<(), bollard::errors::Error>(())
        };
        if input.is_empty() { read.await } else { futures_util::future::join(feed, read).await.1 }
    };
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(of(&error)),
        Err(_) => {
            return Err(EngineError::Lost {
                act,
                why: format!("it was not done within {} s", deadline.as_secs()),
            });
        }
    }
    let ended = after.docker.inspect_exec(&made.id).await.map_err(|e| of(&e))?;
    done.status = ended.exit_code.unwrap_or(-1);
    Ok(done)
}

/// Whether something was left out.
fn keep(all: &mut Vec<u8>, more: &[u8], limit: usize) -> bool {
    let room = limit.saturating_sub(all.len()).min(more.len());
    all.extend_from_slice(&more[..room]);
    room < more.len()
}
