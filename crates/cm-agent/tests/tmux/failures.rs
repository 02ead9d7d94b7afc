//! Wrong programs and wrong sockets: what proves death, what proves nothing, what the words say.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use cm_agent::tmux::{Control, Open, OpenError, Tmux, TmuxError};

use crate::support::{PATIENCE, Room, clients_of, until};

/// A directory with a program called tmux.
fn fake(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("tmux");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("writable");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("ours");
    dir
}

async fn find(dir: &Path, within: Duration) -> Result<Tmux, TmuxError> {
    Tmux::find(dir.as_os_str(), within).await
}

#[tokio::test]
async fn the_version_is_checked() {
    let old = fake("echo tmux 3.1c");
    let error = find(old.path(), PATIENCE).await.expect_err("too old");
    assert!(matches!(error, TmuxError::TooOld { .. }), "{error:?}");
    assert!(error.to_string().contains("is tmux 3.1c, at least 3.2 is needed"), "{error}");
    let newer = fake("echo tmux next-3.9");
    assert_eq!(find(newer.path(), PATIENCE).await.expect("new enough").version.to_string(), "next-3.9");
    let other = fake("echo what; exit 1");
    assert!(matches!(find(other.path(), PATIENCE).await, Err(TmuxError::NotTmux { .. })));
    let silent = fake("exec sleep 1000");
    let error = find(silent.path(), Duration::from_millis(100)).await.expect_err("silent");
    assert!(matches!(error, TmuxError::Timeout { .. }), "{error:?}");
    let endless = fake("exec cat /dev/zero");
    assert!(matches!(find(endless.path(), PATIENCE).await, Err(TmuxError::NotTmux { .. })));
}

#[tokio::test]
async fn a_missing_tmux_is_told_with_the_path() {
    let empty = tempfile::tempdir().expect("a directory");
    std::fs::write(empty.path().join("tmux"), "not executable").expect("writable");
    let error = find(empty.path(), PATIENCE).await.expect_err("missing");
    assert!(matches!(error, TmuxError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains(empty.path().to_str().expect("UTF-8")), "{error}");
    assert!(matches!(Tmux::find(OsStr::new(""), PATIENCE).await, Err(TmuxError::Missing { .. })));
}

#[tokio::test]
async fn sockets_without_a_server() {
    let room = Room::new().await;
    let error = room.open(Open::Attach).await.expect_err("none");
    assert!(matches!(error, OpenError::NoSocket { .. }) && error.proves_death(), "{error:?}");
    drop(UnixListener::bind(room.socket()).expect("free"));
    let error = room.open(Open::Attach).await.expect_err("dead");
    assert!(matches!(error, OpenError::Refused { .. }) && error.proves_death(), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_proves_nothing() {
    let room = Room::new().await;
    let listener = UnixListener::bind(room.socket()).expect("free");
    let within = Duration::from_millis(300);
    let error = Control::open(&room.tmux, &room.socket(), Open::Attach, within).await.expect_err("silent");
    assert!(matches!(error, OpenError::Timeout { .. }) && !error.proves_death(), "{error:?}");
    until("our client's end", || clients_of(&room.socket()).is_empty()).await;
    drop(listener);
}

#[tokio::test]
async fn a_server_that_hangs_up_proves_nothing() {
    let room = Room::new().await;
    let listener = tokio::net::UnixListener::bind(room.socket()).expect("free");
    let hang_up = async {
        loop {
            drop(listener.accept().await);
        }
    };
    let error = tokio::select! {
        opened = room.open(Open::Attach) => opened.expect_err("no server"),
        () = hang_up => unreachable!("it accepts for ever"),
    };
    assert!(matches!(error, OpenError::Attach { .. }) && !error.proves_death(), "{error:?}");
}

#[test]
fn what_a_session_holds_may_move_between_threads() {
    fn check<T: Send>(_: impl FnOnce(&'static Tmux, &'static Control) -> T) {}
    check(|tmux, _| Control::open(tmux, Path::new("/s"), Open::Attach, PATIENCE));
    check(|_, control| control.paste("text"));
    check(|_, control| control.close());
}

#[tokio::test]
async fn what_cannot_be_run_or_named() {
    let room = Room::new().await;
    let long = room.path(&"x".repeat(120));
    let error = Control::open(&room.tmux, &long, Open::Attach, PATIENCE).await.expect_err("too long");
    assert!(matches!(error, OpenError::PathTooLong { .. }), "{error:?}");
    let _listener = UnixListener::bind(room.socket()).expect("free");
    let gone = Tmux { program: room.path("no-tmux"), ..room.tmux.clone() };
    let error = Control::open(&gone, &room.socket(), Open::Attach, PATIENCE).await.expect_err("no program");
    assert!(matches!(error, OpenError::Spawn { .. }) && !error.proves_death(), "{error:?}");
}
