//! Addresses of git repositories: which are taken, whose login stands in them, where their mirror is kept. PURE.
//!
//! A login in an address (`https://user:token@host/x`) is taken out of it at once: what is handed on, shown,
//! configured and given to git as an argument is the address without it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::names;

/// The longest address, in bytes.
const LONGEST: usize = 2048;

/// How many hexadecimal digits of an address's hash name its mirror.
const DIGITS: usize = 32;

/// A repository's address, as `git clone` takes it, without the login that stood in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    url: String,
    name: String,
    login: Option<Login>,
}

/// Who logs in, as it stood in an address.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    /// The user.
    pub user: String,
    /// The password or token; may be empty.
    pub password: String,
}

impl Remote {
    /// Reads an address: `https://`, `http://`, `ssh://`, `git://` and `file://`, `user@host:path`, and absolute
    /// paths. What is said of one that is not taken never shows it: a login may stand in it.
    ///
    /// # Errors
    /// What is wrong with it, to go on after its field's name.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > LONGEST {
            return Err("an address has 1 to 2048 bytes");
        }
        if text.chars().any(char::is_control) || text.starts_with('-') {
            return Err("an address has no control characters and does not begin with a dash");
        }
        let (url, path, login) = match text.split_once("://") {
            Some((scheme, rest)) => with_scheme(scheme, rest)?,
            None => (text.to_owned(), short(text)?.to_owned(), None),
        };
        let url = url.trim_end_matches('/').to_owned();
        let last = path.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name = names::slug(last.trim_end_matches(".git"), "repository");
        Ok(Self { url, name, login })
    }

    /// The address without a login.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is reached through ssh.
    pub(super) fn is_ssh(&self) -> bool {
        match self.url.split_once("://") {
            Some((scheme, _)) => scheme.to_ascii_lowercase().contains("ssh"),
            None => !self.url.starts_with('/'),
        }
    }

    /// Who logs in.
    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Where its mirror is, below an agent's own directory.
    pub fn mirror(&self, state: &Path) -> PathBuf {
        let digest = Sha256::digest(self.url.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).take(DIGITS / 2).collect();
        state.join("repos").join(hash).join(format!("{}.git", self.name))
    }

    /// A text of git's without the login, should git repeat it.
    pub fn without_login(&self, text: &str) -> String {
        let Some(login) = &self.login else { return text.to_owned() };
        let mut text = text.to_owned();
        // The user of a login without a password is the token itself.
        for secret in [&login.password, &login.user] {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
            if !login.password.is_empty() {
                break;
            }
        }
        text
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?})", self.url)
    }
}

/// Takes `scheme://rest` apart: the address without a login, its path, the login.
fn with_scheme(scheme: &str, rest: &str) -> Result<(String, String, Option<Login>), &'static str> {
    let kind = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if path.trim_matches('/').is_empty() {
        return Err("the address names no repository on its host");
    }
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let without = format!("{scheme}://{host}{path}");
    if kind == "file" {
        return if authority.is_empty() {
            Ok((without, path.to_owned(), None))
        } else {
            Err("a file's address has three slashes: file:///…")
        };
    }
    if host.is_empty() || host.starts_with('-') {
        return Err("the address names no host");
    }
    match (kind.as_str(), login) {
        ("https" | "http", _) if rest.contains(['?', '#']) => Err("git takes no ? and no # in an address"),
        ("https" | "http", Some(login)) => Ok((without, path.to_owned(), Some(decoded(login)?))),
        ("ssh" | "git+ssh" | "ssh+git", Some(login)) if login.contains(':') => {
            Err("ssh takes no password from an address: give this host a key")
        }
        ("ssh" | "git+ssh" | "ssh+git", Some(user)) if user.starts_with('-') => {
            Err("the user begins with a dash")
        }
        ("ssh" | "git+ssh" | "ssh+git", Some(_)) => Ok((format!("{scheme}://{rest}"), path.to_owned(), None)),
        ("https" | "http" | "git" | "ssh" | "git+ssh" | "ssh+git", None) => {
            Ok((without, path.to_owned(), None))
        }
        ("git", Some(_)) => Err("git:// knows no logins"),
        _ => Err("only https, http, ssh, git and file addresses are taken"),
    }
}

