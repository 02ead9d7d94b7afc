//! What is made of good files.

use cm_protocol::{Check, ResourceLimits};

use super::{File, Wanted, env, expand, good, hosts, listed, wanted};

#[test]
fn every_key() {
    let all = wanted(
        "
defaults:
  tool: codex
  env: {A: outer, B: outer}
  policy: careful
tasks:
  - name: one
    task: |
      fix the tests
      all of them
    tool: /opt/claude
    path: crates/x
    repo: git@example.com:a/b.git
    ref: v1.2
    on: '@gpu & zone=eu'
    policy: ./p/{{ p }}.yaml
    check: make test
    check_timeout: 5m
    retry_on_failed_check: 2
    timeout: 1h30m
    retries: 0
    env: {B: inner, C: , D: 1.10, E: 'plain:env:x'}
    args: [--model, '{{ p }}']
    worktree: fix/{{ p }}
    base: main
    memory: 2G
    cpu: 1.5
    tasks: 100
    matrix: {p: [strict]}
  - {task: x, env: [F, 'G=h=i'], args: one, worktree: true, policy: '~/p.yml'}
  - only text
",
    );
    let text = |text: &str| Some(text.to_owned());
    let pairs = |all: &[(&str, Option<&str>)]| {
        all.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    };
    let one = Wanted {
        name: text("one"),
        text: "fix the tests\nall of them\n".into(),
        tool: text("/opt/claude"),
        path: text("crates/x"),
        repo: text("git@example.com:a/b.git"),
        reference: text("v1.2"),
        on: text("@gpu & zone=eu"),
        host: None,
        policy: text("/w/./p/strict.yaml"),
        check: Some(Check { command: "make test".into(), timeout: Some(300.0), retries: 2 }),
        timeout: Some(5400.0),
        retries: Some(0),
        env: pairs(&[
            ("A", Some("outer")),
            ("B", Some("inner")),
            ("C", None),
            ("D", Some("1.10")),
            ("E", Some("env:x")),
        ]),
        args: vec!["--model".into(), "strict".into()],
        worktree: all[0].worktree.clone(),
        limits: ResourceLimits { memory: Some(2 << 30), cpu: Some(1.5), tasks: Some(100) },
        after: Vec::new(),
    };
    assert_eq!(all[0], one);
    let tree = all[0].worktree.as_ref().expect("a work tree");
    assert_eq!((tree.branch.as_deref(), tree.base.as_deref()), (Some("fix/strict"), Some("main")));
    let two = Wanted {
        text: "x".into(),
        tool: text("codex"),
        policy: text("/home/op/p.yml"),
        env: pairs(&[("A", Some("outer")), ("B", Some("outer")), ("F", None), ("G", Some("h=i"))]),
        args: vec!["one".into()],
        worktree: all[1].worktree.clone(),
        ..Wanted::default()
    };
    assert_eq!(all[1], two);
    assert!(all[1].worktree.as_ref().is_some_and(|tree| tree.branch.is_none() && tree.base.is_none()));
    assert_eq!((all[2].text.as_str(), all[2].policy.as_deref()), ("only text", Some("careful")));
}

