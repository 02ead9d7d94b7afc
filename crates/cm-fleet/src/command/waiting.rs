//! `cm-fleet waiting`: everything that waits for a person, each with its whole prompt.

use clap::Args;
use cm_client::protocol::SessionInfo;

use super::hosts::AtArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::clean::{clean, fit};
use crate::report::paint::Paint;
use crate::report::terminal;
use crate::report::words::{self, prompt};
use crate::waiting::waiting;

/// Columns of a task's text.
const SUMMARY: usize = 60;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet waiting                what waits, and the commands that answer it
  cm-fleet waiting --json         one JSON object a line")]
pub struct Waiting {
    #[command(flatten)]
    at: AtArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Lists it.
///
/// # Errors
/// The agent cannot be reached or does not answer.
pub async fn run(args: Waiting, global: &Global) -> Result<Exit, Failure> {
    let client = super::connect(global, &args.at).await?;
    let sessions = super::list(&client).await?;
    client.close().await;
    let paint = terminal::paint_stdout();
    let shown: Vec<&SessionInfo> = waiting(&sessions).collect();
    if shown.is_empty() && !args.json {
        super::print("nothing waits\n")?;
    }
    for (index, session) in shown.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        let text = if args.json { super::json(session)? } else { format!("{gap}{}", entry(session, paint)) };
        if !super::print(&text)? {
            break;
        }
    }
    Ok(Exit::Done)
}

/// One session: who it is, what it asks, what can be chosen, how to answer.
fn entry(session: &SessionInfo, paint: Paint) -> String {
    let id = words::short(&session.session_id);
    let about = [session.name.as_deref().unwrap_or_default(), &session.tool, &session.path, &session.summary];
    let about: Vec<String> =
        about.iter().map(|text| fit(&clean(text), SUMMARY)).filter(|text| !text.is_empty()).collect();
    let mut under = Vec::new();
    match &session.prompt {
        Some(asked) => {
            under.push(paint.attention(&prompt::asks(asked)));
            under.extend(prompt::drawn(asked).iter().map(|line| paint.dim(&format!("┊ {line}"))));
            under.extend(prompt::details(&session.session_id, asked));
        }
        None => {
            let reason = session.reason.as_deref().map(clean).filter(|reason| !reason.is_empty());
            under.push(paint.attention(reason.as_deref().unwrap_or("waits")));
            under.push(format!("cm-fleet attach {id}"));
        }
    }
    let under: String = under.iter().map(|line| format!("  {line}\n")).collect();
    format!("{}  {}\n{under}", paint.bold(&id), about.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_prompts() {
        let all = crate::waiting::tests::some();
        let text = [0, 3, 4].map(|index| entry(&all[index], Paint::OFF)).join("\n");
        insta::assert_snapshot!(text, @r"
        aaaaaa11  one · claude · /home/ada/shop · fix the login test
          asks to run git push ⏎ origin main
          ┊ Bash command
          ┊   git push
          ┊ Do you want to proceed?
          ┊ > 1. Yes
          | git push
          |  origin main
          > 1    Yes
            2    Yes, and don't ask again  (from now on)
            Esc  No, and say why  (refuses)
          left to you by careful/other commands
          cm-fleet approve aaaaaa11/3   cm-fleet deny aaaaaa11/3

        dddddd11  claude · /home/ada/shop · fix the login test
          asks: Which database?
          ┊ Header
          ┊ Which database?
            1  SQLite
            2  Postgres
            3  Postgres, replicated
          cm-fleet answer dddddd11/4 OPTION   cm-fleet deny dddddd11/4

        eeeeee11  limited · claude · /home/ada/shop · fix the login test
          rate_limited: come back
          cm-fleet attach eeeeee11
        ");
    }
}
