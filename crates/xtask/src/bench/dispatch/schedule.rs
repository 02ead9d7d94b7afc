//! What a decision of the scheduler costs with few hosts and with many: the rows of the example that measures it.

use std::time::Duration;

use crate::bench::Row;
use crate::failure::Failure;
use crate::sh::Run;

use super::place::Builds;

/// The example decides a few hundred thousand times.
const DEADLINE: Duration = Duration::from_secs(300);
/// As the example has it.
const GOAL: &str = "at most 10 times the first";

/// Runs it.
pub fn measure(builds: &Builds) -> Result<Vec<Row>, Failure> {
    let said = Run::new(builds.examples.join("schedule")).capture(DEADLINE)?;
    let rows = read(&said);
    if rows.is_empty() {
        return Err(Failure::check(format!("the example said {said:?}"), "report this"));
    }
    Ok(rows)
}

/// PURE. The rows of its table that have a goal.
fn read(table: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, measured, goal, mark] = cells.as_slice() else { return None };
        (*goal == GOAL).then(|| Row {
            what: format!("decisions: {what}"),
            measured: (*measured).to_owned(),
            goal: GOAL,
            original: "",
            good: *mark == "ok",
        })
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_example() {
        let table = "| what | measured | goal | |\n|---|---|---|---|\n\
                     | 100 hosts, 1000 tasks | 9 decisions/s | at most 10 times the first | ok |\n\
                     | 200 hosts, 2000 tasks | 8 decisions/s | at most 10 times the first | missed |\n";
        let rows: Vec<(String, String, bool)> =
            read(table).into_iter().map(|row| (row.what, row.measured, row.good)).collect();
        let row = |hosts: u16, rate: &str, good: bool| {
            (format!("decisions: {hosts} hosts, {hosts}0 tasks"), format!("{rate} decisions/s"), good)
        };
        assert_eq!(rows, [row(100, "9", true), row(200, "8", false)]);
    }
}
