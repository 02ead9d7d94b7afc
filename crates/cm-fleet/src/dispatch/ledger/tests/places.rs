//! Runs made, listed, found and cleared away, and their private files.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use super::super::{EVENTS, Ledger, PLAN, Place, read_private, write_private};
use super::{LedgerError, Path, RUN, RunEvent, SystemTime, directory, event, lines, now, said};

fn place(dir: &Path) -> Place {
    let state = dir.display().to_string();
    Place::new(&|name| (name == "XDG_STATE_HOME").then(|| state.clone())).expect("a place")
}

/// A run that began then and was written to so many days ago.
fn run(place: &Place, id: &str, began: f64, days: u64) {
    let dir = place.create(id).expect("made");
    let path = dir.join(EVENTS);
    std::fs::write(&path, lines(&[RunEvent { at: began, ..event(0) }])).expect("written");
    let then = now() - Duration::from_secs(days * 86_400 + 60);
    std::fs::File::options().write(true).open(&path).expect("open").set_modified(then).expect("set");
}

fn ids(place: &Place) -> Vec<String> {
    place.list().expect("listed").into_iter().map(|run| run.id).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn where_runs_are() {
    let check = |set: &[(&str, &str)], expected: Option<&str>| {
        let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let place = Place::new(&env).ok();
        assert_eq!(place.map(|place| place.dir().display().to_string()).as_deref(), expected, "{set:?}");
    };
    check(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/cm-fleet/runs"));
    check(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")], Some("/h/.local/state/cm-fleet/runs"));
    check(&[("HOME", "")], None);
}

#[test]
fn directories_are_private_and_new() {
    let dir = directory();
    let place = place(dir.path());
    assert!(place.list().expect("none yet").is_empty());
    let run = place.create(RUN).expect("made");
    assert_eq!((mode(&run), mode(place.dir())), (0o700, 0o700));
    assert!(matches!(place.create(RUN), Err(LedgerError::Exists { .. })));
    for bad in ["", "run-", "x", "run-00112233445566AA", "run-../../../../etc", "run-00112233445566aa0"] {
        assert!(matches!(place.create(bad), Err(LedgerError::BadId(_))), "{bad}");
    }
    drop(Ledger::create(&run, now()).expect("made"));
    write_private(&run, PLAN, b"secret").expect("written");
    for name in [EVENTS, PLAN, "lock"] {
        assert_eq!(mode(&run.join(name)), 0o600, "{name}");
    }
    write_private(&run, PLAN, b"another").expect("written");
    assert_eq!(read_private(&run, PLAN).expect("read").as_deref(), Some(&b"another"[..]));
    assert_eq!(read_private(&run, "none").expect("read"), None);
    let left: Vec<_> = std::fs::read_dir(&run).expect("read").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn runs_are_found_by_their_beginning() {
    let dir = directory();
    let place = place(dir.path());
    let said = |query: &str| match place.find(query) {
        Ok(run) => run.id,
        Err(error) => error.failure().to_string().replace(&dir.path().display().to_string(), "DIR"),
    };
    insta::assert_snapshot!(said("last"), @r"
    error: there is no run `last`
      hint: there are no runs in DIR/cm-fleet/runs
    ");
    let runs =
        [("run-aa00000000000001", 30.0), ("run-aa00000000000002", 20.5), ("run-ab00000000000003", 40.0)];
    for (id, began) in runs {
        run(&place, id, began, 0);
    }
    std::fs::create_dir(place.dir().join("else")).expect("made");
    std::fs::write(place.dir().join("run-ffffffffffffffff"), "").expect("written");
    assert_eq!(ids(&place), ["run-ab00000000000003", "run-aa00000000000001", "run-aa00000000000002"]);
    assert_eq!(place.list().expect("listed")[2].started.to_string(), "20.5");
    let check =
        |query: &str, expected: &str| assert!(said(query).contains(expected), "{query}: {}", said(query));
    check("last", "run-ab00000000000003");
    check("ab", "run-ab00000000000003");
    check(" run-AB0 ", "run-ab00000000000003");
    check("aa00000000000002", "run-aa00000000000002");
    check("", "there is no run ``");
    insta::assert_snapshot!(said("run-aa"), @r"
    error: `run-aa` may be 2 runs
      hint: write more of it: run-aa00000000000001, run-aa00000000000002
    ");
    insta::assert_snapshot!(said("xyz"), @r"
    error: there is no run `xyz`
      hint: there is run-ab00000000000003, run-aa00000000000001, run-aa00000000000002
    ");
}

#[test]
fn a_run_without_a_line_is_as_old_as_its_directory() {
    let dir = directory();
    let place = place(dir.path());
    place.create(RUN).expect("made");
    let listed = place.list().expect("listed");
    let age = now().duration_since(UNIX_EPOCH).expect("now").as_secs_f64() - listed[0].started;
    assert!((-1.0..600.0).contains(&age), "{age}");
}

#[test]
fn old_runs_are_cleared_away() {
    let dir = directory();
    let place = place(dir.path());
    let id = |n: u32| format!("run-{n:016x}");
    for n in 0..6 {
        run(&place, &id(n), f64::from(n), u64::from(60 - 10 * n));
    }
    let kept = Ledger::open::<RunEvent>(&place.dir().join(id(1)), now()).expect("opened");
    std::fs::create_dir(place.dir().join(".gone-run-00000000000000ff")).expect("made");
    // Six are 60, 50, … 10 days old: the newest stays, then what is young enough.
    let check = |keep: usize, days: u32, now: SystemTime, removed: &[u32], held: &[u32]| {
        let pruned = place.prune(keep, days, now).expect("looked through");
        assert!(pruned.failed.is_empty(), "{pruned:?}");
        let names = |all: &[u32]| all.iter().map(|n| id(*n)).collect::<Vec<_>>();
        assert_eq!((pruned.removed, pruned.held), (names(removed), names(held)));
    };
    check(6, 0, now(), &[], &[]);
    check(0, 100, now(), &[], &[]);
    check(0, 0, UNIX_EPOCH, &[], &[]);
    check(1, 35, now(), &[2, 0], &[1]);
    assert_eq!(ids(&place), [id(5), id(4), id(3), id(1)]);
    assert_eq!(std::fs::read_dir(place.dir()).expect("read").count(), 4, "nothing is left of the others");
    drop(kept);
    check(1, 0, now(), &[4, 3, 1], &[]);
    let error = Ledger::open::<RunEvent>(&place.dir().join(id(1)), now()).expect_err("gone");
    assert!(said(&error, dir.path()).contains("is gone"), "{error}");
}
