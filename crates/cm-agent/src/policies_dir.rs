//! Policies on this host's disk: the user's own, and the one the agent was started with.

use std::path::{Path, PathBuf};

use cm_protocol::PolicyChoice;

use crate::tool::policy::{Policies, PolicyError, read};

/// Bytes of a policy's file at most.
const BYTES: u64 = 1024 * 1024;
/// Files that are read of a directory.
const FILES: usize = 1000;

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its file cannot be read.
    #[error("the policy {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is wrong.
    #[error(transparent)]
    Wrong(#[from] PolicyError),
}

/// Adds the policies of a directory (`NAME.yaml`) to those that are known. What could not be used is
/// returned in words. A directory that is not there has none.
pub fn load(dir: &Path, policies: &mut Policies) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(FILES).collect();
    paths.sort();
    let is_policy = |path: &&PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let add = |path: &PathBuf| -> Result<(), Unusable> { Ok(policies.add(&file(path)?)?) };
    paths.iter().filter(is_policy).map(add).filter_map(Result::err).map(|error| error.to_string()).collect()
}

/// The policy that is meant by a name or a file.
///
/// # Errors
/// It is neither, or the file is wrong.
pub fn chosen(name_or_file: &str, policies: &Policies) -> Result<PolicyChoice, Unusable> {
    let choice = if policies.names().any(|name| name == name_or_file) {
        PolicyChoice::Name(name_or_file.to_owned())
    } else if name_or_file.contains(['/', '.']) {
        PolicyChoice::Rules(file(Path::new(name_or_file))?)
    } else {
        PolicyChoice::Name(name_or_file.to_owned())
    };
    policies.resolve(Some(&choice))?;
    Ok(choice)
}

/// Reads a policy from its file.
///
/// # Errors
/// It cannot be read, or is wrong: with line and column.
pub fn file(path: &Path) -> Result<cm_protocol::Policy, Unusable> {
    let unreadable = |why: String| Unusable::Unreadable { path: path.to_owned(), why };
    let meta = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !meta.is_file() || meta.len() > BYTES {
        return Err(unreadable(format!("it is no file, or over {BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    Ok(read(&path.display().to_string(), &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies/example.yaml")
    }

    #[test]
    fn a_name_or_a_file() {
        let policies = Policies::builtin();
        let check = |wanted: &str, expected: &str| match chosen(wanted, &policies) {
            Ok(PolicyChoice::Name(name)) => assert_eq!(format!("name {name}"), expected),
            Ok(PolicyChoice::Rules(policy)) => assert_eq!(format!("rules {}", policy.name), expected),
            Err(error) => assert!(error.to_string().contains(expected), "{wanted}: {error}"),
        };
        check("read-only", "name read-only");
        check(&example().display().to_string(), "rules web-shop");
        check("reckless", "known are careful, read-only, trusting");
        check("./none.yaml", "./none.yaml cannot be read");
    }

    #[test]
    fn a_directory_of_them() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::copy(example(), dir.path().join("example.yaml")).expect("copied");
        std::fs::write(dir.path().join("bad.yaml"), "name: bad\nrulez: []\n").expect("written");
        std::fs::write(dir.path().join("notes.txt"), "no policy").expect("written");
        let mut policies = Policies::builtin();
        let wrong = load(dir.path(), &mut policies);
        assert!(wrong.len() == 1 && wrong[0].contains("bad.yaml:2"), "{wrong:?}");
        assert!(policies.names().any(|name| name == "web-shop"));
        assert!(load(&dir.path().join("none"), &mut policies).is_empty());
    }
}
