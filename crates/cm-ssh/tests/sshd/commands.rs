//! Commands: input and output at once, ends, limits, deadlines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cm_ssh::{Event, Exec, Input, Kind, SshError, Status};

use crate::server::{Plan, Server};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn commands_end_with_a_code_or_a_signal() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    for (command, status, stdout, stderr) in [
        ("echo out; echo err >&2", Status::Exited(0), "out\n", "err\n"),
        ("exit 7", Status::Exited(7), "", ""),
        ("kill -TERM $$", Status::Signal("TERM".to_owned()), "", ""),
        ("cat", Status::Exited(0), "", ""),
        ("no-such-program-at-all 2>/dev/null", Status::Exited(127), "", ""),
    ] {
        let output = ssh.exec(command, Input::None, LONG).await.unwrap();
        assert_eq!(output.status, status, "{command}");
        assert_eq!(output.stdout_text(), stdout, "{command}");
        assert_eq!(output.stderr_text(), stderr, "{command}");
        assert!(!output.truncated);
    }
    let output = ssh.exec("exit 3", Input::None, Duration::MAX).await.unwrap();
    assert_eq!(output.status, Status::Exited(3));
    ssh.close().await;
}

#[tokio::test]
async fn input_and_both_outputs_flow_at_once() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let mut bytes = vec![0; 5 << 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::try_from(index % 251).unwrap();
    }
    let half: Arc<[u8]> = bytes[..3 << 20].into();
    let rest: Arc<[u8]> = bytes[3 << 20..].into();
    let input = Input::Parts(vec![half, rest, Arc::new([])]);
    let exec = Exec { limit: 16 << 20, ..Exec::new(input, LONG) };
    let mut sent = 0;
    let output = ssh
        .run("tee /dev/stderr", exec, |event| {
            if let Event::Sent { bytes } = event {
                assert!(bytes > sent);
                sent = bytes;
            }
        })
        .await
        .unwrap();
    assert_eq!(output.status, Status::Exited(0));
    assert!(output.stdout == bytes && output.stderr == bytes);
    assert_eq!(sent, bytes.len() as u64);
}

#[tokio::test]
async fn a_command_need_not_read_its_input() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let input = Input::Bytes(vec![b'x'; 8 << 20].into());
    let output = ssh.exec("echo enough; exit 3", input, LONG).await.unwrap();
    assert_eq!((output.status, output.stdout.as_slice()), (Status::Exited(3), b"enough\n".as_slice()));
    let again = ssh.exec("echo still here", Input::None, LONG).await.unwrap();
    assert_eq!(again.stdout, b"still here\n");
}

#[tokio::test]
async fn output_over_the_limit_is_read_and_dropped() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let exec = Exec { limit: 1000, ..Exec::new(Input::None, LONG) };
    let output = ssh.run("head -c 3000000 /dev/zero; echo err >&2; exit 5", exec, |_| {}).await.unwrap();
    assert_eq!(output.status, Status::Exited(5));
    assert_eq!((output.stdout.len(), output.stderr_text().as_str()), (1000, "err\n"));
    assert!(output.truncated);
}

#[tokio::test]
async fn lines_come_while_the_command_runs() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let seen = server.path("seen");
    // It goes on only when its first line has arrived here.
    let command = format!("echo first; until [ -e {} ]; do sleep 0.01; done; echo second", seen.display());
    let mut lines = Vec::new();
    let output = ssh
        .exec_lines(&command, Input::None, LONG, |event| {
            if let Event::Line(line) = event {
                std::fs::write(&seen, "").unwrap();
                lines.push(line);
            }
        })
        .await
        .unwrap();
    assert!(output.ok());
    assert_eq!(lines, ["first", "second"]);
}

