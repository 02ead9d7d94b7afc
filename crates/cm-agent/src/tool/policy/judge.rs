//! Judging a command line: every act of it by the rules, and the strictest verdict decides (PURE).

use cm_protocol::PolicyVerdict;

use super::act::{Act, FORK_BOMB, Run, acts};
use super::bounds::{self, Bound};
use super::effects::{Effects, effects};
use super::engine::{Decision, Verdict, bounded, by_rule};
use super::place::{Fit, GLOB, Ground, PRINTABLE, Place, SECRET, UNKNOWN};
use super::rule::{Kind, Rule};
use super::shell::Unclear;

/// The longest piece of a command shown in a reason, in characters.
const SHOWN: usize = 80;

/// The rule named for a command whose inside is judged in its place.
const SEEN_THROUGH: &str = "/seen-through";

/// What the rules say about a command line.
pub(super) fn command(policy: &str, rules: &[&Rule], subject: Option<&str>, ground: Ground) -> Decision {
    let Some(text) = subject.filter(|text| !text.trim().is_empty()) else {
        return unclear(policy, rules, "", "the command is not shown");
    };
    let acts = match acts(text, ground) {
        Ok(acts) if acts.is_empty() => return unclear(policy, rules, text, "there is no command"),
        Ok(acts) => acts,
        Err(Unclear(why)) => return unclear(policy, rules, text, why),
    };
    let judge = Judge { policy, rules, text, ground };
    let runs: Vec<(usize, &Run, Vec<Effects>)> = acts
        .iter()
        .enumerate()
        .filter_map(|(at, act)| match act {
            Act::Run(run) => {
                Some((at, run, run.inner.views.iter().map(|words| effects(words, run)).collect()))
            }
            _ => None,
        })
        .collect();
    let mut worst: Option<Decision> = None;
    let mut exact = true;
    for (at, act) in acts.iter().enumerate() {
        let decision = match act {
            Act::Run(run) => {
                let views =
                    runs.iter().find(|(number, _, _)| *number == at).map_or(&[][..], |(_, _, views)| views);
                let (decision, named) = judge.run(run, views);
                exact &= named;
                decision
            }
            Act::Nothing => continue,
            // To a device that keeps nothing.
            Act::Write(places) | Act::Read(places) if places.is_empty() => continue,
            Act::Write(places) => judge.places(Kind::Edit, places),
            Act::Read(places) => judge.places(Kind::Read, places),
            Act::Unclear(why) => unclear(policy, rules, text, why),
        };
        let weaker = |worst: &Decision| {
            worst.strictness() < decision.strictness()
                || (worst.strictness() == decision.strictness() && worst.rule.ends_with(SEEN_THROUGH))
        };
        if worst.as_ref().is_none_or(weaker) {
            worst = Some(decision);
        }
    }
    let nothing = || Decision::new(Verdict::Allow, format!("{policy}/changes-nothing"), short(text));
    let decision = worst.unwrap_or_else(nothing);
    let together: Vec<(usize, &Run, &Effects)> =
        runs.iter().filter_map(|(at, run, views)| views.last().map(|last| (*at, *run, last))).collect();
    let read: Vec<Place> = acts
        .iter()
        .filter_map(|act| if let Act::Read(places) = act { Some(places.clone()) } else { None })
        .flatten()
        .collect();
    match bounds::together(&together, &read) {
        Some(bound) if !(exact && together.len() == 1) => judge.bounded(decision, Some(bound)),
        _ => decision,
    }
}

/// A command, or a part of it, that is not understood: rules that refuse still look at its text.
fn unclear(policy: &str, rules: &[&Rule], text: &str, why: &'static str) -> Decision {
    let found = rules.iter().find(|rule| {
        let about = if rule.command.is_empty() {
            rule.path.is_empty() && rule.host.is_empty()
        } else {
            rule.command.iter().any(|pattern| pattern.occurs_in(text))
        };
        rule.is_about(Kind::Command) && about && rule.then != PolicyVerdict::Allow
    });
    let shown = format!("it is not clear what would be run: {why}");
    if why == FORK_BOMB {
        let bound = Bound { name: "forks-without-end", why: why.to_owned(), refuse: true };
        return bounded(Decision::new(Verdict::Allow, "", ""), Some(bound));
    }
    match found {
        Some(rule) => by_rule(policy, Some((rule, Fit::Yes)), &shown),
        None => Decision::new(Verdict::Ask, "bounds/not-clear", shown),
    }
}

