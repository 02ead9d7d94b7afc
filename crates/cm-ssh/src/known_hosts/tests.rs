//! What known_hosts files mean.

use std::path::Path;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, Mac as _};
use proptest::prelude::*;
use sha1::Sha1;

use super::*;

/// A key of a type, different for each `seed`.
fn key(algorithm: &str, seed: u8) -> Vec<u8> {
    let mut blob = u32::try_from(algorithm.len()).unwrap().to_be_bytes().to_vec();
    blob.extend_from_slice(algorithm.as_bytes());
    blob.extend_from_slice(&[seed; 36]);
    blob
}

fn ed(seed: u8) -> Vec<u8> {
    key("ssh-ed25519", seed)
}

fn line(names: &str, blob: &[u8]) -> String {
    format!("{names} {} {}", blob_type(blob).unwrap(), Base64::encode_string(blob))
}

fn hashed(name: &str) -> String {
    let salt = [7; 20];
    let hash = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name).finalize().into_bytes();
    format!("|1|{}|{}", Base64::encode_string(&salt), Base64::encode_string(&hash))
}

fn known(text: &str) -> (KnownHosts, Vec<(usize, &'static str)>) {
    let mut known = KnownHosts::default();
    let warnings = known.add(Path::new("kh"), text.as_bytes());
    (known, warnings.iter().map(|warning| (warning.line, warning.why)).collect())
}

/// What the verdict is, in a word and a line.
fn verdict(text: &str, names: &Names, blob: &[u8]) -> String {
    match known(text).0.judge(names, blob) {
        Verdict::Known => "known".to_owned(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Changed { line, .. } => format!("changed {line}"),
        Verdict::OtherType { line, known, .. } => format!("other {line} {}", known.join(",")),
        Verdict::Revoked { line, .. } => format!("revoked {line}"),
    }
}

#[test]
fn keys_are_judged() {
    let check = |text: &str, address: &str, port: u16, blob: &[u8], expected: &str| {
        let names = Names::of(address, port, None);
        assert_eq!(verdict(text, &names, blob), expected, "{text:?} {address}:{port}");
    };
    let web = line("web", &ed(1));
    check(&web, "web", 22, &ed(1), "known");
    check(&web, "WEB", 22, &ed(1), "known");
    check(&web, "db", 22, &ed(1), "unknown");
    check(&web, "web", 22, &ed(2), "changed 1");
    check(&web, "web", 22, &key("ssh-rsa", 1), "other 1 ssh-ed25519");
    check("", "web", 22, &ed(1), "unknown");
    check(&format!("# c\n\n{web} a comment\r\n"), "web", 22, &ed(2), "changed 3");
    // One of several keys is enough, wherever it stands.
    check(&format!("{web}\n{}", line("web", &ed(2))), "web", 22, &ed(2), "known");
    check(&line("a,web,10.0.0.1", &ed(1)), "10.0.0.1", 22, &ed(1), "known");
    check(&line("*.example.org,!bad.example.org", &ed(1)), "a.example.org", 22, &ed(1), "known");
    check(&line("*.example.org,!bad.example.org", &ed(1)), "bad.example.org", 22, &ed(1), "unknown");
    check(&line(&hashed("web"), &ed(1)), "web", 22, &ed(1), "known");
    check(&line(&hashed("web"), &ed(1)), "db", 22, &ed(1), "unknown");
}

#[test]
fn ports_make_names() {
    let check = |text: &str, port: u16, blob: &[u8], expected: &str| {
        let names = Names::of("web", port, None);
        assert_eq!(verdict(text, &names, blob), expected, "{text:?} {port}");
    };
    let here = line("[web]:2222", &ed(1));
    check(&here, 2222, &ed(1), "known");
    check(&here, 2222, &ed(2), "changed 1");
    check(&here, 22, &ed(1), "unknown");
    check(&line(&hashed("[web]:2222"), &ed(1)), 2222, &ed(1), "known");
    // Known without its port is good enough, but another key at another port is nothing suspicious.
    check(&line("web", &ed(1)), 2222, &ed(1), "known");
    check(&line("web", &ed(1)), 2222, &ed(2), "unknown");
    check(&format!("{}\n{}", line("web", &ed(1)), line("[web]:2222", &ed(2))), 2222, &ed(1), "changed 2");
    let alias = Names::of("web", 2222, Some("Fleet"));
    assert_eq!(verdict(&line("fleet", &ed(1)), &alias, &ed(1)), "known");
    assert_eq!(verdict(&here, &alias, &ed(1)), "unknown");
}

#[test]
fn revoked_keys_are_never_good() {
    let check = |text: &str, blob: &[u8], expected: &str| {
        assert_eq!(verdict(text, &Names::of("web", 2222, None), blob), expected, "{text:?}");
    };
    let good = line("[web]:2222", &ed(1));
    check(&format!("{good}\n@revoked {}", line("*", &ed(1))), &ed(1), "revoked 2");
    check(&format!("{good}\n@revoked {}", line("web", &ed(1))), &ed(1), "revoked 2");
    check(&format!("{good}\n@revoked {}", line("db", &ed(1))), &ed(1), "known");
    check(&format!("{good}\n@revoked {}", line("*", &ed(2))), &ed(1), "known");
    check(&format!("@revoked {}", line("*", &ed(2))), &ed(1), "unknown");
}

#[test]
fn authorities_are_no_host_keys() {
    let text = format!("@cert-authority {}\n", line("*.example.org", &ed(9)));
    let (known, _) = known(&text);
    let names = Names::of("a.example.org", 2222, None);
    assert_eq!(known.judge(&names, &ed(9)), Verdict::Unknown);
    assert_eq!(known.authorities(&names).len(), 1);
    assert!(known.authorities(&Names::of("other", 22, None)).is_empty());
}

#[test]
fn the_types_of_known_keys_are_asked_for() {
    let check = |text: &str, port: u16, required: &[&str], likely: &[&str]| {
        let types = known(text).0.key_types(&Names::of("web", port, None));
        assert_eq!(
            (types.required, types.likely),
            (
                required.iter().map(|kind| (*kind).to_owned()).collect(),
                likely.iter().map(|kind| (*kind).to_owned()).collect()
            )
        );
    };
    let both =
        format!("{}\n{}\n{}\n", line("web", &key("ssh-rsa", 1)), line("web", &ed(1)), line("web", &ed(2)));
    check(&both, 22, &["ssh-rsa", "ssh-ed25519"], &[]);
    check(&both, 99, &[], &["ssh-rsa", "ssh-ed25519"]);
    check("", 22, &[], &[]);
    check(&format!("@revoked {both}"), 22, &["ssh-ed25519"], &[]);
}

#[test]
fn a_bad_line_spoils_nothing() {
    let check = |bad: &str, why: &str| {
        let good = line("web", &ed(1));
        let text = format!("{good}\n{bad}\n{}\n", line("db", &ed(2)));
        let (known, warnings) = known(&text);
        assert_eq!(warnings, [(2, why)], "{bad}");
        assert_eq!(known.judge(&Names::of("web", 22, None), &ed(1)), Verdict::Known);
        assert_eq!(known.judge(&Names::of("db", 22, None), &ed(2)), Verdict::Known);
    };
    check("nonsense", "names, type or key are missing");
    check("@revoked web ssh-ed25519", "names, type or key are missing");
    check("@unknown web ssh-ed25519 AAAA", "an unknown marker");
    check("web ssh-ed25519 ***", "the key is no base64");
    check("web ssh-ed25519 AAAA", "the key is not of the type that stands before it");
    check("web 1024 35 123456789", "the key is no base64");
    check(&line("|1|abc", &ed(1)), "a hashed name is not |1|salt|hash");
    check(&line("|2|abc|def", &ed(1)), "a hashed name is not |1|salt|hash");
    check(&line("|1|AAAA|AAAA", &ed(1)), "a hashed name is no base64 of 20 bytes");
    check(
        &line("web", &ed(1)).replace("ssh-ed25519", "ssh-rsa"),
        "the key is not of the type that stands before it",
    );
}

#[test]
fn fingerprints_are_those_of_openssh() {
    let blob =
        Base64::decode_vec("AAAAC3NzaC1lZDI1NTE5AAAAIJ0n4RdjhX6/7iqBvjPjl0nGFsFOEqDPZHcOTGs+GEbx").unwrap();
    assert_eq!(blob_type(&blob), Some("ssh-ed25519"));
    assert!(fingerprint(&blob).starts_with("SHA256:") && fingerprint(&blob).len() == 50);
    assert_eq!(blob_type(&[0, 0, 0, 9, b'a']), None);
    assert_eq!(blob_type(&[]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..400), name in "\\PC{0,20}") {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), &text);
        let _ = known.judge(&Names::of(&name, 2222, None), &text);
    }

    #[test]
    fn a_good_line_counts_between_any_others(
        before in "[^\n]{0,60}",
        after in "[^\n]{0,60}",
        name in "[a-z][a-z0-9.-]{0,20}",
        seed in any::<u8>(),
        hash in any::<bool>(),
    ) {
        let names = if hash { hashed(&name) } else { name.clone() };
        let text = format!("{before}\n{}\n{after}", line(&names, &ed(seed)));
        prop_assert_eq!(known(&text).0.judge(&Names::of(&name, 22, None), &ed(seed)), Verdict::Known);
        let other = known(&text).0.judge(&Names::of(&name, 22, None), &ed(!seed));
        prop_assert!(matches!(other, Verdict::Changed { line: 2, .. }), "{:?}", other);
    }

    #[test]
    fn stars_match_what_they_should(head in "[a-z]{0,5}", middle in "[a-z.]{0,9}", tail in "[a-z]{0,5}") {
        let text = line(&format!("{head}*{tail}"), &ed(1));
        let names = Names::of(&format!("{head}{middle}{tail}"), 22, None);
        prop_assert_eq!(known(&text).0.judge(&names, &ed(1)), Verdict::Known);
    }
}
