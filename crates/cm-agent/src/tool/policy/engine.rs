//! STUB.
use crate::tool::profile::PromptKind;
use std::sync::Arc;
/// x
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// x
    pub tool: &'a str,
    /// x
    pub kind: PromptKind,
    /// x
    pub subject: Option<&'a str>,
    /// x
    pub work_dir: &'a str,
    /// x
    pub home: &'a str,
    /// x
    pub prompt_rule: &'a str,
}
/// x
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// x
    Allow,
    /// x
    Deny {
        /// x
        message: Option<String>,
    },
    /// x
    Ask,
}
/// x
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// x
    pub verdict: Verdict,
    /// x
    pub rule: String,
    /// x
    pub why: String,
}
/// x
#[derive(Debug, Clone)]
pub struct Compiled(cm_protocol::Policy);
/// x
#[derive(Debug, Clone, Default)]
pub struct PolicySet;
impl PolicySet {
    /// x
    pub fn resolve(&self, _: Option<&cm_protocol::PolicyChoice>) -> Result<Arc<Compiled>, String> {
        Ok(Compiled::careful())
    }
    /// x
    pub fn default_policy(&self) -> Arc<Compiled> {
        Compiled::careful()
    }
}
impl Compiled {
    /// x
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// x
    pub fn source(&self) -> &cm_protocol::Policy {
        &self.0
    }
    /// x
    pub fn careful() -> Arc<Self> {
        Arc::new(Self(Default::default()))
    }
}
/// x
pub fn decide(_: &Compiled, asked: &Asked) -> Decision {
    let allow = matches!(asked.kind, PromptKind::Continue);
    Decision {
        verdict: if allow { Verdict::Allow } else { Verdict::Ask },
        rule: if allow { "careful/go-on".into() } else { "careful/otherwise-ask".into() },
        why: String::new(),
    }
}
