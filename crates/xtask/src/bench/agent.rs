//! What is measured of the agent, one function a row or two.

use std::io::Write;
use std::time::{Duration, Instant};

use cm_client::{Client, ClientError, Incoming, Token};
use cm_protocol::{CreateSession, SessionId};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::measure::{Samples, cpu, rss};
use super::subject::{Running, Subject};
use super::{Row, flood};

/// Anything that keeps a benchmark from going on.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

const MINUTE: Duration = Duration::from_secs(60);

/// Everything, each part with an agent of its own.
pub async fn all(subject: &Subject) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for (name, part) in [("commands", 0), ("events", 1), ("creation", 2), ("quiet sessions", 3), ("flood", 4)]
    {
        println!("measuring {name} …");
        let agent = subject.start()?;
        let measured = match part {
            0 => commands(&agent).await,
            1 => events(&agent).await,
            2 => creation(&agent).await,
            3 => quiet(&agent).await,
            _ => flood::flood(&agent).await,
        };
        agent.end().await?;
        rows.extend(measured?);
    }
    Ok(rows)
}

/// A session that does nothing until it is ended.
pub fn sleeper() -> CreateSession {
    shell("exec sleep 3600")
}

/// A session of the shell tool.
pub fn shell(script: &str) -> CreateSession {
    CreateSession { tool: Some("shell".into()), task: Some(script.into()), ..CreateSession::default() }
}

async fn round_trips(client: &Client, session: &SessionId) -> Result<Samples, ClientError> {
    let mut samples = Samples::default();
    for n in 0..2000 {
        let start = Instant::now();
        // The commands that are used most, in turn.
        match n % 3 {
            0 => drop(client.capture_pane(session, 50).await?),
            1 => drop(client.list_sessions().await?),
            _ => drop(client.agent_info().await?),
        }
        samples.push(start.elapsed());
    }
    Ok(samples)
}

async fn commands(agent: &Running) -> Result<Vec<Row>, BenchError> {
    let unix = agent.unix().await?;
    let tcp = agent.tcp().await?;
    let session = unix.create_session(sleeper()).await?.session_id;
    let mut over_unix = round_trips(&unix, &session).await?;
    let mut over_tcp = round_trips(&tcp, &session).await?;
    let mut process = tmux_process(&unix, &session).await?;
    let mut pipe = Samples::default();
    for _ in 0..300 {
        let start = Instant::now();
        unix.capture_pane(&session, 50).await?;
        pipe.push(start.elapsed());
    }
    let goal = "≤ 0.5 / 3 ms";
    let good = |s: &mut Samples| s.quantile(0.5) <= 0.5 && s.quantile(0.99) <= 3.0;
    let ratio = process.quantile(0.5) / pipe.quantile(0.5);
    Ok(vec![
        Row {
            what: "command → reply, unix socket, p50 / p99".into(),
            good: good(&mut over_unix),
            measured: over_unix.words(),
            goal,
            original: "< 10 ms",
        },
        Row {
            what: "command → reply, TCP, p50 / p99".into(),
            good: good(&mut over_tcp),
            measured: over_tcp.words(),
            goal,
            original: "< 10 ms",
        },
        Row {
            what: "capture through the agent, against `tmux capture-pane` as a process, p50".into(),
            good: ratio >= 1.0,
            measured: format!(
                "{:.2} against {:.2} ms: {ratio:.0} × faster",
                pipe.quantile(0.5),
                process.quantile(0.5)
            ),
            goal: "",
            original: "a process each",
        },
    ])
}

async fn tmux_process(client: &Client, session: &SessionId) -> Result<Samples, BenchError> {
    let socket = client.get_session(session).await?.socket.unwrap_or_default();
    let mut samples = Samples::default();
    for _ in 0..100 {
        let start = Instant::now();
        let mut tmux = tokio::process::Command::new("tmux");
        tmux.args(["-S", &socket, "capture-pane", "-p", "-t", "=main:"]);
        if !tmux.output().await?.status.success() {
            return Err("tmux capture-pane failed".into());
        }
        samples.push(start.elapsed());
    }
    Ok(samples)
}

/// A pipe's other end prints what is written into it; how long until a watcher sees it?
async fn events(agent: &Running) -> Result<Vec<Row>, BenchError> {
    let pipe = agent.dir().join("pipe");
    let made = tokio::process::Command::new("mkfifo").arg(&pipe).status().await?;
    if !made.success() {
        return Err("mkfifo failed".into());
    }
    let client = agent.unix().await?;
    let session = client.create_session(shell(&format!("exec cat {}", pipe.display()))).await?.session_id;
    let mut events = client.events();
    client.watch_screen(&session).await?;
    let mut printer =
        tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(pipe)).await??;
    let mut samples = Samples::default();
    for n in 0..400_u64 {
        // Uneven pauses, so that no rhythm of the agent's is met by accident.
        tokio::time::sleep(Duration::from_millis(20 + n * 37 % 90)).await;
        let word = format!("word-{n}-");
        let start = Instant::now();
        printer.write_all(format!("{word}\n").as_bytes())?;
        let seen = tokio::time::timeout(MINUTE, async {
            while let Some(incoming) = events.next().await {
                if matches!(&incoming, Incoming::Screen(frame) if frame.output.contains(&word)) {
                    return true;
                }
            }
            false
        });
        if !seen.await? {
            return Err("the agent closed the connection".into());
        }
        samples.push(start.elapsed());
    }
    Ok(vec![Row {
        what: "byte printed → event at the client, p50 / p99".into(),
        good: samples.quantile(0.5) <= 30.0 && samples.quantile(0.99) <= 80.0,
        measured: samples.words(),
        goal: "≤ 30 / 80 ms",
        original: "< 100 ms promised, polled every 2 s",
    }])
}

