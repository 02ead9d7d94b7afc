//! `cm-fleet approve`, `deny`, `answer`: prompts that wait, shown and then settled, each on its own.

use clap::Args;
use cm_client::protocol::{Answer, AnswerDecision, KeysObserved};
use cm_client::{Client, ClientError};

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::find::Roll;
use crate::fleet::reach;
use crate::report::words;
use crate::report::words::prompt::{self, Way};
use crate::waiting::{self, Open, Wanted};

/// Whom a command is about.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Sessions: ids, beginnings of ids, names, or tasks; SESSION/N is its prompt N alone. None: the only one
    /// that waits
    #[arg(value_name = "SESSION", conflicts_with = "all")]
    sessions: Vec<String>,
    /// Everything that waits, on all hosts
    #[arg(long, short)]
    all: bool,
    /// Also everything that waits and is the same but for place and time
    #[arg(long)]
    same: bool,
}

/// The arguments of `approve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet inbox                    what waits, each with its whole prompt
  cm-fleet approve 1a2b3c           allow it, this one time
  cm-fleet approve 1a2b3c/4         the same, unless another prompt than number 4 is open by now
  cm-fleet approve 1a2b3c --same    and all prompts like it, on all hosts

What is asked is said on standard error before anything is done. \"Always\" is never chosen; `cm-fleet
answer` can.

Exit codes: 0 all settled · 1 one was not, or a host did not answer · 2 usage, or it is unclear which · 3 no agent could be
reached · 4 nothing waits, or another prompt is open by now")]
pub struct Approve {
    #[command(flatten)]
    which: Which,
}

/// The arguments of `deny`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet deny 1a2b3c
  cm-fleet deny 1a2b3c --message \"not before the tests pass\"
  cm-fleet deny --all

Exit codes: as of `cm-fleet approve`")]
pub struct Deny {
    #[command(flatten)]
    which: Which,
    /// What the tool is told, where it takes words
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
}

/// The arguments of `answer`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet answer 1a2b3c Postgres           by its label, or the beginning of it
  cm-fleet answer 1a2b3c 2                  by its key or number
  cm-fleet answer 1a2b3c 1 3                several, where several can be taken
  cm-fleet answer 1a2b3c --text \"call it shop\"
  cm-fleet answer 1a2b3c --text - < answer.txt

Exit codes: as of `cm-fleet approve`")]
pub struct AnswerArgs {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The session: id, beginning of an id, name, or its task; SESSION/N is its prompt N alone
    session: String,
    /// The option to take: its label, the beginning of it, its key or number
    #[arg(value_name = "OPTION", conflicts_with = "text", required_unless_present = "text")]
    options: Vec<String>,
    /// Type this instead; `-` reads standard input
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

/// Allows what is asked.
///
/// # Errors
/// The agent cannot be reached, or it is unclear what is meant; then nothing is done to any.
pub async fn approve(args: Approve, global: &Global) -> Result<Exit, Failure> {
    let decide = |open: Open<'_>| match prompt::way(open.prompt) {
        Way::Verdict => Ok(answer(open, AnswerDecision::Allow)),
        _ => Err(Failure::new(Kind::Refused, "it is not a matter of yes or no")
            .hint(prompt::details(&open.session.session_id, open.prompt).join("\n"))),
    };
    let (wanted, fleet) = wanted(args.which);
    settle(wanted, global, &fleet, "approved", decide).await
}

/// Refuses what is asked.
///
/// # Errors
/// As [`approve`].
pub async fn deny(args: Deny, global: &Global) -> Result<Exit, Failure> {
    let message = args.message;
    let decide = |open: Open<'_>| Ok(Answer { text: message.clone(), ..answer(open, AnswerDecision::Deny) });
    let (wanted, fleet) = wanted(args.which);
    settle(wanted, global, &fleet, "denied", decide).await
}

/// Takes an option, or types words.
///
/// # Errors
/// As [`approve`], and where there is no such option.
pub async fn run(args: AnswerArgs, global: &Global) -> Result<Exit, Failure> {
    let text = match args.text.as_deref() {
        Some("-") => Some(super::send::stdin()?),
        _ => args.text,
    };
    let options = args.options;
    let decide = |open: Open<'_>| match &text {
        Some(_) => Ok(Answer { text: text.clone(), ..answer(open, AnswerDecision::Text) }),
        None => Ok(Answer { options: chosen(open, &options)?, ..answer(open, AnswerDecision::Choose) }),
    };
    let wanted = Wanted { names: vec![args.session], ..Wanted::default() };
    settle(wanted, global, &args.fleet, "answered", decide).await
}

fn wanted(which: Which) -> (Wanted, FleetArgs) {
    (Wanted { names: which.sessions, all: which.all, same: which.same }, which.fleet)
}

/// An answer to the prompt that was seen, and to no other.
fn answer(open: Open<'_>, decision: AnswerDecision) -> Answer {
    Answer {
        session_id: open.session.session_id.clone(),
        prompt_id: Some(open.prompt.id),
        decision,
        ..Answer::default()
    }
}

/// The labels of the options meant.
fn chosen(open: Open<'_>, wanted: &[String]) -> Result<Vec<String>, Failure> {
    let find = |word: &String| match prompt::option(open.prompt, word) {
        Some(option) => Ok(option.label.clone()),
        None if open.prompt.options.is_empty() => {
            Err(Failure::usage("there are no options to choose from").hint("answer in words: --text TEXT"))
        }
        None => Err(Failure::usage(format!("`{word}` is none of the options, or fits several"))
            .hint(prompt::options(open.prompt).join("\n"))),
    };
    wanted.iter().map(find).collect()
}

/// One after the other; one that fails does not keep the others from their turn.
async fn settle(
    wanted: Wanted,
    global: &Global,
    fleet: &FleetArgs,
    done: &str,
    decide: impl Fn(Open<'_>) -> Result<Answer, Failure>,
) -> Result<Exit, Failure> {
    let fleet = fleet.fleet(global).await?;
    let every = wanted.all || wanted.same || wanted.names.is_empty();
    let roll = if every { Roll::call(&fleet).await? } else { Roll::naming(&fleet, &wanted.names).await? };
    super::say(&reach::lost_lines(&roll.lost));
    let picked = waiting::pick(&roll.seen, &wanted)?;
    if picked.is_empty() {
        super::print("nothing waits for an answer\n")?;
    }
    let mut exits = Vec::new();
    for open in picked {
        let client = roll.client(&open.session.host)?;
        exits.push(match one(client, open, done, &decide).await {
            Ok(()) => Exit::Done,
            Err(failure) => {
                failure.print();
                failure.kind.exit()
            }
        });
    }
    // A host that did not answer may have had what is like it.
    let exit = if every { reach::with_lost(worst(&exits), &roll.lost) } else { worst(&exits) };
    roll.close().await;
    Ok(exit)
}

/// What a shell is told of all of them together.
fn worst(exits: &[Exit]) -> Exit {
    let order = [Exit::Usage, Exit::Failed, Exit::Unreachable, Exit::Refused];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Done)
}

async fn one(
    client: &Client,
    open: Open<'_>,
    done: &str,
    decide: &impl Fn(Open<'_>) -> Result<Answer, Failure>,
) -> Result<(), Failure> {
    let id = words::short(&open.session.session_id);
    tell(open);
    let answer = decide(open)?;
    let answered = client.answer(answer).await.map_err(|e| refused(&id, &e))?;
    match answered.observed {
        KeysObserved::Submitted => super::print(&format!("{id} {done}\n")).map(drop),
        KeysObserved::Typed | KeysObserved::NoEvidence => {
            Err(Failure::new(Kind::Task, format!("session {id} does not show that the answer was taken"))
                .hint(format!("look at it: cm-fleet attach {id}")))
        }
    }
}

/// Says what is about to be settled.
fn tell(open: Open<'_>) {
    let mut lines = vec![waiting::line(open)];
    lines.extend(prompt::subject(open.prompt));
    super::say(&(lines.join("\n") + "\n"));
}

fn refused(id: &str, error: &ClientError) -> Failure {
    super::failed(format!("session {id} was not answered"), error)
        .hint("`cm-fleet inbox` shows what waits now")
}
