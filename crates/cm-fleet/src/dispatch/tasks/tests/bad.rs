//! What is said of bad files: where, what, and what was probably meant.

use super::{expand, good, said};

/// Each mistake as one snapshot, so that they are read side by side.
fn all(texts: &[&str]) -> String {
    texts.iter().map(|text| said(text) + "\n").collect()
}

#[test]
fn no_tasks() {
    insta::assert_snapshot!(all(&[
        "",
        "- fix it\n",
        "just text\n",
        "tasks:\n",
        "tasks: []\n",
        "tasks: {a: x}\n",
        "defaults: {tool: sh}\n",
        "tasks: [{task: {{ x }}}]\n",
        "tasks:\n  - task: {{ x }} tests\n",
    ]));
}

#[test]
fn keys() {
    insta::assert_snapshot!(all(&[
        "task: x\n",
        "tool: sh\ntasks: [x]\ntaks: [y]\n",
        "defaults: {name: x, tol: sh}\ntasks: [x]\n",
        "tasks:\n  - name: a\n    taks: x\n    priority: 3\n",
        "tasks:\n  - task: x\n    tool: sh\n    tool: bash\n",
        "tasks: [{task: x, check_timeout: 5m, retry_on_failed_check: 1, ref: v1, base: main}]\n",
    ]));
}

#[test]
fn values() {
    insta::assert_snapshot!(all(&[
        "tasks: [' ', '', {task: }, {name: x}, [x], ~]\n",
        "tasks: [{task: x, timeout: soon, retries: -1, memory: 1K, cpu: many, tasks: 1}]\n",
        "tasks: [{task: x, timeout: [5], tool: ./sh, args: [{a: b}], each_host: maybe}]\n",
        "tasks: [{task: x, repo: '--upload-pack=x', ref: -x, path: /abs, worktree: 'a b'}]\n",
        "tasks: [{task: x, repo: r, path: ../x, on: '@gpu &', check: ' ', policy: '~bob/p.yaml'}]\n",
        "tasks: [{task: x, env: {1X: y, K: 'env:hunter2', T: '{{ hunter2'}}, {task: x, env: ['a b']}]\n",
        "tasks: [{task: x, name: cm-1}, {task: x, name: ' y'}]\n",
        "tasks: [{task: x, matrix: {}}, {task: x, matrix: {host: [1], 'a b': [1]}}]\n",
        "tasks: [{task: '{{ a }}{{ b }}{{ c }}', matrix: {a: [], b: x, c: [1, 1]}}]\n",
    ]));
}

#[test]
fn templates() {
    insta::assert_snapshot!(all(&[
        "tasks:\n  - task: run {{ os }}\n",
        "tasks:\n  - {task: 'run {{ so }}', matrix: {os: [linux]}}\n",
        "tasks:\n  - {task: 'run {{ host }} {{ labels.x }}'}\n",
        "tasks:\n  - {task: 'run {{ os | upper }} {{', matrix: {os: [linux]}}\n",
        "defaults:\n  path: /src/{{ repo }}\ntasks:\n  - {task: x, matrix: {repo: [a]}}\n  - task: y\n",
        "tasks: [{task: x, timeout: '{{ t }}', matrix: {t: [5m, soon]}}]\n",
        "tasks: [{task: x, each_host: true, on: '{{ host }}'}]\n",
        "tasks: [{task: x, worktree: fix, matrix: {t: [1, 2]}}]\n",
        "tasks: [{task: '{{ t }}', matrix: {t: [x, ' ']}}]\n",
    ]));
}

