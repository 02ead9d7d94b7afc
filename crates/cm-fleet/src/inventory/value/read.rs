//! Reading values: what each takes, and what is said where it is none. PURE.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::inventory::secret::variable;
use crate::inventory::{Mount, PolicyRef, SecretRef, Value};
use crate::yaml::{Node, Reader};

pub fn positive<T: std::str::FromStr + Default + PartialEq>(
    node: &Node,
    reader: &mut Reader<'_>,
    wanted: &str,
) -> Option<T> {
    let number: T = node.number(wanted, reader)?;
    if number == T::default() {
        reader.wrong(node.place, format!("`0` is not {wanted}"));
        return None;
    }
    Some(number)
}

pub fn seconds(text: &str) -> Result<u64, String> {
    // Up to a century, so that adding it to a moment always gives a moment.
    const MOST: f64 = 100.0 * 366.0 * 86_400.0;
    if text == "0" {
        return Ok(0);
    }
    let seconds = crate::parse::duration(text)?;
    // Checked: positive and far below 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (seconds <= MOST).then_some(seconds.ceil() as u64).ok_or_else(|| format!("`{text}` is over a century"))
}

/// A text that is an argument of its own and never an option.
pub fn plain(text: &str, what: &str) -> Result<String, String> {
    match text {
        "" => Err(format!("{what} is missing here")),
        _ if text.starts_with('-') => Err(format!("`{text}` begins with `-`: {what} cannot")),
        _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err(format!("{what} has no white space in it: {text:?}"))
        }
        _ => Ok(text.to_owned()),
    }
}

pub fn only(text: &str, what: &str, signs: &str) -> Result<String, String> {
    let text = plain(text, what)?;
    match text.chars().find(|c| !c.is_alphanumeric() && !signs.contains(*c)) {
        Some(c) => Err(format!("`{c}` cannot be in {what}: `{text}`")),
        None => Ok(text),
    }
}

pub fn user(text: &str) -> Result<String, String> {
    only(text, "a user", "._-@\\+$")
}

pub fn address(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.contains('@') {
        return Err(format!("`{text}`: the user has a key of its own, `user`"));
    }
    if text.matches(':').count() == 1 {
        return Err(format!("`{text}`: the port has a key of its own, `port`"));
    }
    let inner = text.replace("{name}", "name");
    only(&inner, "an address", "._-:%").map(|_| text.to_owned())
}

pub fn jump(text: &str) -> Result<String, String> {
    let host = match text.rsplit_once('@') {
        Some((who, host)) => user(who).map(|_| host)?,
        None => text,
    };
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| format!("`{text}`: the bracket is not closed"))?,
        None if host.parse::<IpAddr>().is_ok() => (host, ""),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    only(host, "a host to go through", "._-:%")?;
    match port.strip_prefix(':').map(str::parse::<u16>) {
        None if port.is_empty() => Ok(text.to_owned()),
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err(format!("`{text}`: after the colon stands a port, 1 to 65535")),
    }
}

pub fn host_key(text: &str) -> Result<String, String> {
    let base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    };
    let mut words = text.split_whitespace();
    let good = match (words.next(), words.next()) {
        (Some(print), None) => {
            print.strip_prefix("SHA256:").is_some_and(|rest| base64(rest) && rest.len() >= 43)
        }
        (Some(kind), Some(key)) => {
            ["ssh-", "ecdsa-", "sk-"].iter().any(|start| kind.starts_with(start))
                && base64(key)
                && key.len() >= 40
        }
        _ => false,
    };
    good.then(|| text.trim().to_owned()).ok_or_else(|| {
        "a pin is `SHA256:…` as `ssh-keygen -lf` prints it, or a whole key as in known_hosts: `ssh-ed25519 AAAA…`"
            .to_owned()
    })
}

pub fn local_path(node: &Node, reader: &mut Reader<'_>) -> Option<PathBuf> {
    let text = node.text(reader)?;
    reader.path(node.place, text).map_err(|why| reader.wrong(node.place, why)).ok()
}

