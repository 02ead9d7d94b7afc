//! What the tests of this crate share: running themselves again elsewhere, and waiting with a deadline.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Names the directory for a test that was started again by itself.
pub const AGAIN: &str = "CM_TEST_AGAIN";

/// The directory given by the parent, in a test that was started again.
pub fn again() -> Option<std::path::PathBuf> {
    std::env::var_os(AGAIN).map(Into::into)
}

/// A command that runs one test of this binary again, in a child, with `dir` to work in.
pub fn myself(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(AGAIN, dir);
    command
}

/// Runs one test of this binary again, with `dir` being a fresh file system of `size` (as mount says it) that
/// only it can see, mounted with `options`.
pub fn on_small_disk(test: &str, dir: &Path, options: &str) -> Output {
    let script = r#"set -e; mount -t tmpfs -o "$OPTIONS" tmpfs "$CM_TEST_AGAIN"; exec "$@""#;
    let inner = myself(test, dir);
    let namespaces = if rustix::process::getuid().is_root() { "-m" } else { "-Urm" };
    let output = Command::new("unshare")
        .args([namespaces, "sh", "-c", script, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(AGAIN, dir)
        .env("OPTIONS", options)
        .output()
        .expect("unshare runs");
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{test} on a small disk: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// Looks until `what` has come true; ten seconds are more than anything here takes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
