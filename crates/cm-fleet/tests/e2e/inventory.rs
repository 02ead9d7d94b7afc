//! `init`, `check` and `schema` as people use them.

use serde_json::Value;

use crate::support::{Place, Ran};
use crate::terminal::Terminal;

/// A place with files in the directory where commands run.
fn place(files: &[(&str, &str)]) -> Place {
    let place = Place::new();
    for (name, text) in files {
        let path = place.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    place
}

const FLEET: &str = "\
fleet: lab
defaults: {user: op, env: {KEY: 'env:NOT_SET_HERE_1'}}
hosts:
  gpu[1-3]: {labels: {zone: eu}}
  web: {address: '10.0.0.9', port: 2222, env: {KEY: 'file:k'}}
groups:
  gpu: ['gpu*']
";

const SSH: &str = "Host bastion\n  HostName b.example.com\nHost *\n  User x\nHost gpu-01 gpu-02 github.com\n";

#[tokio::test]
async fn a_good_inventory() {
    let place = place(&[("w/fleet.yaml", FLEET)]);
    let ran = place.expect(0, &["check"]).await;
    assert_eq!(ran.out, "fleet.yaml: 4 hosts in 1 group, good\n");
    assert!(ran.err.contains("warning: the secret env:NOT_SET_HERE_1 is not set here"), "{}", ran.err);
    assert!(ran.err.contains("(gpu1, gpu2, gpu3)"), "{}", ran.err);
    let web = place.expect(0, &["check", "fleet.yaml", "--on", "@gpu & !gpu2", "--on", "web"]).await;
    insta::assert_snapshot!(web.out, @r"
    host  address           runtime  groups  labels
    gpu1  op@gpu1           systemd  gpu     zone=eu
    gpu3  op@gpu3           systemd  gpu     zone=eu
    web   op@10.0.0.9:2222  systemd
    ");
    let one = place.expect(0, &["check", "-i", "fleet.yaml", "--on", "web", "--json"]).await;
    let told: Value = serde_json::from_str(&one.out).expect("JSON");
    assert_eq!(told["name"], "lab");
    assert_eq!(told["hosts"].as_array().expect("hosts").len(), 1);
    assert_eq!(told["hosts"][0]["port"], 2222);
    assert_eq!(told["hosts"][0]["env"]["KEY"], format!("file:{}", place.path("w/k").display()));
    assert_eq!(told["hosts"][0]["runtime"]["systemd"]["linger"], true);
    assert_eq!(told["warnings"].as_array().expect("warnings").len(), 1);
    assert!(one.err.is_empty(), "{}", one.err);
}

#[tokio::test]
async fn secrets_are_looked_for_and_not_shown() {
    let text =
        "hosts: {a: {env: {A: 'env:POISON_1', B: 'file:k', C: 'cmd:touch ran; printf p0i; printf son'}}}";
    let place = place(&[("w/fleet.yaml", text), ("w/k", "p0ison")]);
    for args in [&["check"][..], &["check", "--json"], &["check", "--on", "a"]] {
        let mut command = place.fleet(args);
        command.env("POISON_1", "p0ison");
        let ran = crate::support::finish(command).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!format!("{ran:?}").contains("p0ison"), "{ran:?}");
        assert!(format!("{ran:?}").contains("chmod 600"), "{ran:?}");
    }
    assert!(!place.path("w/ran").exists(), "no command is run");
}

#[tokio::test]
async fn the_example_is_good() {
    let place = Place::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fleet.example.yaml");
    let ran = place.run(&["check", example]).await;
    // Its policy file is not there.
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("the policy of the host far cannot be used"), "{}", ran.err);
    let policies = [("w/p/policies/far.yaml", "name: far\nextends: careful\nrules: []\n")];
    for (name, text) in policies {
        std::fs::create_dir_all(place.path(name).parent().expect("a parent")).expect("made");
        std::fs::write(place.path(name), text).expect("written");
    }
    std::fs::copy(example, place.path("w/p/fleet.yaml")).expect("copied");
    let ran = place.expect(0, &["check", "p/fleet.yaml"]).await;
    assert_eq!(ran.out, "p/fleet.yaml: 23 hosts in 5 groups, good\n");
}

