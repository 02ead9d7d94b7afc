//! `cm-fleet replay`: the decisions of a recording, computed anew without the session or its agent.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use cm_client::protocol::State;

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::local::places;
use crate::replay::{self, Decision, ENGINE, Engine, Moment, Recording};
use crate::report::clean::{clean, pad};
use crate::report::paint::Paint;
use crate::report::{terminal, words};

/// Columns of a state and of a rule.
const WIDE: (usize, usize) = (10, 30);

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
    let recording = replay::read(open(&path)?).map_err(|e| unreadable(&path).because(&e))?;
    if let Some((line, error)) = &recording.unread {
        super::say(&format!("{}:{line}: left out: {error}\n", path.display()));
    }
    let (moments, anew) = moments(&path, &recording, ENGINE)?;
    let differing = if anew { moments.iter().filter(|moment| moment.differs()).count() } else { 0 };
    if args.json {
        for moment in &moments {
            if !super::print(&super::json(moment)?)? {
                break;
            }
        }
    } else {
        super::print(&page(&recording, &moments, anew, terminal::paint_stdout()))?;
    }
    Ok(if differing == 0 { Exit::Done } else { Exit::Failed })
}

/// What was decided then and now; false where nothing can be decided anew.
fn moments(
    path: &Path,
    recording: &Recording,
    engine: Option<Engine>,
) -> Result<(Vec<Moment>, bool), Failure> {
    let then = recording.decisions.clone();
    let Some(engine) = engine else { return Ok((replay::beside(then, Vec::new()), false)) };
    let now = engine(&mut open(path)?).map_err(|why| unreadable(path).caused_by(why))?;
    Ok((replay::beside(then, now), true))
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    File::open(path).map(BufReader::new).map_err(|e| unreadable(path).because(&e))
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

fn page(recording: &Recording, moments: &[Moment], anew: bool, paint: Paint) -> String {
    let start = &recording.start;
    let version = start.version.as_deref().map(|v| format!(" {}", clean(v))).unwrap_or_default();
    let mut out = format!("{}{version}", clean(&start.tool));
    for (what, value) in [("profile", &start.profile), ("policy", &start.policy), ("in", &start.work_dir)] {
        if !value.is_empty() {
            out.push_str(&format!(", {what} {}", clean(value)));
        }
    }
    let screens = match recording.screens {
        1 => "1 screen".to_owned(),
        count => format!("{count} screens"),
    };
    out.push_str(&format!("; {screens}, {}\n", words::took(recording.seconds)));
    for moment in moments {
        out.push_str(&row(moment, recording.begin, anew, paint));
    }
    let differing = moments.iter().filter(|moment| moment.differs()).count();
    out.push_str(&match (anew, differing) {
        (false, _) => "as recorded: this version cannot decide anew\n".to_owned(),
        (true, 0) => format!("{} decisions, all as recorded\n", moments.len()),
        (true, n) => {
            paint.attention(&format!("{n} of {} decisions differ from the recording", moments.len())) + "\n"
        }
    });
    out
}

fn row(moment: &Moment, begin: f64, anew: bool, paint: Paint) -> String {
    let at = format!("{:>9.3}", moment.at - begin);
    let told = |decision: &Decision| {
        let state = paint.state(decision.state, &pad(decision.state.as_str(), WIDE.0));
        let note = match (&decision.prompt, &decision.reason) {
            (Some(prompt), _) => words::prompt::asks(prompt),
            (None, Some(reason)) => clean(reason),
            (None, None) => String::new(),
        };
        format!("{state}{}  {note}", pad(&clean(&decision.rule), WIDE.1)).trim_end().to_owned()
    };
    let nothing = || paint.state(State::Idle, "nothing");
    match (&moment.recorded, &moment.now) {
        (Some(then), _) if !anew => format!("{at}  {}\n", told(then)),
        (Some(_), Some(now)) if !moment.differs() => format!("{at}  {}\n", told(now)),
        (then, now) => {
            let now = now.as_ref().map_or_else(nothing, told);
            let then = then.as_ref().map_or_else(nothing, told);
            format!("{at}  {now}\n{:>9}  {then}\n", paint.attention("recorded"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::{RECORDING, decision};

    fn recorded() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cm-abcd.jsonl");
        std::fs::write(&path, RECORDING).expect("written");
        (dir, path)
    }

    fn shown(engine: Option<Engine>) -> String {
        let (_dir, path) = recorded();
        let recording = replay::read(open(&path).expect("there")).expect("readable");
        let (moments, anew) = moments(&path, &recording, engine).expect("decided");
        page(&recording, &moments, anew, Paint::OFF)
    }

    #[test]
    fn as_recorded() {
        insta::assert_snapshot!(shown(None), @r"
        claude 2.1.330, profile claude 3, policy careful, in /p; 1 screen, 4.0 s
            0.500  idle      claude/ready
            3.250  waiting   claude/permission               asks to run make
        as recorded: this version cannot decide anew
        ");
    }

    #[test]
    fn decided_anew() {
        let otherwise: Engine = |_| {
            Ok(vec![
                decision(100.5, State::Idle, "claude/ready"),
                decision(103.25, State::Running, "claude/working"),
                decision(104.0, State::Done, "claude/done"),
            ])
        };
        insta::assert_snapshot!(shown(Some(otherwise)), @r"
        claude 2.1.330, profile claude 3, policy careful, in /p; 1 screen, 4.0 s
            0.500  idle      claude/ready
            3.250  running   claude/working
         recorded  waiting   claude/permission               asks to run make
            4.000  done      claude/done
         recorded  nothing
        2 of 3 decisions differ from the recording
        ");
        let alike: Engine = |reader| {
            let recording = replay::read(reader).map_err(|e| e.to_string())?;
            Ok(recording.decisions)
        };
        assert!(shown(Some(alike)).ends_with("2 decisions, all as recorded\n"));
        let broken: Engine = |_| Err("no such profile".into());
        let (_dir, path) = recorded();
        let failure = moments(&path, &Recording::default(), Some(broken)).expect_err("it fails");
        assert!(failure.to_string().contains("caused by: no such profile"), "{failure}");
    }

    #[test]
    fn recordings_by_the_beginning_of_their_id() {
        let (dir, path) = recorded();
        let check = |wanted: &str, found: bool| {
            let expected = if found { vec![path.clone()] } else { Vec::new() };
            assert_eq!(begun(dir.path(), wanted), expected, "{wanted:?}");
        };
        check("cm-abcd", true);
        check("ab", true);
        check("bc", false);
        check("", false);
        check("cm-", false);
    }
}
