//! Seven hosts from their first deployment to none: three services, three with containers, and this machine.

use cm_testkit::hosts::another_build;
use cm_testkit::hosts::engine::images;
use cm_testkit::hosts::written::{self, Attempt};

use super::{HERE, Mixed};
use crate::dispatch::{all_done, args, attempts, once_each, tasks};
use crate::support::{Run, has};

/// All that tasks have written, on hosts of all kinds.
fn written_by(mixed: &Mixed) -> Vec<Attempt> {
    let mut all = attempts(&mixed.services);
    for host in &mixed.boxes {
        let read = format!("cat ~/{} 2>/dev/null || true", written::FILE);
        let text = host.engine_says(&["exec", &format!("cm-agent-{}", host.name), "sh", "-c", &read]);
        all.extend(written::attempts(&host.name, &text));
    }
    let here = std::fs::read_to_string(mixed.fleet.path(written::FILE)).unwrap_or_default();
    all.extend(written::attempts(HERE, &here));
    all
}

/// That all hosts became this; nothing is deployed to this machine.
#[track_caller]
fn all_are(mixed: &Mixed, run: &Run, outcome: &str, generation: Option<u64>) {
    run.is(HERE, "nothing");
    for host in mixed.all() {
        let found = run.is(&host.name, outcome);
        assert!(generation.is_none_or(|n| found["generation"] == n), "{}: {run:#?}", host.name);
    }
}

/// The states that `status` tells of the hosts that something is deployed to.
#[track_caller]
fn states(mixed: &Mixed) -> Vec<(String, String)> {
    let run = mixed.fleet.run("status", &["--json"]).exits(0);
    let state = |host: &str| {
        let row = run.events.iter().find(|row| row["host"] == host);
        let row = row.unwrap_or_else(|| panic!("no {host}: {run:#?}"));
        (host.to_owned(), row["state"].as_str().unwrap_or_default().to_owned())
    };
    mixed.all().map(|host| state(&host.name)).collect()
}

#[track_caller]
fn all_states(mixed: &Mixed, state: &str) {
    let found = states(mixed);
    assert!(found.iter().all(|(_, found)| found == state), "{state}: {found:?}");
}

#[test]
fn seven_hosts_of_three_runtimes_from_their_first_deployment_to_none() {
    let mut mixed = Mixed::claim(&["plain", "fish", "startups"], 3);
    let run = mixed.fleet.deploy(&[]).exits(0);
    all_are(&mixed, &run, "changed", Some(1));
    assert_eq!(run.summary()["changed"], 6, "{run:#?}");
    all_states(&mixed, "good");

    let before = mixed.deployed();
    let run = mixed.fleet.deploy(&[]).exits(0);
    all_are(&mixed, &run, "unchanged", None);
    assert!(mixed.all().all(|host| run.steps(&host.name).is_empty()), "{run:#?}");
    assert_eq!(mixed.deployed(), before);

    spread(&mixed);

    // A session on a host of each runtime lives through all that follows.
    let (service, boxed) = (mixed.services[0].name.clone(), mixed.boxes[0].name.clone());
    for (name, on) in [("one", &service), ("two", &boxed)] {
        mixed.must(&[
            "dispatch",
            "--tool",
            "shell",
            "-d",
            "-q",
            "--name",
            name,
            "--on",
            on,
            "exec sleep 3000",
        ]);
    }
    let first = mixed.fleet.agent.clone();
    mixed.fleet.agent = another_build(&first, "v2", &mixed.fleet.path(""));
    mixed.image(&images()[1]);
    all_states(&mixed, "outdated");
    let run = mixed.fleet.deploy(&[]).exits(0);
    all_are(&mixed, &run, "changed", Some(2));
    for host in [&service, &boxed] {
        assert_eq!(run.is(host, "changed")["kept"], 1, "{run:#?}");
    }
    all_states(&mixed, "good");

    let run = mixed.fleet.run("rollback", &["--yes", "--json"]).exits(0);
    all_are(&mixed, &run, "changed", None);
    all_states(&mixed, "outdated");
    let again = mixed.fleet.deploy(&[]).exits(0);
    all_are(&mixed, &again, "changed", None);
    all_states(&mixed, "good");

    one_bad_image(&mut mixed, &again);
    let listed = mixed.must(&["sessions"]);
    has(&listed, &[&service, &boxed, "one", "two"]);

    // What would end sessions is refused, on these two hosts only.
    let run = mixed.fleet.run("uninstall", &["--yes", "--json"]).exits(4);
    for host in mixed.all() {
        let living = [&service, &boxed].contains(&&host.name);
        run.is(&host.name, if living { "refused" } else { "removed" });
    }
    mixed.must(&["kill", "one", "two"]);
    let run = mixed.fleet.run("uninstall", &["--yes", "--json", "--purge"]).exits(0);
    for host in [&service, &boxed] {
        run.is(host, "removed");
    }
    assert!(mixed.deployed().iter().all(String::is_empty), "{:?}", mixed.deployed());
    assert!(states(&mixed).iter().all(|(_, state)| state == "absent"));
}

