//! `cm-fleet send`: text and keys into a session, and what was seen of them.

use std::io::Read;

use clap::Args;
use cm_client::protocol::{KeysObserved, SendKeys};

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::find::Found;
use crate::report::words;

/// Text read from standard input at most; agents take no more at once.
const MOST: u64 = 256 * 1024;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet send 1a2b3c \"now add a test\"     the text, then Enter
  cm-fleet send 1a2b3c --no-enter y         only the letter
  cm-fleet send 1a2b3c --key C-c            a key by its tmux name
  cm-fleet send 1a2b3c - < prompt.txt       text from standard input

Says what was seen: submitted, typed (no Enter yet) or no_evidence. Exit code 1 where it is not what
was asked for: then look with `cm-fleet attach`.")]
pub struct Send {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The session: id, beginning of an id, name, or its task, on any host
    session: String,
    /// The text; several are joined by blanks, `-` reads standard input
    text: Vec<String>,
    /// Do not press Enter after the text
    #[arg(long)]
    no_enter: bool,
    /// Press this key after the text: C-c, Escape, Down, … May be repeated
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

/// Types.
///
/// # Errors
/// No such session, or the agent refuses.
pub async fn run(args: Send, global: &Global) -> Result<Exit, Failure> {
    if args.text.is_empty() && args.keys.is_empty() {
        return Err(Failure::usage("there is nothing to send")
            .hint("write the text after the session, or --key Enter for just that"));
    }
    let text = match args.text.as_slice() {
        [] => None,
        [dash] if dash == "-" => Some(stdin()?),
        words => Some(words.join(" ")),
    };
    let Found { session, client, .. } =
        super::find_on(&args.fleet.fleet(global).await?, &args.session).await?;
    let session = session.session_id;
    // Enter is the default after text, but not after keys.
    let enter = text.is_some() && args.keys.is_empty() && !args.no_enter;
    let keys = SendKeys { session_id: session.clone(), keys: text, enter: Some(enter), named: args.keys };
    let short = words::short(&session);
    let seen = client
        .send_keys(keys)
        .await
        .map_err(|e| super::failed(format!("cannot type into session {short}"), &e))?;
    client.close().await;
    let (word, exit) = verdict(seen, enter);
    super::print(&format!("{word}\n"))?;
    if exit != Exit::Done {
        return Err(Failure::new(Kind::Task, format!("session {short} does not show that this arrived"))
            .hint(format!("look at it: cm-fleet attach {short}")));
    }
    Ok(exit)
}

/// What is printed, and whether it is what was asked for: after Enter only `submitted` is.
fn verdict(seen: Option<KeysObserved>, enter: bool) -> (&'static str, Exit) {
    match seen {
        Some(KeysObserved::Submitted) => ("submitted", Exit::Done),
        Some(KeysObserved::Typed) if enter => ("typed", Exit::Failed),
        Some(KeysObserved::Typed) => ("typed", Exit::Done),
        Some(KeysObserved::NoEvidence) => ("no_evidence", Exit::Failed),
        // The original agent does not look.
        None => ("sent", Exit::Done),
    }
}

pub(super) fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MOST + 1)
        .read_to_string(&mut text)
        .map_err(|e| Failure::usage("cannot read the text from standard input").because(&e))?;
    if text.len() as u64 > MOST {
        return Err(Failure::usage(format!("the text is too long: {} KiB is the most", MOST / 1024))
            .hint("put it into a file, and send the tool the file's name"));
    }
    // A file's last newline is not meant to be typed: Enter is.
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_success() {
        for (seen, enter, word, code) in [
            (Some(KeysObserved::Submitted), true, "submitted", 0),
            (Some(KeysObserved::Typed), true, "typed", 1),
            (Some(KeysObserved::Typed), false, "typed", 0),
            (Some(KeysObserved::NoEvidence), true, "no_evidence", 1),
            (Some(KeysObserved::NoEvidence), false, "no_evidence", 1),
            (None, true, "sent", 0),
        ] {
            let (said, exit) = verdict(seen, enter);
            assert_eq!((said, exit.code()), (word, code), "{seen:?} {enter}");
        }
    }
}
