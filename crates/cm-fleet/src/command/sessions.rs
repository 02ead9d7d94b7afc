//! `cm-fleet sessions`: what goes on, and with `--all` what went on.

use clap::Args;
use cm_client::protocol::{Proof, SessionInfo};

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::find::Roll;
use crate::fleet::reach;
use crate::report::clean::clean;
use crate::report::paint::Paint;
use crate::report::table::{Cell, Column, render};
use crate::report::{terminal, words};
use crate::sessions::{Seen, short};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet sessions               those whose terminal exists, on all hosts of the inventory and here
  cm-fleet sessions --on @gpu     on some hosts; --local: on this machine alone
  cm-fleet sessions --all         those that have ended, too
  cm-fleet sessions --json        one JSON object a line

The session column is the shortest id that names it; every command takes it.

Exit codes: 0 · 1 a host did not answer (the others are shown) · 2 usage · 3 no agent could be reached")]
pub struct Sessions {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Also sessions whose terminal is gone
    #[arg(long, short)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Lists them.
///
/// # Errors
/// The agent cannot be reached or does not answer.
pub async fn run(args: Sessions, global: &Global) -> Result<Exit, Failure> {
    let fleet = args.fleet.fleet(global).await?;
    let roll = Roll::call(&fleet).await?;
    let shown: Vec<&Seen> = roll.seen.iter().filter(|s| args.all || s.alive).collect();
    if args.json {
        for session in shown {
            if !super::print(&super::json(session)?)? {
                break;
            }
        }
    } else if shown.is_empty() {
        let more = if roll.seen.is_empty() { "" } else { " (--all shows those that have ended)" };
        super::print(&format!("no sessions{more}\n"))?;
    } else {
        let columns = terminal::stdout_columns();
        let paint = terminal::paint_stdout();
        super::print(&draw(&roll.seen, &shown, fleet.is_several(), columns, paint))?;
    }
    super::say(&reach::lost_lines(&roll.lost));
    let exit = reach::with_lost(Exit::Done, &roll.lost);
    roll.close().await;
    Ok(exit)
}

/// The table; `hosts`: with a column for them.
#[allow(clippy::cast_precision_loss)] // an uptime is far below 2^53 seconds
fn draw(all: &[Seen], shown: &[&Seen], hosts: bool, columns: Option<usize>, paint: Paint) -> String {
    // Columns that hold nothing are left out.
    let proofs = shown.iter().any(|s| proof(s).is_some());
    let notes = shown.iter().any(|s| !note(s).is_empty());
    let mut head: Vec<Column> = hosts.then_some(Column::text("host")).into_iter().collect();
    head.extend([
        Column::text("session"),
        Column::elastic("name"),
        Column::text("tool"),
        Column::text("state"),
    ]);
    head.extend(proofs.then_some(Column::text("proof")));
    head.extend([Column::number("age"), Column::elastic("path"), Column::elastic("task")]);
    head.extend(notes.then_some(Column::elastic("note")));
    let rows: Vec<Vec<Cell>> = shown
        .iter()
        .map(|s| {
            let mut cells: Vec<Cell> = hosts.then(|| clean(&s.host).into()).into_iter().collect();
            cells.extend([
                short(all, s).into(),
                s.name.as_deref().map(clean).unwrap_or_default().into(),
                clean(&s.tool).into(),
                Cell::state(s.state),
            ]);
            cells.extend(proofs.then(|| Cell::proof(proof(s))));
            cells.extend([
                words::age(s.uptime as f64).into(),
                clean(&s.path).into(),
                clean(&s.summary).into(),
            ]);
            cells.extend(notes.then(|| note(s).into()));
            cells
        })
        .collect();
    let mut out = render(&head, &rows, columns, paint);
    if shown.iter().any(|s| s.alive && s.prompt.is_some()) {
        out.push_str("`cm-fleet inbox` shows what is asked, and how to answer\n");
    }
    out
}

fn proof(session: &SessionInfo) -> Option<Proof> {
    session.outcome.as_ref().and_then(|outcome| outcome.proof)
}

/// What a person should know: what it asks, why it waits, why it ended as it did.
fn note(session: &SessionInfo) -> String {
    match (&session.prompt, &session.outcome) {
        (Some(prompt), _) if session.alive => words::prompt::asks(prompt),
        (_, Some(outcome)) => words::ending::reason(outcome),
        _ => session.reason.as_deref().map(clean).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use cm_client::protocol::{Outcome, State};

    use super::*;

    fn table(all: &[Seen]) -> String {
        draw(all, &all.iter().collect::<Vec<_>>(), false, None, Paint::OFF)
    }

    #[test]
    fn what_waits_and_what_is_proved() {
        let mut all = crate::waiting::tests::some();
        let busy = all[5].clone();
        let ended = |state, proof, reason: Option<&str>| Seen {
            info: SessionInfo {
                state,
                alive: false,
                prompt: None,
                outcome: Some(Outcome {
                    state,
                    proof,
                    reason: reason.map(str::to_owned),
                    ..Outcome::default()
                }),
                ..busy.info.clone()
            },
            ..busy.clone()
        };
        let (done, failed) = (
            ended(State::Done, Some(Proof::Verified), None),
            ended(State::Failed, Some(Proof::Claimed), Some("check_failed: exit 1")),
        );
        insta::assert_snapshot!(table(&all[5..]), @r"
        session  name  tool    state    age  path            task
        ffffff   busy  claude  running   1m  /home/ada/shop  fix the login test
        ");
        all.extend([done, failed]);
        insta::assert_snapshot!(table(&all[3..]), @r"
        session  name     tool    state    proof     age  path            task                note
        dddddd            claude  waiting             1m  /home/ada/shop  fix the login test  asks: Which database?
        eeeeee   limited  claude  waiting             1m  /home/ada/shop  fix the login test  rate_limited: come back
        ffffff   busy     claude  running             1m  /home/ada/shop  fix the login test
        ffffff   busy     claude  done     verified   1m  /home/ada/shop  fix the login test
        ffffff   busy     claude  failed   claimed    1m  /home/ada/shop  fix the login test  check_failed: exit 1
        `cm-fleet inbox` shows what is asked, and how to answer
        ");
    }
    #[test]
    fn hosts_have_a_column() {
        use crate::waiting::tests::{on, some};
        let all = [on("web-01", some()[5].clone()), some()[4].clone()];
        let shown: Vec<&Seen> = all.iter().collect();
        insta::assert_snapshot!(draw(&all, &shown, true, None, Paint::OFF), @r"
        host    session  name     tool    state    age  path            task                note
        web-01  ffffff   busy     claude  running   1m  /home/ada/shop  fix the login test
        local   eeeeee   limited  claude  waiting   1m  /home/ada/shop  fix the login test  rate_limited: come back
        ");
        let json = serde_json::to_value(&all[0]).expect("JSON");
        assert_eq!((json["host"].as_str(), json["tool"].as_str()), (Some("web-01"), Some("claude")));
    }
}
