//! What is made of good files.

use std::path::PathBuf;
use std::time::Instant;

use super::{inventory, load, names};
use crate::inventory::{Host, Inventory, PolicyRef, Runtime, Value};

fn host(inventory: &Inventory, name: &str) -> Host {
    inventory.host(name).unwrap_or_else(|| panic!("there is {name}")).clone()
}

#[test]
fn nearly_nothing_is_enough() {
    for text in ["", "# nothing\n", "{}", "hosts:\n", "hosts: {}\ngroups:\ndefaults:\n"] {
        assert!(inventory(text).hosts.is_empty(), "{text:?}");
    }
    for text in
        ["hosts: [a]", "hosts: {a: }", "hosts:\n  a:\n", "hosts:\n- a\n", "groups: {g: {hosts: {a: }}}"]
    {
        let a = host(&inventory(text), "a");
        assert_eq!((a.address.as_str(), a.runtime.word()), ("a", "systemd"), "{text:?}");
    }
}

#[test]
fn inner_beats_outer() {
    let fleet = inventory(
        "
defaults: {slots: 1, user: all, labels: {a: all, b: all, c: all, d: all}, identity: [x, y], env: {E: all}}
groups:
  inner: {slots: 3, labels: {c: inner}, hosts: [h]}
  late: {user: late, hosts: [h, other]}
  outer: {slots: 2, user: outer, labels: {b: outer, c: outer}, groups: [inner], identity: z}
  early: {user: early, hosts: [other]}
hosts:
  h: {labels: {d: host}, env: {F: host}}
  alone:
  other: {slots: 9}
",
    );
    let h = host(&fleet, "h");
    // `late` and `outer` are both outermost: the later one in the file wins. `inner` is deeper.
    assert_eq!((h.slots, h.user.as_deref()), (Some(3), Some("outer")));
    let labels: Vec<String> = h.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels.join(" "), "a=all b=outer c=inner d=host");
    assert_eq!(h.identity.len(), 1, "lists are replaced");
    assert_eq!(h.env.len(), 2, "maps are merged");
    assert_eq!(h.groups.iter().map(String::as_str).collect::<Vec<_>>(), ["inner", "late", "outer"]);
    let alone = host(&fleet, "alone");
    assert_eq!((alone.slots, alone.user.as_deref(), alone.groups.len()), (Some(1), Some("all"), 0));
    assert_eq!(
        (host(&fleet, "other").slots, host(&fleet, "other").user.as_deref()),
        (Some(9), Some("early"))
    );
}

