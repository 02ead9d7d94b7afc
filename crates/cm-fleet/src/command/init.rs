//! `cm-fleet init`: writes an inventory to begin with, of hosts that ssh already knows.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::inventory::draft::{self, Picked};
use crate::inventory::{NAME, ssh_config};
use crate::report::clean::clean;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet init                                     fleet.yaml here; asks which hosts of ~/.ssh/config
  cm-fleet init --host gpu-01 --host 'web[1-3]'     with these hosts
  cm-fleet init ~/.config/cm-fleet/fleet.yaml --all your own, with all hosts of ~/.ssh/config

Only names are taken from ~/.ssh/config (and what it includes); how a host is reached stays there.")]
pub struct Init {
    /// The file to write
    #[arg(value_name = "FILE", default_value = NAME)]
    file: PathBuf,
    /// A host's name, address or range (gpu[01-16]). May be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// All hosts of ~/.ssh/config
    #[arg(long)]
    all: bool,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
}

/// Writes it.
///
/// # Errors
/// The file is there already or cannot be written, or a host's name is none.
pub fn run(args: &Init) -> Result<Exit, Failure> {
    let shown = clean(&args.file.display().to_string());
    if args.file.symlink_metadata().is_ok() && !args.force {
        return Err(exists(&shown));
    }
    let known = std::env::var_os("HOME").map(|home| ssh_config::names(Path::new(&home))).unwrap_or_default();
    let mut hosts = args.host.clone();
    if args.all {
        hosts.extend(known.iter().cloned());
    } else if hosts.is_empty() && !known.is_empty() && interactive() {
        hosts = ask(&known, &mut std::io::stdin().lock())?;
    }
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    let real = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let text = draft::write(&real, &hosts).map_err(|why| {
        Failure::usage(why)
            .hint("names are letters, digits, `.`, `_` and `-`; user and port are written under them")
    })?;
    save(&args.file, &text, args.force).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&shown),
        _ => Failure::new(Kind::Task, format!("cannot write {shown}")).because(&e),
    })?;
    let count = match (hosts.len(), known.len()) {
        (0, 0) => "no hosts yet: add yours".to_owned(),
        (0, many) => {
            format!("no hosts yet: add yours, or take the {many} of ~/.ssh/config with --all --force")
        }
        (1, _) => "1 entry under hosts".to_owned(),
        (many, _) => format!("{many} entries under hosts"),
    };
    super::print(&format!("wrote {shown}, {count}\n"))?;
    super::say(&format!("next: cm-fleet check {shown}\n"));
    Ok(Exit::Done)
}

fn exists(shown: &str) -> Failure {
    Failure::usage(format!("{shown} is there already")).hint("--force overwrites it; or name another file")
}

fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks which hosts are meant.
fn ask(known: &[String], answers: &mut impl BufRead) -> Result<Vec<String>, Failure> {
    const TRIES: usize = 3;
    const LINE: u64 = 64 * 1024;
    let width = known.len().to_string().len();
    super::say("Hosts of your ssh configuration:\n");
    for (index, name) in known.iter().enumerate() {
        super::say(&format!("  {:>width$}  {}\n", index + 1, clean(name)));
    }
    for _ in 0..TRIES {
        super::say("Which of them? Numbers as 1,3-5; `all`; Enter for none: ");
        let mut line = String::new();
        let cannot = |e: &std::io::Error| Failure::new(Kind::Task, "cannot read the answer").because(e);
        if answers.by_ref().take(LINE).read_line(&mut line).map_err(|e| cannot(&e))? == 0 {
            super::say("\n");
            break;
        }
        match draft::pick(&line, known.len()) {
            Ok(Picked::All) => return Ok(known.to_vec()),
            Ok(Picked::These(chosen)) => {
                return Ok(chosen.into_iter().filter_map(|index| known.get(index).cloned()).collect());
            }
            Err(why) => super::say(&format!("{}\n", clean(&why))),
        }
    }
    Err(Failure::new(Kind::Interrupted, "no answer: nothing was written")
        .hint("--host NAME or --all says it without asking"))
}

/// Writes a whole file or none; without `force` only a new one.
fn save(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    if !force {
        let mut file = std::fs::File::create_new(path)?;
        return file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    }
    // A link stays a link: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = std::fs::File::create_new(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&fresh, &path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
