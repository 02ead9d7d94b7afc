//! Selectors: what they mean, and what is said where they mean nothing.

use super::*;
use crate::inventory::tests::inventory;
use proptest::prelude::*;

const FLEET: &str = "
hosts:
  gpu-01: {labels: {zone: eu, gen: '9'}}
  gpu-02: {labels: {zone: eu, gen: '8'}}
  gpu-03: {labels: {zone: us, gen: '9'}}
  web-01: {labels: {zone: eu}}
  web-02: {}
groups:
  gpu: ['gpu-*']
  web: ['web-[01-02]']
  every: {groups: [gpu, web]}
  empty: {}
";

fn check(selectors: &[&str], expected: &str) {
    let inventory = inventory(FLEET);
    let parsed: Result<Vec<_>, _> = selectors.iter().map(|text| Selector::parse(text)).collect();
    match parsed.and_then(|parsed| inventory.select(&parsed).map(|hosts| (parsed, hosts))) {
        Ok((parsed, hosts)) => {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            assert_eq!(names.join(" "), expected, "{selectors:?}");
            if let [one] = &parsed[..] {
                assert!(inventory.hosts.iter().all(|host| one.matches(host) == hosts.contains(&host)));
            }
        }
        Err(error) => {
            let said = format!("{error}; {}", error.hint().unwrap_or_default());
            assert!(expected.len() > 8 && said.contains(expected), "{selectors:?}: {said}");
        }
    }
}

#[test]
fn what_they_mean() {
    let all = "gpu-01 gpu-02 gpu-03 web-01 web-02";
    check(&[], all);
    check(&["all"], all);
    check(&["*"], all);
    check(&["@all"], all);
    check(&["gpu-01"], "gpu-01");
    check(&["gpu-0?"], "gpu-01 gpu-02 gpu-03");
    check(&["gpu-[02-03]"], "gpu-02 gpu-03");
    check(&["gpu-[01,03]"], "gpu-01 gpu-03");
    check(&["@gpu"], "gpu-01 gpu-02 gpu-03");
    check(&["@every"], all);
    check(&["@g*"], "gpu-01 gpu-02 gpu-03");
    check(&["zone=eu"], "gpu-01 gpu-02 web-01");
    check(&["zone=*"], "gpu-01 gpu-02 gpu-03 web-01");
    check(&["zone!=eu"], "gpu-03 web-02");
    check(&["@gpu & zone=eu"], "gpu-01 gpu-02");
    check(&["@gpu&!gpu-02"], "gpu-01 gpu-03");
    check(&["web-02, gpu-01"], "gpu-01 web-02");
    check(&["web-02,gpu-01,web-02"], "gpu-01 web-02");
    check(&["@gpu, !gpu-02"], "gpu-01 gpu-03");
    check(&["!@gpu"], "web-01 web-02");
    check(&["!@gpu, !web-01"], "web-02");
    check(&["!!web-01"], "web-01");
    check(&["@gpu & !gpu-03, zone=eu"], "gpu-01 gpu-02 web-01");
    check(&["(@gpu, web-01) & zone=eu"], "gpu-01 gpu-02 web-01");
    check(&["!(@gpu, web-01)"], "web-02");
    check(&["zone=eu & (@gpu, !gpu-01)"], "gpu-02");
    check(&["@gpu", "web-01"], "gpu-01 gpu-02 gpu-03 web-01");
    check(&["@gpu", "!gpu-01"], "gpu-02 gpu-03");
}

#[test]
fn what_is_not_there_is_said() {
    check(&["gpu-1"], "there is no host `gpu-1` in the inventory; did you mean `gpu-01`?");
    check(&["gpu"], "did you mean `@gpu`?");
    check(&["@gpu-01"], "there is no group `gpu-01` in the inventory; did you mean `gpu-01`?");
    check(&["@wbe"], "did you mean `@web`?");
    check(&["@storage"], "there is empty, every, gpu, web");
    check(&["zne=eu"], "there is no label `zne` in the inventory; did you mean `zone=eu`?");
    check(&["@gpu, !gpu-9"], "there is no host `gpu-9`");
    check(&["db-*"], "there is no host `db-*`");
    check(&["zone=asia"], "no host is selected by `zone=asia`");
    check(&["@empty"], "no host is selected by `@empty`");
    check(&["gpu-01", "zone=asia"], "no host is selected by `zone=asia`");
    check(&["gpu-01", "!gpu-01"], "no host is selected by `gpu-01, !gpu-01`");
    check(&[""], "`` selects nothing: at its end a name is missing");
    check(&["@gpu &"], "at its end a name is missing");
    check(&["& x"], "before `&` a name is missing");
    check(&["gpu-01 gpu-02"], "`g` is not expected there");
    check(&["(gpu-01"], "a bracket is not closed");
    check(&["gpu-01)"], "`)` is not expected there");
    check(&["@"], "after `@` a group's name is missing");
    check(&["=x"], "`=x` is no label=value");
    check(&["gpu-[3-1]"], "ends before it begins");
    check(&[&"(".repeat(5000)], "brackets stand more than");
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,60}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn parsing_never_panics_on_near_misses(text in "[-@!&,=*?()\\[\\] a0]{0,40}") {
        if let Ok(selector) = Selector::parse(&text) {
            let inventory = inventory(FLEET);
            let _ = inventory.select(std::slice::from_ref(&selector));
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        }
    }
}