#[test]
fn maps_within_maps_are_merged() {
    let fleet = inventory("
defaults: {agent: {log: info, max_sessions: 5}, container: {image: base, env: {A: '1'}, mounts: ['a:/a', 'b:/b']}}
hosts:
  h: {agent: {log: debug}, runtime: container, container: {env: {B: '2'}, mounts: ['c:/c']}}
");
    let h = host(&fleet, "h");
    assert_eq!((h.agent.log.as_deref(), h.agent.max_sessions), (Some("debug"), Some(5)));
    let Runtime::Container(container) = h.runtime else { panic!("a container") };
    assert_eq!(container.image.as_deref(), Some("base"));
    assert_eq!((container.env.len(), container.mounts.len()), (2, 1));
}

#[test]
fn values_as_they_are_written() {
    let fleet = inventory("
hosts:
  h:
    labels: {v: 1.10, t: true, n: 007, q: '1', none: no, big: 99999999999999999999999}
    port: ${PORT}
    slots: \"${SLOTS:-3}\"
    env: {EMPTY: , TWO: \"a b\", LITERAL: '$${X} $HOME', PLAIN: 'plain:cmd:x', JOINED: 'in ${ZONE}', NUMBER: 1.50}
    agent: {keep_finished: 90, token: 'cmd:echo ${NOT_SET_HERE}'}
    container: {memory: 512M, cpus: 2}
");
    let h = host(&fleet, "h");
    let labels: Vec<String> = h.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels.join(" "), "big=99999999999999999999999 n=007 none=no q=1 t=true v=1.10");
    assert_eq!((h.port, h.slots, h.agent.keep_finished), (Some(2200), Some(3), Some(90)));
    let plain: Vec<String> = h
        .env
        .iter()
        .map(|(key, value)| match value {
            Value::Plain(text) => format!("{key}={text}"),
            Value::Secret(_) => panic!("{key} is no secret"),
        })
        .collect();
    assert_eq!(plain.join("|"), "EMPTY=|JOINED=in eu|LITERAL=${X} $HOME|NUMBER=1.50|PLAIN=cmd:x|TWO=a b");
    assert_eq!(h.agent.token.expect("a token").to_string(), "cmd:echo ${NOT_SET_HERE}");
    let json = serde_json::to_value(&h.env).expect("JSON");
    assert_eq!(json["PLAIN"], "plain:cmd:x", "what is printed reads back as the same");
}

#[test]
fn anchors_and_merge_keys() {
    let fleet = inventory(
        "
defaults: &base {slots: 2, labels: &l {zone: eu}}
hosts:
  a: {<<: *base, slots: 5}
  b: {labels: *l}
",
    );
    assert_eq!((host(&fleet, "a").slots, host(&fleet, "b").slots), (Some(5), Some(2)));
    assert_eq!(host(&fleet, "b").labels["zone"], "eu");
}

#[test]
fn ways_to_hosts() {
    let fleet = inventory(
        "
defaults: {jump: [outer, inner]}
hosts:
  outer:
  inner:
  deep:
  direct: {jump: none}
  plain: {jump: []}
  odd: {jump: 'op@[::1]:22'}
",
    );
    let way = |name: &str| host(&fleet, name).jump.join(" ");
    assert_eq!((way("outer"), way("inner"), way("deep")), ("".into(), "outer".into(), "outer inner".into()));
    assert_eq!((way("direct"), way("plain"), way("odd")), ("none".into(), "".into(), "op@[::1]:22".into()));
}

#[test]
fn ways_through_several_hosts() {
    let fleet = inventory(
        "
hosts:
  outer: {jump: op@gate}
  inner: {jump: outer}
  deep: {jump: inner}
  both: {jump: [outer, inner]}
  direct: {jump: none}
  behind: {jump: direct}
",
    );
    let check = |name: &str, most: usize, expected: Option<&str>| {
        let way = fleet.way(fleet.host(name).expect("it is there"), most).map(|way| way.join(" "));
        assert_eq!(way.as_deref(), expected, "{name}");
    };
    check("deep", 8, Some("op@gate outer inner"));
    check("both", 8, Some("op@gate outer inner"));
    check("outer", 8, Some("op@gate"));
    check("direct", 8, Some(""));
    check("behind", 8, Some("direct"));
    check("deep", 2, None);
}

#[test]
fn groups_name_and_define_hosts() {
    let fleet = inventory(
        "
hosts: {a: {slots: 1}}
groups:
  g:
    hosts: {a: , b: {slots: 2}, 'c[1-2]': }
  h:
    groups:
      i: {hosts: ['c*', b]}
",
    );
    assert_eq!(names(&fleet), "a b c1 c2");
    let groups = |name: &str| host(&fleet, name).groups.into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!((groups("a"), groups("b"), groups("c2")), ("g".into(), "g h i".into(), "g h i".into()));
}

#[test]
fn included_files_come_first() {
    let (dir, loaded) = load(&[
        (
            "fleet.yaml",
            "include: [common.yaml, 'd/*.yaml']\ndefaults: {user: mine}\nhosts: [z]\ngroups: {g: [z]}",
        ),
        ("common.yaml", "defaults: {user: theirs, slots: 2, identity: keys/common}"),
        (
            "d/1.yaml",
            "hosts: {a: {identity: ../k, policy: ./p.yaml}}\ngroups: {g: {hosts: [a], labels: {x: '1'}}}",
        ),
        ("d/2.yaml", "include: deep/3.yaml\nhosts: [b]"),
        ("d/deep/3.yaml", "hosts: [c]"),
        ("d/no.yml", "not: read"),
    ]);
    let fleet = loaded.expect("good");
    assert_eq!(names(&fleet), "a c b z");
    let z = host(&fleet, "z");
    assert_eq!((z.user.as_deref(), z.slots, z.labels["x"].as_str()), (Some("mine"), Some(2), "1"));
    assert_eq!(z.identity, [dir.path().join("keys/common")]);
    let a = host(&fleet, "a");
    assert_eq!(a.identity, [dir.path().join("d/../k")]);
    assert_eq!(a.policy, Some(PolicyRef::File(dir.path().join("d/./p.yaml"))));
    let files: Vec<PathBuf> =
        fleet.files.iter().map(|f| f.strip_prefix(dir.path()).expect("in it").into()).collect();
    let expected = ["fleet.yaml", "common.yaml", "d/1.yaml", "d/2.yaml", "d/deep/3.yaml"];
    assert_eq!(files, expected.map(PathBuf::from));
}

#[test]
fn a_fleet_has_a_name() {
    let check = |file: &str, text: &str, expected: Option<&str>| {
        let (dir, loaded) = load(&[(file, text)]);
        let own =
            dir.path().file_name().expect("a name").to_string_lossy().trim_start_matches('.').to_owned();
        assert_eq!(loaded.expect("good").name, expected.unwrap_or(&own));
    };
    check("fleet.yaml", "fleet: lab", Some("lab"));
    check("prod.yaml", "", Some("prod"));
    check("my hosts.yaml", "", Some("my-hosts"));
    check("fleet.yaml", "", None);
    check("team/fleet.yaml", "", Some("team"));
}

#[test]
fn a_thousand_hosts_load_at_once() {
    let mut text = String::from("defaults: {user: op}\nhosts:\n");
    for n in 0..1000 {
        text.push_str(&format!(
            "  h{n:04}:\n    address: 10.0.{}.{}\n    labels: {{zone: z{}}}\n",
            n / 250,
            n % 250,
            n % 7
        ));
    }
    text.push_str("groups:\n  even: {hosts: ['h[0000-0998/2]'], slots: 2}\n  all-of-them: {hosts: ['h*'], groups: [even]}\n");
    let start = Instant::now();
    let fleet = inventory(&text);
    let took = start.elapsed();
    assert_eq!(fleet.hosts.len(), 1000);
    assert_eq!(fleet.hosts.iter().filter(|host| host.slots == Some(2)).count(), 500);
    // Optimised it takes a few milliseconds; this only catches what grows by the square.
    assert!(took.as_secs_f64() < 3.0, "{took:?}");
    println!("{took:?}");
}

#[test]
fn ten_thousand_hosts_of_one_line() {
    let fleet = inventory("hosts: ['h[0-9999]']\ngroups: {g: ['h[0-9999]']}");
    assert_eq!((fleet.hosts.len(), fleet.hosts[9999].groups.len()), (10_000, 1));
}
