//! The steps of the self-test, in order.

use std::io::Write;
use std::time::Duration;

use cm_client::protocol::{CreateSession, ErrorCode, EventKind, Outcome, SessionId, State, Transcript};
use cm_client::{Client, ClientError, Endpoint, Events, Incoming};
use serde_json::Map;

use super::{Check, Failed, Trouble};

/// For the connection and its log-in.
const CONNECT: Duration = Duration::from_secs(10);

/// What the shell task does. Its output is not in its own text, so seeing it proves that it ran.
const TASK: &str = "echo cm-selftest-task-$((6 * 7))";

/// See [`TASK`].
const TASK_SAYS: &str = "cm-selftest-task-42";

/// What is typed into the interactive session; here, too, the output is not in the text.
const TYPED: &str = "echo cm-selftest-typed-$((6 * 7))";

/// See [`TYPED`].
const TYPED_SAYS: &str = "cm-selftest-typed-42";

type Step<T> = Result<T, Trouble>;

pub(super) async fn all<W: Write>(check: &mut Check<'_, W>, endpoint: &Endpoint) -> Result<(), Failed> {
    let client = check.step("connect and log in", connect(endpoint)).await?;
    check.made.client = Some(client.clone());
    check.step("ask the agent about itself", agent_info(&client)).await?;
    let mut events = check.step("subscribe to events", async { Ok(client.follow(None).await?) }).await?;

    let task = check.step("create a shell session", create(&client, "shell", Some(TASK))).await?;
    check.made.sessions.push(task.clone());
    check.step("see it start", started(&client, &mut events, &task)).await?;
    let outcome = check.step("see it end", completed(&client, &mut events, &task)).await?;
    check.step("exit code 0", async { exited_with_0(outcome) }).await?;
    check.step("read its transcript", transcript(&client, &task)).await?;

    let typed = check.step("create an interactive session", create(&client, "sh", None)).await?;
    check.made.sessions.push(typed.clone());
    check.step("see it ready", ready(&client, &mut events, &typed)).await?;
    check.step("watch its screen", async { Ok(client.watch_screen(&typed).await?) }).await?;
    check.step("type into it", async { Ok(client.send_line(&typed, TYPED).await?) }).await?;
    check.step("see the answer on its screen", on_screen(&mut events, &typed)).await?;
    check.step("read it with capture_pane", captured(&client, &typed)).await?;

    check.step("list both sessions", listed(&client, &[&task, &typed])).await?;
    check.step("be refused an unknown action", unknown_action(&client)).await?;
    check.step("be refused an unknown session", unknown_session(&client)).await?;
    let ours = [task, typed];
    for session in &ours {
        check.step("kill a session", async { Ok(client.kill_session(session).await?) }).await?;
    }
    check.step("see that nothing is left", nothing_left(&client, &ours)).await?;
    client.close().await;
    Ok(())
}

async fn connect(endpoint: &Endpoint) -> Step<Client> {
    match Client::connect(endpoint, CONNECT).await {
        Ok(client) if client.hello().is_some() => Ok(client),
        Ok(_) => Err(Trouble::new(
            "an agent that introduces itself",
            "an original agent's log-in",
            "check the address: this self-test is for cm-agent",
        )),
        Err(error) => Err(Trouble::new(
            "a running agent that accepts the log-in",
            error,
            "start the agent, or give its address with --url (and --token-file) or --socket",
        )),
    }
}

async fn agent_info(client: &Client) -> Step<()> {
    let info = client.agent_info().await?;
    if info.problems.is_empty() {
        return Ok(());
    }
    Err(Trouble::new("an agent without problems", info.problems.join("; "), "mend that first"))
}

async fn create(client: &Client, tool: &str, task: Option<&str>) -> Step<SessionId> {
    let session = CreateSession {
        tool: Some(tool.to_owned()),
        task: task.map(str::to_owned),
        timeout: Some(super::TOTAL.as_secs_f64()),
        ..CreateSession::default()
    };
    match client.create_session(session).await {
        Ok(made) => Ok(made.session_id),
        Err(error) => Err(Trouble::new("a session", error, "check tmux and the agent's runtime directory")),
    }
}

/// The next event of this session, as far as `pick` wants it.
async fn event<T>(
    client: &Client,
    events: &mut Events,
    session: &SessionId,
    expected: &str,
    pick: impl Fn(EventKind) -> Option<T>,
) -> Step<T> {
    let mut last = "no event of it".to_owned();
    loop {
        match events.next().await {
            Some(Incoming::Event(event)) if event.kind.session_id() == Some(session) => {
                last = format!("{:?}", event.kind);
                if let Some(found) = pick(event.kind) {
                    return Ok(found);
                }
            }
            // A busy agent: more was announced during the last command than is kept.
            Some(Incoming::Missed { .. }) => client.resume(events).await?,
            Some(_) => {}
            None => {
                let came = format!("the end of the connection, after {last}");
                return Err(Trouble::new(expected, came, "look at the agent's log: did it stop?"));
            }
        }
    }
}