pub fn remote_path(text: &str) -> Result<String, String> {
    let good = text.starts_with('/') || text.starts_with("~/");
    if !good || text.contains(['\0', '\n']) {
        return Err(format!("a path on the host begins with `/` or `~/`, not as `{text}`"));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}`: `..` cannot be in a path on the host"));
    }
    Ok(text.to_owned())
}

/// A reference; the text is not repeated, for it may be the secret itself.
pub fn secret(node: &Node, reader: &mut Reader<'_>) -> Option<SecretRef> {
    let text = node.text(reader)?;
    let read = match SecretRef::parse(text) {
        Ok(SecretRef::File(path)) => reader.path(node.place, &path.to_string_lossy()).map(SecretRef::File),
        other => other,
    };
    read.map_err(|why| reader.wrong_secret(node.place, why)).ok()
}

pub fn policy(node: &Node, reader: &mut Reader<'_>) -> Option<PolicyRef> {
    let text = node.text(reader)?;
    if text.contains('/') || [".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end)) {
        return local_path(node, reader).map(PolicyRef::File);
    }
    node.scalar(reader, |text| only(text, "a policy's name", "._-")).map(PolicyRef::Name)
}

pub fn mount(text: &str) -> Result<Mount, String> {
    let wrong =
        || format!("`{text}` is no mount; write /on/the/host:/in/the/container, with `:ro` against writing");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] | [source, target, "rw"] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => return Err(wrong()),
    };
    let path = source.starts_with(['/', '~', '.']);
    let source = if path { remote_path(source)? } else { only(source, "a volume's name", "._-")? };
    if !target.starts_with('/') {
        return Err(wrong());
    }
    Ok(Mount { source, target: remote_path(target)?, read_only })
}

/// Whether a text can stand in a selector without being taken for something else.
pub fn labelled(text: &str) -> bool {
    text.len() <= 63 && text.chars().all(|c| c.is_alphanumeric() || "._/+:-".contains(c))
}

pub fn labels(node: &Node, reader: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in node.map(reader)? {
        let good = !key.value.is_empty() && !key.value.starts_with('-') && labelled(&key.value);
        if !good {
            let message = format!("`{}` is no label: up to 63 letters, digits and `._/+:-`", key.value);
            reader.wrong(key.place, message);
        }
        let value = value.scalar(reader, |text| match labelled(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("`{text}` is no label's value: up to 63 letters, digits and `._/+:-`")),
        });
        if let (true, Some(value)) = (good, value) {
            all.insert(key.value.clone(), value);
        }
    }
    Some(all)
}

pub fn env(node: &Node, reader: &mut Reader<'_>) -> Option<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for (key, value) in node.map(reader)? {
        if !variable(&key.value) {
            let message = format!("`{}` is no name of a variable: letters, digits and _", key.value);
            reader.wrong(key.place, message);
        } else if let Some(value) = env_value(value, reader) {
            all.insert(key.value.clone(), value);
        }
    }
    Some(all)
}

pub fn env_value(node: &Node, reader: &mut Reader<'_>) -> Option<Value> {
    if node.is_null() {
        return Some(Value::Plain(String::new()));
    }
    let text = node.text(reader)?;
    if SecretRef::scheme(text).is_some() {
        return secret(node, reader).map(Value::Secret);
    }
    if text.contains('\0') {
        reader.wrong_secret(node.place, "a variable cannot hold a NUL byte");
        return None;
    }
    Some(Value::Plain(text.strip_prefix("plain:").unwrap_or(text).to_owned()))
}

pub fn extra_hosts(node: &Node, reader: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value) in node.map(reader)? {
        if let Err(why) = only(&key.value, "a host's name", "._-") {
            reader.wrong(key.place, why);
        }
        let value = value.scalar(reader, |text| match text {
            "host-gateway" => Ok(text.to_owned()),
            _ if text.parse::<IpAddr>().is_ok() => Ok(text.to_owned()),
            _ => Err(format!("`{text}` is neither an IP address nor `host-gateway`")),
        });
        all.extend(value.map(|value| (key.value.clone(), value)));
    }
    Some(all)
}