/// The path of an address without a scheme: `user@host:path`, or an absolute path.
fn short(text: &str) -> Result<&str, &'static str> {
    if text.starts_with('/') {
        return if text.trim_matches('/').is_empty() {
            Err("the address names no repository")
        } else {
            Ok(text)
        };
    }
    let Some((host, path)) = text.split_once(':').filter(|(host, _)| !host.contains('/')) else {
        return Err("give an address (https://…, user@host:path) or an absolute path");
    };
    if path.starts_with(':') {
        return Err("only https, http, ssh, git and file addresses are taken");
    }
    if path.split('/').next().is_some_and(|first| first.contains('@')) {
        return Err("ssh takes no password from an address: give this host a key");
    }
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.is_empty() || host.starts_with('-') || path.trim_matches('/').is_empty() {
        return Err("an address through ssh is user@host:path");
    }
    Ok(path)
}

/// A login, each part of it without its `%xx`.
fn decoded(login: &str) -> Result<Login, &'static str> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (user, password) = (percent(user), percent(password));
    match (user, password) {
        (Some(user), Some(password)) if !user.chars().chain(password.chars()).any(char::is_control) => {
            Ok(Login { user, password })
        }
        _ => {
            Err("the login in the address cannot be read (%xx is a byte of UTF-8, and no control character)")
        }
    }
}

fn percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// What is wrong with the name of a commit, branch or tag in a repository elsewhere.
pub fn bad_reference(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 200 {
        Some("it has 1 to 200 bytes")
    } else if name.starts_with(['-', '+', '/']) {
        Some("it begins with a dash, a plus or a slash")
    } else if name.contains(|c: char| c.is_control() || matches!(c, ' ' | ':' | '?' | '*' | '[' | '\\'))
        || name.contains("..")
    {
        Some("it contains a blank, a control character, .. or one of :?*[\\")
    } else {
        None
    }
}

/// Where a name may stand in a mirror, in the order in which it is looked for.
pub(super) fn candidates(name: Option<&str>) -> Vec<String> {
    let Some(name) = name else { return vec!["refs/remotes/origin/HEAD".to_owned()] };
    if let Some(branch) = name.strip_prefix("refs/heads/") {
        return vec![format!("refs/remotes/origin/{branch}"), name.to_owned()];
    }
    if name.starts_with("refs/") {
        return vec![name.to_owned(), fetched(name)];
    }
    if super::parse::is_id(name) {
        return vec![name.to_owned()];
    }
    let mut places = vec![format!("refs/remotes/origin/{name}"), format!("refs/tags/{name}")];
    places.push(format!("refs/heads/{name}"));
    let short = name.split(['~', '^']).next().unwrap_or_default();
    if (4..64).contains(&short.len()) && short.bytes().all(|b| b.is_ascii_hexdigit()) {
        places.push(name.to_owned());
    }
    places
}

/// What has to be fetched besides branches and tags to have this, and where it goes.
pub(super) fn besides(name: &str) -> Option<String> {
    let odd =
        name.starts_with("refs/") && !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/");
    (odd || super::parse::is_id(name)).then(|| format!("+{name}:{}", fetched(name)))
}

