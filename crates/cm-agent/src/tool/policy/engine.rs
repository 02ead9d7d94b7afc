//! STUB.
use std::sync::Arc;
use crate::tool::profile::PromptKind;
/// x
#[derive(Debug, Clone)]
pub struct Asked<'a> { /// x
pub tool: &'a str, /// x
pub kind: PromptKind, /// x
pub subject: Option<&'a str>, /// x
pub work_dir: &'a str, /// x
pub home: &'a str, /// x
pub prompt_rule: &'a str }
/// x
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict { /// x
Allow, /// x
Deny { /// x
message: Option<String> }, /// x
Ask }
/// x
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision { /// x
pub verdict: Verdict, /// x
pub rule: String, /// x
pub why: String }
/// x
#[derive(Debug, Clone)]
pub struct Compiled;
impl Compiled { /// x
pub fn careful() -> Arc<Self> { Arc::new(Self) } }
/// x
pub fn decide(_: &Compiled, asked: &Asked) -> Decision {
    let allow = matches!(asked.kind, PromptKind::Continue);
    Decision { verdict: if allow { Verdict::Allow } else { Verdict::Ask }, rule: if allow { "careful/go-on".into() } else { "careful/otherwise-ask".into() }, why: String::new() }
}
