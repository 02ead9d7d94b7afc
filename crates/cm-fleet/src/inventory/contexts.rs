//! The user's own contexts: hosts by name in an inventory file that `cm-fleet ctx` writes.

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::resolve::host_name;
use super::{Host, Inventory};

/// The file's name, beside the user's own inventory.
pub const NAME: &str = "contexts.yaml";

/// The directory of the user's configuration.
pub fn path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let own = super::find::own(env)?;
    Some(own.with_file_name(NAME))
}

/// The file's text for these hosts. Only what `cm-fleet ctx add` can say is written.
///
/// # Errors
/// In words: what cannot be the name of a context, or cannot be written.
pub fn write(hosts: &[Host]) -> Result<String, String> {
    let mut text = HEAD.to_owned();
    for host in hosts {
        host_name(&host.name)?;
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}:", quoted(&host.name)?);
        let _ = writeln!(text, "    address: {}", quoted(&host.address)?);
        if let Some(port) = host.port {
            let _ = writeln!(text, "    port: {port}");
        }
        if let Some(user) = &host.user {
            let _ = writeln!(text, "    user: {}", quoted(user)?);
        }
        if !host.identity.is_empty() {
            let paths: Result<Vec<String>, String> = host.identity.iter().map(|path| local(path)).collect();
            let _ = writeln!(text, "    identity: [{}]", paths?.join(", "));
        }
        if host.agent.port.is_some() || host.agent.token.is_some() {
            text.push_str("    agent:\n");
        }
        if let Some(port) = host.agent.port {
            let _ = writeln!(text, "      port: {port}");
        }
        if let Some(token) = &host.agent.token {
            let _ = writeln!(text, "      token: {}", quoted(&token.to_string())?);
        }
    }
    if hosts.is_empty() {
        text.truncate(text.len() - "hosts:\n".len());
        text.push_str("hosts: {}\n");
    }
    Ok(text)
}

fn local(path: &Path) -> Result<String, String> {
    quoted(path.to_str().ok_or_else(|| format!("the path {} is not UTF-8", path.display()))?)
}

/// A text between quotes, whatever is in it. `$` before a brace would be a variable.
fn quoted(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("there is a control character in a value".to_owned());
    }
    Ok(format!("'{}'", text.replace('\'', "''").replace("${", "$${")))
}

/// Puts `text` in the file's place, whole or not at all, readable for nobody else. What it says must be `wanted`:
/// what somebody wrote into the file by hand is not lost in silence.
///
/// # Errors
/// In words.
pub fn save(
    path: &Path,
    text: &str,
    wanted: &[Host],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let cannot = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(cannot)?;
    let fresh = path.with_file_name(format!(".{NAME}.{}.new", std::process::id()));
    // One left by a process of the same number that was killed.
    let _ = std::fs::remove_file(&fresh);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(cannot)
        .and_then(|()| check(&fresh, wanted, env))
        .and_then(|()| std::fs::rename(&fresh, path).map_err(cannot));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

fn check(fresh: &Path, wanted: &[Host], env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let read = Inventory::load(fresh, env).map_err(|error| error.failure().chain.join(": "))?;
    let differs = |one: &&Host| read.host(&one.name) != Some(*one);
    match wanted.iter().find(differs) {
        None => Ok(()),
        Some(host) => Err(format!(
            "of `{}` more is said than `cm-fleet ctx` can write: change the file by hand, or move the host to an \
             inventory of yours",
            host.name
        )),
    }
}

const HEAD: &str = "\
# Written by `cm-fleet ctx`; comments are not kept.
fleet: contexts
hosts:
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::{env, inventory};

    #[test]
    fn what_is_written_is_read_again() {
        let text = "
hosts:
  plain: {address: 10.0.0.1}
  'on':
    address: it.example.com
    port: 2222
    user: '${EMPTY:-op}'
    identity: ['/k/a b', '/k/$x']
    agent: {port: 9876, token: 'file:/t/it''s'}
";
        let read = inventory(text);
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("c/cm-fleet").join(NAME);
        for hosts in [&read.hosts[..], &read.hosts[..1], &[]] {
            save(&path, &write(hosts).expect("written"), hosts, &env).expect("saved");
            let again = Inventory::load(&path, &env).expect("good");
            assert_eq!((again.name.as_str(), &again.hosts[..]), ("contexts", hosts));
        }
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
        let left = std::fs::read_dir(path.parent().expect("a directory")).expect("read").count();
        assert_eq!(left, 1);
    }

    #[test]
    fn what_is_not_ours_is_not_lost() {
        let read = inventory("hosts: {a: {labels: {zone: eu}}}");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        std::fs::write(&path, "as it was").expect("written");
        let error =
            save(&path, &write(&read.hosts).expect("written"), &read.hosts, &env).expect_err("labels");
        assert!(error.contains("of `a` more is said"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "as it was");
        let mut host = read.hosts[0].clone();
        for name in ["-x", "a b", "op@h", "a: {}", ""] {
            host.name = name.to_owned();
            assert!(write(std::slice::from_ref(&host)).is_err(), "{name}");
        }
        host.name = "a".to_owned();
        host.user = Some("a\nb".to_owned());
        assert!(write(&[host]).is_err());
    }

    #[test]
    fn where_it_is() {
        let config = |name: &str| (name == "XDG_CONFIG_HOME").then(|| "/c".to_owned());
        assert_eq!(path(&config), Some(PathBuf::from("/c/cm-fleet/contexts.yaml")));
        assert_eq!(path(&env), Some(PathBuf::from("/home/op/.config/cm-fleet/contexts.yaml")));
        assert_eq!(path(&|_| None), None);
    }
}
