//! The language: rules, their order, patterns, and what is wrong with a file.

use super::super::compile::PRESET_NAMES;
use super::*;
use PromptKind::{Command, Edit, Network, Read};

#[track_caller]
fn says(yaml: &str, kind: PromptKind, subject: &str, expected: &str) {
    let decision = on(&own(yaml), kind, subject);
    assert_eq!(format!("{} {}", word(&decision), decision.rule), expected, "{subject}: {decision:?}");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let yaml = "
name: mine
extends: careful
rules:
  - {name: no-ls, command: ls *, then: deny, message: Use find.}
  - {name: push, command: git push *, then: allow}
  - {kind: edit, path: docs/**, then: ask}
  - {name: secrets, kind: [read, edit], path: ['secrets/', '*.key'], then: deny}
";
    says(yaml, Command, "ls -l", "deny mine/no-ls");
    says(yaml, Command, "pwd && ls", "deny mine/no-ls");
    says(yaml, Command, "pwd && $(echo l)s; ls", "deny mine/no-ls");
    says(yaml, Command, "git push origin x", "allow mine/push");
    says(yaml, Command, "git push origin x; curl x", "ask mine/otherwise-ask");
    says(yaml, Edit, "docs/a/b.md", "ask mine/3");
    says(yaml, Command, "echo x > docs/b.md", "ask mine/3");
    says(yaml, Edit, "src/a", "allow careful/edit-inside");
    says(yaml, Read, "secrets/a", "deny mine/secrets");
    says(yaml, Command, "cat secrets/a", "deny mine/secrets");
    says(yaml, Command, "cat sub/x.key", "deny mine/secrets");
    says(yaml, Command, "frobnicate --in=secrets/a", "deny mine/secrets");
    says(yaml, Command, "cp a secrets/b", "deny mine/secrets");
    says(yaml, Command, "cat sec*/a", "ask mine/secrets");
    says(yaml, Command, "cat $X", "ask mine/secrets");
    says(yaml, Command, "cat src/a", "allow careful/harmless-commands");
}

#[test]
fn tools_are_told_apart() {
    let yaml = "name: mine\nrules:\n  - {tool: [claude, 'co*'], kind: network, then: allow}\n";
    let policy = own(yaml);
    for (tool, expected) in [("claude", "allow"), ("codex", "allow"), ("aider", "ask"), ("claude2", "ask")] {
        let asked = Asked { tool, ..asked(Network, "https://x") };
        assert_eq!(word(&decide(&policy, &asked)), expected, "{tool}");
    }
}

#[test]
fn hosts_in_addresses_and_commands() {
    let yaml = "
name: mine
rules:
  - {name: evil, kind: [network, command], host: '*.evil.test', then: deny}
  - {name: ours, kind: [network, command], host: ['*.example.com', localhost], then: allow}
";
    says(yaml, Network, "https://api.example.com/x", "allow mine/ours");
    says(yaml, Network, "api.example.com:443", "allow mine/ours");
    says(yaml, Network, "https://api.example.com@a.evil.test/", "deny mine/evil");
    says(yaml, Network, "https://example.com.evil.test/", "deny mine/evil");
    says(yaml, Network, "https://other.test/", "ask mine/otherwise-ask");
    says(yaml, Network, "", "ask mine/evil");
    says(yaml, Command, "curl https://api.example.com/x", "allow mine/ours");
    says(yaml, Command, "curl -s localhost:8080/x", "allow mine/ours");
    says(yaml, Command, "curl https://api.example.com/x https://other.test", "ask mine/otherwise-ask");
    says(yaml, Command, "curl https://x.evil.test", "deny mine/evil");
    says(yaml, Command, "git clone git@x.evil.test:a/b", "deny mine/evil");
    says(yaml, Command, "scp x ada@x.evil.test:", "deny mine/evil");
    says(yaml, Command, "ssh x.evil.test ls", "deny mine/evil");
    says(yaml, Command, "curl $URL", "ask mine/evil");
    says(yaml, Command, "ls", "ask mine/otherwise-ask");
}

#[test]
fn patterns_compare_words() {
    let yaml = "name: mine\nrules:\n  - {name: r, command: ['git push *', 'make test-*', 'docker compose up', 'npm run * -- *', './ci *', 'FOO=* make x'], then: allow}\n";
    for text in [
        "git push",
        "git push a b",
        "make test-a",
        "docker compose up",
        "npm run x -- y",
        "npm run x --",
        "./ci a",
        "FOO=1 make x",
        "/usr/bin/git push",
        "git push > /dev/null",
        "sh -c 'git push'",
        "timeout 5 git push",
    ] {
        says(yaml, Command, text, "allow mine/r");
    }
    for text in [
        "git pushx",
        "git",
        "git pull",
        "git -c x=y push",
        "make test-a b",
        "make test-$X",
        "docker compose up -d",
        "ci a",
        "/tmp/ci a",
        "BAR=1 make x",
        "BAR=1 git push",
        "./git push",
        "git push > x",
        "git push $(rm x)",
        "git push --receive-pack=x",
    ] {
        let decision = command(&own(yaml), text);
        assert_eq!(word(&decision), "ask", "{text}: {decision:?}");
    }
}

#[test]
fn refusing_patterns_see_through_everything() {
    let yaml = "name: mine\nextends: trusting\nrules:\n  - {name: r, command: ['terraform *', 'git push *'], then: deny}\n";
    for text in [
        "terraform apply",
        "/usr/bin/terraform x",
        "./terraform x",
        "sudo terraform x",
        "env A=1 terraform x",
        "ls; terraform x",
        "ls $(terraform x)",
        "sh -c 'terraform x'",
        "bash -c \"ls && terraform x\"",
        "xargs terraform < x",
        "ssh h terraform x",
        "ssh h 'cd x && terraform y'",
        "docker exec c terraform x; git push",
        "find . -exec terraform {} \\;",
        "A=1 terraform",
        "if x; then terraform; fi",
        "terraform 'x",
        "ls; (terraform x",
        "$(terraform x",
        "eval terraform x",
        "nohup terraform x &",
        "git -C sub push",
        "git --no-pager push",
        "git  push",
        "g\"i\"t push",
    ] {
        says(yaml, Command, text, "deny mine/r");
    }
    says(yaml, Command, "git $X", "ask mine/r");
    says(yaml, Command, "echo terraform", "allow trusting/confirm");
}

#[test]
fn paths_of_commands() {
    let yaml = "name: mine\nrules:\n  - {name: r, command: ['cat *', 'frob *'], path: ['docs', '~/notes/**', '/srv/data/*.csv'], then: allow}\n";
    for text in
        ["cat docs/x", "cat ~/notes/a/b", "cat /srv/data/a.csv docs/y", "frob docs/x", "cat docs/*.md"]
    {
        says(yaml, Command, text, "allow mine/r");
    }
    for text in [
        "cat src/x",
        "cat ~/x",
        "cat /srv/data/a/b.txt",
        "cat docs/../src/x",
        "frob -o/etc/x docs/x",
        "frob --x=/etc/x docs",
        "cat docs/x src/y",
        "cat /srv/data",
        "cat $X",
    ] {
        assert_eq!(word(&command(&own(yaml), text)), "ask", "{text}");
    }
}

#[track_caller]
fn fails(yaml: &str, expected: &str) {
    let error = read("p.yaml", yaml).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\nshould say {expected}");
}

#[test]
fn errors_say_where_and_what_was_meant() {
    fails("name: x\nrulez: []\n", "p.yaml:2:1: there is no key \"rulez\" here; did you mean `rules`?");
    fails(
        "name: x\nrules:\n  - then: allow\n    comand: ls\n",
        "p.yaml:4:5: there is no key \"comand\" here; did you mean `command`?",
    );
    fails(
        "name: x\nrules:\n  - then: alow\n",
        "p.yaml:3:11: `then` is `allow`, `deny` or `ask`, not \"alow\"; did you mean `allow`?",
    );
    fails(
        "name: x\nrules:\n  - kind: [read, comand]\n    then: ask\n",
        "p.yaml:3:18: there is no kind \"comand\"; did you mean `command`?",
    );
    fails(
        "name: x\nrules:\n  - kind: everything\n    then: ask\n",
        "p.yaml:3:11: there is no kind \"everything\"; kinds are read, edit",
    );
    fails("name: x\nrules:\n  - command: ''\n    then: ask\n", "p.yaml:3:14: a command pattern is empty");
    fails(
        "name: x\nrules:\n  - command: [ls, 'a && b']\n    then: ask\n",
        "p.yaml:3:19: command pattern \"a && b\" has the shell's signs",
    );
    fails(
        "name: x\nrules:\n  - command: <raeding>\n    then: ask\n",
        "p.yaml:3:14: there is no list \"<raeding>\"; did you mean `<reading>`?",
    );
    fails(
        "name: x\nrules:\n  - path: src/**x\n    then: ask\n",
        "p.yaml:3:11: bad glob \"src/**x\": `**` has to stand alone",
    );
    fails("name: x\nrules:\n  - path: '[ab]'\n    then: ask\n", "p.yaml:3:11: bad glob \"[ab]\"");
    fails("name: x\nrules:\n  - path: ../x\n    then: ask\n", "p.yaml:3:11: bad glob \"../x\": `..`");
    fails("name: x\nrules:\n  - path: ~bob/x\n    then: ask\n", "p.yaml:3:11: bad glob");
    fails(
        "name: x\nrules:\n  - then: allow\n    message: hi\n",
        "p.yaml:4:14: `message` is what a refused tool is told: it needs `then: deny`",
    );
    fails(
        "name: x\nextends: carefull\n",
        "p.yaml:2:10: there is no preset \"carefull\"; did you mean `careful`?",
    );
    fails("name: x\nname: y\n", "p.yaml:2:1: ");
    fails("name: x\nname: y\n", "duplicate");
    fails("name: x\nrules:\n  - then: ask\n    then: deny\n", "p.yaml:4:5: ");
    fails("name: x\nrules:\n  - kind: read\n", "p.yaml:3:5: this rule does not say what is done");
    fails("rules: []\n", "the key `name` is missing");
    fails("name: 'a b'\n", "p.yaml:1:7: \"a b\" is no policy's name");
    fails(
        "name: x\nrules:\n  - host: http://x/\n    then: ask\n",
        "p.yaml:3:11: host \"http://x/\" is no host name",
    );
    fails("name: x\nrules:\n  - tool: ''\n    then: ask\n", "p.yaml:3:11: a tool's name is empty");
    fails("name: x\nrules:\n  - command: *.rs\n    then: ask\n", "has to be quoted");
    fails("name: x\nrules:\n  - command: []\n    then: ask\n", "the list is empty");
    fails("name: x\nrules:\n  - kind: {a: b}\n    then: ask\n", "p.yaml:3:");
    fails("name: [\n", "p.yaml:");
    fails("", "p.yaml:1:1: ");
    fails("- a\n", "p.yaml:1:");
    fails(&format!("name: x\n# {}\n", "x".repeat(1 << 20)), "p.yaml:1:1: the file has 1048");
}

#[test]
fn names_that_are_not_known() {
    let policies = Policies::builtin();
    let error = policies.resolve(Some(&PolicyChoice::Name("carefull".into()))).unwrap_err().to_string();
    assert_eq!(
        error,
        "no policy is called \"carefull\"; did you mean `careful`?; known are careful, read-only, trusting"
    );
    let mut policies = policies;
    policies.add(&read("x", "name: mine\nrules: [{then: ask}]").unwrap()).unwrap();
    assert!(policies.resolve(Some(&PolicyChoice::Name("mine".into()))).is_ok());
    let error = policies.add(&read("x", "name: careful").unwrap()).unwrap_err().to_string();
    assert_eq!(error, "policy \"careful\": this is a preset's name; give yours another");
    let wire: cm_protocol::Policy =
        serde_json::from_value(serde_json::json!({"name": "w", "rules": [{"kind": "raed", "then": "ask"}]}))
            .unwrap();
    let error = policies.resolve(Some(&PolicyChoice::Rules(wire))).unwrap_err().to_string();
    assert!(
        error.starts_with("policy \"w\": rule 1, `kind`: there is no kind \"raed\"; did you mean `read`?"),
        "{error}"
    );
}

#[test]
fn presets_and_the_example_can_be_read() {
    for name in PRESET_NAMES {
        assert!(!preset(name).rules.is_empty(), "{name}");
        assert_eq!(preset(name).name(), name);
    }
    assert_eq!(Policies::builtin().resolve(None).unwrap().name(), "careful");
}

#[test]
fn why_is_one_line() {
    let decision = command(&preset("careful"), "ls\nrm -rf /");
    assert_eq!(decision.why, "no rule is about `rm -rf /` [a-rule]");
    let decision = command(&preset("trusting"), "rm -rf /");
    assert_eq!(
        (decision.rule.as_str(), decision.why.as_str()),
        ("bounds/deletes-outside", "it would take / away [a-rule]")
    );
    assert!(
        !command(&preset("careful"), &format!("x{}\n", "y\u{7}".repeat(500))).why.contains(char::is_control)
    );
}

#[test]
fn the_example_says_what_its_comments_say() {
    let example = own(include_str!("../../../../../../deploy/policies/example.yaml"));
    for (text, expected) in [
        ("make build", "deny"),
        ("just build", "allow"),
        ("cd web && just build", "allow"),
        ("docker compose logs -f api", "allow"),
        ("docker compose up", "ask"),
        ("./scripts/seed.sh --dry-run", "allow"),
        ("./scripts/seed.sh", "ask"),
        ("git push origin agent/fix-1", "allow"),
        ("git push origin main", "ask"),
        ("git push --force origin agent/fix-1", "ask"),
        ("DATABASE_URL=postgres://localhost/test cargo test", "allow"),
        ("DATABASE_URL=postgres://prod/shop cargo test", "ask"),
        ("curl https://api.shop.example/x", "allow"),
        ("curl https://other.example/x", "ask"),
        ("cp x migrations/1.sql", "ask"),
        ("cat secrets/key", "deny"),
        ("cat ~/.config/shop/token", "deny"),
        ("cargo test", "allow"),
        ("rm -rf /", "ask"),
    ] {
        let decision = command(&example, text);
        assert_eq!(word(&decision), expected, "{text}: {decision:?}");
    }
    let asked = Asked { tool: "codex", ..asked(PromptKind::Question, "Which?") };
    assert_eq!(word(&decide(&example, &asked)), "deny");
}
