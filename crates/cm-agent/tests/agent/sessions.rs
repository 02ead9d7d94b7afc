//! What a session can be given and told: environment, size, limits of time, pause, watching, reports.

use cm_client::Incoming;
use cm_protocol::{
    CreateSession, EventKind, KeysObserved, OnDone, Outcome, SendKeys, SessionId, Size, State, Transcript,
};

use super::support::{Agent, is_alive, shell, shows, until};

async fn outcome(client: &cm_client::Client, id: &SessionId) -> Outcome {
    until("the task ends", async || client.get_session(id).await.expect("there").info.outcome).await
}

async fn state(client: &cm_client::Client, id: &SessionId, wanted: State) {
    until(&format!("{wanted}"), async || {
        (client.get_session(id).await.expect("there").info.state == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn results_tell_code_signal_duration_and_last_lines() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("seq 1 30; exit 9")).await.expect("made").session_id;
    let result = outcome(&client, &id).await;
    assert_eq!((result.state, result.exit_code, result.signal), (State::Failed, Some(9), None));
    assert_eq!(result.tail.len(), 20);
    assert_eq!(result.tail.last().map(String::as_str), Some("30"));
    assert!(result.duration >= 0.0 && result.duration < 30.0);
    let id = client.create_session(shell("kill -TERM $$")).await.expect("made").session_id;
    assert_eq!(outcome(&client, &id).await.signal.as_deref(), Some("SIGTERM"));
}

#[tokio::test]
async fn the_environment_is_clean_but_for_what_was_given() {
    let agent =
        Agent::with_env(&[], &[("SECRET_OF_THE_AGENT", "x"), ("TMUX", "/x,1,1"), ("LC_ALL", "C")]).await;
    let client = agent.client().await;
    let mut request = shell("env; locale charmap; pwd");
    request.env = [("GIVEN".to_owned(), "multi\nline 'x' $y".to_owned())].into();
    request.size = Some(Size { cols: 100, rows: 30 });
    let id = client.create_session(request).await.expect("made").session_id;
    outcome(&client, &id).await;
    let output = client.capture_pane(&id, 500).await.expect("read");
    assert!(output.contains("GIVEN=multi\nline 'x' $y\n"), "{output}");
    assert!(output.contains(&format!("CM_SESSION_ID={id}\n")), "{output}");
    assert!(output.contains("UTF-8"), "{output}");
    for absent in ["SECRET_OF_THE_AGENT", "/x,1,1", "CM_AGENT_TOKEN"] {
        assert!(!output.contains(absent), "{absent} in {output}");
    }
    let detail = client.get_session(&id).await.expect("there");
    assert_eq!(detail.env_names, ["GIVEN"]);
    assert_eq!(detail.size, Size { cols: 100, rows: 30 });
}

#[tokio::test]
async fn secrets_stand_in_no_argument_and_no_file() {
    const SECRET: &str = "poison-5b1f0c";
    let agent = Agent::start().await;
    let client = agent.client().await;
    let mut request = shell("sleep 600");
    request.env = [("API_KEY".to_owned(), SECRET.to_owned())].into();
    client.create_session(request).await.expect("made");
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(SECRET), "{:?}", entry.path());
    }
    let mut places = vec![agent.dir.path().to_path_buf()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).expect("readable").flatten() {
            match entry.file_type().expect("known") {
                kind if kind.is_dir() => places.push(entry.path()),
                kind if kind.is_file() => {
                    let text = std::fs::read(entry.path()).expect("readable");
                    assert!(!String::from_utf8_lossy(&text).contains(SECRET), "{:?}", entry.path());
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_ended_with_all_its_processes() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let mut request = shell("setsid sleep 601 & sleep 602");
    request.timeout = Some(0.3);
    let id = client.create_session(request).await.expect("made").session_id;
    let pid = client.get_session(&id).await.expect("there").pid.expect("a pid");
    let result = outcome(&client, &id).await;
    assert_eq!(result.state, State::Failed);
    assert!(result.reason.expect("a reason").contains("timed out"));
    until("its processes are gone", async || (!is_alive(pid) && marked(&id) == 0).then_some(())).await;
}

/// Living processes that belong to a session.
fn marked(id: &SessionId) -> usize {
    let mark = format!("CM_SESSION_ID={id}");
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    entries
        .filter(|e| {
            let environ = std::fs::read(e.path().join("environ")).unwrap_or_default();
            environ.split(|&b| b == 0).any(|v| v == mark.as_bytes())
        })
        .count()
}

#[tokio::test]
async fn killing_ends_the_whole_tree_and_leaves_nothing() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let script = "trap '' HUP TERM; (setsid sleep 603 &) ; nohup sleep 604 & sleep 605; sleep 606";
    let id = client.create_session(shell(script)).await.expect("made").session_id;
    until("all run", async || (marked(&id) >= 4).then_some(())).await;
    client.kill_session(&id).await.expect("killed");
    assert_eq!(marked(&id), 0);
    assert!(agent.terminals().is_empty());
    assert!(!agent.dir.path().join("run").join(id.as_str()).exists());
    let detail = client.get_session(&id).await.expect("remembered");
    assert_eq!((detail.info.state, detail.info.alive, detail.socket), (State::Killed, false, None));
    client.kill_session(&id).await.expect("killing twice is no error");
}

#[tokio::test]
async fn pausing_stops_the_processes_and_the_clock() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let count = agent.dir.path().join("count");
    let script = format!("i=0; while :; do i=$((i+1)); echo $i > {}; sleep 0.01; done", count.display());
    let mut request = shell(&script);
    request.timeout = Some(3600.0);
    let id = client.create_session(request).await.expect("made").session_id;
    let read = || std::fs::read_to_string(&count).unwrap_or_default();
    until("it counts", async || (!read().is_empty()).then_some(())).await;
    assert!(client.pause_session(&id).await.expect("paused"), "a script stands still");
    assert_eq!(client.get_session(&id).await.expect("there").info.state, State::Paused);
    let pid = client.get_session(&id).await.expect("there").pid.expect("a pid");
    // The program below the one that holds the terminal.
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it exists");
    let script = children.split_whitespace().next().expect("a child");
    let stat = std::fs::read_to_string(format!("/proc/{script}/stat")).expect("it exists");
    // `D`: it waits between vfork and the exec of its stopped child.
    assert!(stat.rsplit(')').next().is_some_and(|s| s.trim_start().starts_with(['T', 'D'])), "{stat}");
    assert!(client.send_line(&id, "x").await.is_err(), "nothing is typed into a paused session");
    let stood = read();
    client.resume_session(&id).await.expect("resumed");
    until("it counts on", async || (read() != stood).then_some(())).await;
    state(&client, &id, State::Running).await;
}

#[tokio::test]
async fn a_watcher_sees_each_change_and_then_the_end() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("echo one; read x; echo two")).await.expect("made").session_id;
    let mut events = client.events();
    client.watch_screen(&id).await.expect("watched");
    let mut frame = async |text: &str| loop {
        if let Some(Incoming::Screen(frame)) = events.next().await
            && frame.output.contains(text)
        {
            return frame;
        }
    };
    let first = frame("one").await;
    assert_eq!((first.cols, first.rows, first.lines, first.end), (120, 40, 1, false));
    client.send_line(&id, "").await.expect("typed");
    let second = frame("two").await;
    assert!(second.revision > first.revision);
    client.unwatch_screen(&id).await.expect("unwatched");
}

