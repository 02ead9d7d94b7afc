//! Reading an inventory's files, with all they include.

use std::path::{Path, PathBuf};

use super::error::InventoryError;
use super::file::FleetFile;
use super::{Inventory, range, resolve, vars};
use crate::yaml::{At, FromNode, Reader, Sources, parse, read};

/// Files an inventory consists of at most.
const FILES: usize = 256;
/// How deep files may include each other.
const DEPTH: usize = 8;

impl Inventory {
    /// Reads an inventory and all it includes. `env` gives the environment's variables.
    ///
    /// # Errors
    /// A file cannot be read, or something is wrong in one: all that is found, each with its place.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, InventoryError> {
        let reader = Reader { sources: Sources::default(), problems: Vec::new(), env };
        let mut loader = Loader { reader, open: Vec::new(), seen: Vec::new(), files: Vec::new() };
        let text = read(path).map_err(|e| InventoryError::Unreadable(path.to_owned(), e))?;
        let real = std::path::absolute(path).map_err(|e| InventoryError::Unreadable(path.to_owned(), e))?;
        loader.file(path, real, &text);
        let Loader { mut reader, files, .. } = loader;
        let inventory = resolve::resolve(&files, &mut reader);
        match reader.problems.is_empty() {
            true => Ok(inventory),
            false => Err(InventoryError::Wrong(reader.sources.mistakes(reader.problems))),
        }
    }
}

struct Loader<'a> {
    reader: Reader<'a>,
    /// The files that include the one that is read, outermost first: as the system names them.
    open: Vec<PathBuf>,
    /// All that were opened, so too.
    seen: Vec<PathBuf>,
    /// What was read; included files stand before those that include them.
    files: Vec<FleetFile>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, real: PathBuf, text: &str) {
        let system = std::fs::canonicalize(&real).unwrap_or_else(|_| real.clone());
        self.seen.push(system.clone());
        self.open.push(system);
        let number = self.reader.sources.add(path.to_owned(), real, text);
        let file = parse(number, text, &mut self.reader).and_then(|mut node| {
            vars::fill(&mut node, &mut self.reader);
            FleetFile::from_node(&node, &mut self.reader)
        });
        if let Some(file) = file {
            let includes = file.include.iter().flat_map(|many| &many.0);
            includes.for_each(|include| self.include(include));
            if let (Some(fleet), true) = (&file.fleet, self.open.len() > 1) {
                self.reader
                    .wrong(fleet.place, "an included file cannot name the fleet; the outermost one does");
            }
            self.files.push(file);
        }
        self.open.pop();
    }

    fn include(&mut self, include: &At<String>) {
        let place = include.place;
        let found = self.reader.path(place, &include.value).and_then(|path| matching(&path));
        let paths = match found {
            Ok(paths) => paths,
            Err(why) => return self.reader.wrong(place, why),
        };
        for path in paths {
            // A pattern may mean the file it stands in.
            let itself = range::is_glob(&include.value)
                && std::fs::canonicalize(&path).is_ok_and(|path| self.open.contains(&path));
            if let (false, Err(why)) = (itself, self.include_one(&path)) {
                self.reader.wrong(place, why);
            }
        }
    }

    fn include_one(&mut self, real: &Path) -> Result<(), String> {
        let path = self.shown(real);
        let shown = path.display();
        let cannot = |e: std::io::Error| format!("cannot read {shown}: {e}");
        let system = std::fs::canonicalize(real).map_err(cannot)?;
        if let Some(at) = self.open.iter().position(|open| *open == system) {
            let names = self.open[at..].iter().chain([&system]).map(|open| self.shown(open));
            let chain: Vec<_> = names.map(|path| path.display().to_string()).collect();
            return Err(format!("files include each other: {}", chain.join(" -> ")));
        }
        if self.seen.contains(&system) {
            return Err(format!("{shown} is included a second time"));
        }
        if self.open.len() > DEPTH {
            return Err(format!("files include each other more than {DEPTH} deep"));
        }
        if self.seen.len() >= FILES {
            return Err(format!("an inventory has at most {FILES} files"));
        }
        let text = read(real).map_err(cannot)?;
        self.file(&path, real.to_owned(), &text);
        Ok(())
    }

    /// A path as the user would write it, who named the outermost file.
    fn shown(&self, real: &Path) -> PathBuf {
        let (outermost, named) = (self.reader.sources.real(0), self.reader.sources.path(0));
        let dirs = outermost.parent().zip(named.parent());
        let near = dirs.and_then(|(dir, named)| real.strip_prefix(dir).ok().map(|rest| named.join(rest)));
        near.unwrap_or_else(|| real.to_owned())
    }
}

/// The files a path means, in the order of their names. A name with a star may mean none.
fn matching(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let dir = path.parent().unwrap_or(Path::new(""));
    if range::is_glob(&dir.to_string_lossy()) {
        return Err("`*` and `?` can be in a file's name, not in a directory's".to_owned());
    }
    if !range::is_glob(name) {
        return Ok(vec![path.to_owned()]);
    }
    let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let entries = match std::fs::read_dir(here) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(format!("cannot read {}: {e}", here.display())),
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|text| !text.starts_with('.') && range::glob(name, text))
        })
        .map(|entry| dir.join(entry.file_name()))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    Ok(found)
}
