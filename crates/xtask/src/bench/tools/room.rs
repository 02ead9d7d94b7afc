//! A real tool in a scratch home beside a model, and sessions of it that are followed to their end.

use std::path::Path;
use std::time::{Duration, Instant};

use cm_client::Client;
use cm_protocol::{Context, CreateSession, PolicyChoice, SessionId, Size, State};
use cm_testkit::homes::{self, Login, Spec, Tool, ToolHome, Trusted};
use cm_testkit::model::{ModelServer, Options, parse};
use cm_testkit::tools::Tools;

use crate::bench::agent::BenchError;

/// What no task may take longer than.
const PATIENCE: Duration = Duration::from_secs(90);
/// Twenty-five seconds of steady text.
const STREAM: &str = "[stream]\nabout = \"Steady text for longer than is measured.\"\n[[stream.step]]\n\
    say = \"Reading the code, comparing two ways and writing down why one of them is better than the other. \"\n\
    repeat = 32\npiece_ms = 45\n";

/// A tool, where it works, and who it talks to.
pub struct Room {
    tool: Tool,
    home: ToolHome,
    /// It ends with the room.
    _model: ModelServer,
}

impl Room {
    /// Makes one in a directory of its own.
    pub fn new(tool: Tool, tools: &Tools, dir: &Path) -> Result<Self, BenchError> {
        let dir = dir.join(tool.name());
        let project = dir.join("project");
        std::fs::create_dir_all(&project)?;
        let mut scenarios = cm_testkit::model::builtin()?;
        scenarios.extend(parse("stream.toml", STREAM)?);
        let model = ModelServer::start_with(Options { scenarios, ..Options::default() })?;
        let url = model.url();
        let spec =
            Spec { tool, dir: &dir, project: &project, url: &url, trusted: Trusted::Yes, login: Login::Yes };
        let home = homes::make(tools, &spec)?;
        Ok(Self { tool, home, _model: model })
    }

    /// Where it works.
    pub fn project(&self) -> &Path {
        &self.home.project
    }

    /// A session whose model plays a scenario; without one it has no task.
    pub async fn begin(&self, client: &Client, scenario: &str) -> Result<SessionId, BenchError> {
        // What one task leaves must not help the next.
        std::fs::write(self.home.project.join("made.txt"), "alpha\nbeta\ngamma\n")?;
        if scenario == "write" {
            std::fs::remove_file(self.home.project.join("made.txt"))?;
        }
        let task = format!("Please do what is to be done here. SCENARIO:{scenario}");
        let mut env = self.home.env.clone();
        let programs = self.home.program.parent().unwrap_or(Path::new("/"));
        let path = std::env::var("PATH").unwrap_or_default();
        env.insert("PATH".to_owned(), format!("{}:{path}", programs.display()));
        let request = CreateSession {
            tool: Some(self.tool.name().to_owned()),
            task: Some(task).filter(|_| !scenario.is_empty()),
            context: Some(Context {
                path: Some(self.home.project.display().to_string()),
                ..Context::default()
            }),
            size: Some(Size { cols: 120, rows: 40 }),
            env,
            args: self.home.args.clone(),
            policy: Some(PolicyChoice::Name("trusting".into())),
            ..CreateSession::default()
        };
        Ok(client.create_session(request).await?.session_id)
    }
}

/// Waits for a state. An error: it does not come.
pub async fn until(client: &Client, id: &SessionId, wanted: &[State]) -> Result<State, BenchError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let info = client.get_session(id).await?.info;
        if wanted.contains(&info.state) {
            return Ok(info.state);
        }
        if Instant::now() > deadline {
            return Err(format!("{id}: waited for {wanted:?}, and it is {}", info.state).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
