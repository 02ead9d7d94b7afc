//! `${NAME}` and `${NAME:-default}` in values. PURE.

use super::secret::variable;
use crate::yaml::{Node, Reader, What};

/// Puts the environment's variables into all values of a tree. Keys stay as they are, and so do the commands
/// of secrets: the shell that runs them has the same variables.
pub fn fill(node: &mut Node, reader: &mut Reader<'_>) {
    match &mut node.what {
        What::Null | What::Noted => {}
        What::List(items) => items.iter_mut().for_each(|item| fill(item, reader)),
        What::Map(entries) => entries.iter_mut().for_each(|(_, value)| fill(value, reader)),
        What::Scalar { text, .. } if !text.contains("${") || text.starts_with("cmd:") => {}
        What::Scalar { text, quoted } => match filled(text, reader.env) {
            // What a variable holds may be a number, also where quotes stand around its name.
            Ok(new) => (*text, *quoted) = (new, false),
            Err(why) => {
                reader.wrong(node.place, why);
                node.what = What::Noted;
            }
        },
    }
}

fn filled(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let close =
            inner.find('}').ok_or_else(|| "`${` is not closed; `$${` stands for itself".to_owned())?;
        let (name, default) = match inner[..close].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..close], None),
        };
        if !variable(name) {
            return Err(format!(
                "`${{{name}}}` is no variable: letters, digits and _; `$${{` stands for itself"
            ));
        }
        // As in a shell, `:-` also stands in for an empty one.
        let set = env(name).filter(|value| default.is_none() || !value.is_empty());
        let Some(value) = set.as_deref().or(default) else {
            return Err(format!("the variable {name} is not set; export it, or write ${{{name}:-default}}"));
        };
        out.push_str(value);
        rest = &inner[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let env = |name: &str| match name {
            "A" => Some("x".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${A}".to_owned()),
            _ => None,
        };
        let check = |text: &str, expected: &str| match filled(text, &env) {
            Ok(got) => assert_eq!(got, expected, "{text}"),
            Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{text}: {why}"),
        };
        check("${A}", "x");
        check("a${A}b${A}c", "axbxc");
        check("${B:-y}", "y");
        check("${B:-}", "");
        check("${EMPTY:-y}", "y");
        check("[${EMPTY}]", "[]");
        check("$${A} $A $$", "${A} $A $$");
        check("${TRICK}", "${A}");
        check("${B}", "B is not set");
        check("${A", "not closed");
        check("${}", "no variable");
        check("${A-b}", "no variable");
        check("漢${A}字", "漢x字");
    }
}
