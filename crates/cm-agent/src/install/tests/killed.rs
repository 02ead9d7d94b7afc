//! Killed, filled up, refused at every act there is: a repeat goes on, or the host goes back by itself.

use cm_protocol::deploy::HostAfter;

use super::super::order::Order;
use super::super::uninstall::{self, Removal};
use super::super::{back, keep};
use super::fake::{self, Fake, Fault};
use super::{bare, deployed, order, settled};

/// Runs a deployment that is killed before its `k`-th act, for all k, and lets the host go on in each way there is.
fn killed_everywhere(make: impl Fn() -> Fake, after: impl Fn(&mut Fake, &Order, &str)) {
    for k in 0.. {
        let mut fake = make();
        let second = order(&mut fake, "d2", "good 2");
        fake.fault = Fault::Dies(k);
        let outcome = fake.run(&second).1;
        if !fake.dead {
            outcome.expect("nothing was in its way");
            assert!(k > 20, "only {k} acts");
            return;
        }
        let context = format!("killed before act {k}: {:?}", fake.acts.last());
        after(&mut fake, &second, &context);
    }
}

fn repeat(fake: &mut Fake, second: &Order, context: &str) {
    fake.next_process(Fault::None);
    if !fake.own.exists() {
        // It is stored already: run from there, as the client sees from the facts.
        fake.own = fake.layout.program(&fake::digest(b"good 2"));
    }
    let outcome = fake.run(second).1;
    outcome.unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
    let layout = fake.layout.clone();
    keep::confirm(fake, &layout, "d2").unwrap_or_else(|e| panic!("{context}: {}", e.why));
    settled(fake, "good 2", context);
}

#[test]
fn killed_at_any_act_a_repeat_goes_on() {
    killed_everywhere(deployed, repeat);
    killed_everywhere(Fake::new, repeat);
}

#[test]
fn killed_at_any_act_the_timer_or_a_restart_of_the_host_goes_back() {
    let back = |fake: &mut Fake, context: &str| {
        if fake.layout.under_way().is_none() {
            // Nothing was used yet: only the lock is left, and it ends by itself.
            let _ = std::fs::remove_file(fake.layout.lock());
        }
        settled(fake, "good 1", context);
    };
    killed_everywhere(deployed, |fake, _, context| {
        fake.timer_fires();
        if let Some(pending) = fake.layout.under_way() {
            // Killed before there was a timer: nothing was switched, and the next deployment tidies up.
            assert!(!pending.activated, "{context}");
            assert_eq!(fake.runs().as_deref(), Some("good 1"), "{context}");
            return;
        }
        back(fake, context);
    });
    killed_everywhere(deployed, |fake, _, context| {
        fake.reboot();
        back(fake, context);
    });
    killed_everywhere(Fake::new, |fake, _, context| {
        fake.reboot();
        let _ = std::fs::remove_file(fake.layout.lock());
        if fake.layout.under_way().is_some_and(|pending| !pending.activated) {
            // Nothing would start an agent here; the next deployment tidies up.
            assert_eq!(fake.running, None, "{context}");
            return;
        }
        fake.linger = fake.linger && fake.layout.memory().exists();
        if !fake.layout.memory().exists() {
            bare(fake, context);
        }
        assert_eq!(fake.running, None, "{context}");
    });
}

#[test]
fn going_back_that_is_killed_is_done_again() {
    for k in 0.. {
        let mut fake = deployed();
        let second = order(&mut fake, "d2", "good 2");
        fake.run(&second).1.expect("installed");
        fake.next_process(Fault::Dies(k));
        fake.up += 100.0;
        let layout = fake.layout.clone();
        let done = back::at_deadline(&mut fake, &layout, "d2");
        let finished = !fake.dead;
        if !finished {
            let context = format!("killed before act {k}: {:?} {done:?}", fake.acts.last());
            fake.reboot();
            let _ = std::fs::remove_file(fake.layout.lock());
            settled(&fake, "good 1", &context);
            continue;
        }
        settled(&fake, "good 1", "went back");
        assert!(keep::confirm(&mut fake, &layout, "d2").is_err(), "too late");
        return;
    }
}

#[test]
fn a_full_disk_or_a_manager_that_refuses_at_any_act_leaves_the_host_as_it_was() {
    for fault in [Fault::Full as fn(usize) -> Fault, Fault::Refuses] {
        for k in 0..200 {
            let mut fake = deployed();
            let second = order(&mut fake, "d2", "good 2");
            fake.fault = fault(k);
            let outcome = fake.run(&second).1;
            if fake.acts.len() <= k {
                outcome.expect("nothing was in its way");
                break;
            }
            let context = format!("{:?} at {:?}", fake.fault, fake.acts.get(k));
            match outcome {
                // Not every act is needed: a log line, tidying up.
                Ok(_) => assert_eq!(fake.runs().as_deref(), Some("good 2"), "{context}"),
                Err(failure) => {
                    assert!(
                        matches!(failure.host, HostAfter::Untouched | HostAfter::Reverted { .. }),
                        "{context}: {failure:?}"
                    );
                    settled(&fake, "good 1", &context);
                    assert_eq!(fake.layout.numbers(), [1], "{context}");
                    if matches!(fake.fault, Fault::Full(_)) {
                        assert!(failure.why.contains("free"), "{context}: {}", failure.why);
                    }
                }
            }
        }
    }
}

#[test]
fn uninstalling_leaves_nothing_however_often_it_is_killed() {
    let removal = Removal { by: "ada@laptop".into(), fleet: Some("lab".into()), ..Removal::default() };
    let mut fake = deployed();
    let layout = fake.layout.clone();
    let refused = uninstall::run(&mut fake, &layout, &removal).expect_err("a session lives");
    assert!(refused.why.contains("cm-a"), "{}", refused.why);
    settled(&fake, "good 1", "refused");
    let stranger = Removal { fleet: Some("zoo".into()), ..removal.clone() };
    assert!(uninstall::run(&mut fake, &layout, &stranger).is_err());
    for k in 0.. {
        let mut fake = deployed();
        fake.fault = Fault::Dies(k);
        let layout = fake.layout.clone();
        let forced = Removal { force: true, purge: true, ..removal.clone() };
        let first = uninstall::run(&mut fake, &layout, &forced);
        let finished = !fake.dead;
        if !finished {
            fake.next_process(Fault::None);
            uninstall::run(&mut fake, &layout, &forced).expect("again");
        } else {
            first.expect("removed");
        }
        bare(&fake, &format!("killed before act {k}"));
        assert!(!layout.dir.exists() && fake.sessions.is_empty());
        if finished {
            return;
        }
    }
}
