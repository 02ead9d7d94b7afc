//! Tasks and sessions on hosts' agents, through ssh: on one (`--on HOST`), and over all of them.

use std::ffi::OsString;

use cm_testkit::hosts::Cast;
use cm_testkit::terminal::Terminal;

use crate::support::{Fleet, PATIENCE, has};

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

#[test]
fn sessions_are_found_on_whichever_host_they_are_and_their_terminals_opened() {
    let cast = Cast::load();
    let hosts = cast.claim_all(&["plain", "inner", "bastion"]);
    let mut fleet = Fleet::new(&hosts.iter().collect::<Vec<_>>());
    let deployed = fleet.deploy(&[]);
    assert_eq!(deployed.code, Some(0), "{deployed:#?}");
    // A host that is not there keeps none of this from being done.
    fleet.more = "  gone: {address: 127.0.0.1, port: 1}\n".to_owned();
    let config = fleet.path("ssh_config").display().to_string();
    let run = |words: &[&str]| {
        let all = [words, &["-i", "fleet.yaml", "-F", &config]].concat();
        let output = fleet.command(&all).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for (host, name) in hosts[..2].iter().zip(["here", "behind"]) {
        let task = "stty -echo; echo begun; while read line; do echo \"got $line\"; done";
        let words = ["dispatch", "--tool", "shell", "--detach", "--name", name, "--on", &host.name, task];
        assert_eq!(run(&words).0, Some(0));
    }
    let (code, out, err) = run(&["sessions"]);
    assert_eq!(code, Some(1), "{out}{err}");
    has(&out, &[&hosts[0].name, &hosts[1].name, "here", "behind"]);
    has(&err, &["not reached: gone"]);
    let (code, out, err) = run(&["logs", "behind"]);
    assert_eq!(code, Some(0), "{out}{err}");
    has(&out, &["begun"]);
    has(&err, &["not looked at: gone"]);

    // Through the bastion, in a real terminal.
    let words = ["attach", "behind", "--take", "-i", "fleet.yaml", "-F", &config];
    let command = fleet.command(&words);
    let env = command.get_envs().filter_map(|(name, value)| {
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value?);
        Some(pair)
    });
    let program =
        [command.get_program().to_owned()].into_iter().chain(command.get_args().map(OsString::from));
    let argv: Vec<OsString> = ["env".into()].into_iter().chain(env).chain(program).collect();
    let dir = fleet.path("");
    let terminal = Terminal::start(&dir, &dir, (90, 25), &argv).unwrap();
    terminal.shows("begun", PATIENCE).unwrap();
    terminal.type_text("hello").unwrap();
    terminal.press(&["Enter"]).unwrap();
    terminal.shows("got hello", PATIENCE).unwrap();
    terminal.press(&["C-b", "d"]).unwrap();
    assert_eq!(terminal.end(PATIENCE).unwrap(), 0);

    let (code, out, err) = run(&["kill", "here", "behind"]);
    assert_eq!(code, Some(0), "{out}{err}");
}
