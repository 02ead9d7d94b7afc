//! `cm-fleet replay`: the decisions of a recording, computed anew without the session or its agent.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use cm_agent::policies_dir;
use cm_agent::replay::{self, Replayed};
use cm_agent::tool::{Policies, Profiles};

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::local::places;
use crate::report::clean::{clean, pad};
use crate::report::paint::Paint;
use crate::report::terminal;

/// Columns of a decision.
const WIDE: usize = 46;
/// Bytes of a recording at most; an agent writes half of it.
const MOST: u64 = 64 << 20;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet replay session.jsonl             a recording somebody sent
  cm-fleet replay 1a2b3c                    the recording of a session of this machine
  cm-fleet replay session.jsonl --json      one JSON object a decision

Exit codes: 0 everything is decided as it was then · 1 something is not · 2 no such recording")]
pub struct Replay {
    /// The recording: a file, or a session of this machine (id, beginning of an id, or name)
    #[arg(value_name = "TRANSCRIPT")]
    transcript: String,
    /// One JSON object a decision
    #[arg(long)]
    json: bool,
}

/// Prints the decisions.
///
/// # Errors
/// There is no such recording, or it cannot be read.
pub async fn run(args: Replay, global: &Global) -> Result<Exit, Failure> {
    let path = locate(&args.transcript, global).await?;
    let told = replay::replay(&read(&path)?, &profiles(), &policies());
    if args.json {
        for line in &told {
            if !super::print(&super::json(line)?)? {
                break;
            }
        }
    } else {
        super::print(&page(&told, terminal::paint_stdout()))?;
    }
    if !told.iter().any(|line| matches!(line, Replayed::Started { .. })) {
        return Err(unreadable(&path).hint("a recording begins with a line of kind `start`"));
    }
    Ok(if told.iter().any(differs) { Exit::Failed } else { Exit::Done })
}

/// What is known of tools here, the user's own profiles included.
fn profiles() -> Profiles {
    config().map_or_else(Profiles::builtin, |dir| cm_agent::tools::tools_dir(&dir.join("tools")).0)
}

/// The policies known here. One that is not asks for everything it would have allowed.
fn policies() -> Policies {
    let mut policies = Policies::builtin();
    if let Some(dir) = config() {
        policies_dir::load(&dir.join("policies"), &mut policies);
    }
    policies
}

fn config() -> Option<PathBuf> {
    cm_agent::host::places::config_dir(&|name| std::env::var(name).ok())
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|e| unreadable(path).because(&e))?;
    if bytes.len() as u64 > MOST {
        return Err(unreadable(path).caused_by(format!("it is over {} MiB", MOST >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(path: &Path) -> Failure {
    Failure::usage(format!("cannot replay {}", path.display()))
}

/// The recording meant: a file, else one of this machine's agent.
async fn locate(wanted: &str, global: &Global) -> Result<PathBuf, Failure> {
    let file = PathBuf::from(wanted);
    if file.exists() || wanted.contains('/') {
        return Ok(file);
    }
    let folder = places()?.state.join("recordings");
    let found = begun(&folder, wanted);
    match found.as_slice() {
        [one] => return Ok(one.clone()),
        [] => {}
        several => {
            return Err(Failure::usage(format!("`{}` could be any of {}", clean(wanted), several.len()))
                .hint("write more of the id"));
        }
    }
    // A name is known to the agent alone.
    let none = || {
        Failure::usage(format!("there is no file and no recording `{}`", clean(wanted)))
            .hint(format!("recordings of this machine are in {}", folder.display()))
    };
    let client = super::connect_to(&global.local(false)).await.map_err(|_| none())?;
    let session = super::find(&client, wanted).await?;
    client.close().await;
    let path = folder.join(format!("{}.jsonl", session.session_id));
    if path.exists() { Ok(path) } else { Err(none()) }
}

/// The recordings whose id begins so.
fn begun(folder: &Path, wanted: &str) -> Vec<PathBuf> {
    let digits = wanted.strip_prefix("cm-").unwrap_or(wanted);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.strip_suffix(".jsonl").and_then(|stem| stem.strip_prefix("cm-"));
        !digits.is_empty() && id.is_some_and(|id| id.starts_with(digits))
    };
    entries.map(|entry| entry.path()).filter(fits).collect()
}

/// Whether another decision comes out than was recorded.
fn differs(line: &Replayed) -> bool {
    matches!(line, Replayed::Missing { .. } | Replayed::Decided { same: false, .. })
}

fn page(told: &[Replayed], paint: Paint) -> String {
    let mut begin = 0.0;
    let mut out = String::new();
    for line in told {
        if let Replayed::Started { at, .. } = line {
            begin = *at;
        }
        out.push_str(&row(line, begin, paint));
    }
    let decisions = told.iter().filter(|line| matches!(line, Replayed::Decided { .. })).count();
    out.push_str(&match told.iter().filter(|line| differs(line)).count() {
        0 => format!("{decisions} decisions, all as recorded\n"),
        n => paint.attention(&format!("{n} decisions differ from the recording")) + "\n",
    });
    out
}

fn row(line: &Replayed, begin: f64, paint: Paint) -> String {
    let decided = |at: &f64, effect: &str, rule: &str| {
        format!("{:>9.3}  {}  {}", at - begin, pad(&clean(effect), WIDE), paint.dim(&clean(rule)))
    };
    match line {
        Replayed::Started { start, profile, .. } => {
            let version = start.tool_version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
            let then = if start.profile == *profile {
                String::new()
            } else {
                format!(" (recorded: {})", start.profile)
            };
            let text = format!("{}{version}, profile {profile}{then}, in {}", start.tool, start.work_dir);
            format!("{}\n", clean(&text))
        }
        Replayed::Decided { at, effect, rule, same: true } => decided(at, effect, rule) + "\n",
        Replayed::Decided { at, effect, rule, same: false } => {
            format!("{}  {}\n", decided(at, effect, rule), paint.attention("not recorded"))
        }
        Replayed::Missing { at, effect, rule } => {
            format!("{}  {}\n", decided(at, effect, rule), paint.attention("recorded, not decided now"))
        }
        Replayed::Unreadable { line, why } => format!("line {line} left out: {}\n", clean(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = r#"{"at":100.0,"kind":"start","session":"cm-1","tool":"shell","toolVersion":null,"profile":"shell 1","policy":"careful","task":true,"workDir":"/p","home":"/h","check":false,"memory":null}
{"at":100.5,"kind":"screen","height":1,"lines":[[0,"Press Enter to continue"]],"screen":{"cursor":{"col":23,"row":0,"visible":true},"cols":80,"rows":24,"history":0,"alternate":false,"title":""}}
{"at":100.5,"kind":"decided","effect":"running","rule":"launched"}
{"at":100.9,"kind":"event","word":"tick"}
{"at":100.9,"kind":"decided","effect":"press Space for #1","rule":"old"}
{"at":105.0,"kind":"decided","sta"#;

    #[test]
    fn then_and_now() {
        let told = replay::replay(RECORDING, &Profiles::builtin(), &Policies::builtin());
        insta::assert_snapshot!(page(&told, Paint::OFF));
    }

    #[test]
    fn ids_are_found_by_their_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        for id in ["cm-abcd", "cm-abef"] {
            std::fs::write(dir.path().join(format!("{id}.jsonl")), "").expect("written");
        }
        let check =
            |wanted: &str, found: usize| assert_eq!(begun(dir.path(), wanted).len(), found, "{wanted}");
        check("ab", 2);
        check("abc", 1);
        check("cm-abe", 1);
        check("x", 0);
        check("", 0);
    }
}
