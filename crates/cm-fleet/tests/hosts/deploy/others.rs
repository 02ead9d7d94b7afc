//! The commands beside deploy, each once on a real host.

use cm_testkit::hosts::{Cast, another_build};

use crate::support::{Fleet, has};

#[test]
fn versions_and_rollback_to_one_of_them() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    let first = fleet.agent.clone();
    for build in ["one", "two", "three"] {
        fleet.agent = another_build(&first, build, &fleet.path(""));
        fleet.deploy(&[]).exits(0);
    }
    let versions = fleet.run("versions", &["--json"]).exits(0);
    let numbers: Vec<_> = versions.events.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(versions.events[0]["current"], true);
    has(fleet.run("versions", &[]).exits(0).out, &["in use", "ada@"]);
    let sha = versions.events[2]["binary"]["sha256"].as_str().unwrap();

    let run = fleet.run("rollback", &["--yes", "--json", "--to", "2"]).exits(0);
    assert_eq!(run.is(&host.name, "changed")["previous"], 3);
    let run = fleet.run("rollback", &["--yes", "--json", "--to", &sha[..12]]).exits(0);
    assert_eq!(run.is(&host.name, "changed")["sha256"], sha);
    assert_eq!(fleet.status(&host.name)["facts"]["running"]["sha256"], sha);
    let run = fleet.run("rollback", &["--yes", "--json", "--to", "77"]);
    assert!(matches!(run.code, Some(1 | 4)), "{run:?}");
    has(run.outcome(&host.name).to_string(), &["77"]);
    assert_eq!(fleet.status(&host.name)["facts"]["running"]["sha256"], sha);
}

#[test]
fn a_token_of_the_inventory_is_changed_there_and_not_by_rotating() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.settings = ", listen: \"127.0.0.1:9876\", token: env:T".into();
    fleet.vars.push(("T".into(), "0123456789abcdef0123456789abcdef".into()));
    fleet.deploy(&[]).exits(0);
    // That of the inventory is changed there.
    let run = fleet.run("rotate-token", &["--yes", "--json"]);
    assert_ne!(run.code, Some(0), "{run:?}");
    has(run.outcome(&host.name).to_string(), &["inventory"]);
    assert_eq!(fleet.status(&host.name)["state"], "good");
}

#[test]
fn a_token_that_the_host_has_made_is_rotated() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.settings = ", listen: \"127.0.0.1:9876\"".into();
    fleet.deploy(&[]).exits(0);
    let token =
        || host.user_says("cat ~/.local/share/cm-agent/token; stat -c %a ~/.local/share/cm-agent/token");
    let first = token();
    has(&first, &["600"]);
    fleet.run("rotate-token", &["--yes", "--json"]).exits(0);
    assert_ne!(token(), first);
    has(token(), &["600"]);
    assert_eq!(fleet.status(&host.name)["state"], "good");
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
}

#[test]
fn words_are_passed_on_as_they_are_also_to_fish() {
    let hosts = Cast::load().claim_all(&["fish", "plain"]);
    let fleet = Fleet::new(&[&hosts[0], &hosts[1]]);
    let word = r#"a 'b' "c" \d $HOME `e` *.x (f) {g,h} ~ é;&|<>#!"#;
    let run = fleet.run("exec", &["--json", "--", "printf", "%s\\n", word, ""]).exits(0);
    for host in &hosts {
        let row = run.events.iter().find(|row| row["host"] == host.name.as_str()).unwrap();
        assert_eq!(row["stdout"], format!("{word}\n\n"), "{row:#}");
    }
    let run = fleet.run("exec", &["--", "sh", "-c", "echo $0 $HOME; exit 3"]).exits(1);
    has(&run.out, &["fish", "sh /home/deploy"]);
    has(format!("{}{}", run.out, run.err), &["3"]);
}

#[test]
fn what_the_agent_wrote_is_shown() {
    let host = Cast::load().claim("fish");
    let fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    has(fleet.run("logs", &["--agent"]).exits(0).out, &["fish", "cm-agent"]);
}

#[test]
fn doctor_tells_what_is_wrong_with_its_remedy() {
    let hosts = Cast::load().claim_all(&["plain", "notmux"]);
    let fleet = Fleet::new(&[&hosts[0], &hosts[1]]);
    fleet.deploy(&["--on", &hosts[0].name]).exits(0);
    let run = fleet.run("doctor", &["--json"]);
    println!("{run:?}");
    has(&run.out, &["tmux", "apt-get install", "linger"]);
    assert!(run.events.len() >= 2, "{run:?}");
}

#[test]
fn removing_what_is_not_there_is_no_failure() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    for args in [&["--yes", "--json"] as &[&str], &["--yes", "--json", "--purge"]] {
        fleet.run("uninstall", args).exits(0).is(&host.name, "nothing");
    }
    fleet.run("rollback", &["--yes", "--json"]).exits(0).is(&host.name, "nothing");
    fleet.run("rotate-token", &["--yes", "--json"]).exits(0).is(&host.name, "nothing");
}

#[test]
fn a_key_for_all_deploys_and_one_for_work_does_not() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    let only = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/ssh/only");
    let only = std::fs::read_to_string(only).unwrap();
    let allow = |level: &str| {
        host.root_says(&format!(
            "mkdir -p /usr/local/lib/cm-fleet\ncat > /usr/local/lib/cm-fleet/only <<\"EOF\"\n{only}\nEOF\n\
             chmod 755 /usr/local/lib/cm-fleet/only\n\
             sed -i 's|^.*ssh-|restrict,port-forwarding,command=\"/usr/local/lib/cm-fleet/only {level}\" ssh-|' \
             /home/deploy/.ssh/authorized_keys"
        ));
    };
    allow("all");
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
    let exec = fleet.run("exec", &["--", "id"]);
    assert_ne!(exec.code, Some(0), "{exec:?}");
    fleet.agent = another_build(&fleet.agent, "v2", &fleet.path(""));
    allow("work");
    let refused = fleet.deploy(&[]).exits(4);
    has(refused.is(&host.name, "refused").to_string(), &["this login is for questions only", "only all"]);
    allow("all");
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
}
