//! The files that processes have open.

use std::fs;

use super::ProcessId;

/// How many are looked at, of one process.
const MOST: usize = 4096;

/// The paths of the files these processes have open. Who has ended, or is somebody else's, has none.
pub fn open_files(of: &[ProcessId]) -> Vec<String> {
    let of = of.iter().filter(|process| process.alive());
    let entries = of.filter_map(|process| fs::read_dir(format!("/proc/{}/fd", process.pid)).ok());
    let links = entries.flat_map(|entries| entries.flatten().take(MOST));
    let paths = links.filter_map(|link| fs::read_link(link.path()).ok()?.into_os_string().into_string().ok());
    paths.filter(|path| path.starts_with('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_seen_and_a_closed_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("it");
        let file = fs::File::create(&path).unwrap();
        let me = ProcessId::me().unwrap();
        let is_open = || open_files(&[me]).contains(&path.display().to_string());
        assert!(is_open());
        drop(file);
        assert!(!is_open());
    }
}
