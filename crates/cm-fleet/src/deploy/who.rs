//! Who deploys: the user and machine that locks, audit lines and `status` name.

/// `user@machine`, of characters that need no quoting anywhere.
pub fn by() -> String {
    let user = cm_agent::host::identity::account(&|name| std::env::var(name).ok()).name;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}@{}", plain(&user), plain(&machine))
}

/// PURE. Only letters, digits, `.`, `_` and `-`.
fn plain(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let text: String = text.chars().take(64).map(kept).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("ada", "ada");
        check("ada lovelace'; rm", "ada_lovelace___rm");
        check("", "unknown");
    }
}
