//! Secrets are fetched when asked for, and shown nowhere.

use std::time::{Duration, Instant};

use super::{inventory, said};
use crate::inventory::{Secret, SecretRef};

const POISON: &str = "p0ison-Value";

fn parse(text: &str) -> SecretRef {
    SecretRef::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn references() {
    let check = |text: &str, expected: Result<SecretRef, &str>| match (SecretRef::parse(text), expected) {
        (Ok(got), Ok(expected)) => {
            assert_eq!(got, expected);
            assert_eq!(parse(&got.to_string()), got);
        }
        (Err(why), Err(expected)) => {
            assert!(why.contains(expected), "{text}: {why}");
            assert!(!why.contains(POISON), "{why}");
        }
        (got, _) => panic!("{text}: {got:?}"),
    };
    check("env:TOKEN", Ok(SecretRef::Env("TOKEN".into())));
    check("file: /x/y", Ok(SecretRef::File("/x/y".into())));
    check("cmd:pass show x", Ok(SecretRef::Cmd("pass show x".into())));
    check(POISON, Err("referred to"));
    check("env:", Err("nothing usable"));
    check("env:p0ison-Value", Err("the name of a variable"));
    check("cmd:a\0b", Err("nothing usable"));
}

async fn resolved(text: &str, expected: Result<&str, &str>) {
    match (parse(text).resolve(Duration::from_secs(20)).await, expected) {
        (Ok(secret), Ok(expected)) => assert_eq!(secret.expose(), expected, "{text}"),
        (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text}: {error}"),
        (got, _) => panic!("{text}: {got:?}"),
    }
}

#[tokio::test]
async fn what_they_refer_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        format!("file:{}", path.display())
    };
    resolved(&file("good", b"p0ison-Value\r\n"), Ok(POISON)).await;
    resolved(&file("two", b"a\n\n"), Ok("a\n")).await;
    resolved(&file("empty", b"\n"), Err("is empty")).await;
    resolved(&file("binary", b"\xff\xfe"), Err("is not UTF-8")).await;
    resolved(&file("large", &[b'x'; 70_000]), Err("is over 64 KiB")).await;
    resolved("file:/does/not/exist", Err("cannot read the secret /does/not/exist")).await;
    resolved("cmd:printf p0ison-Value", Ok(POISON)).await;
    resolved("cmd:echo why >&2; exit 3", Err("failed (exit status: 3): why")).await;
    resolved("cmd:true", Err("is empty")).await;
    resolved("cmd:head -c 1000000 /dev/zero", Err("is over 64 KiB")).await;
    resolved("env:NOT_SET_ANYWHERE_1", Err("is not set here: export NOT_SET_ANYWHERE_1")).await;
    resolved("env:PATH", Ok(&std::env::var("PATH").expect("a PATH"))).await;
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_all_it_started() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid = dir.path().join("pid");
    let command =
        format!("cmd:sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000' & wait", pid.display());
    let start = Instant::now();
    let error = parse(&command).resolve(Duration::from_millis(1500)).await.expect_err("slow");
    assert!(error.to_string().contains("did not end within 1.5s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15));
    let pid: i32 = std::fs::read_to_string(pid).expect("it started").trim().parse().expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    while rustix::process::test_kill_process(pid).is_ok() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.contains(") Z ") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it still runs");
        tokio::task::yield_now().await;
    }
}

#[test]
fn they_are_not_shown() {
    assert_eq!(format!("{:?}", Secret::new(POISON.into())), "Secret(…)");
    let shown = said(&[("fleet.yaml", "hosts: {a: {agent: {token: p0ison-Value, listen: '127.0.0.1:1'}}}")]);
    assert!(shown.contains("referred to") && !shown.contains(POISON), "{shown}");
    let fleet = inventory("hosts: {a: {env: {A: 'env:X', B: 'file:/y', C: 'cmd:z'}}}");
    let json = serde_json::to_value(&fleet.hosts[0].env).expect("JSON");
    assert_eq!(json, serde_json::json!({"A": "env:X", "B": "file:/y", "C": "cmd:z"}));
}
