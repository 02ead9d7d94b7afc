//! Tells the agent which build it is: `CM_BUILD`, else the commit, else `unknown`. Never fails for want of git.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=CM_BUILD");
    // Naming a file also keeps cargo from running this for every change in the package.
    println!("cargo:rerun-if-changed=build.rs");
    let given = std::env::var("CM_BUILD").ok().filter(|build| !build.trim().is_empty());
    let build = given.or_else(commit).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=CM_BUILD_ID={}", build.trim());
}

/// The commit, if this package is part of a repository (and not merely lies inside somebody else's).
fn commit() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    // Grows with every commit and checkout. A path that does not exist would make cargo run this every time.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
