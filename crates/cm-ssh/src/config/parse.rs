//! PURE. What `ssh -G HOST` prints, made into a target; and the words of a `ProxyJump`.

use std::path::PathBuf;
use std::time::Duration;

use crate::target::{AgentUse, Target, UnknownHost};

/// What `~` and the tokens of ssh_config stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The home directory of whoever runs this.
    pub home: String,
    /// Their name.
    pub user: String,
    /// Their number.
    pub uid: u32,
}

/// A target, and the hops it names, which are still to be looked up.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Without jumps.
    pub target: Target,
    /// The hops, the first one first.
    pub jumps: Vec<Hop>,
}

/// A hop of a `ProxyJump`: `[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who to log in as, if it says.
    pub user: Option<String>,
    /// The host, an alias of ssh_config perhaps.
    pub host: String,
    /// Its port, if it says.
    pub port: Option<u16>,
}

/// Reads the output of `ssh -G` for a host that people call `name` and that was asked for as `asked`.
/// `variable` gives a variable of the environment.
pub fn parse(
    output: &str,
    name: &str,
    asked: &str,
    local: &Local,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Parsed, String> {
    let mut target = Target::new(name, asked, local.user.clone());
    let (mut jumps, mut files, mut agent) = (Vec::new(), Files::default(), None);
    for line in output.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "hostname" => value.clone_into(&mut target.address),
            "user" => value.clone_into(&mut target.user),
            "port" => target.port = value.parse().map_err(|_| format!("port {value:?}"))?,
            "identityfile" => files.identities.push(value),
            "certificatefile" => files.certificates.push(value),
            "identitiesonly" => target.identities_only = is_yes(value),
            "identityagent" => agent = Some(value),
            "userknownhostsfile" => files.user_known = value,
            "globalknownhostsfile" => files.global_known = value,
            "hostkeyalias" => target.host_key_alias = some(value).map(str::to_owned),
            "stricthostkeychecking" if matches!(value, "accept-new" | "no" | "off" | "false") => {
                target.unknown_host = UnknownHost::AcceptNew;
            }
            "connecttimeout" => {
                if let Some(seconds) = value.parse().ok().filter(|seconds| *seconds > 0) {
                    target.connect_timeout = Duration::from_secs(seconds);
                }
            }
            "proxyjump" => jumps = hops(value)?,
            "proxycommand" => target.proxy_command = some(value).map(str::to_owned),
            _ => {}
        }
    }
    let expand = |text: &str| expand(text, &target, asked, local);
    let paths =
        |texts: &[&str]| texts.iter().filter_map(|text| some(text)).map(expand).map(PathBuf::from).collect();
    let (identities, certificates) = (paths(&files.identities), paths(&files.certificates));
    let known_hosts =
        [files.user_known, files.global_known].into_iter().flat_map(split_paths).map(|path| expand(&path));
    let known_hosts = known_hosts.map(PathBuf::from).collect();
    let command = target.proxy_command.as_deref().map(expand);
    target.agent = match agent {
        Some("none") => AgentUse::None,
        None | Some("SSH_AUTH_SOCK") => AgentUse::Environment,
        Some(text) => match text.strip_prefix('$') {
            Some(named) => variable(named.trim_matches(['{', '}']))
                .map_or(AgentUse::None, |path| AgentUse::Socket(path.into())),
            None => AgentUse::Socket(expand(text).into()),
        },
    };
    (target.identities, target.certificates, target.known_hosts) = (identities, certificates, known_hosts);
    target.proxy_command = command;
    Ok(Parsed { target, jumps })
}

/// The files as they are printed.
#[derive(Default)]
struct Files<'a> {
    identities: Vec<&'a str>,
    certificates: Vec<&'a str>,
    user_known: &'a str,
    global_known: &'a str,
}

/// Reads a `ProxyJump`.
pub fn hops(text: &str) -> Result<Vec<Hop>, String> {
    some(text).map_or(Ok(Vec::new()), |text| text.split(',').map(hop).collect())
}

fn hop(text: &str) -> Result<Hop, String> {
    let wrong = || format!("the jump host {text:?} is not [user@]host[:port]");
    let text = text.trim();
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")).ok_or_else(wrong)?)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    if host.is_empty() || user == Some("") {
        return Err(wrong());
    }
    let port = if port.is_empty() { None } else { Some(port.parse().map_err(|_| wrong())?) };
    Ok(Hop { user: user.map(str::to_owned), host: host.to_owned(), port })
}

/// `~/` and tokens. ssh prints known_hosts files and the agent's socket without them, but key files
/// and proxy commands as they were written.
fn expand(text: &str, target: &Target, asked: &str, local: &Local) -> String {
    let text = match text.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", local.home),
        None => text.to_owned(),
    };
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('d') => out += &local.home,
            Some('h') => out += &target.address,
            Some('i') => out += &local.uid.to_string(),
            Some('k') => out += target.host_key_alias.as_deref().unwrap_or(asked),
            Some('n') => out += asked,
            Some('p') => out += &target.port.to_string(),
            Some('r') => out += &target.user,
            Some('u') => out += &local.user,
            // One that is not known here stays as it was written, and shows in the error about the file.
            other => {
                out.push('%');
                out.extend(other);
            }
        }
    }
    out
}