async fn started(client: &Client, events: &mut Events, session: &SessionId) -> Step<()> {
    event(client, events, session, "an event that it started", |kind| match kind {
        EventKind::SessionAdded { .. } | EventKind::StateChange { .. } => Some(()),
        _ => None,
    })
    .await
}

async fn completed(
    client: &Client,
    events: &mut Events,
    session: &SessionId,
) -> Step<(State, Option<Outcome>)> {
    event(client, events, session, "session_completed", |kind| match kind {
        EventKind::SessionCompleted { state, outcome, .. } => Some((state, outcome)),
        _ => None,
    })
    .await
}

fn exited_with_0((state, outcome): (State, Option<Outcome>)) -> Step<()> {
    let code = outcome.as_ref().and_then(|outcome| outcome.exit_code);
    if state == State::Done && code == Some(0) {
        return Ok(());
    }
    let tail = outcome.map(|outcome| outcome.tail.join(" | ")).unwrap_or_default();
    let code = code.map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
    Err(Trouble::new("done, exit code 0", format!("{state}, {code}: {tail}"), "run the host's `sh` by hand"))
}

async fn transcript(client: &Client, session: &SessionId) -> Step<()> {
    let wanted = Transcript { session_id: session.clone(), from: Some(0), limit: Some(100) };
    let page = client.transcript(wanted).await?;
    contains(&page.lines.join("\n"), TASK_SAYS)
}

async fn ready(client: &Client, events: &mut Events, session: &SessionId) -> Step<()> {
    // Its events tell every change from now on; this tells the state it is in now.
    if client.get_session(session).await?.info.state == State::Idle {
        return Ok(());
    }
    event(client, events, session, "the state idle", |kind| match kind {
        EventKind::StateChange { state: State::Idle, .. } => Some(()),
        _ => None,
    })
    .await
}

async fn on_screen(events: &mut Events, session: &SessionId) -> Step<()> {
    let mut last = String::new();
    while let Some(incoming) = events.next().await {
        let Incoming::Screen(frame) = incoming else { continue };
        if frame.session_id == *session {
            last = frame.output;
            if last.contains(TYPED_SAYS) {
                return Ok(());
            }
        }
    }
    contains(&last, TYPED_SAYS)
}

async fn captured(client: &Client, session: &SessionId) -> Step<()> {
    contains(&client.capture_pane(session, 50).await?, TYPED_SAYS)
}

fn contains(text: &str, words: &str) -> Step<()> {
    if text.contains(words) {
        return Ok(());
    }
    let next = "attach to such a session with `tmux -S <socket> attach` and type it by hand";
    Err(Trouble::new(format!("{words:?} in its text"), format!("{text:?}"), next))
}

async fn listed(client: &Client, wanted: &[&SessionId]) -> Step<()> {
    let sessions = client.list_sessions().await?;
    match wanted.iter().find(|id| !sessions.iter().any(|session| session.session_id == ***id)) {
        None => Ok(()),
        Some(missing) => {
            let came = format!("{} sessions without it", sessions.len());
            Err(Trouble::new(format!("{missing} in the list"), came, "look at the agent's log"))
        }
    }
}

/// The error must be a refusal with this code and exactly these words.
fn refused<T>(result: Result<T, ClientError>, code: ErrorCode, words: &str) -> Step<()> {
    let expected = format!("the error {words:?} with the code {code:?}");
    let next = "update the agent: clients depend on these words";
    match result {
        Err(ClientError::Refused(refusal)) if refusal.code == code && refusal.error == words => Ok(()),
        Err(error) => Err(Trouble::new(expected, format!("{error} (code {:?})", error.code()), next)),
        Ok(_) => Err(Trouble::new(expected, "success", next)),
    }
}

async fn unknown_action(client: &Client) -> Step<()> {
    let answer = client.call_named("cm_selftest", Map::new()).await;
    refused(answer, ErrorCode::UnknownAction, "Unknown action: cm_selftest")
}

async fn unknown_session(client: &Client) -> Step<()> {
    let nobody = SessionId::from("cm-selftest-nobody");
    let answer = client.capture_pane(&nobody, 1).await;
    refused(answer, ErrorCode::NotFound, "Session not found: cm-selftest-nobody")
}

async fn nothing_left(client: &Client, ours: &[SessionId]) -> Step<()> {
    let left: Vec<String> = client
        .list_sessions()
        .await?
        .iter()
        .filter(|session| session.alive && ours.contains(&session.session_id))
        .map(|session| format!("{} ({})", session.session_id, session.state))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Trouble::new("none of its sessions alive", left.join(", "), "end them with kill_session"))
}
