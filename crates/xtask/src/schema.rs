//! `docs/protocol.schema.json`: written from the types of cm-protocol, and checked against them.

use std::fs;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Writes the file.
pub fn write(workspace: &Workspace) -> Result<(), Failure> {
    let file = file(workspace);
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).map_err(Failure::file("create", dir))?;
    }
    fs::write(&file, text()).map_err(Failure::file("write", &file))?;
    println!("wrote {}", file.display());
    Ok(())
}

/// Fails if the file is not, byte for byte, what would be written.
pub fn check(workspace: &Workspace) -> Result<(), Failure> {
    let file = file(workspace);
    let found = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.map_err(Failure::file("read", &file))?,
    };
    match first_difference(&found, &text()) {
        None => Ok(()),
        Some(line) => Err(Failure::check(
            format!("{} is not what the types say, from line {line} on", file.display()),
            "cargo xtask schema, and look at what changed: the protocol is a promise",
        )),
    }
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root.join("docs/protocol.schema.json")
}

fn text() -> String {
    format!("{:#}\n", cm_protocol::schema::document())
}

/// The first line, counted from 1, in which two texts differ.
fn first_difference(found: &str, expected: &str) -> Option<usize> {
    if found == expected {
        return None;
    }
    let same = found.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_found_and_placed() {
        let check = |found: &str, expected: Option<usize>| {
            assert_eq!(first_difference(found, "a\nb\n"), expected, "{found:?}");
        };
        check("a\nb\n", None);
        check("a\nc\n", Some(2));
        check("a\n", Some(2));
        check("a\nb", Some(3));
        check("a\nb\nc\n", Some(3));
        check("", Some(1));
    }

    #[test]
    fn what_is_written_passes_and_what_was_changed_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: dir.path().to_owned(), target: dir.path().to_owned() };
        assert!(check(&workspace).unwrap_err().to_string().contains("from line 1 on"));
        write(&workspace).unwrap();
        check(&workspace).unwrap();
        fs::write(file(&workspace), text().replace("ClientFrame", "Frame")).unwrap();
        assert!(check(&workspace).is_err());
    }
}
