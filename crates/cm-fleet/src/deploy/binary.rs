//! The agent's program for a host's architecture: where it is looked for, what it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cm_protocol::deploy::Binary;

use super::packed::{self, Shelf};
use super::wanted::hex;

/// The most bytes a program may have.
const MOST: u64 = 512 << 20;

/// A program that was read. Copies share its bytes.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is.
    pub binary: Binary,
    /// Where it was found.
    pub path: PathBuf,
    bytes: Arc<[u8]>,
    packed: Arc<Mutex<Option<Arc<[u8]>>>>,
}

impl Program {
    /// Its bytes, compressed with gzip: once for all hosts, by whoever comes first, and kept for later deployments.
    /// Takes a tenth of a second of all processors then, so not on a thread that others wait for.
    ///
    /// # Errors
    /// None in practice: it is written into memory.
    pub fn packed(&self) -> io::Result<Arc<[u8]>> {
        // Whoever comes meanwhile waits for it. A holder that panicked has left nothing half done.
        let mut known = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = &*known {
            return Ok(Arc::clone(packed));
        }
        let shelf = Shelf::of_user(&|name| std::env::var_os(name));
        let packed = packed::fetch(shelf.as_ref(), &self.bytes, &self.binary.sha256)?;
        Ok(Arc::clone(known.insert(packed.into())))
    }
}

/// Why there is no program for a host.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// None was found.
    #[error("no cm-agent for {arch} (looked for {}); build one: {recipe}", looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    Missing {
        /// The host's architecture.
        arch: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
        /// How to make one.
        recipe: String,
    },
    /// It is for another architecture.
    #[error("{} is a program for {found}, and the host is {arch}: name the right one, with {{arch}} in `agent: {{binary: …}}` for several", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its architecture.
        found: String,
        /// The host's.
        arch: String,
    },
    /// It is no program at all.
    #[error("{} is no Linux program (ELF): {why}", path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Where the programs come from; each is read once.
#[derive(Debug, Default)]
pub struct Programs {
    /// Beside which program to look: our own.
    beside: Option<PathBuf>,
    found: BTreeMap<(Option<PathBuf>, String), Result<Program, Arc<BinaryError>>>,
}

impl Programs {
    /// Those beside this very program.
    pub fn new() -> Self {
        Self { beside: std::env::current_exe().ok(), found: BTreeMap::new() }
    }

    /// The program for an architecture. `named`: what the inventory names, `{arch}` allowed.
    ///
    /// # Errors
    /// There is none, or it is not what it should be. Asked again, the answer is the same.
    pub fn get(&mut self, named: Option<&Path>, arch: &str) -> Result<Program, Arc<BinaryError>> {
        let key = (named.map(Path::to_path_buf), arch.to_owned());
        if let Some(known) = self.found.get(&key) {
            return known.clone();
        }
        let found = find(named, self.beside.as_deref(), arch).and_then(|path| read(&path, arch));
        let found = found.map_err(Arc::new);
        self.found.insert(key, found.clone());
        found
    }
}

/// PURE. The places where a program for `arch` may be, the best first.
pub fn places(named: Option<&Path>, beside: Option<&Path>, arch: &str) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![PathBuf::from(named.to_string_lossy().replace("{arch}", arch))];
    }
    let Some(dir) = beside.and_then(Path::parent) else { return Vec::new() };
    let name = format!("cm-agent-{arch}-linux");
    let mut places = vec![dir.join(&name), dir.join("../lib/cm-fleet").join(&name)];
    // In a checkout: what `cargo build --release --target …` makes, next to target/release/cm-fleet.
    for libc in ["gnu", "musl"] {
        places.push(dir.join(format!("../{arch}-unknown-linux-{libc}/release/cm-agent")));
    }
    places.push(dir.join("cm-agent"));
    places
}

fn find(named: Option<&Path>, beside: Option<&Path>, arch: &str) -> Result<PathBuf, BinaryError> {
    let looked = places(named, beside, arch);
    // The last place has one for this machine's own architecture, if any.
    let fits =
        |path: &&PathBuf| path.is_file() && (named.is_some() || machine_of(path).is_ok_and(|m| m == arch));
    match looked.iter().find(fits) {
        Some(path) => Ok(path.clone()),
        None => Err(BinaryError::Missing { arch: arch.to_owned(), looked, recipe: recipe(arch) }),
    }
}

