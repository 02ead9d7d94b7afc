//! Prompts that are no commands: files, trust, questions, secrets, hosts.

use super::*;
use PromptKind::{Confirm, Continue, Edit, Network, Plan, Question, Read, Report, Secret, Text, Trust};

#[track_caller]
fn check(policy: &str, kind: PromptKind, subject: &str, expected: &str) {
    let decision = on(&preset(policy), kind, subject);
    assert_eq!(word(&decision), expected, "{policy} {kind:?} {subject:?}: {decision:?}");
}

#[test]
fn files_by_where_they_lie() {
    for (subject, careful) in [
        ("src/main.rs", "allow"),
        ("/proj/tree/src/main.rs", "allow"),
        ("/proj/tree", "allow"),
        ("./a/../b", "allow"),
        ("a\nb", "allow"),
        ("...", "ask"),
        ("../x", "ask"),
        ("/proj/tree-evil/x", "ask"),
        ("/proj/tree/../x", "ask"),
        ("~/x", "ask"),
        ("~bob/x", "ask"),
        ("/etc/passwd", "ask"),
        ("", "ask"),
        ("src/…/x.rs", "ask"),
        ("a\n/etc/passwd", "ask"),
        ("x\u{0}y", "ask"),
    ] {
        check("careful", Read, subject, careful);
        check("careful", Edit, subject, careful);
        check("read-only", Read, subject, if careful == "allow" { "allow" } else { "deny" });
        check("read-only", Edit, subject, "deny");
    }
}

#[test]
fn files_with_consequences_are_asked_about() {
    for subject in [
        ".git/hooks/pre-commit",
        ".git",
        "sub/.git/config",
        ".GIT/config",
        ".envrc",
        "a/b/.envrc",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".env",
        ".env.local",
        ".husky/x",
        ".claude/settings.json",
        ".mcp.json",
        ".vscode/tasks.json",
        "keys/server.pem",
        ".npmrc",
        ".cargo/config.toml",
        "src/../.envrc",
    ] {
        check("careful", Edit, subject, "ask");
        check("careful", Read, subject, "allow");
    }
    for subject in ["src/git.rs", "environment", ".gitignore", "docs/.envrc.md", "github/x"] {
        check("careful", Edit, subject, "allow");
    }
}

#[test]
fn trust_is_for_the_work_tree() {
    for (subject, careful, trusting) in [
        ("/proj/tree", "allow", "allow"),
        ("/proj/tree/sub", "allow", "allow"),
        ("/proj", "ask", "allow"),
        ("/", "ask", "allow"),
        ("~/x", "ask", "allow"),
        ("some-server", "ask", "allow"),
        ("", "ask", "allow"),
    ] {
        check("careful", Trust, subject, careful);
        check("trusting", Trust, subject, trusting);
    }
    // Its name alone is believed of the dialog about the folder, and of no server called so.
    for (rule, subject, careful) in [
        ("trust-folder", "tree", "allow"),
        ("trust-folder", "proj", "ask"),
        ("trust-folder", "", "ask"),
        ("external-imports", "tree", "ask"),
    ] {
        let asked = Asked { prompt_rule: rule, ..asked(Trust, subject) };
        assert_eq!(word(&decide(&preset("careful"), &asked)), careful, "{rule} {subject}");
    }
    let asked = Asked { prompt_rule: "trust-folder", work_dir: "/", ..asked(Trust, "") };
    assert_eq!(word(&decide(&preset("careful"), &asked)), "ask");
    let asked = Asked { subject: None, ..super::asked(Trust, "") };
    assert_eq!(word(&decide(&preset("careful"), &asked)), "ask");
}

#[test]
fn what_no_policy_answers() {
    let reckless =
        own("name: reckless\nrules:\n  - {then: allow}\n  - {kind: [question, confirm], then: allow}\n");
    for policy in [&*preset("read-only"), &*preset("careful"), &*preset("trusting"), &*reckless] {
        for kind in [Secret, Text, Report, Question] {
            let decision = on(policy, kind, "x");
            assert_eq!(decision.verdict, Verdict::Ask, "{kind:?} {decision:?}");
        }
        assert_eq!(on(policy, Continue, "").verdict, Verdict::Allow);
    }
}

#[test]
fn a_question_may_be_refused_with_a_word() {
    let silent = own("name: silent\nrules:\n  - {kind: question, then: deny, message: Decide yourself.}\n");
    let decision = on(&silent, Question, "Which?");
    assert_eq!(decision.verdict, Verdict::Deny { message: Some("Decide yourself.".into()) });
    assert_eq!(decision.rule, "silent/1");
}

#[test]
fn plans_hosts_and_confirmations() {
    check("careful", Plan, "", "ask");
    check("trusting", Plan, "", "allow");
    check("read-only", Plan, "", "ask");
    check("careful", Confirm, "", "ask");
    check("trusting", Confirm, "", "allow");
    check("careful", Network, "https://example.com", "ask");
    check("trusting", Network, "https://example.com", "allow");
    check("read-only", Network, "https://example.com", "deny");
}

#[test]
fn personal_and_system_files_are_bounds() {
    for subject in [
        "/etc/passwd",
        "~/.ssh/authorized_keys",
        "/home/ada/.bashrc",
        "/usr/bin/x",
        "/home/bob/.ssh/x",
        "~/.config/systemd/user/x.service",
    ] {
        check("trusting", Edit, subject, "deny");
    }
    for subject in ["~/notes.txt", "/tmp/x", "/proj/other/x", "src/x"] {
        check("trusting", Edit, subject, "allow");
    }
    check("trusting", Read, "~/.ssh/id_rsa", "ask");
    check("trusting", Read, "~/.ssh/id_rsa.pub", "allow");
    check("trusting", Read, "/etc/hosts", "allow");
}

#[test]
fn a_tree_anywhere_is_a_tree() {
    let at = |work_dir, subject| {
        let asked = Asked { work_dir, ..asked(Edit, subject) };
        word(&decide(&preset("trusting"), &asked))
    };
    assert_eq!(at("/usr/src/app", "/usr/src/app/x"), "allow");
    assert_eq!(at("/usr/src/app", "/usr/src/other"), "deny");
    assert_eq!(at("/home/ada", "~/.ssh/x"), "deny", "the home directory as a tree");
    assert_eq!(at("/home/ada/.config/fish", "config.fish"), "allow");
    assert_eq!(at("/", "/etc/x"), "deny");
    assert_eq!(at("relative", "x"), "ask");
    assert_eq!(at("", "x"), "ask");
}
