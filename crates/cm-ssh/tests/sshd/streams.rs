//! Streams: to unix sockets and ports as the host sees them.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cm_ssh::{Input, Kind, Remote, SshError, SshStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::server::{Plan, Server};

/// Sends back whatever comes, until its end.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = vec![0; 100_000];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// A server with an echo behind a unix socket, and a stream to it.
async fn echoing(server: &Server) -> SshStream {
    let path = server.path("echo.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    server.connect().await.stream(Remote::Unix(path)).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn bytes_go_to_a_unix_socket_and_back() {
    let server = Server::start();
    let mut stream = echoing(&server).await;
    for text in ["a", "bc", "def"] {
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, text.as_bytes());
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(stream.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn bytes_go_to_a_port_and_back() {
    let server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let mut stream = server.connect().await.stream(Remote::Tcp("127.0.0.1".to_owned(), port)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"hello");
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    both_ways(&Server::start()).await;
}

#[tokio::test]
async fn keys_are_exchanged_anew_in_the_midst_of_it() {
    let server = Server::with(&Plan { config: "RekeyLimit 1M", ..Plan::default() });
    both_ways(&server).await;
    let mut ssh = server.connect().await;
    let input = Input::Bytes(vec![b'x'; 8 << 20].into());
    let output = ssh.exec("tee /dev/stderr | cksum", input, Duration::from_secs(30)).await.unwrap();
    assert_eq!(output.stdout_text().split(' ').nth(1).map(str::trim), Some("8388608"));
}

async fn both_ways(server: &Server) {
    let stream = echoing(server).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..24 << 20).map(|index: u32| (index % 253) as u8).collect();
    let work = async {
        let write = async {
            for piece in sent.chunks(70_001) {
                writer.write_all(piece).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let read = async {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            got
        };
        tokio::join!(write, read).1
    };
    let got = tokio::time::timeout(Duration::from_secs(60), work).await.expect("it stalls");
    assert!(got == sent, "{} of {}", got.len(), sent.len());
}

#[tokio::test]
async fn a_reader_that_sleeps_is_woken_by_what_a_writer_took_in() {
    let server = Server::start();
    let stream = echoing(&server).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let work = async {
        let write = async {
            for _ in 0..3000 {
                writer.write_all(b"0123456789").await.unwrap();
                writer.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut buffer = vec![0; 30_000];
            reader.read_exact(&mut buffer).await.unwrap();
        };
        tokio::join!(write, read)
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it stalls");
}

#[tokio::test]
async fn a_full_window_lets_the_writer_wait() {
    let server = Server::start();
    let path = server.path("slow.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = server.connect().await.stream(Remote::Unix(path)).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    // As much as sshd takes without anybody reading there; then until nothing more goes.
    let mut sent = 2 << 20;
    stream.write_all(&vec![7; sent]).await.unwrap();
    let piece = vec![7; 30_000];
    while let Poll::Ready(count) =
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, &piece))).await
    {
        sent += count.unwrap();
    }
    let rest = vec![7; 8 << 20];
    let write = async {
        stream.write_all(&rest).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let mut all = Vec::new();
    let (read, ()) = tokio::join!(far.read_to_end(&mut all), write);
    assert_eq!(read.unwrap(), sent + rest.len());
}

#[tokio::test]
async fn the_end_of_the_host_is_the_end_of_the_stream() {
    let server = Server::start();
    let path = server.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut ssh = server.connect().await;
    let parent = ssh.exec("echo $PPID", Input::None, Duration::from_secs(10)).await.unwrap().stdout_text();
    let pid = rustix::process::Pid::from_raw(parent.trim().parse().unwrap()).unwrap();
    let mut stream = ssh.stream(Remote::Unix(path)).await.unwrap();
    let _far = listener.accept().await.unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    let error = async {
        loop {
            stream.write_all(b"x").await?;
            stream.flush().await?;
        }
    };
    let error: std::io::Error = {
        let result: std::io::Result<()> = error.await;
        result.unwrap_err()
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
}

#[tokio::test]
async fn what_sshd_forbids_is_told_from_what_is_not_there() {
    let server = Server::with(&Plan {
        config: "AllowStreamLocalForwarding no\nAllowTcpForwarding no",
        ..Plan::default()
    });
    let (socket, port) = (Remote::Unix(server.path("x.sock")), Remote::Tcp("127.0.0.1".to_owned(), 1));
    let error = server.connect().await.stream(port.clone()).await.unwrap_err();
    assert!(matches!(error, SshError::Forbidden { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Denied);
    // OpenSSH answers this like a socket where nothing listens.
    let error = server.connect().await.stream(socket.clone()).await.unwrap_err();
    assert!(matches!(error, SshError::Channel { .. }), "{error}");
    assert!(error.to_string().contains("AllowStreamLocalForwarding"), "{error}");
    let error = server.connect().await.stream_first(&[socket, port]).await.unwrap_err();
    assert!(matches!(error, SshError::Forbidden { .. }), "{error}");
    let server = Server::start();
    for to in [Remote::Unix(server.path("x.sock")), Remote::Tcp("127.0.0.1".to_owned(), 1)] {
        let error = server.connect().await.stream(to).await.unwrap_err();
        assert!(matches!(error, SshError::Channel { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Failed);
    }
}

#[tokio::test]
async fn the_first_way_that_opens_is_taken() {
    let server = Server::with(&Plan { config: "AllowStreamLocalForwarding no", ..Plan::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let ways = [Remote::Unix(server.path("x.sock")), Remote::Tcp("127.0.0.1".to_owned(), port)];
    let mut stream = server.connect().await.stream_first(&ways).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 1]).await.unwrap();
}
