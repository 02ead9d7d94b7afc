//! What is not as it should be with a host's engine and containers, each with its remedy. PURE.

use cm_protocol::deploy::{Finding, Verdict};

use super::error::EngineError;
use super::facts::Seen;
use super::plan::{self, Known};
use super::wanted::{ContainerWanted, Role, label};
use crate::deploy::plan::{Plan, size};
use crate::deploy::wanted::Manner;

fn finding(what: &str, verdict: Verdict, seen: impl Into<String>, remedy: Option<&str>) -> Finding {
    Finding { what: what.to_owned(), verdict, seen: seen.into(), remedy: remedy.map(str::to_owned) }
}

/// An error as a finding.
pub fn of_error(what: &str, error: &EngineError) -> Finding {
    finding(what, Verdict::Bad, error.to_string(), error.remedy().as_deref())
}

/// The host was not reached, or no engine answers on it.
pub fn unreached(error: &EngineError) -> Vec<Finding> {
    match error {
        EngineError::Ssh(_) => vec![of_error("ssh", error)],
        _ => vec![finding("ssh", Verdict::Good, "reached", None), of_error("engine", error)],
    }
}

/// Everything there is to say.
pub fn of(wanted: &ContainerWanted, known: &Known, seen: &Seen) -> Vec<Finding> {
    let engine = seen.engine.clone().unwrap_or_default();
    let says = format!("{} {} ({}, {})", engine.kind, engine.version, engine.arch, engine.system);
    let mut all = vec![finding("engine", Verdict::Good, says, None)];
    all.push(image(wanted, known, seen));
    match &seen.agent {
        None => all.push(finding("agent", Verdict::Unsure, "not deployed", Some("cm-fleet deploy"))),
        Some(agent) if !agent.is_ours(&wanted.host, Role::Agent) => {}
        Some(agent) => {
            let fleet = agent.label(label::FLEET).unwrap_or_default();
            if fleet != wanted.fleet {
                let seen = format!("it belongs to the fleet `{fleet}`");
                all.push(finding(
                    "agent",
                    Verdict::Bad,
                    seen,
                    Some("cm-fleet deploy --take-over, if that is right"),
                ));
            }
            if agent.runs() {
                let health = agent.health.clone().unwrap_or_default();
                all.push(finding(
                    "agent",
                    Verdict::Good,
                    format!("{} runs, {} sessions", health.version, health.sessions).trim().to_owned(),
                    None,
                ));
            } else {
                let seen = format!("{} is {} ({})", agent.name, agent.state, agent.exit_code);
                all.push(finding(
                    "agent",
                    Verdict::Bad,
                    seen,
                    Some("cm-fleet logs --agent says why; cm-fleet deploy"),
                ));
            }
            if agent.restart_count >= 3 {
                let seen = format!("the engine has restarted it {} times", agent.restart_count);
                all.push(finding("agent", Verdict::Poor, seen, Some("cm-fleet logs --agent says why")));
            }
            if agent.unconfirmed() {
                let seen = "its deployment was never confirmed: it does not come up with the machine";
                all.push(finding("agent", Verdict::Poor, seen, Some("cm-fleet deploy")));
            }
        }
    }
    for drift in plan::drift(wanted, seen) {
        all.push(finding(
            "drift",
            Verdict::Poor,
            format!("changed by hand: {drift}"),
            Some("cm-fleet deploy"),
        ));
    }
    if let Plan::Blocked(blocked) = plan::plan(wanted, known, seen, &Manner::default(), f64::MAX) {
        all.push(finding("deploy", Verdict::Bad, blocked.why(), blocked.remedy().as_deref()));
    }
    all
}

fn image(wanted: &ContainerWanted, known: &Known, seen: &Seen) -> Finding {
    let name = &wanted.image.reference;
    match (&seen.image, known) {
        (Some(image), _) => {
            finding("image", Verdict::Good, format!("{name} is there ({})", size(image.size)), None)
        }
        (None, Known::Here(_)) => finding(
            "image",
            Verdict::Unsure,
            format!("{name} is here, and not there; a deployment sends it"),
            None,
        ),
        (None, Known::Elsewhere { why }) => {
            finding("image", Verdict::Unsure, format!("{name} is not there ({why})"), None)
        }
    }
}
