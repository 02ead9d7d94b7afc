//! An inventory to begin with: its text, and which hosts an answer picks. PURE.

use std::fmt::Write;
use std::path::Path;

use super::range;
use super::resolve::{host_name, usual_name};

/// What somebody picked from a numbered list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    /// Everything.
    All,
    /// These, counted from zero.
    These(Vec<usize>),
}

/// Reads an answer: nothing, `all`, or numbers from one with commas or blanks between, `3-5` for several.
///
/// # Errors
/// In words.
pub fn pick(answer: &str, of: usize) -> Result<Picked, String> {
    let answer = answer.trim();
    match answer.to_lowercase().as_str() {
        "all" | "a" | "*" => return Ok(Picked::All),
        "none" | "n" => return Ok(Picked::These(Vec::new())),
        _ => {}
    }
    let mut chosen = Vec::new();
    for part in answer.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| (1..=of).contains(number));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => chosen.extend(first - 1..last),
            _ => return Err(format!("`{part}` is none of 1 to {of}")),
        }
    }
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|index| seen.insert(*index));
    Ok(Picked::These(chosen))
}

/// The text of an inventory with these hosts (names or ranges), for a file at this absolute path.
///
/// # Errors
/// In words: what is no host's name.
pub fn write(path: &Path, hosts: &[String]) -> Result<String, String> {
    for host in hosts {
        for name in range::expand(host)? {
            host_name(&name)?;
        }
    }
    let mut text = HEAD.replace("NAME", &usual_name(path));
    text.push_str(if hosts.is_empty() { NO_HOSTS } else { HOSTS });
    for host in hosts {
        // A name that would be read as a number or truth value is one all the same, in quotes.
        let plain = host.starts_with(|c: char| c.is_ascii_alphabetic())
            && !WORDS.contains(&host.to_lowercase().as_str());
        // Writing to a text cannot fail.
        let _ = if plain { writeln!(text, "  {host}: {{}}") } else { writeln!(text, "  \"{host}\": {{}}") };
    }
    text.push_str(TAIL);
    Ok(text)
}

const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null"];

const HEAD: &str = "\
# yaml-language-server: $schema=fleet.schema.json
# Editors complete and check this file once `cm-fleet schema > fleet.schema.json` has been run beside it.
#
# The hosts of a fleet of coding agents. `cm-fleet check` says whether this file is good.
# Whatever is not said here (user, port, key, jump host) is as in your ssh configuration.

# Marks on hosts what belongs to this fleet.
fleet: NAME

# What holds for all hosts; a group or a host may say otherwise.
defaults:
  runtime: systemd          # or container; `local` is this machine
  # user: deploy
  # identity: ~/.ssh/id_ed25519
  # jump: bastion
  # slots: 4                # tasks at a time
  # policy: careful         # what decides about prompts: read-only, careful, trusting, or a file
  # env:
  #   ANTHROPIC_API_KEY: env:ANTHROPIC_API_KEY    # a secret: fetched when it is needed, never shown

";

const HOSTS: &str = "\
# A host's settings stand under its name; `gpu[01-16]: {}` is sixteen hosts.
hosts:
";

const NO_HOSTS: &str = "\
# A host's settings stand under its name; a range is many hosts.
hosts:
  # gpu-01:
  #   address: 10.0.0.7
  #   labels: {zone: eu}
  # web[1-3]: {}
";

const TAIL: &str = "
# `--on @gpu` selects the hosts of a group, `--on zone=eu` those with a label.
groups:
  # gpu:
  #   hosts: [\"gpu-*\"]
  #   slots: 2
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |answer: &str, expected: Result<&[usize], &str>| {
            let got = pick(answer, 12);
            match expected {
                Ok(chosen) => assert_eq!(got, Ok(Picked::These(chosen.to_vec())), "{answer}"),
                Err(why) => assert!(got.is_err_and(|said| said.contains(why)), "{answer}"),
            }
        };
        check("", Ok(&[]));
        check("none\n", Ok(&[]));
        check("1,3-5\n", Ok(&[0, 2, 3, 4]));
        check(" 12 1  1 ", Ok(&[11, 0]));
        check("0", Err("`0` is none of 1 to 12"));
        check("13", Err("`13`"));
        check("5-3", Err("`5-3`"));
        check("1-99999999999", Err("`1-99999999999`"));
        check("x", Err("`x`"));
        assert_eq!(pick("ALL\n", 12), Ok(Picked::All));
    }

    #[test]
    fn what_is_written_is_good() {
        let check = |hosts: &[&str], expected: &str| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let text = write(Path::new("/d/lab.yaml"), &hosts).expect("written");
            let inventory = crate::inventory::tests::inventory(&text);
            assert_eq!(crate::inventory::tests::names(&inventory), expected, "{text}");
            assert_eq!(inventory.name, "lab");
        };
        check(&[], "");
        check(
            &["bastion", "gpu[01-03]", "10.0.0.7", "1e3", "on", "0x10"],
            "bastion gpu01 gpu02 gpu03 10.0.0.7 1e3 on 0x10",
        );
        assert!(write(Path::new("x"), &["-x".to_owned()]).is_err_and(|why| why.contains("`-x`")));
        assert!(write(Path::new("x"), &["a: {}".to_owned()]).is_err());
        assert!(write(Path::new("x"), &["a@b".to_owned()]).is_err_and(|why| why.contains("user:")));
    }
}
