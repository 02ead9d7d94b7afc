//! PURE. In which order keys are tried: what the user named first, and nothing twice.

use std::fmt;
use std::path::PathBuf;

use crate::identity::UserCertificate;
use crate::known_hosts::fingerprint;

/// A key that the agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The public key, or the certificate.
    pub blob: Vec<u8>,
    /// What its owner calls it.
    pub comment: String,
}

/// A key file that the target names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The file.
    pub path: PathBuf,
    /// Its public key, where that could be found out.
    pub public: Option<Vec<u8>>,
    /// The valid certificates for it.
    pub certificates: Vec<UserCertificate>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// With a key of the agent.
    Agent {
        /// Its place in the agent's list.
        index: usize,
        /// What to call it.
        what: String,
    },
    /// With a key in a file.
    File {
        /// The private key.
        path: PathBuf,
        /// The certificate to show for it.
        certificate: Option<UserCertificate>,
    },
}

impl fmt::Display for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { what, .. } => write!(out, "key of the agent {what}"),
            Self::File { path, certificate: None } => write!(out, "key {}", path.display()),
            Self::File { path, certificate: Some(certificate) } => {
                write!(out, "key {} with {}", path.display(), certificate.path.display())
            }
        }
    }
}

/// For each named key: its certificates, then the key itself, each from the agent where it holds it. Then
/// whatever else the agent holds, unless only named keys are wanted.
pub fn order(named: &[Named], held: &[Held], identities_only: bool) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut used = vec![false; held.len()];
    let mut from_agent = |blob: &[u8], attempts: &mut Vec<Attempt>| {
        let Some(index) = held.iter().position(|key| key.blob == blob) else { return false };
        if !std::mem::replace(&mut used[index], true) {
            attempts.push(by_agent(index, &held[index]));
        }
        true
    };
    for key in named {
        for certificate in &key.certificates {
            if !from_agent(&certificate.blob, &mut attempts) {
                let certificate = Some(certificate.clone());
                attempts.push(Attempt::File { path: key.path.clone(), certificate });
            }
        }
        if !key.public.as_ref().is_some_and(|public| from_agent(public, &mut attempts)) {
            attempts.push(Attempt::File { path: key.path.clone(), certificate: None });
        }
    }
    if !identities_only {
        let rest = held.iter().enumerate().filter(|(index, _)| !used[*index]);
        attempts.extend(rest.map(|(index, key)| by_agent(index, key)));
    }
    attempts
}

fn by_agent(index: usize, key: &Held) -> Attempt {
    Attempt::Agent { index, what: format!("{} ({})", key.comment, fingerprint(&key.blob)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str) -> Held {
        Held { blob: name.as_bytes().to_vec(), comment: name.to_owned() }
    }

    fn named(name: &str, certificates: &[&str]) -> Named {
        let certificates = certificates
            .iter()
            .map(|name| UserCertificate {
                path: PathBuf::from(name),
                text: String::new(),
                blob: name.as_bytes().to_vec(),
                key: Vec::new(),
                from: 0,
                until: u64::MAX,
            })
            .collect();
        Named { path: PathBuf::from(name), public: Some(name.as_bytes().to_vec()), certificates }
    }

    #[test]
    fn named_keys_come_first_and_nothing_twice() {
        let check = |named: &[Named], held: &[Held], only: bool, expected: &[&str]| {
            let seen: Vec<String> = order(named, held, only)
                .iter()
                .map(|attempt| match attempt {
                    Attempt::Agent { what, .. } => {
                        format!("agent {}", what.split(' ').next().unwrap_or_default())
                    }
                    Attempt::File { .. } => attempt.to_string(),
                })
                .collect();
            assert_eq!(seen, expected);
        };
        check(&[], &[], false, &[]);
        check(&[], &[held("a"), held("b")], false, &["agent a", "agent b"]);
        check(&[], &[held("a")], true, &[]);
        check(&[named("b", &[])], &[held("a"), held("b")], false, &["agent b", "agent a"]);
        check(&[named("b", &[])], &[held("a"), held("b")], true, &["agent b"]);
        check(&[named("c", &[])], &[held("a")], false, &["key c", "agent a"]);
        check(&[named("c", &["c-cert"])], &[], false, &["key c with c-cert", "key c"]);
        check(&[named("c", &["c-cert"])], &[held("c-cert"), held("c")], true, &["agent c-cert", "agent c"]);
        check(&[named("b", &[]), named("b", &[])], &[held("b")], false, &["agent b"]);
    }
}