fn fetched(name: &str) -> String {
    format!("refs/remotes/fetched/{}", name.trim_start_matches("refs/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address as it is handed on, its repository's name, and its login.
    type Read = (&'static str, &'static str, Option<(&'static str, &'static str)>);

    #[test]
    fn addresses() {
        #[track_caller]
        fn check(text: &str, expected: Result<Read, &str>) {
            let read = Remote::read(text);
            let got = read.as_ref().map(|remote| {
                let login = remote.login.as_ref().map(|l| (l.user.as_str(), l.password.as_str()));
                (remote.url.as_str(), remote.name.as_str(), login)
            });
            match (got, expected) {
                (Err(why), Err(part)) => assert!(why.contains(part), "{text:?}: {why}"),
                (got, expected) => assert_eq!(got.map_err(|why| *why), expected, "{text:?}"),
            }
        }
        check("https://example.org/a/widget.git", Ok(("https://example.org/a/widget.git", "widget", None)));
        check("https://example.org/a/widget/", Ok(("https://example.org/a/widget", "widget", None)));
        check(
            "https://ada:t%40k%3An@example.org:8443/w.git",
            Ok(("https://example.org:8443/w.git", "w", Some(("ada", "t@k:n")))),
        );
        check("https://tok@example.org/w", Ok(("https://example.org/w", "w", Some(("tok", "")))));
        check("ssh://git@example.org/~ada/w.git", Ok(("ssh://git@example.org/~ada/w.git", "w", None)));
        check("ssh://[::1]:22/w", Ok(("ssh://[::1]:22/w", "w", None)));
        check("git@example.org:a/w.git", Ok(("git@example.org:a/w.git", "w", None)));
        check("example.org:w", Ok(("example.org:w", "w", None)));
        check("/srv/git/my repo.git", Ok(("/srv/git/my repo.git", "my-repo", None)));
        check("file:///srv/w.git", Ok(("file:///srv/w.git", "w", None)));
        check("git://example.org/w", Ok(("git://example.org/w", "w", None)));
        for (bad, why) in [
            ("", "1 to 2048"),
            ("-u/x", "dash"),
            ("a\nb:c", "control"),
            ("ext::sh -c id", "only https"),
            ("fd::3/x", "only https"),
            ("ftp://example.org/w", "only https"),
            ("ext://x/w", "only https"),
            ("https://example.org", "names no repository"),
            ("https:///w", "no host"),
            ("https://ada:p@/w", "no host"),
            ("https://example.org/w?token=x", "no ?"),
            ("https://a%0ab:c@example.org/w", "cannot be read"),
            ("https://a%zz@example.org/w", "cannot be read"),
            ("ssh://git:secret@example.org/w", "no password"),
            ("git:secret@example.org:w", "no password"),
            ("ssh://-oProxyCommand=x/w", "no host"),
            ("ssh://-l@h/w", "dash"),
            ("-oProxyCommand=x:w", "dash"),
            ("x@-h:w", "user@host:path"),
            ("file://host/w", "three slashes"),
            ("relative/w", "absolute path"),
            ("./w:x", "absolute path"),
            ("/", "no repository"),
            ("host:", "user@host:path"),
        ] {
            check(bad, Err(why));
        }
    }

    #[test]
    fn a_login_is_never_shown() {
        let remote = Remote::read("https://ada:tok%3Den@example.org/w").expect("taken");
        assert_eq!(format!("{remote} {remote:?}"), "https://example.org/w Remote(\"https://example.org/w\")");
        assert_eq!(remote.without_login("bad tok=en, tok=en!"), "bad ***, ***!");
        let plain = Remote::read("https://example.org/w").expect("taken");
        assert_eq!(remote.mirror(Path::new("/s")), plain.mirror(Path::new("/s")));
        let token = Remote::read("https://token@example.org/w").expect("taken");
        assert_eq!(token.without_login("no token"), "no ***");
        let place = plain.mirror(Path::new("/s")).display().to_string();
        assert!(place.starts_with("/s/repos/") && place.ends_with("/w.git") && place.len() == 47, "{place}");
    }

    #[test]
    fn names_of_commits() {
        #[track_caller]
        fn check(name: Option<&str>, expected: &[&str], more: Option<&str>) {
            assert_eq!(candidates(name), expected);
            assert_eq!(name.and_then(besides).as_deref(), more);
            assert_eq!(name.and_then(bad_reference), None);
        }
        check(None, &["refs/remotes/origin/HEAD"], None);
        check(Some("main"), &["refs/remotes/origin/main", "refs/tags/main", "refs/heads/main"], None);
        check(Some("refs/heads/x"), &["refs/remotes/origin/x", "refs/heads/x"], None);
        check(
            Some("refs/pull/1/head"),
            &["refs/pull/1/head", "refs/remotes/fetched/pull/1/head"],
            Some("+refs/pull/1/head:refs/remotes/fetched/pull/1/head"),
        );
        let id = "b6045b925b2ffbae37e35f2dd0da94c8722dd9d9";
        check(Some(id), &[id], Some(&format!("+{id}:refs/remotes/fetched/{id}")));
        check(
            Some("b604^"),
            &["refs/remotes/origin/b604^", "refs/tags/b604^", "refs/heads/b604^", "b604^"],
            None,
        );
        for bad in ["", "-x", "+x", "/x", "a b", "a:b", "a..b", "a*", "a\nb", &"x".repeat(201)] {
            assert!(bad_reference(bad).is_some(), "{bad:?}");
        }
    }
}
