//! What holds for any text.

use super::*;
use proptest::prelude::*;

/// Pieces that commands, good and bad, are made of.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "ls", "rm", "cat", "x", "-rf", "/", "~", "..", "src", "echo", "git", "status", "push", "sudo", "env",
        "A=1", "sh", "-c", "bash", "xargs", "find", ".", "-exec", "{}", "+", "\\;", "curl", "sed", "s/a/b/",
        "awk", "cd", "&&", "||", ";", "|", "&", "\n", "(", ")", "{", "}", "$(", "`", "'", "\"", "<", ">",
        ">>", "<<EOF\n", "\nEOF\n", "<<<", "<(", ">(", "$X", "${X}", "${X:-y}", "$((1))", "*", "?", "[",
        "\\", "#", "!", "if", "then", "fi", "for", "in", "do", "done", "while", "case", "esac", ";;", "[[",
        "]]", "function", "f()", "=", "$HOME", "$PWD", "…", "é", "\t",
    ];
    prop_oneof![9 => proptest::sample::select(pieces.map(str::to_owned).to_vec()), 1 => any::<char>().prop_map(String::from)]
}

fn line() -> impl Strategy<Value = String> {
    proptest::collection::vec((piece(), prop_oneof![3 => Just(" "), 1 => Just("")]), 0..14)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, gap)| [piece, gap.to_owned()]).collect())
}

/// Commands that can be read, good and bad.
fn plain() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "ls",
        "rm x",
        "cat src/a",
        "cat /etc/passwd",
        "git status",
        "git push",
        "echo hi > x",
        "echo hi > /etc/x",
        "cargo test",
        "sudo ls",
        "(ls)",
        "(rm x)",
        "echo $(ls)",
        "echo $(rm x)",
        "cd src",
        "cd ..",
        "cat ../x",
        "sh -c ls",
        "sh -c 'rm x'",
        "find . -delete",
        "for f in a b; do cat $f; done",
        "x=1",
        "PATH=. ls",
        "true",
        "curl x",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged_without_a_panic(text in "\\PC{0,200}", odd in line()) {
        for name in ["read-only", "careful", "trusting"] {
            let policy = preset(name);
            command(&policy, &text);
            command(&policy, &odd);
            on(&policy, PromptKind::Edit, &text);
            on(&policy, PromptKind::Network, &odd);
        }
    }

    #[test]
    fn allowed_together_is_allowed_alone(a in plain(), b in plain()) {
        let careful = preset("careful");
        for joined in [format!("{a} && {b}"), format!("{a}; {b}"), format!("{a} | {b}"), format!("{a} || {b}"), format!("{{ {a}; {b}; }}")] {
            if command(&careful, &joined).verdict == Verdict::Allow {
                prop_assert_eq!(word(&command(&careful, a)), "allow", "{} in {}", a, joined);
                // After `cd src`, `..` is the tree itself.
                prop_assert!(word(&command(&careful, b)) == "allow" || a == "cd src", "{} in {}", b, joined);
            }
        }
    }

    #[test]
    fn what_is_allowed_stays_allowed_only_if_the_rest_is(a in line()) {
        let careful = preset("careful");
        for joined in [format!("{a}\nrm x"), format!("rm x; {a}"), format!("rm x && {a}")] {
            prop_assert_ne!(word(&command(&careful, &joined)), "allow", "{}", joined);
        }
    }

    #[test]
    fn reading_a_policy_never_panics(text in "\\PC{0,300}") {
        let _ = read("x", &text);
        let _ = read("x", &format!("name: x\nrules:\n  - then: {text}\n"));
    }
}
