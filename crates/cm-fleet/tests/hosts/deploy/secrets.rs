//! Poison values in place of secrets: they are nowhere that others, logs or argument lists can show them.

use cm_testkit::hosts::Cast;

use super::sessions::start_sessions;
use crate::support::{Fleet, has};

const ENV: &str = "poison-env-7d1f3a9c5b";
const TOKEN: &str = "poison-token-2e8a6c4f0d";

#[test]
fn secrets_are_in_private_files_and_nowhere_else() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.env = "API_KEY: env:CM_TEST_KEY".into();
    fleet.settings = ", listen: \"127.0.0.1:9876\", token: env:CM_TEST_TOKEN".into();
    for (name, value) in [("CM_TEST_KEY", ENV), ("CM_TEST_TOKEN", TOKEN), ("CM_LOG", "trace")] {
        fleet.vars.push((name.into(), value.into()));
    }
    // Everything that runs on the host while it is deployed, as root sees it: argument lists of all, and which
    // files with a poison in them others could read, if only for a moment.
    host.root_says(
        "cat > /root/watch <<'END'\n\
         while [ ! -e /root/stop ]; do\n\
           cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -a 'poison-[et]'\n\
           for f in $(find /home/deploy /tmp /var/tmp /run/user -type f -perm /044 -newer /root/watch 2>/dev/null); do\n\
             grep -aq 'poison-[et]' $f 2>/dev/null && echo others may read $f; done\n\
         done\n\
         END\n\
         rm -f /root/stop; timeout 120 sh /root/watch > /root/seen 2>&1 &",
    );
    // It does see what it is to see.
    host.user_says("echo poison-t > /tmp/control; chmod 644 /tmp/control; sh -c ': poison-e-control; sleep 1'; rm /tmp/control");
    let deployed = fleet.deploy(&["--report", "report.jsonl"]).exits(0);
    start_sessions(&host, &fleet.status(&host.name), 1);
    let again = fleet.deploy(&["--force"]).exits(0);
    again.is(&host.name, "unchanged");
    let mut said = format!("{}{}{}{}", deployed.out, deployed.err, again.out, again.err);
    has(&deployed.err, &["DEBUG"]);
    fleet.vars.retain(|(name, _)| name != "CM_LOG");
    for (verb, args) in [
        ("plan", &["--json"] as &[&str]),
        ("status", &["--json"]),
        ("check", &[]),
        ("doctor", &["--json"]),
        ("versions", &["--json"]),
        ("logs", &["--agent"]),
        ("rotate-token", &["--yes", "--json"]),
    ] {
        let run = match verb {
            "check" => fleet.check(),
            _ => fleet.run(verb, args),
        };
        said.push_str(&run.out);
        said.push_str(&run.err);
    }
    said.push_str(&std::fs::read_to_string(fleet.path("report.jsonl")).unwrap());
    for poison in [ENV, TOKEN] {
        assert!(!said.contains(poison), "{poison} is in what was printed");
    }
    let seen =
        host.root_says("touch /root/stop; sleep 0.5; cat /root/seen; rm /root/stop /root/watch /root/seen");
    has(&seen, &["poison-e-control", "/tmp/control"]);
    let more: Vec<&str> = seen.lines().filter(|line| !line.contains("control")).collect();
    assert!(more.is_empty(), "{more:#?}");
    // Once more when all is done: journal, units, environments, files with their modes.
    let journal =
        host.root_says("journalctl --no-pager -o export --since -10min | grep -a 'poison-[et]' | head -3");
    assert_eq!(journal, "");
    let units =
        "systemctl --user cat '*'; systemctl --user show '*' --all; systemctl --user show-environment";
    assert_eq!(host.user_says(&format!("({units}) 2>&1 | grep -a 'poison-[et]' | head -3")), "");
    // Sessions have them, that is what they are for; the agent itself does not.
    let agent = fleet.status(&host.name)["facts"]["running"]["pid"].as_u64().unwrap();
    let environment = format!("tr '\\0' '\\n' < /proc/{agent}/environ | grep -a 'poison-[et]' || true");
    assert_eq!(host.root_says(&environment), "");
    let files = host.root_says(
        "grep -rlaI 'poison-[et]' /home/deploy /tmp /var/tmp /run/user /etc /var/log 2>/dev/null | xargs -r stat -c '%a %n'",
    );
    assert!(files.contains("agent.json"), "{files}");
    for file in files.lines() {
        assert!(file.starts_with("600 "), "{file}");
    }
}
