//! PURE. The kinds of test hosts: what is special about each, and who stands where in the cast.
//!
//! What a kind is on the inside, `deploy/testhosts/kind` makes at every boot.

/// The kind with nothing special about it.
pub const PLAIN: &str = "plain";
/// Hosts of the cast are at 127.0.1.101 and up; those that `up N` numbers are below.
const FIRST: u8 = 101;
/// The cast has that many plain hosts at least: some for the tests, one to be killed, one to be paused.
const LEAST_PLAIN: u8 = 2;
/// The smallest cast.
pub const LEAST: u8 = 6;

/// Something special about a host.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// What tests call it; the host of this kind in the cast, too.
    pub name: &'static str,
    /// For people.
    pub about: &'static str,
    /// What logs in.
    pub login: Login,
    /// Where it is on the network.
    pub reach: Reach,
    /// Whether the socket of this machine's Docker is in it.
    pub engine: bool,
    /// How many of it the cast has.
    pub many: u8,
}

/// What a host lets log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The key without a passphrase.
    Key,
    /// Only the key with a passphrase.
    LockedKey,
    /// Only a certificate.
    Certificate,
}

/// Where a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its sshd is published on loopback.
    Published,
    /// The same, and it stands in the inner network too.
    Gateway,
    /// In the inner network, reached through the host of this name.
    Behind(&'static str),
}

const fn kind(name: &'static str, about: &'static str) -> Kind {
    Kind { name, about, login: Login::Key, reach: Reach::Published, engine: false, many: 1 }
}

/// All kinds but the plain one, those that tests need most first.
pub const SPECIAL: [Kind; 14] = [
    Kind { reach: Reach::Gateway, ..kind("bastion", "the way to `inner`") },
    Kind { reach: Reach::Behind("bastion"), ..kind("inner", "reached through `bastion` only") },
    kind("fish", "the login shell is fish"),
    Kind { login: Login::LockedKey, ..kind("passkey", "takes only a key with a passphrase") },
    Kind { login: Login::Certificate, ..kind("cert", "takes only ssh certificates") },
    kind("nolinger", "enable-linger is refused"),
    kind("noexec", "nothing in the home directory can be executed"),
    kind("notmux", "has no tmux"),
    kind("nofwd", "sshd forwards nothing"),
    kind("nostream", "sshd forwards no unix sockets, but TCP"),
    kind("startups", "sshd refuses a fourth connection that has not logged in"),
    kind("full", "~/.local/share has room for 2 MB"),
    Kind { engine: true, many: 3, ..kind("docker", "has this machine's Docker, and its user may use it") },
    Kind { engine: true, ..kind("nodocker", "has this machine's Docker, and its user may not use it") },
];

/// The plain kind.
pub const ORDINARY: Kind = kind(PLAIN, "nothing special");

/// A host that is to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// `h7`, `plain1`, `fish`.
    pub name: Name,
    /// The last part of its address.
    pub number: u8,
    /// What it is.
    pub kind: &'static Kind,
}

/// What a host is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// After its kind.
    Kind,
    /// After its kind and a number.
    Numbered(&'static str, u8),
}

impl Role {
    /// The name in the ssh configuration, and the host's own.
    pub fn name(&self) -> String {
        match self.name {
            Name::Kind => self.kind.name.to_owned(),
            Name::Numbered(word, number) => format!("{word}{number}"),
        }
    }
}

/// Which hosts `up N` means: N plain ones (or, as a cast, N of which most are special), and those of `kinds`.
pub fn roles(n: u8, cast: bool, kinds: &[String]) -> Result<Vec<Role>, String> {
    let mut wanted = Vec::new();
    let mut all: Vec<Role> = if cast {
        if n < LEAST {
            return Err(format!("a cast has {LEAST} hosts at least"));
        }
        let mut plain = n;
        for (index, kind) in SPECIAL.iter().enumerate() {
            if plain < kind.many + LEAST_PLAIN {
                break;
            }
            plain -= kind.many;
            wanted.push(index);
        }
        (1..=plain)
            .map(|i| Role { name: Name::Numbered(PLAIN, i), number: FIRST + 19 + i, kind: &ORDINARY })
            .collect()
    } else {
        (1..=n).map(|i| Role { name: Name::Numbered("h", i), number: i, kind: &ORDINARY }).collect()
    };
    for name in kinds {
        let Some(index) = SPECIAL.iter().position(|kind| kind.name == name) else {
            let known = SPECIAL.map(|kind| kind.name).join(", ");
            return Err(format!("no kind of host is called {name:?}; there are: {known}"));
        };
        wanted.push(index);
    }
    let ways: Vec<&str> = wanted.iter().filter_map(|index| through(&SPECIAL[*index])).collect();
    wanted.extend((0..SPECIAL.len()).filter(|index| ways.contains(&SPECIAL[*index].name)));
    wanted.sort_unstable();
    wanted.dedup();
    all.splice(0..0, wanted.into_iter().flat_map(special));
    Ok(all)
}

/// The hosts of a special kind.
fn special(index: usize) -> Vec<Role> {
    let (kind, before) = (&SPECIAL[index], SPECIAL[..index].iter().map(|kind| kind.many).sum::<u8>());
    let name = |i| if kind.many == 1 { Name::Kind } else { Name::Numbered(kind.name, i) };
    (1..=kind.many).map(|i| Role { name: name(i), number: FIRST + before + i - 1, kind }).collect()
}

/// The kind of that name, as a host's label says it.
pub fn named(name: &str) -> &'static Kind {
    SPECIAL.iter().find(|kind| kind.name == name).unwrap_or(&ORDINARY)
}

/// The host to jump through.
pub fn through(kind: &Kind) -> Option<&'static str> {
    match kind.reach {
        Reach::Behind(gateway) => Some(gateway),
        Reach::Published | Reach::Gateway => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_cast() {
        let check = |n, cast, kinds: &[&str], expected: &str| {
            let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
            let found = roles(n, cast, &kinds).map(|roles| {
                roles
                    .iter()
                    .map(|role| format!("{}@{}", role.name(), role.number))
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            assert_eq!(found.unwrap_or_else(|why| why), expected);
        };
        check(3, false, &[], "h1@1 h2@2 h3@3");
        check(1, false, &["cert", "fish", "cert"], "fish@103 cert@105 h1@1");
        check(1, false, &["inner"], "bastion@101 inner@102 h1@1");
        check(6, true, &[], "bastion@101 inner@102 fish@103 passkey@104 plain1@121 plain2@122");
        check(1, false, &["docker", "nodocker"], "docker1@113 docker2@114 docker3@115 nodocker@116 h1@1");
        assert!(roles(16, true, &[]).unwrap().iter().all(|role| !role.kind.engine));
        let all = roles(20, true, &[]).unwrap();
        assert_eq!(all.len(), 20);
        assert_eq!(all.iter().filter(|role| role.kind.name == PLAIN).count(), 4);
        check(5, true, &[], "a cast has 6 hosts at least");
        assert!(roles(1, false, &["fisch".to_owned()]).unwrap_err().contains("there are: bastion, inner"));
        let mut numbers: Vec<u8> = roles(100, true, &[]).unwrap().iter().map(|role| role.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 100);
    }
}