#[tokio::test]
async fn transcripts_are_read_by_number_while_it_runs_and_after() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let wide = "w".repeat(300);
    let script = format!("seq 1 100; echo {wide}; read x; echo last");
    let mut request = shell(&script);
    request.on_done = Some(OnDone::Close);
    let id = client.create_session(request).await.expect("made").session_id;
    shows(&client, &id, &wide).await;
    let (mut next, mut lines, mut typed) = (0, Vec::new(), false);
    loop {
        let wanted = Transcript { session_id: id.clone(), from: Some(next), limit: Some(7) };
        let page = client.transcript(wanted).await.expect("read");
        assert!(!page.gap && page.from == next, "{page:?}");
        next = page.next;
        let empty = page.lines.is_empty();
        lines.extend(page.lines);
        if page.end {
            break;
        }
        if empty && !typed {
            typed = true;
            client.send_line(&id, "").await.expect("typed");
        }
    }
    let mut expected: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    expected.extend([wide, String::new(), "last".into()]);
    assert_eq!(lines, expected, "wrapped lines are whole, nothing is missing or doubled");
    until("it is closed when done", async || agent.terminals().is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_interactive_tool_gets_its_task_typed_and_finishes_at_its_prompt() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let request = CreateSession {
        tool: Some("sh".into()),
        task: Some("echo $((40+2))".into()),
        env: [("PS1".to_owned(), "ready> ".to_owned())].into(),
        ..CreateSession::default()
    };
    let id = client.create_session(request).await.expect("made").session_id;
    let result = outcome(&client, &id).await;
    assert_eq!((result.state, result.exit_code), (State::Done, None));
    assert!(result.tail.contains(&"42".to_owned()), "{:?}", result.tail);
    assert!(client.get_session(&id).await.expect("there").info.alive, "the tool stays");
    let mut events = client.follow(None).await.expect("followed");
    assert_eq!(client.send_line(&id, "echo again").await.expect("typed"), Some(KeysObserved::Submitted));
    loop {
        let Some(Incoming::Event(event)) = events.next().await else { panic!("closed") };
        if let EventKind::SessionCompleted { state, .. } = event.kind {
            assert_eq!(state, State::Done, "the next round ends, too");
            break;
        }
    }
}