#[test]
fn combinations() {
    insta::assert_snapshot!(listed("
tasks:
  - {name: build, task: 'b {{ os }} {{v}}', matrix: {os: [linux, mac], v: [1.10, '2 x']}}
  - {name: 'pack-{{ os }}', task: p, matrix: {os: [linux, mac], v: [1]}, after: [build]}
  - {name: 'ship-{{ os }}', task: s, matrix: {os: [linux, mac]}, after: 'pack-{{ os }}'}
  - {task: 'all of it', after: ['pack-{{ os }}', ship-mac, build-linux-1.10]}
"), @"
    build-linux-1.10: b linux 1.10
    build-linux-2-x: b linux 2 x
    build-mac-1.10: b mac 1.10
    build-mac-2-x: b mac 2 x
    pack-linux: p after build-linux-1.10 build-linux-2-x build-mac-1.10 build-mac-2-x
    pack-mac: p after build-linux-1.10 build-linux-2-x build-mac-1.10 build-mac-2-x
    ship-linux: s after pack-linux
    ship-mac: s after pack-mac
    -: all of it after build-linux-1.10 pack-linux pack-mac ship-mac
    ");
}

#[test]
fn every_host() {
    insta::assert_snapshot!(listed("
defaults: {each_host: true}
tasks:
  - {name: pull, task: 'pull in {{ labels.zone }}'}
  - {name: 'use-{{ host }}', task: 'use {{ host }}', after: 'pull-{{ host }}'}
  - {name: far, task: 'f {{ z }}', on: 'zone={{ z }} & @gpu', matrix: {z: [eu, us]}}
  - {task: sum, each_host: false, after: [use-web, far, 'use-{{ host }}']}
"), @"
    pull-gpu-1: pull in eu @gpu-1
    pull-gpu-2: pull in us @gpu-2
    pull-web: pull in eu @web
    use-gpu-1: use gpu-1 @gpu-1 after pull-gpu-1
    use-gpu-2: use gpu-2 @gpu-2 after pull-gpu-2
    use-web: use web @web after pull-web
    far-eu-gpu-1: f eu @gpu-1
    far-us-gpu-2: f us @gpu-2
    -: sum after use-gpu-1 use-gpu-2 use-web far-eu-gpu-1 far-us-gpu-2
    ");
}

/// However many hosts there are, and whatever is made of the values.
#[test]
fn names_do_not_depend_on_how_many_there_are() {
    insta::assert_snapshot!(listed("
tasks:
  - {name: a, task: x, each_host: true, on: web}
  - {name: b, task: x, each_host: true, on: web, after: 'a-{{ host }}'}
  - {name: 'c{{ i }}{{ j }}', task: 'x {{ i }} {{ j }}', matrix: {i: [1, 11], j: [1, 11]}}
  - {name: d, task: x, matrix: {k: [one]}}
"), @"
    a-web: x @web
    b-web: x @web after a-web
    c11: x 1 1
    c111: x 1 11
    c111-2: x 11 1
    c1111: x 11 11
    d: x
    ");
}

#[test]
fn what_it_stands_for_is_said_before_hosts_are_known() {
    let check = |text: &str, expected: &str, needs_hosts: bool| {
        let file = good(text);
        assert_eq!((file.stated().to_string().as_str(), file.needs_hosts()), (expected, needs_hosts));
    };
    check("tasks: [x]", "1 task", false);
    check("tasks: [x, {task: '{{ a }}{{ b }}', matrix: {a: [1, 2, 3], b: [x, y]}}]", "7 tasks", false);
    check("tasks: [x, {task: x, each_host: true}]", "1 task, and 1 task for each host", true);
    check(
        "tasks: [{task: 'x {{ a }}', each_host: true, matrix: {a: [1, 2]}, timeout: '{{ labels.t }}'}]",
        "2 tasks for each host",
        true,
    );
}

#[test]
fn without_hosts_selectors_are_left_for_later() {
    let file = good("tasks: [{task: x, on: '@none'}]");
    let all = expand(&file, &[]).expect("one");
    assert_eq!(all[0].on.as_deref(), Some("@none"));
}

#[test]
fn names_fit_and_differ() {
    let long = "x".repeat(60);
    let all = wanted(&format!(
        "tasks: [{{name: '{long}', task: 't {{{{ k }}}}', matrix: {{k: [a/b, a.b, 'a b', \"漢字漢字漢字\"]}}}}]"
    ));
    let names: Vec<&str> = all.iter().filter_map(|task| task.name.as_deref()).collect();
    let different: std::collections::HashSet<&&str> = names.iter().collect();
    assert_eq!(different.len(), 4, "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
}

#[test]
fn a_great_many() {
    let values: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let values = values.join(", ");
    let text = format!(
        "tasks:
- {{name: a, task: '{{{{ x }}}} {{{{ y }}}}', matrix: {{x: [{values}], y: [{}]}}}}
- {{name: b, task: z, after: a}}",
        (0..99).map(|n| n.to_string()).collect::<Vec<_>>().join(", "),
    );
    let all = wanted(&text);
    assert_eq!((all.len(), all[19_800].after.len()), (19_801, 19_800));
    assert_eq!((all[19_799].name.as_deref(), all[19_799].text.as_str()), (Some("a-199-98"), "199 98"));
}

#[test]
fn secrets_in_the_open_are_warned_of() {
    let doubts = good(
        "tasks:
- {task: x, env: {MY_TOKEN: hunter2, API_KEY: , PLAIN: y}, repo: 'https://me:hunter2@example.com/x.git'}
- {task: y, env: {MY_TOKEN: other}, repo: 'https://example.com/a:b@c'}",
    )
    .doubts();
    insta::assert_snapshot!(doubts.join("\n"), @"
    a password stands in the URL of a `repo`; let the host's own git have it
    the value of MY_TOKEN stands in the file; write `MY_TOKEN:` without one to pass your own on
    ");
}

#[test]
fn from_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.yaml");
    std::fs::write(&path, "tasks: [{task: x, policy: p.yaml}]").expect("written");
    let file = File::load(&path, &env).unwrap_or_else(|e| panic!("{e}"));
    let all = expand(&file, &hosts()).expect("one");
    assert_eq!(all[0].policy, Some(dir.path().join("p.yaml").display().to_string()));
    let failure = File::load(dir.path(), &env).expect_err("a directory").failure();
    assert_eq!(failure.kind.exit().code(), 2);
    assert!(failure.to_string().contains("hint: --tasks names a YAML file"), "{failure}");
}
