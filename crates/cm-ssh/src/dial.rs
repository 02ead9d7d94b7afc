//! Reaching a host: the socket (directly, through other hosts, through a command), and the handshake on it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use socket2::{SockRef, Socket, TcpKeepalive};
use ssh2::{ErrorCode, MethodType, Session};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::cut::Cut;
use crate::error::{At, ConnectFailure, SshError, hung_up};
use crate::host::{Remote, Ssh};
use crate::host_key::{Doubt, Trust};
use crate::limits;
use crate::target::Target;
use crate::wire::{Wire, WireError, blocking, ending};

/// What is behind the socket of a connection, and ends with it.
#[derive(Debug)]
pub enum Behind {
    /// The host itself.
    Host,
    /// A task that carries the bytes over another connection.
    Jump { _task: Carrier },
    /// The user's `ProxyCommand`. It is killed when it is dropped.
    Command {
        /// Its shell.
        child: Box<Child>,
    },
}

/// How much a carrier takes at once, in bytes.
const CARRIED: usize = 64 * 1024;

/// A task that ends when its owner does.
#[derive(Debug)]
pub struct Carrier(JoinHandle<()>);

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a handshake went wrong.
pub enum Hello {
    /// It hung up before its greeting. What it said in its place, if anything.
    Busy(Option<String>),
    /// It has no key of the types that were asked for, or another one than the pinned.
    Another(SshError),
    /// For good.
    Failed(SshError),
}

/// A TCP connection to `target`, or its proxy command.
pub async fn open(at: &Arc<At>, target: &Target) -> Result<(Arc<Socket>, Behind), SshError> {
    if let Some(command) = &target.proxy_command {
        return proxy(at, command);
    }
    let unreachable = |why: ConnectFailure| SshError::Connect { at: Arc::clone(at), why };
    let limit = target.connect_timeout;
    let by = tokio::time::Instant::from_std(ending(limit));
    let lookup = tokio::net::lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<_> = match tokio::time::timeout_at(by, lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(SshError::Resolve { at: Arc::clone(at), why: error.to_string() }),
        Err(_) => {
            let why = format!("no answer within {limit:.1?}");
            return Err(SshError::Resolve { at: Arc::clone(at), why });
        }
    };
    let mut last = ConnectFailure::Unreachable("its name has no address".to_owned());
    for address in addresses {
        match tokio::time::timeout_at(by, TcpStream::connect(address)).await {
            Err(_) => return Err(unreachable(ConnectFailure::Timeout(limit))),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = ConnectFailure::Refused
            }
            Ok(Err(error)) => last = ConnectFailure::Unreachable(error.to_string()),
            Ok(Ok(stream)) => {
                let failed = |error: io::Error| unreachable(ConnectFailure::Unreachable(error.to_string()));
                tune(&stream).map_err(failed)?;
                let stream = stream.into_std().map_err(failed)?;
                return Ok((Arc::new(Socket::from(stream)), Behind::Host));
            }
        }
    }
    Err(unreachable(last))
}

/// Small packets at once, and a peer that is gone is noticed by the kernel.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(limits::IDLE).with_interval(limits::PROBE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits::UNACKNOWLEDGED))?;
    Ok(())
}

/// Runs the command that the user's ssh configuration has in place of a connection.
fn proxy(at: &Arc<At>, command: &str) -> Result<(Arc<Socket>, Behind), SshError> {
    let start = || {
        let (ours, theirs) = UnixStream::pair()?;
        let input = OwnedFd::from(theirs.try_clone()?);
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok::<_, io::Error>((
            Arc::new(Socket::from(OwnedFd::from(ours))),
            Behind::Command { child: Box::new(child) },
        ))
    };
    start().map_err(|error| {
        let why = ConnectFailure::Unreachable(format!("its ProxyCommand does not start: {error}"));
        SshError::Connect { at: Arc::clone(at), why }
    })
}

/// What it means that the host hung up before its greeting, where that is the user's command's doing.
pub fn command_failed(at: &Arc<At>, behind: &mut Behind) -> Option<SshError> {
    let Behind::Command { child } = behind else { return None };
    let end = match child.try_wait() {
        Ok(Some(status)) => status.to_string(),
        Ok(None) | Err(_) => "it still runs".to_owned(),
    };
    let why = format!("its ProxyCommand leads to no sshd ({end}); try that command by hand");
    Some(SshError::Connect { at: Arc::clone(at), why: ConnectFailure::Unreachable(why) })
}