#[tokio::test]
async fn a_question_is_told_and_answered() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let script = r#"printf 'Proceed? [y/N] '; read a; [ "$a" = y ] && echo going"#;
    let id = client.create_session(shell(script)).await.expect("made").session_id;
    state(&client, &id, State::Waiting).await;
    let info = client.get_session(&id).await.expect("there").info;
    assert!(info.prompt.expect("the question").text.contains("Proceed? [y/N]"));
    client.send_line(&id, "y").await.expect("typed");
    assert_eq!(outcome(&client, &id).await.state, State::Done);
}

#[tokio::test]
async fn reports_from_inside_are_believed() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let binary = env!("CARGO_BIN_EXE_cm-agent");
    let script = format!("{binary} report waiting which colour; read x; {binary} report working; read y");
    let id = client.create_session(shell(&script)).await.expect("made").session_id;
    state(&client, &id, State::Waiting).await;
    let info = client.get_session(&id).await.expect("there").info;
    assert_eq!(info.prompt.map(|p| p.text).as_deref(), Some("which colour"));
    client.send_line(&id, "").await.expect("typed");
    state(&client, &id, State::Running).await;
}

#[tokio::test]
async fn named_keys_reach_the_program() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("echo up; sleep 600")).await.expect("made").session_id;
    shows(&client, &id, "up").await;
    let keys = SendKeys { session_id: id.clone(), named: vec!["C-c".into()], ..SendKeys::default() };
    client.send_keys(keys).await.expect("pressed");
    assert_eq!(outcome(&client, &id).await.signal.as_deref(), Some("SIGINT"));
}

#[tokio::test]
async fn the_last_words_of_a_program_that_ends_at_once_are_kept() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    for round in 0..10 {
        let id = client.create_session(shell("seq 1 20000; exit 3")).await.expect("made").session_id;
        let result = outcome(&client, &id).await;
        assert_eq!(result.exit_code, Some(3), "round {round}");
        assert_eq!(result.tail.last().map(String::as_str), Some("20000"), "round {round}");
        client.kill_session(&id).await.expect("killed");
    }
}

#[tokio::test]
async fn lines_that_left_the_history_unread_are_a_gap_and_never_miscounted() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("seq 1 120000; echo end; read x")).await.expect("made").session_id;
    let (mut next, mut last, mut gaps) = (0, 0_u64, 0);
    'reading: loop {
        let wanted = Transcript { session_id: id.clone(), from: Some(next), limit: Some(5000) };
        let page = client.transcript(wanted).await.expect("read");
        gaps += usize::from(page.gap);
        for line in &page.lines {
            if line == "end" {
                break 'reading;
            }
            let number: u64 = line.parse().expect("a number");
            assert!(number == last + 1 || (page.gap && number > last), "{number} after {last}: {page:?}");
            last = number;
        }
        next = page.next;
    }
    assert_eq!(last, 120_000);
    // More were printed than are kept; whoever read slowly enough to miss some was told.
    assert!(gaps <= 24, "{gaps}");
}
