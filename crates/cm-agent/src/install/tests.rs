//! Support of the tests in this room.

use cm_protocol::deploy::{AgentSettings, Binary, Manifest};

use super::layout::Pending;

/// A manifest of a program with this digest.
pub fn manifest(deployment: &str, sha256: &str) -> Manifest {
    Manifest {
        deployment: deployment.into(),
        fleet: "lab".into(),
        by: "ada@laptop".into(),
        binary: Binary { sha256: sha256.into(), size: 3, version: "0.1.0".into() },
        settings: AgentSettings::default(),
        confirm_seconds: 30,
        ready_seconds: 10,
        force: false,
        take_over: false,
    }
}

/// A deployment under way.
pub fn pending(deployment: &str, generation: u64, previous: Option<u64>, deadline: f64) -> Pending {
    Pending {
        deployment: deployment.into(),
        owner: "ada@laptop".into(),
        generation,
        fresh: true,
        previous,
        foreign_unit: None,
        deadline,
        boot_id: "b".into(),
        manager: "m".into(),
        confirm_seconds: 30,
        enabled_linger: false,
        before: Vec::new(),
        activated: false,
        healthy: false,
        reverting: false,
    }
}

mod fake;
mod killed;

use cm_protocol::deploy::{FailureKind, HostAfter, InstallLine, InstallStep};

use super::order::{Goal, Order};
use super::{keep, unit};
use fake::{Fake, Fault, session};

/// A deployment of a program with this text.
fn order(fake: &mut Fake, deployment: &str, program: &str) -> Order {
    let mut manifest = manifest(deployment, &fake.push(program));
    manifest.binary.size = program.len() as u64;
    Order::of(manifest)
}

fn rollback(deployment: &str, to: Option<&str>) -> Order {
    let mut order = Order::of(manifest(deployment, ""));
    order.goal = Goal::Old(to.map(Into::into));
    order
}

/// A host with a confirmed first deployment of `good 1`, one session on it.
fn deployed() -> Fake {
    let mut fake = Fake::new();
    let first = order(&mut fake, "d1", "good 1");
    fake.run(&first).1.expect("installed");
    let layout = fake.layout.clone();
    keep::confirm(&mut fake, &layout, "d1").expect("confirmed");
    fake.sessions.push(session(&layout, "cm-a", 50));
    fake.next_process(Fault::None);
    fake
}

/// The host is in one piece: this program runs and is the installed one, and nothing is under way.
#[track_caller]
fn settled(fake: &Fake, program: &str, context: &str) {
    assert_eq!(fake.runs().as_deref(), Some(program), "{context}");
    let installed = fake.layout.installed().unwrap_or_else(|| panic!("{context}: nothing installed"));
    assert_eq!(installed.manifest.binary.sha256, fake::digest(program.as_bytes()), "{context}");
    assert_eq!(fake.layout.under_way(), None, "{context}");
    assert!(!fake.layout.lock().exists(), "{context}: still locked");
    let unit = super::layout::bytes(&fake.layout.unit_file());
    let wanted = super::layout::bytes(&fake.layout.generation(installed.number).join("unit"));
    assert_eq!(unit, wanted, "{context}");
}

/// No agent is there, and nothing that would start one.
#[track_caller]
fn bare(fake: &Fake, context: &str) {
    assert_eq!(fake.running, None, "{context}");
    let layout = &fake.layout;
    for path in [layout.unit_file(), layout.wanted(), layout.current(), layout.pending(), layout.lock()] {
        assert!(std::fs::symlink_metadata(&path).is_err(), "{context}: {} is left", path.display());
    }
    assert!(!fake.linger, "{context}: lingering is left on");
}

#[test]
fn from_nothing_to_a_confirmed_agent_and_what_is_reported() {
    let mut fake = Fake::new();
    fake.refused = vec![unit::HARDENING[1].into()];
    let first = order(&mut fake, "d1", "good 1");
    let (lines, outcome) = fake.run(&first);
    let installation = outcome.expect("installed");
    assert_eq!((installation.generation, installation.previous), (1, None));
    assert_eq!(installation.dropped, [unit::HARDENING[1]]);
    let steps: Vec<InstallStep> = lines
        .iter()
        .filter_map(|line| if let InstallLine::Step { step, .. } = line { Some(*step) } else { None })
        .collect();
    use InstallStep::*;
    assert_eq!(steps, [Lock, Verify, Store, Linger, Arm, Activate, Healthy, Sessions]);
    assert!(matches!(lines.last(), Some(InstallLine::Installed(_))));
    assert!(fake.linger && !fake.layout.dir.join("upload").exists());

    let layout = fake.layout.clone();
    let other = keep::confirm(&mut fake, &layout, "d0").expect_err("another");
    assert!(other.why.contains("d1 of ada@laptop waits"), "{}", other.why);
    assert_eq!(keep::confirm(&mut fake, &layout, "d1").expect("confirmed"), 1);
    assert_eq!(keep::confirm(&mut fake, &layout, "d1").expect("again is no error"), 1);
    assert_eq!(fake.timer, None);
    settled(&fake, "good 1", "confirmed");
}

#[test]
fn the_same_again_changes_nothing() {
    let mut fake = deployed();
    let pid = fake.running.as_ref().map(|r| r.pid);
    let again = order(&mut fake, "d2", "good 1");
    let (lines, outcome) = fake.run(&again);
    assert_eq!(outcome.expect("as before").generation, 1);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(fake.running.as_ref().map(|r| r.pid), pid);
    assert!(!fake.layout.dir.join("upload").exists());
    settled(&fake, "good 1", "unchanged");
}

