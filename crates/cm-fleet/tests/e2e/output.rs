//! Whatever a task prints: harmless, complete where it can be, and bounded.

use crate::support::Place;

#[tokio::test]
async fn escape_sequences_do_not_reach_the_terminal() {
    let place = Place::new();
    let task = r#"printf '\033]0;evil\007\033[2J\033[31mred\033[0m \033]52;c;ZXZpbA==\007end\nno newline'"#;
    for args in [vec!["--plain"], vec!["--json"]] {
        let all: Vec<&str> = ["dispatch", "--tool", "shell", task].into_iter().chain(args).collect();
        let ran = place.expect(0, &all).await;
        assert!(!ran.out.contains('\x1b') && !ran.out.contains('\x07'), "{:?}", ran.out);
        assert!(ran.out.contains("red end") && ran.out.contains("no newline"), "{:?}", ran.out);
    }
    place.close().await;
}

#[tokio::test]
async fn letters_of_the_world_and_very_wide_lines_stay_whole() {
    let place = Place::new();
    let task = "printf '漢字 ünï 👍🏽 e\\314\\201\\n'; printf '\\377 after\\n'; head -c 900 /dev/zero | tr '\\0' w; echo";
    let ran = place.expect(0, &["dispatch", "--tool", "shell", "--keep", "--name", "w", task]).await;
    let wide = "w".repeat(900);
    for text in [ran.out, place.expect(0, &["logs", "w"]).await.out] {
        assert!(text.contains("漢字 ünï 👍🏽 e\u{301}\n"), "{text}");
        assert!(text.contains("after\n"), "{text}");
        assert!(text.lines().any(|line| line == wide), "{text}");
    }
    place.close().await;
}

#[tokio::test]
async fn a_hundred_thousand_lines() {
    let place = Place::new();
    // Linux drops what a terminal has not read yet when the first process of its session exits: the end of
    // the task is kept away from the end of the flood.
    let task = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo \"line $i\"; done; sleep 0.5";
    let ran = place.expect(0, &["dispatch", "--tool", "shell", "--keep", "--name", "flood", task]).await;
    let tail: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("line ")).collect();
    assert!(tail.len() >= 10 && tail.last() == Some(&"line 100000"), "{}", ran.out);
    let logs = place.expect(0, &["logs", "flood"]).await.out;
    let numbers: Vec<u32> = logs.lines().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
    assert_eq!(numbers.last(), Some(&100_000));
    assert!(numbers.is_sorted(), "in order, none twice");
    assert!(numbers.len() > 1000, "the terminal's history is larger than that: {}", numbers.len());
    let last = place.expect(0, &["logs", "-n", "2", "flood"]).await.out;
    assert_eq!(last, "line 99999\nline 100000\n");
    place.close().await;
}
