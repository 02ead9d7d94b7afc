//! Tasks and sessions on a host's agent, through ssh: `--on HOST`.

use cm_testkit::hosts::Cast;

use crate::support::Fleet;

/// `--on HOST` with the test's own inventory and ssh configuration.
fn on<'a>(config: &'a str, host: &'a str) -> Vec<&'a str> {
    vec!["-i", "fleet.yaml", "-F", config, "--on", host]
}

#[test]
fn tasks_run_on_a_host_and_their_sessions_are_found_there() {
    let cast = Cast::load();
    let hosts = cast.claim_all(&["plain", "inner", "bastion"]);
    let mut fleet = Fleet::new(&hosts.iter().collect::<Vec<_>>());
    fleet.env = "GREETING: hello".to_owned();
    let deployed = fleet.deploy(&[]);
    assert_eq!(deployed.code, Some(0), "{deployed:#?}");
    let config = fleet.path("ssh_config").display().to_string();
    // One directly, one behind another host.
    for host in &hosts[..2] {
        let run = |verb: &str, args: &[&str]| {
            let all = [&[verb][..], &on(&config, &host.name), args].concat();
            fleet.command(&all).output().expect("it runs")
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let task = "uname -n; echo $GREETING; pwd";
        let output = run("dispatch", &["--tool", "shell", "--json", task, "exit 3"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
        for wanted in ["hello", "/home/deploy", "\"exitCode\":3", &format!("\"host\":\"{}\"", host.name)] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        let output =
            run("dispatch", &["--tool", "shell", "--detach", "--name", "long", "echo begun; exec cat"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let output = run("send", &["long", "typed from afar"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let output = run("sessions", &["--json"]);
        assert!(text(&output.stdout).contains("\"name\":\"long\""), "{output:?}");
        let output = run("logs", &["long"]);
        assert!(text(&output.stdout).contains("begun"), "{output:?}");
        let output = run("attach", &["long"]);
        assert!(text(&output.stderr).contains("attach needs a terminal"), "{output:?}");
        let output = run("kill", &["long"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn what_keeps_a_command_from_a_hosts_agent_is_said() {
    let cast = Cast::load();
    let host = cast.claim("plain");
    let fleet = Fleet::new(&[&host]);
    let config = fleet.path("ssh_config").display().to_string();
    let check = |name: &str, code: i32, wanted: &str| {
        let all = [&["sessions"][..], &on(&config, name)].concat();
        let output = fleet.command(&all).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(wanted), "{said}");
    };
    check(&host.name, 3, "no agent runs there; `cm-fleet deploy");
    check("nobody", 2, "nobody");
}