#[test]
fn order() {
    insta::assert_snapshot!(all(&[
        "tasks: [{task: x, after: a}]\n",
        "tasks: [{task: x, name: build}, {task: y, after: [biuld, build, '']}]\n",
        "tasks: [{task: x, name: a}, {task: y, name: a}]\n",
        "tasks: [{task: x, name: a, after: a}]\n",
        "tasks:\n  - {task: x, name: a, after: c}\n  - {task: x, name: b, after: a}\n  - {task: x, name: c, after: b}\n",
        "tasks: [{task: '{{ i }}', name: s, matrix: {i: [1, 2]}, after: s-2}]\n",
        "tasks: [{task: x, name: b-1}, {task: '{{ i }}', name: b, matrix: {i: [1, 2]}}]\n",
        "tasks: [{task: x, name: n, each_host: true}, {task: y, after: n-wbe}, {task: y, after: m}]\n",
        "tasks: [{task: x, name: n, each_host: true}, {task: y, after: n-wbe}]\n",
    ]));
}

#[test]
fn hosts_that_are_not_there() {
    insta::assert_snapshot!(all(&[
        "tasks: [{task: x, on: '@gpus'}, {task: x, each_host: true, on: wbe}]\n",
        "tasks: [{task: 'x {{ labels.zoen }}', each_host: true}]\n",
        "tasks: [{task: x, each_host: true, on: '@gpu & web'}]\n",
        "tasks: [{task: x, each_host: true, timeout: '{{ labels.zone }}'}]\n",
    ]));
    let file = good("tasks: [{task: x, each_host: true}]");
    let error = expand(&file, &[]).expect_err("no hosts").failure().to_string();
    insta::assert_snapshot!(error, @"
    error: tasks.yaml has a mistake
      caused by: tasks.yaml:1:30: there are no hosts to make this task for; name an inventory: -i FILE
                 1 | tasks: [{task: x, each_host: true}]
                   |                              ^^^^
    ");
}

#[test]
fn what_grows_without_end_is_refused() {
    let values = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let one = format!("tasks: [{{task: x, matrix: {{a: [{values}], b: [{values}]}}}}]\n");
    assert!(said(&one).contains("with these the file stands for more than 100000 tasks"), "{}", said(&one));
    let sixty = (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let half = format!("matrix: {{a: [{values}], b: [{sixty}]}}");
    let many = format!("tasks: [{{task: x, {half}}}, {{task: x, {half}}}]\n");
    assert!(said(&many).contains("more than 100000 tasks"), "{}", said(&many));
    let keys = (0..30).map(|n| format!("k{n}: [{values}]")).collect::<Vec<_>>().join(", ");
    assert!(said(&format!("tasks: [{{task: x, matrix: {{{keys}}}}}]\n")).contains("more than 100000"));
    let keys = (0..40).map(|n| format!("k{n}: [1]")).collect::<Vec<_>>().join(", ");
    assert!(said(&format!("tasks: [{{task: x, matrix: {{{keys}}}}}]\n")).contains("at most 32 keys"));
    let long = "x".repeat(1 << 20);
    let again = "{{ a }}".repeat(100);
    let huge = said(&format!("tasks: [{{task: '{again}', matrix: {{a: ['{long}']}}}}]\n"));
    assert!(huge.contains("filled in, this text is over 16 MiB"), "{huge:.300}");
    let many = format!("defaults: {{check: '{long}'}}\ntasks: [{}]\n", "x,".repeat(1000));
    assert!(said(&many).contains("too many tasks for so long `defaults`"));
    let big = format!("tasks: [{{task: '{long} {{{{ a }}}}', matrix: {{a: [{values}]}}}}]\n");
    assert!(said(&big).contains("the texts of all tasks are over 256 MiB"));
    let square = format!(
        "tasks: [{{name: a, task: '{{{{ x }}}}', matrix: {{x: [{values}]}}}}, \
         {{name: b, task: '{{{{ x }}}}', after: a, matrix: {{x: [{values}, y]}}}}]\n"
    );
    assert!(said(&square).contains("tasks wait for others more than 1000000 times"), "{}", said(&square));
}

/// What may be a secret is not repeated.
#[test]
fn values_of_variables_are_not_shown() {
    let shown = said("tasks: [{task: x, env: {K: 'cmd:hunter2', L: 'a {{ hunter2 | x }}'}}]\n");
    assert!(shown.contains("2 mistakes"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