async fn creation(agent: &Running) -> Result<Vec<Row>, BenchError> {
    let client = agent.unix().await?;
    let mut usable = Samples::default();
    for _ in 0..30 {
        let start = Instant::now();
        let interactive = CreateSession { tool: Some("sh".into()), ..CreateSession::default() };
        let session = client.create_session(interactive).await?.session_id;
        while client.capture_pane(&session, 5).await?.trim().is_empty() {}
        usable.push(start.elapsed());
        client.kill_session(&session).await?;
    }
    const MANY: usize = 200;
    let start = Instant::now();
    let client = client.with_timeout(MINUTE);
    let mut creating: FuturesUnordered<_> = (0..MANY).map(|_| client.create_session(sleeper())).collect();
    let mut failed = 0;
    while let Some(created) = creating.next().await {
        failed += usize::from(created.is_err());
    }
    let took = start.elapsed().as_secs_f64();
    let alive = client.list_sessions().await?.iter().filter(|s| s.alive).count();
    Ok(vec![
        Row {
            what: "create_session → prompt usable, p50 / p99".into(),
            good: usable.quantile(0.5) <= 60.0,
            measured: usable.words(),
            goal: "≤ 60 ms",
            original: "≥ 3.1 s",
        },
        Row {
            what: "200 sessions as fast as possible".into(),
            good: alive == MANY && failed == 0,
            measured: format!("{alive} alive, {failed} refused, {:.0} in a second", MANY as f64 / took),
            goal: "all alive, none lost",
            original: "ids collide within one second",
        },
    ])
}

async fn quiet(agent: &Running) -> Result<Vec<Row>, BenchError> {
    const SESSIONS: u64 = 100;
    // Long enough for the pings, which come every half minute.
    const WATCHED: Duration = Duration::from_secs(65);
    let client = agent.unix().await?;
    let empty = rss(agent.pid());
    for _ in 0..SESSIONS {
        client.create_session(sleeper()).await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let full = rss(agent.pid());
    let traffic = tokio::spawn(count_traffic(agent.socket(), WATCHED));
    let before = cpu(agent.pid());
    tokio::time::sleep(WATCHED).await;
    let used = (cpu(agent.pid()) - before).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    let bytes = traffic.await?? as f64 / WATCHED.as_secs_f64();
    let each = full.saturating_sub(empty) as f64 / SESSIONS as f64 / 1024.0;
    Ok(vec![
        Row {
            what: "idle, 100 quiet sessions: processor time of the agent".into(),
            good: used < 0.5,
            measured: format!("{used:.2} % of a core"),
            goal: "< 0.5 %",
            original: "",
        },
        Row {
            what: "idle, 100 quiet sessions: traffic for a client".into(),
            good: bytes <= 30.0,
            measured: format!("{bytes:.1} B/s"),
            goal: "≤ 30 B/s",
            original: "about 1 KB/s",
        },
        Row {
            what: "agent's memory, empty".into(),
            good: empty <= 12 << 20,
            measured: format!("{:.1} MB", empty as f64 / 1e6),
            goal: "≤ 12 MB",
            original: "",
        },
        Row {
            what: "agent's memory, per session (without tmux)".into(),
            good: each <= 150.0,
            measured: format!("{each:.0} KB"),
            goal: "≤ 150 KB",
            original: "",
        },
    ])
}

/// Bytes both ways on a subscribed connection, after the log-in, counted by a relay in between.
async fn count_traffic(socket: std::path::PathBuf, time: Duration) -> Result<u64, BenchError> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let relay = tokio::spawn(async move {
        let agent = tokio::net::UnixStream::connect(socket).await?;
        let (mut from_agent, mut to_agent) = agent.into_split();
        let (mut from_client, mut to_client) = tokio::io::split(far);
        let settled = Instant::now() + Duration::from_millis(500);
        let mut counted = 0_u64;
        let (mut there, mut back) = ([0; 4096], [0; 4096]);
        let end = tokio::time::sleep(time - Duration::from_secs(1));
        tokio::pin!(end);
        loop {
            let n = tokio::select! {
                () = &mut end => return Ok::<u64, std::io::Error>(counted),
                n = from_agent.read(&mut there) => {
                    let n = n?;
                    to_client.write_all(&there[..n]).await?;
                    n
                }
                n = from_client.read(&mut back) => {
                    let n = n?;
                    to_agent.write_all(&back[..n]).await?;
                    n
                }
            };
            if Instant::now() > settled {
                counted += n as u64;
            }
        }
    });
    let client = Client::over(near, &Token::default(), MINUTE).await?;
    client.subscribe(None).await?;
    let counted = relay.await??;
    client.close().await;
    Ok(counted)
}