#[test]
fn an_upgrade_keeps_sessions_and_five_generations() {
    let mut fake = deployed();
    for n in 2..=8 {
        fake.next_process(Fault::None);
        let mut next = order(&mut fake, &format!("d{n}"), &format!("good {n}"));
        next.confirm_seconds = 0;
        let installation = fake.run(&next).1.expect("installed");
        assert_eq!((installation.generation, installation.previous), (n, Some(n - 1)));
        assert_eq!(installation.before, installation.after);
        assert_eq!(installation.before.len(), 1);
    }
    assert_eq!(fake.layout.numbers(), [4, 5, 6, 7, 8]);
    assert_eq!(fake.layout.programs().len(), 5);
    fake.next_process(Fault::None);
    fake.own = fake.layout.program(&fake::digest(b"good 8"));
    let mut back = rollback("r1", Some("5"));
    back.confirm_seconds = 0;
    let installation = fake.run(&back).1.expect("back");
    assert_eq!((installation.generation, installation.previous), (5, Some(8)));
    settled(&fake, "good 5", "rolled back");
    let log = std::fs::read_to_string(fake.layout.dir.join("deploy.log")).expect("a log");
    assert!(log.contains(r#""act":"rollback","deployment":"r1","from":8,"to":5"#), "{log}");
}

#[test]
fn what_fails_goes_back_and_says_so() {
    #[track_caller]
    fn check(fake: &mut Fake, program: &str, host: HostAfter, step: InstallStep, words: &str) {
        let bad = order(fake, "d9", program);
        let failure = fake.run(&bad).1.expect_err("fails");
        assert_eq!((&failure.host, failure.step), (&host, step), "{failure:?}");
        assert!(failure.why.contains(words), "{}", failure.why);
        assert_eq!(failure.log, ["last words"]);
        assert_eq!(fake.timer, None);
    }
    let mut fake = deployed();
    check(&mut fake, "crash", HostAfter::Reverted { generation: 1 }, InstallStep::Healthy, "does not start");
    settled(&fake, "good 1", "after a crash");
    assert_eq!(fake.layout.numbers(), [1]);
    fake.next_process(Fault::None);
    check(
        &mut fake,
        "mute",
        HostAfter::Reverted { generation: 1 },
        InstallStep::Healthy,
        "not healthy after 10 s",
    );
    settled(&fake, "good 1", "after silence");
    fake.next_process(Fault::None);
    fake.fragile = true;
    check(&mut fake, "good 2", HostAfter::Reverted { generation: 1 }, InstallStep::Sessions, "cm-a");
    settled(&fake, "good 1", "after lost sessions");

    for program in ["crash", "mute"] {
        let mut fake = Fake::new();
        check(&mut fake, program, HostAfter::Removed, InstallStep::Healthy, "");
        bare(&fake, program);
        assert_eq!(fake.layout.programs().len(), 0);
    }
}

#[test]
fn what_is_refused_touches_nothing() {
    #[track_caller]
    fn check(fake: &mut Fake, order: &Order, kind: FailureKind, words: &str) {
        let failure = fake.run(order).1.expect_err("refused");
        assert_eq!((failure.kind, &failure.host), (kind, &HostAfter::Untouched), "{failure:?}");
        let said = format!("{} {}", failure.why, failure.remedy.unwrap_or_default());
        assert!(said.contains(words), "{said}");
    }
    use FailureKind::{Failed, Refused};
    let mut fake = deployed();
    let mut other = order(&mut fake, "d2", "good 2");
    other.fleet = Some("zoo".into());
    check(&mut fake, &other, Refused, "belongs to fleet \"lab\"");
    settled(&fake, "good 1", "another fleet");

    let mut corrupted = Order::of(manifest("d2", &"0".repeat(64)));
    check(&mut fake, &corrupted, Failed, "corrupted in transit");
    corrupted.deployment = "../x".into();
    check(&mut fake, &corrupted, Refused, "no name for a deployment");
    check(&mut fake, &rollback("r", Some("77")), Refused, "77 is no generation");

    let second = order(&mut fake, "d2", "good 2");
    fake.no_manager = Some(super::host::NoManager::NotRunning);
    check(&mut fake, &second, Failed, "sudo loginctl enable-linger deploy");
    fake.no_manager = None;
    fake.unit.kill_mode = "control-group".into();
    fake.sessions[0].groups = "0::/user.slice/cm-agent.service\n".into();
    check(&mut fake, &second, Refused, "cm-a: it runs in the agent's own control group");
    fake.sessions[0].groups.clear();
    (fake.linger, fake.linger_refused) = (false, true);
    check(&mut fake, &second, Refused, "sudo loginctl enable-linger deploy");
    fake.sessions.clear();
    let (lines, outcome) = fake.run(&second);
    outcome.expect("nothing to lose");
    assert!(lines.iter().any(
        |line| matches!(line, InstallLine::Warning { remedy: Some(r), .. } if r.contains("enable-linger"))
    ));

    fake.next_process(Fault::None);
    let third = order(&mut fake, "d3", "good 3");
    check(&mut fake, &third, Refused, "deployment d2 of ada@laptop waits to be confirmed");
    let mut third = third;
    third.take_over = true;
    third.confirm_seconds = 0;
    fake.run(&third).1.expect("taken over");
    settled(&fake, "good 3", "taken over");
    assert_eq!(fake.layout.numbers(), [1, 2], "what was undone is gone");
}