#[tokio::test]
async fn bad_ones() {
    let place = place(&[
        ("w/bad.yaml", "hosts:\n  a: {prot: 22}\n  b: {jump: b}\n"),
        ("w/good.yaml", "hosts: [a]"),
        ("w/policy.yaml", "hosts: {a: {policy: carefull}}"),
    ]);
    let nothing = place.expect(2, &["check"]).await;
    assert!(nothing.err.contains("there is no inventory: looked for fleet.yaml and "), "{}", nothing.err);
    assert!(nothing.err.contains("home/.config/cm-fleet/fleet.yaml"), "{}", nothing.err);
    assert!(nothing.err.contains("`cm-fleet init` writes one"), "{}", nothing.err);
    let bad = place.expect(2, &["check", "bad.yaml"]).await;
    assert!(bad.out.is_empty());
    insta::assert_snapshot!(bad.err, @r"
    error: bad.yaml has 2 mistakes
      caused by: bad.yaml:2:7: there is no key `prot` for a host; did you mean `port`?
                 2 |   a: {prot: 22}
                   |       ^^^^
      caused by: bad.yaml:3:13: the way to `b` leads through itself: b -> b
                 3 |   b: {jump: b}
                   |             ^
    ");
    let json = place.expect(2, &["check", "bad.yaml", "--json"]).await;
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    let first = &told["problems"][0];
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"bad.yaml".into(), &2.into(), &7.into())
    );
    let check = async |args: &[&str], expected: &str| {
        let all: Vec<&str> = std::iter::once("check").chain(args.iter().copied()).collect();
        let Ran { err, out, .. } = place.expect(2, &all).await;
        assert!(err.contains(expected) && out.is_empty(), "{args:?}: {err}");
    };
    check(&["none.yaml"], "cannot read the inventory none.yaml\n  caused by: No such file").await;
    check(&["."], "cannot read the inventory .\n  caused by: is a directory").await;
    check(&["good.yaml", "--on", "b"], "there is no host `b` in the inventory\n  hint: did you mean `a`?")
        .await;
    check(&["good.yaml", "--on", "a &"], "at its end a name is missing").await;
    check(&["good.yaml", "-i", "bad.yaml"], "cannot be used with").await;
    check(
        &["policy.yaml"],
        "the policy of the host a cannot be used\n  caused by: there is no policy `carefull`",
    )
    .await;
}

#[tokio::test]
async fn init_writes_what_check_likes() {
    let place = place(&[("home/.ssh/config", SSH)]);
    let ran = place.expect(0, &["init"]).await;
    assert!(ran.out.contains("wrote fleet.yaml, no hosts yet"), "{}", ran.out);
    assert!(ran.err.contains("next: cm-fleet check fleet.yaml"), "{}", ran.err);
    assert_eq!(place.expect(0, &["check"]).await.out, "fleet.yaml: no hosts, good\n");
    let again = place.expect(2, &["init"]).await;
    assert!(again.err.contains("fleet.yaml is there already\n  hint: --force"), "{}", again.err);
    place.expect(0, &["init", "--all", "--force"]).await;
    assert_eq!(place.expect(0, &["check"]).await.out, "fleet.yaml: 3 hosts, good\n");
    place.expect(0, &["init", "sub/dir/lab.yaml", "--host", "n[1-4]", "--host", "10.0.0.1"]).await;
    let lab = place.expect(0, &["check", "sub/dir/lab.yaml", "--json"]).await;
    let told: Value = serde_json::from_str(&lab.out).expect("JSON");
    assert_eq!((&told["name"], told["hosts"].as_array().map(Vec::len)), (&"lab".into(), Some(5)));
    let bad = place.expect(2, &["init", "x.yaml", "--host", "-oProxyCommand=x"]).await;
    assert!(!place.path("w/x.yaml").exists(), "{}", bad.err);
    let bad = place.expect(2, &["init", "x.yaml", "--host", "op@h"]).await;
    assert!(bad.err.contains("write `h:` and under it `user:`"), "{}", bad.err);
    let left: Vec<_> =
        std::fs::read_dir(place.path("w")).expect("read").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn init_asks_on_a_terminal() {
    let place = place(&[("home/.ssh/config", SSH)]);
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter("cm-fleet init; echo \"left\"=$?");
    terminal.shows("Which of them?").await;
    terminal.enter("9");
    terminal.shows("`9` is none of 1 to 3").await;
    terminal.enter("1,3");
    let screen = terminal.shows("left=0").await;
    assert!(screen.contains("1  bastion") && screen.contains("2 entries under hosts"), "{screen}");
    terminal.close();
    let told = place.expect(0, &["check", "--json"]).await;
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    let names: Vec<&str> =
        told["hosts"].as_array().expect("hosts").iter().filter_map(|h| h["name"].as_str()).collect();
    assert_eq!(names, ["bastion", "gpu-02"]);
}

#[tokio::test]
async fn the_schema_is_json() {
    let place = Place::new();
    let schema: Value = serde_json::from_str(&place.expect(0, &["schema"]).await.out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let about =
        schema["$defs"]["Settings"]["properties"]["identity"]["description"].as_str().expect("described");
    assert!(about.contains("Private keys"), "{about}");
}
