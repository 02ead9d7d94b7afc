//! Running a program to its end, with the time that took and the processor time of all its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::sh::Run;

/// bash knows the processor time of what it has waited for, descendants included, to the millisecond. The first
/// word is the file for everything the program prints.
const TIMED: &str = r#"TIMEFORMAT="%3R %3U %3S"; out=$1; shift; { time "$@" >"$out" 2>&1 </dev/null; } 2>&1"#;
/// The slowest way of deploying takes a minute on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Took {
    /// From its start to its end, seconds.
    pub wall: f64,
    /// Processor time on this side: user and system, with all children, seconds.
    pub cpu: f64,
}

/// A place where programs find nothing of the person's who measures: home, ssh agent and state are its own.
#[derive(Debug)]
pub struct Bench {
    dir: PathBuf,
}

impl Bench {
    /// In `dir`, which is made anew.
    pub fn new(dir: PathBuf) -> Result<Self, Failure> {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Failure::file("remove", &dir))?;
        }
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        Ok(Self { dir })
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
        Ok(path)
    }

    /// Runs a program; says what it took and what it printed.
    ///
    /// # Errors
    /// It failed. The error has the end of what it printed.
    pub fn run(&self, program: &Path, args: &[&str]) -> Result<(Took, String), Failure> {
        let out = self.path("printed");
        let shown = program.display().to_string();
        let timed = Run::new("bash")
            .args(["-c", TIMED, "bash"])
            .arg(&out)
            .arg(program)
            .args(args)
            .dir(&self.dir)
            .env("HOME", &self.dir)
            .env("LC_ALL", "C.UTF-8")
            .without("SSH_AUTH_SOCK")
            .without("XDG_STATE_HOME")
            .without("XDG_CONFIG_HOME")
            .without("XDG_CACHE_HOME")
            .capture(DEADLINE);
        let printed = fs::read(&out).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        match timed {
            Ok(times) => match read(&times) {
                Some(took) => Ok((took, printed)),
                None => Err(Failure::check(format!("bash measured nothing: {times:?}"), "install bash 4")),
            },
            Err(Failure::Exit { status, .. }) => {
                Err(Failure::Exit { command: format!("{shown} {}", args.join(" ")), status, output: printed })
            }
            Err(other) => Err(other),
        }
    }
}

/// PURE. The three numbers of bash's.
fn read(times: &str) -> Option<Took> {
    let mut numbers = times.lines().last()?.split_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok();
    let (wall, user, system) = (next()?, next()?, next()?);
    Some(Took { wall, cpu: user + system })
}

/// PURE. The one in the middle; of an even number the lower. 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bash_says_of_times() {
        let check = |text: &str, expected: Option<(f64, f64)>| {
            assert_eq!(read(text).map(|took| (took.wall, took.cpu)), expected, "{text:?}");
        };
        check("1.500 0.250 0.500\n", Some((1.5, 0.75)));
        check("bash: warning\n2.000 0.000 0.125\n", Some((2.0, 0.125)));
        check("1.5 x 2\n", None);
        check("", None);
    }

    #[test]
    fn medians() {
        let check = |values: &[f64], expected: f64| assert_eq!(median(values.iter().copied()), expected);
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.0);
        check(&[], 0.0);
    }

    #[test]
    fn a_run_is_timed_with_its_children_and_a_failure_says_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path().join("bench")).unwrap();
        let (took, printed) = bench.run(Path::new("sh"), &["-c", "echo $HOME; sh -c 'exit 0'"]).unwrap();
        assert_eq!(printed.trim(), bench.path("").display().to_string().trim_end_matches('/'));
        assert!(took.wall >= 0.0 && took.cpu >= 0.0);
        let failure = bench.run(Path::new("sh"), &["-c", "echo no such thing >&2; exit 3"]).unwrap_err();
        assert!(failure.to_string().contains("no such thing"), "{failure}");
    }
}
