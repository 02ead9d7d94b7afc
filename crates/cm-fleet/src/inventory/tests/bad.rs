//! What is said of bad files: where, what, and what was probably meant.

use super::said;

/// Each mistake as one snapshot, so that they are read side by side.
fn all(texts: &[&str]) -> String {
    texts.iter().map(|text| said(&[("fleet.yaml", text)]) + "\n").collect()
}

#[test]
fn no_yaml() {
    insta::assert_snapshot!(all(&[
        "hosts:\n  a: {slots: 2\n  b: {}\n",
        "hosts:\n\ta: {}\n",
        "hosts: *unknown\n",
        "hosts:\n  a: \"never closed\n",
        "groups: {g: {hosts: [gpu-*, @web]}}\n",
        "hosts: {a: {port: ${PORT}}}\n",
        "hosts: [gpu[1-2]]\n",
        "a: 1\n---\nb: 2\n",
        "- a\n",
        "just text\n",
        "hosts: {? [a, b] : x}\n",
    ]));
}

#[test]
fn keys() {
    insta::assert_snapshot!(all(&[
        "host: {a: {}}\n",
        "user: op\n",
        "hosts:\n  a:\n    identiy: ~/.ssh/k\n    colour: red\n",
        "groups: {g: {host: [a]}}\n",
        "hosts: {a: {agent: {tokn: env:X}, container: {img: x}, systemd: {lingering: true}}}\n",
        "hosts:\n  a: {}\n  b: {slots: 1, slots: 2}\n  a: {}\n",
    ]));
}

#[test]
fn types() {
    insta::assert_snapshot!(all(&[
        "hosts: {a: {port: ssh, slots: -1}}\n",
        "hosts: {a: {port: \"22\"}}\n",
        "hosts: {a: {port: 0, slots: 0}}\n",
        "hosts: {a: {port: 65536, slots: 1.5}}\n",
        "hosts: {a: {user: [x], labels: [x], agent: fast}}\n",
        "hosts: a\n",
        "hosts: [{a: {slots: 2}}]\n",
        "groups: [g]\n",
        "hosts: {a: 5}\n",
        "hosts: {a: {runtime: contianer, systemd: {linger: maybe}}}\n",
    ]));
}

#[test]
fn values() {
    insta::assert_snapshot!(all(&[
        "hosts: {a: {user: -oProxyCommand=x, address: '-x'}}\n",
        "hosts: {a: {user: 'a b', address: 'op@host', jump: '-J'}}\n",
        "hosts: {a: {address: 'host:22', jump: ['b:x', 'b:0']}}\n",
        "hosts: {a: {host_key: 'aa:bb', labels: {'a=b': x, zone: 'e,u'}}}\n",
        "hosts: {a: {env: {1X: y, GOOD: z}}}\n",
        "hosts: {a: {env: {X: 'env:1bad'}}}\n",
        "hosts: {a: {agent: {dir: opt, state_dir: /a/../b, listen: 9876, token: hunter2}}}\n",
        "hosts: {a: {agent: {listen: '0.0.0.0:9876', keep_finished: soon}}}\n",
        "hosts: {a: {container: {mounts: [/a, 'b:c', './x:/y', '/a:/b:rx'], cpus: many, memory: 1X}}}\n",
        "hosts: {a: {container: {extra_hosts: {x: y}}, identity: '~bob/.ssh/k'}}\n",
        "hosts: {a: {user: '${NO_SUCH}', slots: '${EMPTY}', env: {X: '${A'}}}\n",
    ]));
}

#[test]
fn names() {
    insta::assert_snapshot!(all(&[
        "hosts: [-x, op@b, 'a b', all, 'c[1-', 'd[1-99999]', '.e']\n",
        "fleet: 'my fleet'\nhosts: [a]\n",
        "groups: {-g: {}, all: {}}\n",
        "hosts:\n  gpu[01-16]:\n  gpu07: {slots: 2}\n",
        "hosts: ['a[0-5999]', 'b[0-5999]']\n",
    ]));
}

#[test]
fn references() {
    insta::assert_snapshot!(all(&[
        "hosts: [gpu-01, web]\ngroups:\n  g: {hosts: [gpu-1, storage, 'db-*', 'gpu-[01-02]', '@h']}\n  h: [web]\n",
        "hosts: [a]\ngroups:\n  g: {hosts: [h], groups: [hh]}\n  h: [a]\n",
        "groups:\n  a: {groups: [b]}\n  b: {groups: [c]}\n  c: {groups: [a]}\n",
        "groups: {a: {groups: [a]}}\n",
        "hosts:\n  a: {jump: b}\n  b: {jump: [x, c]}\n  c: {jump: a}\n",
        "hosts:\n  a: {jump: a}\n",
        "hosts: {a: {jump: [none, b]}, l1: {runtime: local}, l2: {runtime: local}}\n",
    ]));
}

#[test]
fn included_files() {
    let main = "include: sub/x.yaml\nhosts: [a]\n";
    let mut shown = said(&[("fleet.yaml", main)]) + "\n";
    shown += &(said(&[("fleet.yaml", main), ("sub/x.yaml", "fleet: x\nhosts: {a: {prot: 1}}\n")]) + "\n");
    shown += &(said(&[("fleet.yaml", main), ("sub/x.yaml", "include: [../fleet.yaml]\n")]) + "\n");
    shown +=
        &(said(&[("fleet.yaml", main), ("sub/x.yaml", "include: [y.yaml, y.yaml]\n"), ("sub/y.yaml", "")])
            + "\n");
    shown += &(said(&[("fleet.yaml", "include: ['*/x.yaml', sub]\n"), ("sub/x.yaml", "")]) + "\n");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_chain_of_files_is_bounded() {
    let files: Vec<(String, String)> =
        (0..12).map(|n| (format!("{n}.yaml"), format!("include: {}.yaml\n", n + 1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let shown = said(&files);
    assert!(shown.contains("8.yaml:1:10: files include each other more than 8 deep"), "{shown}");
}

#[test]
fn what_grows_without_end_is_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
        g: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    let shown = said(&[("fleet.yaml", bomb)]);
    assert!(shown.contains("this is no YAML"), "{shown}");
    let deep = format!("hosts: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(said(&[("fleet.yaml", &deep)]).contains("fleet.yaml:1:"));
    let long = said(&[("fleet.yaml", &format!("hosts: {{{}: {{prot: 1}}}}\n", "x".repeat(100_000)))]);
    assert!(long.len() < 2000, "{} bytes", long.len());
}