/// A connection to `target` as seen from `bastion`, which then carries nothing else.
pub async fn through(at: &Arc<At>, target: &Target, bastion: Ssh) -> Result<(Arc<Socket>, Behind), SshError> {
    let name = bastion.at().name.clone();
    let failed = |why: String| SshError::Connect {
        at: Arc::clone(at),
        why: ConnectFailure::Unreachable(format!("through {name}: {why}")),
    };
    let stream = bastion.stream(Remote::Tcp(target.address.clone(), target.port));
    let mut far = match tokio::time::timeout(target.connect_timeout, stream).await {
        Ok(Ok(far)) => far,
        Ok(Err(SshError::Channel { why, .. })) => return Err(failed(why)),
        Ok(Err(error)) => return Err(error),
        Err(_) => {
            let why = ConnectFailure::Timeout(target.connect_timeout);
            return Err(SshError::Connect { at: Arc::clone(at), why });
        }
    };
    let pair = || {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        Ok::<_, io::Error>((ours, tokio::net::UnixStream::from_std(theirs)?))
    };
    let (ours, mut near) = pair().map_err(|error| failed(error.to_string()))?;
    let task = tokio::spawn(async move {
        // How it ends shows at both ends.
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut far, &mut near, CARRIED, CARRIED).await;
    });
    Ok((Arc::new(Socket::from(OwnedFd::from(ours))), Behind::Jump { _task: Carrier(task) }))
}

/// Makes an ssh session of a socket, with one of the key types in `offer`, and judges the key.
pub async fn handshake(
    at: &Arc<At>,
    limit: Duration,
    socket: Arc<Socket>,
    trust: &Arc<Trust>,
    offer: usize,
) -> Result<Wire, Hello> {
    let by = ending(limit);
    let (cut, trust, work_at) = (Cut::new(&socket), Arc::clone(trust), Arc::clone(at));
    // A handshake that went wrong is a result like another for the thread.
    let work = move || Ok(greet(&work_at, by, limit, socket, &trust, offer));
    blocking(at, "the ssh handshake", by, cut, work).await.map_err(Hello::Failed)?
}

fn greet(
    at: &Arc<At>,
    by: Instant,
    limit: Duration,
    socket: Arc<Socket>,
    trust: &Trust,
    offer: usize,
) -> Result<Wire, Hello> {
    let types = trust.offers.get(offer).map(String::as_str).unwrap_or_default();
    let cut = Cut::new(&socket);
    let wire = prepare(socket, types)
        .map_err(|error| Hello::Failed(SshError::of_ssh(at, "preparing ssh", &error)))?;
    if let Err(error) = wire.until(by, Session::handshake) {
        return Err(hello(at, limit, &wire, error));
    }
    let Some(key) = wire.session.host_key().map(|(blob, _)| blob.to_vec()) else {
        let why = "it showed no key".to_owned();
        return Err(Hello::Failed(SshError::Handshake { at: Arc::clone(at), why }));
    };
    trust.judge(&key, SystemTime::now()).map_err(|doubt| match doubt {
        Doubt::Final(error) => Hello::Failed(SshError::host_key(at, error)),
        Doubt::Another(error) => Hello::Another(SshError::host_key(at, error)),
    })?;
    cut.spare();
    Ok(wire)
}

fn prepare(socket: Arc<Socket>, key_types: &str) -> Result<Wire, ssh2::Error> {
    let mut session = Session::new()?;
    session.set_blocking(false);
    session.method_pref(MethodType::Kex, limits::KEX)?;
    session.method_pref(MethodType::CryptCs, limits::CIPHERS)?;
    session.method_pref(MethodType::CryptSc, limits::CIPHERS)?;
    session.method_pref(MethodType::HostKey, key_types)?;
    session.set_tcp_stream(Arc::clone(&socket));
    Ok(Wire { session, socket })
}

fn hello(at: &Arc<At>, limit: Duration, wire: &Wire, error: WireError) -> Hello {
    use libssh2_sys as sys;
    let error = match error {
        WireError::Deadline => return Hello::Failed(SshError::deadline(at, "the ssh handshake", limit)),
        WireError::Ssh(error) => error,
    };
    let said = wire.session.banner().filter(|line| !line.is_empty()).map(str::to_owned);
    let greeted = said.as_ref().is_some_and(|line| line.starts_with("SSH-"));
    let failed = SshError::Handshake { at: Arc::clone(at), why: error.message().to_owned() };
    match error.code() {
        _ if !greeted && hung_up(&error) => Hello::Busy(said),
        ErrorCode::Session(sys::LIBSSH2_ERROR_BANNER_RECV) if !greeted => Hello::Busy(said),
        ErrorCode::Session(sys::LIBSSH2_ERROR_KEX_FAILURE | sys::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE) => {
            Hello::Another(failed)
        }
        _ if hung_up(&error) => Hello::Failed(SshError::of_ssh(at, "the ssh handshake", &error)),
        _ => Hello::Failed(failed),
    }
}