/// Many tasks in one run: each is done once, and all three runtimes do some.
fn spread(mixed: &Mixed) {
    // On each host once. This machine's agent has to be started, and would come late to what follows.
    let shown = mixed.must(&["dispatch", "--json", "--tool", "shell", "--each-host", "echo $HOME"]);
    let homes = shown.matches("/var/lib/cm-agent").count();
    assert!(homes >= 3 && shown.contains("/home/deploy"), "{shown}");

    let tasks = tasks(63, 0.5);
    let run = mixed.fleet.run("dispatch", &args(&[], &tasks)).exits(0);
    all_done(63, &run);
    let written = written_by(mixed);
    once_each(63, &written, &run);
    let names = mixed.all().map(|host| host.name.as_str()).chain([HERE]);
    for name in names {
        let there = || written.iter().filter(|attempt| attempt.host == name);
        let (count, most) = (there().count(), written::most_at_once(there()));
        assert!(count >= 3 && most <= 3, "{name} did {count}, {most} at once: {run:#?}");
    }
}

/// An image whose agent ends at once: those hosts go back, and the others as the rollout was told.
fn one_bad_image(mixed: &mut Mixed, last: &Run) {
    let generation = |host: &str| last.is(host, "changed")["generation"].clone();
    let good = mixed.image.clone();
    let agent = mixed.fleet.agent.clone();
    let before = mixed.deployed();
    mixed.fleet.agent = another_build(&agent, "v3", &mixed.fleet.path(""));
    mixed.broken();
    let run = mixed.fleet.deploy(&["--max-failures", "0"]).exits(5);
    for host in &mixed.services {
        assert_eq!(run.is(&host.name, "taken_back")["generation"], generation(&host.name), "{run:#?}");
    }
    let went_back = |mixed: &Mixed, run: &Run| {
        for host in &mixed.boxes {
            let failed = run.is(&host.name, "failed");
            let reverted = serde_json::json!({"state": "reverted", "generation": generation(&host.name)});
            assert_eq!(failed["hostAfter"], reverted, "{run:#?}");
            has(failed.to_string(), &["ended with 7", "broken on purpose"]);
        }
        assert_eq!(mixed.deployed(), before);
    };
    went_back(mixed, &run);

    // Where failures are put up with, those that went well stay.
    let run = mixed.fleet.deploy(&[]).exits(5);
    for host in &mixed.services {
        run.is(&host.name, "changed");
    }
    went_back(mixed, &run);
    let found = states(mixed);
    for (host, state) in found {
        let boxed = mixed.boxes.iter().any(|one| one.name == host);
        assert_eq!(state, if boxed { "outdated" } else { "good" }, "{host}");
    }
    mixed.image(&good);
    let run = mixed.fleet.deploy(&[]).exits(0);
    all_are(mixed, &run, "unchanged", None);
}