#[tokio::test]
async fn a_frozen_host_costs_its_deadline_and_nothing_else() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let parent = ssh.exec("echo $PPID", Input::None, LONG).await.unwrap().stdout_text();
    let pid = rustix::process::Pid::from_raw(parent.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let began = Instant::now();
    let error = ssh.exec("echo never", Input::None, Duration::from_millis(300)).await.unwrap_err();
    drop(ssh);
    let took = began.elapsed();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(error, SshError::Deadline { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(error.to_string().starts_with("test ("), "{error}");
}

#[tokio::test]
async fn a_command_that_is_given_up_ends_its_connection() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let waiting = ssh.exec("cat /dev/zero", Input::None, LONG);
    assert!(tokio::time::timeout(Duration::from_millis(100), waiting).await.is_err());
    let error = ssh.exec("echo", Input::None, LONG).await.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_from_an_end() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let error = ssh.exec("kill -KILL $PPID; sleep 10", Input::None, LONG).await.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn noise_of_a_login_shell_comes_with_the_output() {
    let server = Server::with(&Plan {
        config: "ForceCommand echo welcome; echo motd >&2; eval \"$SSH_ORIGINAL_COMMAND\"",
        ..Plan::default()
    });
    let mut ssh = server.connect().await;
    let output = ssh.exec("echo '--- begin'; cat", Input::text("data"), LONG).await.unwrap();
    assert_eq!(output.stdout_text(), "welcome\n--- begin\ndata");
    assert_eq!(output.stderr_text(), "motd\n");
}

/// Looking for one output takes in what has come of the other: the end of a command was waited for in vain when
/// that had been the last there was.
#[tokio::test]
async fn outputs_that_arrive_between_two_looks_are_not_waited_for() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    for round in 0..40 {
        let output = ssh.exec("echo out; echo err >&2; echo out", Input::None, LONG).await;
        let output = output.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!((output.stdout_text(), output.stderr_text()), ("out\nout\n".into(), "err\n".into()));
    }
}

#[tokio::test]
async fn a_command_answers_and_then_waits_for_what_to_do() {
    let server = Server::start();
    let mut ssh = server.connect().await;
    let command = "echo hello; echo why >&2; echo mark; cat; exit 3";
    let asked = ssh.ask(command, "mark", LONG).await.unwrap();
    assert_eq!(asked.stdout_text(), "hello\nmark\n");
    assert!(ssh.waits());
    // Others may run meanwhile.
    assert_eq!(ssh.exec("echo other", Input::None, LONG).await.unwrap().stdout_text(), "other\n");
    let bytes: Arc<[u8]> = vec![b'x'; 5 << 20].into();
    let mut lines = 0;
    let answered = ssh
        .answer(Input::Parts(vec![b"first\n".as_slice().into(), bytes]), LONG, |event| {
            lines += usize::from(event == Event::Line("first".to_owned()));
        })
        .await
        .unwrap();
    assert_eq!((answered.status, lines), (Status::Exited(3), 1));
    assert!(answered.truncated && answered.stdout.starts_with(b"first\nxxx"));

    // What ends without the mark waits for nothing; nor does anything once it was answered.
    assert!(!ssh.waits());
    let asked = ssh.ask("echo hello; exit 4", "mark", LONG).await.unwrap();
    assert_eq!((&asked.status, asked.stdout_text().as_str()), (&Status::Exited(4), "hello\n"));
    assert!(!ssh.waits());
    let error = ssh.answer(Input::None, LONG, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("no command waits for input"), "{error}");

    // Left alone it gets the end of its input.
    let left = server.path("left");
    let command = format!("echo mark; cat; echo gone > {}", left.display());
    ssh.ask(&command, "mark", LONG).await.unwrap();
    ssh.close().await;
    let end = Instant::now() + LONG;
    while !left.exists() {
        assert!(Instant::now() < end, "it still waits");
        tokio::task::yield_now().await;
    }

    // One that never says the mark costs its deadline.
    let mut ssh = server.connect().await;
    let error = ssh.ask("cat", "mark", Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
}