/// How a static agent for an architecture is built.
pub fn recipe(arch: &str) -> String {
    format!(
        "rustup target add {arch}-unknown-linux-gnu; RUSTFLAGS='-C target-feature=+crt-static' \
         cargo build --release -p cm-agent --target {arch}-unknown-linux-gnu"
    )
}

/// Reads a program, and holds it against the architecture it is meant for.
fn read(path: &Path, arch: &str) -> Result<Program, BinaryError> {
    let failed = |source| BinaryError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let found = machine(&bytes).map_err(|why| BinaryError::NoProgram { path: path.to_owned(), why })?;
    if bytes.len() as u64 > MOST {
        let why = format!("it is larger than {MOST} bytes");
        return Err(BinaryError::NoProgram { path: path.to_owned(), why });
    }
    if found != arch {
        return Err(BinaryError::Foreign { path: path.to_owned(), found, arch: arch.to_owned() });
    }
    let binary = Binary {
        sha256: hex(&bytes),
        size: bytes.len() as u64,
        // The program says it itself once it runs; until then it is ours.
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Program { binary, path: path.to_owned(), bytes: bytes.into(), packed: Arc::default() })
}

fn machine_of(path: &Path) -> Result<String, String> {
    let mut head = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).map_err(|e| e.to_string())?;
    machine(&head)
}

/// PURE. The architecture an ELF program is for, by the kernel's name (elf(5): `e_machine`).
fn machine(bytes: &[u8]) -> Result<String, String> {
    let head =
        bytes.get(..20).filter(|head| head.starts_with(b"\x7fELF")).ok_or("it does not begin with ELF")?;
    let number = match head[5] {
        1 => u16::from_le_bytes([head[18], head[19]]),
        2 => u16::from_be_bytes([head[18], head[19]]),
        _ => return Err("its byte order is none".into()),
    };
    Ok(match number {
        0x3e => "x86_64".into(),
        0xb7 => "aarch64".into(),
        0x28 => "armv7l".into(),
        0xf3 => "riscv64".into(),
        0x15 => "ppc64le".into(),
        0x16 => "s390x".into(),
        other => format!("machine {other:#x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }

    #[test]
    fn architectures_of_programs() {
        let check = |bytes: &[u8], expected: Result<&str, &str>| {
            let got = machine(bytes);
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        };
        check(&elf(0x3e), Ok("x86_64"));
        check(&elf(0xb7), Ok("aarch64"));
        check(&elf(0x99), Ok("machine 0x99"));
        check(b"#!/bin/sh\nexec something\n", Err("it does not begin with ELF"));
        check(b"\x7fELF", Err("it does not begin with ELF"));
    }

    #[test]
    fn found_read_packed_and_held_against_the_host() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("write");
        let mut programs = Programs { beside: Some(dir.path().join("cm-fleet")), ..Programs::default() };
        put("cm-agent", &elf(0x3e));
        let program = programs.get(None, "x86_64").expect("beside us");
        assert_eq!((program.binary.size, program.binary.sha256.clone()), (64, hex(&elf(0x3e))));
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&program.packed().expect("packed")[..])
            .read_to_end(&mut unpacked)
            .expect("unpack");
        assert_eq!(unpacked, elf(0x3e));
        let missing = programs.get(None, "aarch64").expect_err("for another machine").to_string();
        assert!(
            missing.contains("no cm-agent for aarch64") && missing.contains("rustup target add"),
            "{missing}"
        );
        put("cm-agent-aarch64-linux", &elf(0xb7));
        assert!(programs.get(None, "aarch64").is_err(), "asked again, the answer is the same");
        let named = dir.path().join("cm-agent-{arch}-linux");
        assert!(programs.get(Some(&named), "aarch64").is_ok());
        put("cm-agent-x86_64-linux", &elf(0xb7));
        let foreign = programs.get(Some(&named), "x86_64").expect_err("foreign").to_string();
        assert!(foreign.contains("is a program for aarch64, and the host is x86_64"), "{foreign}");
    }
}