/// Paths between spaces. ssh does not quote what it prints: a word that begins no path belongs to the
/// path before it.
fn split_paths(text: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| some(word).is_some()) {
        match paths.last_mut() {
            Some(last) if !word.starts_with(['/', '~']) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths
}

/// `none` and nothing are nothing.
fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty() && *text != "none")
}

fn is_yes(text: &str) -> bool {
    matches!(text, "yes" | "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        Local { home: "/home/me".to_owned(), user: "me".to_owned(), uid: 1000 }
    }

    fn read(output: &str) -> Parsed {
        parse(output, "web-1", "web", &local(), |name| (name == "SOCK").then(|| "/run/sock".to_owned()))
            .unwrap()
    }

    #[test]
    fn what_ssh_prints_becomes_a_target() {
        let Parsed { target, jumps } = read(
            "user deploy\nhostname 10.0.0.1\nport 2222\nidentitiesonly yes\nstricthostkeychecking accept-new\n\
             hostkeyalias alias\nidentityfile ~/.ssh/%h\nidentityfile /with space/%%d\ncertificatefile ~/c-%r-%n\n\
             userknownhostsfile /home/me/.ssh/kh /k h\nglobalknownhostsfile /etc/ssh/kh /etc/ssh/kh2\n\
             connecttimeout 7\nproxyjump u@b:2022,c\nsomething else entirely\nflag\n",
        );
        assert_eq!((target.name.as_str(), target.address.as_str(), target.port), ("web-1", "10.0.0.1", 2222));
        assert_eq!(target.user, "deploy");
        assert_eq!(target.identities, ["/home/me/.ssh/10.0.0.1", "/with space/%d"].map(PathBuf::from));
        assert_eq!(target.certificates, [PathBuf::from("/home/me/c-deploy-web")]);
        assert_eq!(
            target.known_hosts,
            ["/home/me/.ssh/kh", "/k h", "/etc/ssh/kh", "/etc/ssh/kh2"].map(PathBuf::from)
        );
        assert_eq!((target.identities_only, target.unknown_host), (true, UnknownHost::AcceptNew));
        assert_eq!(target.host_key_alias.as_deref(), Some("alias"));
        assert_eq!(target.connect_timeout, Duration::from_secs(7));
        let hop = |user: Option<&str>, host: &str, port| Hop {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        assert_eq!(jumps, [hop(Some("u"), "b", Some(2022)), hop(None, "c", None)]);
    }

    #[test]
    fn what_is_none_is_nothing() {
        let target = read("identityfile none\nuserknownhostsfile none\nproxycommand none\nproxyjump none\nconnecttimeout none\n").target;
        assert!(
            target.identities.is_empty() && target.known_hosts.is_empty() && target.proxy_command.is_none()
        );
        assert_eq!(target.connect_timeout, Duration::from_secs(10));
        assert_eq!((target.address.as_str(), target.user.as_str()), ("web", "me"));
        assert!(parse("port x\n", "n", "n", &local(), |_| None).is_err());
    }

    #[test]
    fn agents() {
        let check = |value: &str, expected: AgentUse| {
            assert_eq!(read(&format!("identityagent {value}\n")).target.agent, expected, "{value}");
        };
        check("none", AgentUse::None);
        check("SSH_AUTH_SOCK", AgentUse::Environment);
        check("/a/b", AgentUse::Socket("/a/b".into()));
        check("$SOCK", AgentUse::Socket("/run/sock".into()));
        check("${SOCK}", AgentUse::Socket("/run/sock".into()));
        check("$OTHER", AgentUse::None);
        assert_eq!(read("").target.agent, AgentUse::Environment);
    }

    #[test]
    fn whom_to_trust_is_only_widened_by_the_user() {
        let check = |value: &str, expected: UnknownHost| {
            assert_eq!(
                read(&format!("stricthostkeychecking {value}\n")).target.unknown_host,
                expected,
                "{value}"
            );
        };
        check("ask", UnknownHost::Refuse);
        check("true", UnknownHost::Refuse);
        check("accept-new", UnknownHost::AcceptNew);
        check("false", UnknownHost::AcceptNew);
    }

    #[test]
    fn proxy_commands_are_filled_in() {
        let target = read("hostname h\nport 99\nproxycommand nc -x %r@%h %p 100%%\n").target;
        assert_eq!(target.proxy_command.as_deref(), Some("nc -x me@h 99 100%"));
    }

    #[test]
    fn jump_hosts_are_read() {
        let check = |text: &str, expected: &str| {
            let show = |hop: &Hop| format!("{:?} {} {:?}", hop.user.as_deref(), hop.host, hop.port);
            let seen = hops(text).map(|hops| hops.iter().map(show).collect::<Vec<_>>().join(", "));
            assert_eq!(seen.as_deref().unwrap_or("wrong"), expected, "{text}");
        };
        check("b", "None b None");
        check("u@b:22,c:1", "Some(\"u\") b Some(22), None c Some(1)");
        check("u@[::1]:22", "Some(\"u\") ::1 Some(22)");
        check("[::1]", "None ::1 None");
        check("ssh://u@b:2", "Some(\"u\") b Some(2)");
        check("none", "");
        for text in ["b:x", "b:99999", "@b", "a,,b", "[::1"] {
            check(text, "wrong");
        }
    }
}
