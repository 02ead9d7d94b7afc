//! A way to a host that takes time: a TCP relay on the host's own address that delivers everything late.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::description::Host;

/// How often a relay looks whether it should end.
const TICK: Duration = Duration::from_millis(50);
/// Relays of one process have files of their own.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A second address of a host. Connections end with it.
#[derive(Debug)]
pub struct Relay {
    /// The same address as the host's.
    pub address: String,
    /// Another port.
    pub port: u16,
    /// The host's keys under this name.
    pub known_hosts: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A way to `host` with this round trip time. Panics where it cannot listen.
    pub fn start(host: &Host, round_trip: Duration) -> Self {
        let fail =
            |what: &str, error: std::io::Error| -> ! { panic!("relay to {}: {what}: {error}", host.name) };
        let to: SocketAddr = format!("{}:{}", host.address, host.port)
            .parse()
            .unwrap_or_else(|error| panic!("relay to {}: {error}", host.name));
        let listener = TcpListener::bind((to.ip(), 0)).unwrap_or_else(|error| fail("bind", error));
        let port = listener.local_addr().unwrap_or_else(|error| fail("bind", error)).port();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let known_hosts = host.known_hosts.with_file_name(format!("relay-{}-{number}", std::process::id()));
        let line = format!("[{}]:{port} {}\n", host.address, host.host_key);
        std::fs::write(&known_hosts, line).unwrap_or_else(|error| fail("write known_hosts", error));
        let stop = Arc::new(AtomicBool::new(false));
        listener.set_nonblocking(true).unwrap_or_else(|error| fail("listen", error));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || accept(&listener, to, round_trip, &seen));
        Self { address: host.address.clone(), port, known_hosts, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has been heard already.
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.known_hosts);
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, round_trip: Duration, stop: &Arc<AtomicBool>) {
    let mut ways = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok((near, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let stop = Arc::clone(stop);
        ways.push(thread::spawn(move || {
            // The handshake of TCP takes a round trip as well.
            thread::sleep(round_trip);
            if let Ok(far) = TcpStream::connect_timeout(&to, Duration::from_secs(10)) {
                let (one, other) =
                    (pipe(&near, &far, round_trip / 2, &stop), pipe(&far, &near, round_trip / 2, &stop));
                for thread in [one, other].into_iter().flatten().flatten() {
                    let _ = thread.join();
                }
            }
        }));
    }
    for way in ways {
        let _ = way.join();
    }
}

/// One direction: a thread that reads and notes when, and one that writes when it is time.
fn pipe(
    from: &TcpStream,
    to: &TcpStream,
    late: Duration,
    stop: &Arc<AtomicBool>,
) -> std::io::Result<[JoinHandle<()>; 2]> {
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    from.set_nonblocking(false)?;
    from.set_read_timeout(Some(TICK))?;
    to.set_nodelay(true)?;
    let (sender, receiver): (Sender<(Instant, Vec<u8>)>, Receiver<_>) = channel();
    let stop = Arc::clone(stop);
    let reader = thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while !stop.load(Ordering::Relaxed) {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    if sender.send((Instant::now() + late, buffer[..n].to_vec())).is_err() {
                        return;
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
        }
    });
    let writer = thread::spawn(move || {
        for (when, bytes) in receiver {
            thread::sleep(when.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    Ok([reader, writer])
}
