//! git, with a name of its own, in a directory.

use std::path::Path;
use std::process::Command;

/// Runs git in `dir` and says what it printed, without the blanks around it.
///
/// # Panics
/// git is not there, or fails: the test cannot go on.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(args)
        .output()
        .expect("git is needed for this test");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
