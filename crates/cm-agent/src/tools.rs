//! A user's own profiles of tools: where they are, and reading them. What they mean is in `tool::profile`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::tool::{ProfileError, Profiles};

/// The largest profile that is read.
const LARGEST: u64 = 256 * 1024;

/// The most files that are read from one directory.
const MOST_FILES: usize = 200;

/// Where a user's own profiles are: `$XDG_CONFIG_HOME/cm-agent/tools`, or under `~/.config`. `None` where no
/// home is known.
pub fn user_directory(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |text: String| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let config = env("XDG_CONFIG_HOME").and_then(absolute);
    let config = config.or_else(|| env("HOME").and_then(absolute).map(|home| home.join(".config")))?;
    Some(config.join("cm-agent/tools"))
}

/// The built-in profiles with those of a directory's `*.toml` files, and what is wrong with the files that
/// cannot be used. A directory that does not exist has none.
pub fn tools_dir(path: &Path) -> (Profiles, Vec<ProfileError>) {
    let mut errors = Vec::new();
    let mut texts = Vec::new();
    match files(path) {
        Ok(files) => {
            for file in files {
                match read(&file) {
                    Ok(text) => texts.push((file.display().to_string(), text)),
                    Err(error) => errors.push(error),
                }
            }
        }
        Err(error) => errors.push(error),
    }
    let named = texts.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    let (profiles, wrong) = Profiles::builtin().with_files(named);
    errors.extend(wrong);
    (profiles, errors)
}

/// The profiles in a directory, by name.
///
/// # Errors
/// If it is there but cannot be listed.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(path, format!("cannot be listed: {error}"))),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .take(MOST_FILES)
        .collect();
    files.sort();
    Ok(files)
}

/// The text of a profile.
///
/// # Errors
/// If it cannot be read, is no UTF-8, or is too large to be one.
pub fn read(path: &Path) -> Result<String, ProfileError> {
    let mut text = String::new();
    let file =
        std::fs::File::open(path).map_err(|error| failed(path, format!("cannot be opened: {error}")))?;
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    read.map_err(|error| failed(path, format!("cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(path, format!("has more than {LARGEST} bytes: that is no profile")));
    }
    Ok(text)
}

fn failed(path: &Path, message: String) -> ProfileError {
    ProfileError { file: path.display().to_string(), line: 1, column: 1, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_they_are() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(user_directory(&env), expected.map(PathBuf::from), "{set:?}");
        };
        check(&[("HOME", "/home/me")], Some("/home/me/.config/cm-agent/tools"));
        check(&[("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/cfg")], Some("/cfg/cm-agent/tools"));
        check(&[("HOME", "/home/me"), ("XDG_CONFIG_HOME", "cfg")], Some("/home/me/.config/cm-agent/tools"));
        check(&[], None);
    }

    #[test]
    fn a_broken_file_is_told_and_the_others_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("mine.toml", "extends = \"claude\"\nname = \"mine\"\nversion = 1\nprogram = \"my-claude\"\n");
        put("broken.toml", "extends = \"claude\"\nname = \"broken\"\nversion = 1\nprogramme = \"x\"\n");
        put("other.toml", "extends = \"unheard\"\nname = \"other\"\nversion = 1\n");
        put("notes.txt", "no profile");
        let (profiles, errors) = tools_dir(dir.path());
        assert!(profiles.knows("mine") && !profiles.knows("broken") && !profiles.knows("other"));
        assert_eq!(profiles.for_tool("mine").program, "my-claude");
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("broken.toml:4:1: unknown field `programme`"), "{told:?}");
        assert!(told[0].ends_with("did you mean `program`?"), "{told:?}");
        assert!(told[1].contains("other.toml:1:11: there is no built-in profile `unheard`"), "{told:?}");
        assert!(tools_dir(&dir.path().join("none")).1.is_empty());
    }
}
