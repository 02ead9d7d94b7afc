//! Which policy `--policy` means: a preset, a file, or a file of that name among this user's own.

use std::io::Read;
use std::path::{Path, PathBuf};

use cm_agent::tool::Policies;
use cm_protocol::{Policy, PolicyChoice};

use crate::failure::Failure;

/// The policies every agent knows.
pub const PRESETS: &[&str] = &["read-only", "careful", "trusting"];
/// Bytes of a policy file at most.
const FILE_BYTES: u64 = 1 << 20;

/// What `--policy` stands for; `own` is the directory of this user's policies, where there is one.
///
/// # Errors
/// There is no such policy, or its file cannot be read or has errors: each with file, line and column.
pub fn choose(wanted: &str, own: Option<&Path>) -> Result<PolicyChoice, Failure> {
    if PRESETS.contains(&wanted) {
        return Ok(PolicyChoice::Name(wanted.to_owned()));
    }
    if is_path(wanted) {
        return read(Path::new(wanted)).map(PolicyChoice::Rules);
    }
    let candidates =
        own.iter().flat_map(|dir| ["yaml", "yml"].map(|end| dir.join(format!("{wanted}.{end}"))));
    match candidates.into_iter().find(|path| path.exists()) {
        Some(path) => read(&path).map(PolicyChoice::Rules),
        None => Err(unknown(wanted, own)),
    }
}

/// `$XDG_CONFIG_HOME/cm-fleet/policies`, or the same under `~/.config`.
pub fn own_directory(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("cm-fleet/policies"))
}

/// A name has no slash and no ending; everything else is a file.
fn is_path(wanted: &str) -> bool {
    wanted.contains('/') || [".yaml", ".yml", ".json"].iter().any(|end| wanted.ends_with(end))
}

fn read(path: &Path) -> Result<Policy, Failure> {
    let shown = path.display();
    let cannot = |e: &std::io::Error| Failure::usage(format!("cannot read the policy {shown}")).because(e);
    let file = std::fs::File::open(path).map_err(|e| cannot(&e))?;
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| cannot(&e))?;
    if text.len() as u64 > FILE_BYTES {
        return Err(Failure::usage(format!("the policy {shown} is over 1 MiB")));
    }
    let file = shown.to_string();
    parse(&file, &text)
        .map_err(|wrong| Failure::usage(format!("the policy {file} cannot be used")).caused_by(wrong))
}

/// The rules in a file's text; what is wrong with it is said with file, line and column. A policy without a
/// mistake in its form is also one that can be followed.
fn parse(file: &str, text: &str) -> Result<Policy, String> {
    let policy = cm_agent::tool::policy::read(file, text).map_err(|e| e.to_string())?;
    let choice = PolicyChoice::Rules(policy.clone());
    Policies::builtin().resolve(Some(&choice)).map_err(|e| format!("{file}: {e}"))?;
    Ok(policy)
}

fn unknown(wanted: &str, own: Option<&Path>) -> Failure {
    let failure = Failure::usage(format!("there is no policy `{wanted}`"))
        .hint(format!("every agent knows {}", PRESETS.join(", ")));
    let Some(own) = own else { return failure };
    let entries = std::fs::read_dir(own).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.path();
            let policy = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            policy.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        })
        .collect();
    names.sort();
    let place = own.display();
    if names.is_empty() {
        failure.hint(format!("your own go to {place}/NAME.yaml; or name a file: --policy ./rules.yaml"))
    } else {
        failure.hint(format!("{place} has {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"name": "shop", "extends": "careful", "rules": [{"kind": "read", "then": "allow"}]}"#;

    #[test]
    fn a_preset_a_file_or_ones_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("shop.yaml");
        std::fs::write(&file, GOOD).expect("written");
        let own = Some(dir.path());
        let check = |wanted: &str, expected: &str| match choose(wanted, own) {
            Ok(PolicyChoice::Name(name)) => assert_eq!(format!("preset {name}"), expected),
            Ok(PolicyChoice::Rules(policy)) => assert_eq!(format!("rules {}", policy.name), expected),
            Err(failure) => assert!(failure.to_string().contains(expected), "{wanted}: {failure}"),
        };
        check("careful", "preset careful");
        check("read-only", "preset read-only");
        check("shop", "rules shop");
        check(&file.display().to_string(), "rules shop");
        check("shpo", "there is no policy `shpo`");
        check("shpo", "has shop");
        check("./none.yaml", "cannot read the policy ./none.yaml");
        check("/", "cannot read the policy /");
        assert!(choose("x", None).expect_err("none").to_string().contains("every agent knows read-only"));
    }

    #[test]
    fn errors_say_where() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("bad.yaml");
        std::fs::write(&file, "{\"name\": \"x\",\n \"rulez\": []}").expect("written");
        let failure = choose(&file.display().to_string(), None).expect_err("an unknown field");
        assert_eq!(failure.kind.exit().code(), 2);
        let said = failure.to_string();
        assert!(said.contains("bad.yaml:2:") && said.contains("rulez"), "{said}");
    }

    #[test]
    fn the_configuration_directory() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(own_directory(env), expected.map(PathBuf::from), "{set:?}");
        };
        check(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")], Some("/c/cm-fleet/policies"));
        check(&[("XDG_CONFIG_HOME", ""), ("HOME", "/h")], Some("/h/.config/cm-fleet/policies"));
        check(&[], None);
    }
}
