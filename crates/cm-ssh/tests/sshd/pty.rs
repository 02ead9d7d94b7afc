//! Terminals on a host: bytes both ways, sizes, ends.

use std::time::Duration;

use cm_ssh::{Keys, NoSecrets, Size, Ssh, SshError, SshPty, Status, Terminal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Plan, Server};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn terminal() -> Terminal {
    Terminal { term: "xterm-256color".to_owned(), size: Size { cols: 93, rows: 31 } }
}

async fn begin(server: &Server, command: &str) -> SshPty {
    server.connect().await.pty(command, &terminal()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Reads until this was printed; all that was.
async fn until(pty: &mut SshPty, text: &str) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&all).contains(text) {
            let count = pty.read(&mut buffer).await.unwrap();
            assert!(count > 0, "{text:?} never came: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{text:?} does not come"));
    String::from_utf8_lossy(&all).into_owned()
}

async fn rest(pty: &mut SshPty) -> String {
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, pty.read_to_end(&mut all)).await.expect("it ends").unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_program_has_a_terminal_and_is_typed_to() {
    let server = Server::start();
    let mut pty = begin(&server, "test -t 0 && echo is a $TERM; stty size; read line; echo got $line").await;
    until(&mut pty, "31 93").await;
    pty.write_all(b"hello\r").await.unwrap();
    pty.flush().await.unwrap();
    let said = rest(&mut pty).await;
    assert!(said.contains("got hello"), "{said}");
    assert_eq!(pty.exit(PATIENCE).await.unwrap(), Status::Exited(0));
}

#[tokio::test]
async fn its_size_follows() {
    let server = Server::start();
    // A shell loses a WINCH that comes while it runs the trap of the one before: so the size itself is looked at.
    let script = "echo ready; until [ -e over ]; do stty size; sleep 0.05; done";
    let mut pty = begin(&server, &format!("cd {}; {script}", server.home.path().display())).await;
    until(&mut pty, "ready").await;
    let window = pty.window();
    for (cols, rows) in [(100, 40), (61, 17)] {
        window.set(Size { cols, rows });
        pty.flush().await.unwrap();
        until(&mut pty, &format!("{rows} {cols}")).await;
    }
    std::fs::write(server.path("over"), "").unwrap();
    rest(&mut pty).await;
    assert_eq!(pty.exit(PATIENCE).await.unwrap(), Status::Exited(0));
}

#[tokio::test]
async fn how_it_ended_is_known() {
    let server = Server::start();
    for (command, expected) in [
        ("exit 7", Status::Exited(7)),
        ("kill -TERM $$", Status::Signal("TERM".to_owned())),
        ("no_such_program_1", Status::Exited(127)),
    ] {
        let mut pty = begin(&server, &format!("exec sh -c '{command}'")).await;
        rest(&mut pty).await;
        assert_eq!(pty.exit(PATIENCE).await.unwrap(), expected, "{command}");
    }
}

#[tokio::test]
async fn much_is_printed_while_much_is_typed() {
    let server = Server::start();
    let pty = begin(&server, "stty raw -echo; echo ready; head -c 2000000 | tee /dev/null | cksum").await;
    let mut pty = pty;
    until(&mut pty, "ready").await;
    let (mut reader, mut writer) = tokio::io::split(pty);
    let work = async {
        let write = async {
            for _ in 0..200 {
                writer.write_all(&[b'x'; 10_000]).await.unwrap();
            }
            writer.flush().await.unwrap();
        };
        let mut said = Vec::new();
        let read = reader.read_to_end(&mut said);
        let (_, count) = tokio::join!(write, read);
        count.unwrap();
        said
    };
    let said = tokio::time::timeout(PATIENCE, work).await.expect("it stalls");
    assert!(String::from_utf8_lossy(&said).contains(" 2000000"), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn through_another_host() {
    let (bastion, inner) = (Server::start(), Server::start());
    let mut target = inner.target();
    target.jumps = vec![bastion.target()];
    let ssh = Ssh::connect(&target, &Keys::new(NoSecrets)).await.unwrap();
    let mut pty = ssh.pty("stty size; exit 3", &terminal()).await.unwrap();
    assert!(rest(&mut pty).await.contains("31 93"));
    assert_eq!(pty.exit(PATIENCE).await.unwrap(), Status::Exited(3));
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let server = Server::with(&Plan { config: "PermitTTY no", ..Plan::default() });
    let error = server.connect().await.pty("true", &terminal()).await.unwrap_err();
    assert!(matches!(error, SshError::Channel { .. }) && error.to_string().contains("terminal"), "{error}");
    let error = server.connect().await.pty("a\0b", &terminal()).await.unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
}
