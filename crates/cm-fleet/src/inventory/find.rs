//! Where the inventory is when nobody says it.

use std::path::{Path, PathBuf};

use super::InventoryError;

/// The name of an inventory here.
pub const NAME: &str = "fleet.yaml";

/// The inventory's file: the one that is named, else `fleet.yaml` here, else this user's own.
///
/// # Errors
/// None was named and there is none. That the named one exists is not checked.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, InventoryError> {
    find_in(explicit, Path::new(""), &|name| std::env::var(name).ok())
}

/// The same, with another current directory and environment.
pub(super) fn find_in(
    explicit: Option<&Path>,
    here: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PathBuf, InventoryError> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    let looked: Vec<PathBuf> = std::iter::once(here.join(NAME)).chain(own(env)).collect();
    // One that is there but cannot be read is the one: reading it says why.
    match looked.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Ok(path.clone()),
        None => Err(InventoryError::Missing { looked }),
    }
}

/// `$XDG_CONFIG_HOME/cm-fleet/fleet.yaml`, or the same under `~/.config`.
pub(super) fn own(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("cm-fleet").join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_here_or_ones_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().join("here");
        let own = dir.path().join("c/cm-fleet");
        std::fs::create_dir_all(&here).expect("made");
        std::fs::create_dir_all(&own).expect("made");
        let config = dir.path().join("c").display().to_string();
        let env = move |name: &str| (name == "XDG_CONFIG_HOME").then(|| config.clone());
        let error = find_in(None, &here, &env).expect_err("none yet");
        let said = error.failure().to_string();
        assert!(said.contains("here/fleet.yaml and ") && said.contains("c/cm-fleet/fleet.yaml"), "{said}");
        assert!(said.contains("cm-fleet init"), "{said}");
        std::fs::write(own.join(NAME), "").expect("written");
        assert_eq!(find_in(None, &here, &env).expect("own"), own.join(NAME));
        std::fs::write(here.join(NAME), "").expect("written");
        assert_eq!(find_in(None, &here, &env).expect("here"), here.join(NAME));
        assert_eq!(find_in(Some(Path::new("x")), &here, &env).expect("named"), Path::new("x"));
        assert!(find_in(None, &dir.path().join("none"), &|_| None).is_err());
    }
}
