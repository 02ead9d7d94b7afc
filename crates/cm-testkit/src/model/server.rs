//! The server: takes connections on 127.0.0.1, reads requests, and has them answered.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{oneshot, watch};

use super::gates::Late;
use super::handle;
use super::record::{Outcome, Record};
use super::scenario::{self, BadScenario, Scenarios};
use super::shared::Shared;

/// How many requests are remembered unless told otherwise.
const KEEP: usize = 4096;

/// A server. It ends when this is dropped.
#[derive(Debug)]
pub struct ModelServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What a server is started with.
#[derive(Default)]
pub struct Options {
    /// On 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// More scenarios, beside those of the kit and before them.
    pub scenarios: Scenarios,
    /// How many requests are remembered; 0 for the usual.
    pub keep: usize,
    /// A line for each request that has ended goes there.
    pub log: Option<Box<dyn Write + Send>>,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port.
    #[error("could not listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for it, or nothing to wait with.
    #[error("could not start the model server's thread: {0}")]
    Thread(io::Error),
    /// The kit's own scenarios are broken.
    #[error(transparent)]
    Scenario(#[from] BadScenario),
}

impl ModelServer {
    /// Starts one on a free port with the scenarios of the kit.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(Options::default())
    }

    /// Starts one. It has a thread of its own, so a test may block as it likes.
    pub fn start_with(options: Options) -> Result<Self, StartError> {
        let mut scenarios = scenario::builtin()?;
        scenarios.extend(options.scenarios);
        let port = options.port;
        let listen = |source| StartError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Names of messages must not come again when a conversation goes on with another server.
        let seed = u64::try_from(since_epoch.as_micros()).unwrap_or_default();
        let keep = if options.keep == 0 { KEEP } else { options.keep };
        let shared = Arc::new(Shared::new(scenarios, keep, seed, options.log));
        let (stop, stopped) = oneshot::channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("model-server".to_owned())
            .spawn(move || {
                // Connections are tasks of this runtime and end with it.
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, serving) => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(StartError::Thread)?;
        Ok(Self { shared, address, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When it started.
    pub fn started(&self) -> Instant {
        self.shared.started
    }

    /// Adds a scenario, or puts it in place of one, from TOML as in the kit's files.
    pub fn add(&self, text: &str) -> Result<(), BadScenario> {
        let more = scenario::parse("scenarios of the test", text)?;
        self.shared.learn(more);
        Ok(())
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<Record> {
        self.shared.requests()
    }

    /// The requests that took a step of a scenario, oldest first.
    pub fn turns(&self) -> Vec<Record> {
        let mut all = self.requests();
        all.retain(|record| record.played.as_ref().is_some_and(|played| !played.side));
        all
    }

    /// Lets one answer through a gate: the one that waits there, or the next to come.
    pub fn release(&self, gate: &str) {
        self.shared.gates.release(gate);
    }

    /// Lets all answers through a gate from now on.
    pub fn open(&self, gate: &str) {
        self.shared.gates.set_open(gate, true);
    }

    /// Stops answers at an opened gate again.
    pub fn close(&self, gate: &str) {
        self.shared.gates.set_open(gate, false);
    }

    /// How many answers wait at a gate.
    pub fn waiting(&self, gate: &str) -> usize {
        self.shared.gates.waiting(gate)
    }

    /// Waits until an answer stands at a gate.
    pub async fn held(&self, gate: &str, patience: Duration) -> Result<(), Late> {
        let changes = self.shared.gates.changes();
        let what = format!("an answer at the gate {gate}");
        self.wait(changes, &what, patience, || (self.waiting(gate) > 0).then_some(())).await
    }

    /// Waits until the requests so far are as wanted, and returns what `wanted` makes of them.
    pub async fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&[Record]) -> Option<T>,
    ) -> Result<T, Late> {
        let changes = self.shared.changes();
        self.wait(changes, what, patience, || wanted(&self.requests())).await
    }

    /// Waits until a step of a scenario has been answered to its end.
    pub async fn answered(&self, scenario: &str, step: usize, patience: Duration) -> Result<Record, Late> {
        let is = |record: &&Record| {
            let played = record.played.as_ref();
            played.is_some_and(|played| !played.side && played.scenario == scenario && played.step == step)
                && record.outcome == Outcome::Whole
                && record.status == 200
        };
        let what = format!("step {step} of {scenario} to be answered");
        self.until(&what, patience, |all| all.iter().find(is).cloned()).await
    }

    async fn wait<T>(
        &self,
        mut changes: watch::Receiver<()>,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, Late> {
        let seen = async {
            loop {
                if let Some(seen) = look() {
                    return Some(seen);
                }
                changes.changed().await.ok()?;
            }
        };
        if let Ok(Some(seen)) = tokio::time::timeout(patience, seen).await {
            return Ok(seen);
        }
        let lines: Vec<String> = self.requests().iter().map(|r| r.line(self.shared.started)).collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n  ");
        let seen = format!("{} requests so far:\n  {tail}", lines.len());
        Err(Late { what: what.to_owned(), after: patience, seen })
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It panicked only if a connection's task could, and then there is nothing left to end.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Fails only without a runtime to register with, and this is one.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: they come back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(handle::answer(request, shared).await) }
        });
        tokio::spawn(async move {
            // A connection that breaks is the client's business, or the scenario's.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
