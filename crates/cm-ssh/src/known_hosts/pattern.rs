//! PURE. Patterns of names: `*` for any text, `?` for one character, `!` for "not".

/// Whether a name matches one of the patterns, and none that begins with `!`.
pub fn any(patterns: &[String], name: &str) -> bool {
    let mut matched = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, name) => return false,
            Some(_) => {}
            None => matched = matched || matches(pattern, name),
        }
    }
    matched
}

/// Whether a name matches a pattern. Takes at most pattern × name steps.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // The last `*`, and how much of the name it has swallowed up to.
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((from, upto)) = star else { return false };
                star = Some((from, upto + 1));
                at = from + 1;
                seen = upto + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        let check = |patterns: &str, name: &str, expected: bool| {
            let patterns: Vec<String> = patterns.split(',').map(str::to_owned).collect();
            assert_eq!(any(&patterns, name), expected, "{patterns:?} {name}");
        };
        check("web", "web", true);
        check("web", "web1", false);
        check("web,db", "db", true);
        check("*", "", true);
        check("*.example.org", "a.example.org", true);
        check("*.example.org", "example.org", false);
        check("w?b", "web", true);
        check("w?b", "wb", false);
        check("*,!secret", "secret", false);
        check("!secret,*", "secret", false);
        check("!secret", "web", false);
        check("[*]:2222", "[web]:2222", true);
        check("[*]:2222", "web", false);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXbXbX", false);
        check("", "", true);
        check("", "x", false);
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!any(&[pattern], &"a".repeat(2000)));
    }
}
