//! A terminal in a container: an exec with one, its size, how it ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use cm_ssh::{Keys, Size, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::engine::{Engine, Road};
use super::error::EngineError;
use super::way::Bridge;
use crate::fleet::terminal::Remote;

/// The terminal. Dropping it ends the connection, and with it whatever looked through it.
pub struct Tty {
    stream: Bridge,
    after: Engine,
    id: String,
    size: watch::Sender<Size>,
}

impl Tty {
    /// Runs a command in a terminal in a container.
    ///
    /// # Errors
    /// The engine is not reached, or does not start it.
    pub async fn open(
        road: &Road,
        keys: &Keys,
        container: &str,
        command: &[String],
        term: &str,
        size: Size,
    ) -> Result<Self, EngineError> {
        let engine = road.connect(keys, None).await?;
        let after = road.connect(keys, Some(&engine.socket)).await?;
        let of =
            |e: &bollard::errors::Error| EngineError::of(&format!("opening a terminal in {container}"), e);
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(true),
            env: Some(vec![format!("TERM={term}")]),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let made = engine.docker.create_exec(container, options).await.map_err(|e| of(&e))?;
        let start =
            StartExecOptions { tty: true, output_capacity: Some(64 * 1024), ..StartExecOptions::default() };
        let started = engine.docker.start_exec(&made.id, Some(start)).await.map_err(|e| of(&e))?;
        let StartExecResults::Attached { output, input } = started else {
            let act = format!("opening a terminal in {container}");
            return Err(EngineError::Lost { act, why: "the engine did not attach".to_owned() });
        };
        let (tell, told) = watch::channel(size);
        tokio::spawn(sizes(after.clone(), made.id.clone(), told));
        Ok(Self { stream: Bridge::new(engine, output, input), after, id: made.id, size: tell })
    }
}

/// Tells the engine each new size, the first at once; ends with the terminal.
async fn sizes(engine: Engine, id: String, mut told: watch::Receiver<Size>) {
    loop {
        let size = *told.borrow_and_update();
        let wanted = ResizeExecOptions { width: size.cols, height: size.rows };
        // One that is not set is drawn as it was.
        let _ = engine.docker.resize_exec(&id, wanted).await;
        if told.changed().await.is_err() {
            return;
        }
    }
}

impl Remote for Tty {
    fn resizer(&self) -> Box<dyn Fn(Size) + Send + Sync> {
        let size = self.size.clone();
        Box::new(move |to| {
            size.send_replace(to);
        })
    }

    async fn ended(&mut self, within: Duration) -> Result<Status, String> {
        let asked = tokio::time::timeout(within, self.after.docker.inspect_exec(&self.id)).await;
        let asked = asked.map_err(|_| "the engine does not say how it ended".to_owned())?;
        let code = asked.map_err(|error| error.to_string())?.exit_code;
        Ok(Status::Exited(code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1)))
    }
}

impl AsyncRead for Tty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
