//! PURE. Which release a test host runs: the one of this machine, so that what is built here runs there.

/// What mmdebstrap must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The code name: `bookworm`, `noble`.
    pub suite: String,
    /// Archive components that hold the packages we want.
    pub components: &'static str,
}

impl Release {
    /// Reads /etc/os-release. Programs are linked against this machine's C library; only the same
    /// release is sure to run them. `Err` says what the machine is instead.
    pub fn of(os_release: &str) -> Result<Self, String> {
        let field = |name: &str| {
            os_release
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
                .filter(|value| !value.is_empty())
        };
        let components = match field("ID").as_deref() {
            Some("debian") => "main",
            Some("ubuntu") => "main,universe",
            other => return Err(other.unwrap_or("unknown").to_owned()),
        };
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_lowercase());
        match field("VERSION_CODENAME").filter(plain) {
            Some(suite) => Ok(Self { suite, components }),
            None => Err("a release without a code name".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_decides() {
        let check = |text: &str, expected: Result<(&str, &'static str), &str>| {
            let expected = expected
                .map(|(suite, components)| Release { suite: suite.to_owned(), components })
                .map_err(str::to_owned);
            assert_eq!(Release::of(text), expected, "{text}");
        };
        check("NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n", Ok(("bookworm", "main")));
        check("ID=ubuntu\nVERSION_CODENAME=\"noble\"\nID_LIKE=debian", Ok(("noble", "main,universe")));
        check("ID=fedora\nVERSION_CODENAME=\"\"", Err("fedora"));
        check("ID=debian\n", Err("a release without a code name"));
        check("ID=debian\nVERSION_CODENAME=--help\n", Err("a release without a code name"));
        check("", Err("unknown"));
    }
}
