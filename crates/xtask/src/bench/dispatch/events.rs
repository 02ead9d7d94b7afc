//! PURE. What a run's JSON lines tell: who, what and when.

use serde_json::Value;

/// One line of `dispatch --json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// When, Unix seconds.
    pub at: f64,
    /// `task_started` and so on.
    pub kind: String,
    /// The task's number; 0 where it is about none.
    pub task: u64,
    /// The host's name; empty where it is about none.
    pub host: String,
    /// How it ended: the outcome's state.
    pub state: String,
}

/// All of them, in order. What is no event (a notice, half a line) is left out.
pub fn read(lines: &str) -> Vec<Told> {
    lines.lines().filter_map(one).collect()
}

fn one(line: &str) -> Option<Told> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Told {
        at: value["at"].as_f64()?,
        kind: text(&value["type"]),
        task: value["task"].as_u64().unwrap_or_default(),
        host: text(&value["host"]),
        state: text(&value["outcome"]["state"]),
    })
}

/// Those of a kind, in order.
pub fn of<'a>(all: &'a [Told], kind: &'static str) -> impl Iterator<Item = &'a Told> {
    all.iter().filter(move |told| told.kind == kind)
}

/// How many tasks have ended well.
pub fn done(all: &[Told]) -> usize {
    of(all, "task_finished").filter(|told| told.state == "done").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_run() {
        let check = |line: &str, expected: Option<(f64, &str, u64, &str, &str)>| {
            let told = one(line);
            let told =
                told.as_ref().map(|t| (t.at, t.kind.as_str(), t.task, t.host.as_str(), t.state.as_str()));
            assert_eq!(told, expected, "{line}");
        };
        check(
            r#"{"at":1.5,"type":"task_placed","task":3,"host":"h2","attempt":1}"#,
            Some((1.5, "task_placed", 3, "h2", "")),
        );
        check(
            r#"{"at":2,"type":"task_finished","task":3,"outcome":{"state":"done"}}"#,
            Some((2.0, "task_finished", 3, "", "done")),
        );
        check(r#"{"at":2,"type":"run_started""#, None);
        check("h3: no agent runs there", None);
        let ends = r#"{"at":2,"type":"task_finished","task":3,"outcome":{"state":"done"}}
{"at":2,"type":"task_finished","task":4,"outcome":{"state":"failed"}}"#;
        assert_eq!(done(&read(ends)), 1);
    }
}