struct Judge<'a> {
    policy: &'a str,
    rules: &'a [&'a Rule],
    text: &'a str,
    ground: Ground<'a>,
}

impl Judge<'_> {
    /// Whether the policy says yes to whatever no other rule is about.
    fn confirms(&self) -> bool {
        self.rules.iter().any(|rule| {
            let open = rule.path.is_empty() && rule.command.is_empty() && rule.host.is_empty();
            open && rule.then == PolicyVerdict::Allow && rule.is_about(Kind::Command)
        })
    }

    /// What is left of a decision within the bounds. Where a policy confirms, nobody looks: what is asked only
    /// because it is not certain is refused if it meets a bound.
    fn bounded(&self, decision: Decision, bound: Option<Bound>) -> Decision {
        let by_itself = decision.rule.starts_with("bounds/") || decision.rule.ends_with("/otherwise-ask");
        if decision.verdict == Verdict::Ask && by_itself && self.confirms() {
            return match bound {
                Some(bound) if bound.refuse => {
                    bounded(Decision { verdict: Verdict::Allow, ..decision }, Some(bound))
                }
                _ => decision,
            };
        }
        bounded(decision, bound)
    }

    /// A redirection.
    fn places(&self, kind: Kind, places: &[Place]) -> Decision {
        let verb = if kind == Kind::Edit { "writes" } else { "reads" };
        let what = format!("{}, which {verb} {}", short(self.text), places[0].shown());
        let found = self.rules.iter().find_map(|rule| {
            if !rule.is_about(kind) || !rule.command.is_empty() || !rule.host.is_empty() {
                return None;
            }
            let fit = if rule.path.is_empty() { Fit::Yes } else { rule.fit_places(places, self.ground) };
            (fit != Fit::No).then_some((*rule, fit))
        });
        let bound = places.iter().find_map(|place| match kind {
            Kind::Edit => bounds::written(place, self.ground),
            _ => bounds::read(place, self.ground),
        });
        self.bounded(by_rule(self.policy, found, &what), bound)
    }

    /// A program, and whether the rule that allowed it names it word by word.
    fn run(&self, run: &Run, views: &[Effects]) -> (Decision, bool) {
        let assigned;
        let last = match views.last() {
            Some(last) => last,
            None => {
                assigned = Effects::default();
                &assigned
            }
        };
        let what =
            short(&run.inner.views.first().map(|words| shown(&run.assignments, words)).unwrap_or_default());
        let found = self.rules.iter().find_map(|rule| match self.fit(rule, run, views, last) {
            Fit::No => None,
            fit => Some((*rule, fit)),
        });
        let neutral = run.seen_through || run.elsewhere;
        let decision = match found {
            None if neutral => {
                Decision::new(Verdict::Allow, format!("{}{SEEN_THROUGH}", self.policy), what.clone())
            }
            found => by_rule(self.policy, found, &what),
        };
        let named = found.is_some_and(|(rule, _)| names_exactly(rule, run, views));
        let bound = if named { None } else { bounds::run(run, last, self.ground) };
        let decision = self.bounded(decision, bound);
        if found.is_none() && decision.verdict == Verdict::Ask && run.inner.raises() {
            let why = format!("{what} runs with other rights, and no rule names it");
            return (Decision::new(Verdict::Ask, "bounds/other-rights", why), named);
        }
        (decision, named)
    }

    fn fit(&self, rule: &Rule, run: &Run, views: &[Effects], last: &Effects) -> Fit {
        let neutral = run.seen_through || run.elsewhere;
        if neutral && (rule.then == PolicyVerdict::Allow || rule.command.is_empty()) {
            return Fit::No;
        }
        if rule.then == PolicyVerdict::Allow {
            Fit::from_bool(self.allows(rule, run, views, last))
        } else {
            self.meets(rule, views, last)
        }
    }

    fn allows(&self, rule: &Rule, run: &Run, views: &[Effects], last: &Effects) -> bool {
        if !rule.is_about(Kind::Command) || run.inner.unclear.is_some() {
            return false;
        }
        let program = if rule.command.is_empty() {
            // A rule about paths or hosts alone says nothing about what programs do.
            let about_all = rule.names_kind(Kind::Command) || (rule.path.is_empty() && rule.host.is_empty());
            about_all && !run.inner.raises()
        } else {
            let view = run.inner.guarded.and_then(|at| views.get(at)).unwrap_or(last);
            let (words, mut special) = with_assignments(run, view);
            if run.inner.raises() {
                special.push(run.assignments.len());
            }
            rule.command.iter().any(|pattern| pattern.allows(&words, &special))
        };
        program && self.places_allowed(rule, run, last) && rule.fit_hosts(&last.hosts) == Fit::Yes
    }

    fn places_allowed(&self, rule: &Rule, run: &Run, last: &Effects) -> bool {
        if rule.path.is_empty() {
            return true;
        }
        let places: Vec<Place> = last.reads.iter().chain(&last.writes).cloned().collect();
        let here = super::act::places(".", &run.directories);
        here.iter().all(|place| place.is_inside(self.ground))
            && rule.fit_places(&places, self.ground) == Fit::Yes
    }

    /// For a rule that refuses or asks: one view, one path or one host that fits is enough.
    fn meets(&self, rule: &Rule, views: &[Effects], last: &Effects) -> Fit {
        let mut fit = Fit::No;
        let all: Vec<Place> = last.reads.iter().chain(&last.writes).cloned().collect();
        if rule.is_about(Kind::Command) {
            let program = if rule.command.is_empty() {
                Fit::Yes
            } else {
                views
                    .iter()
                    .flat_map(|view| rule.command.iter().map(|pattern| pattern.meets(&view.words)))
                    .max()
                    .unwrap_or(Fit::No)
            };
            let places = if rule.path.is_empty() { Fit::Yes } else { rule.fit_places(&all, self.ground) };
            let hosts = if rule.host.is_empty() {
                Fit::Yes
            } else if last.network {
                rule.fit_hosts(&last.hosts)
            } else {
                Fit::No
            };
            fit = program.min(places).min(hosts);
        }
        if !rule.command.is_empty() || !rule.host.is_empty() && !rule.is_about(Kind::Network) {
            return fit;
        }
        let mut also = |kind: Kind, touched: &[Place]| {
            if rule.names_kind(kind) && rule.host.is_empty() && !touched.is_empty() {
                fit = fit.max(if rule.path.is_empty() {
                    Fit::Yes
                } else {
                    rule.fit_places(touched, self.ground)
                });
            }
        };
        also(Kind::Edit, if last.unknown_program && !rule.path.is_empty() { &all } else { &last.writes });
        also(Kind::Read, &last.reads);
        if rule.names_kind(Kind::Network) && rule.path.is_empty() && last.network {
            fit = fit.max(rule.fit_hosts(&last.hosts));
        }
        fit
    }
}

/// The words a rule has to name: assignments that change what is run come first, and none is covered by a `*`.
fn with_assignments(run: &Run, view: &Effects) -> (Vec<String>, Vec<usize>) {
    let count = run.assignments.len();
    let words = run.assignments.iter().chain(&view.words).cloned().collect();
    let special = (0..count).chain(view.special.iter().map(|at| at + count)).collect();
    (words, special)
}

fn names_exactly(rule: &Rule, run: &Run, views: &[Effects]) -> bool {
    let view = run.inner.guarded.and_then(|at| views.get(at)).or(views.last());
    rule.then == PolicyVerdict::Allow
        && view.is_some_and(|view| {
            let (words, special) = with_assignments(run, view);
            rule.command.iter().any(|pattern| pattern.is_literal() && pattern.allows(&words, &special))
        })
}

fn shown(assignments: &[String], words: &[String]) -> String {
    assignments.iter().chain(words).map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// A text on one line, short, without signs that cannot be seen.
pub(super) fn short(text: &str) -> String {
    let text = text.replace([UNKNOWN, PRINTABLE, SECRET], "$?").replace(GLOB, "*");
    let one: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match one.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &one[..end]),
        None => format!("`{one}`"),
    }
}
