//! The keys that log in to test hosts: one plain, one with a passphrase, one with a certificate.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cm_testkit::hosts::Keys;

use crate::failure::Failure;
use crate::hosts::kind::Login;
use crate::hosts::login;
use crate::sh::{Run, SHORT};
use crate::workspace::Workspace;

/// Who logs in to every host, and the name in the certificate.
pub const USER: &str = "deploy";
/// Not only letters, so that whoever passes it on wrongly is found out.
const PASSPHRASE: &str = "test host's \"pass\" phrase $1";

/// Where they are.
pub fn places(workspace: &Workspace) -> Keys {
    let dir = workspace.testhosts();
    Keys {
        plain: dir.join("id_ed25519"),
        locked: dir.join("id_locked"),
        passphrase: dir.join("passphrase"),
        askpass: dir.join("askpass"),
        certified: dir.join("id_certified"),
        certificate: dir.join("id_certified-cert.pub"),
        authority: dir.join("user_ca"),
    }
}

/// Makes those that are not there.
pub fn ensure(workspace: &Workspace) -> Result<Keys, Failure> {
    login::directory(workspace)?;
    let keys = places(workspace);
    for (key, passphrase) in
        [(&keys.plain, ""), (&keys.locked, PASSPHRASE), (&keys.certified, ""), (&keys.authority, "")]
    {
        if !public(key).exists() {
            let options = ["-q", "-t", "ed25519", "-C", "cm-testhost", "-N", passphrase, "-f"];
            Run::new("ssh-keygen").args(options).arg(key).capture(SHORT)?;
        }
    }
    if !keys.certificate.exists() {
        Run::new("ssh-keygen")
            .args(["-q", "-I", "cm-testhost", "-n", USER, "-V", "always:forever", "-s"])
            .args([&keys.authority, &public(&keys.certified)])
            .capture(SHORT)?;
    }
    write(&keys.passphrase, 0o600, &format!("{PASSPHRASE}\n"))?;
    write(&keys.askpass, 0o700, &format!("#!/bin/sh\nexec cat '{}'\n", keys.passphrase.display()))?;
    Ok(keys)
}

/// The private key that logs in to such a host.
pub fn identity(keys: &Keys, login: Login) -> &Path {
    match login {
        Login::Key => &keys.plain,
        Login::LockedKey => &keys.locked,
        Login::Certificate => &keys.certified,
    }
}

/// The public half.
pub fn public(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(Failure::file("write", path))?;
    file.write_all(text.as_bytes()).map_err(Failure::file("write", path))
}
