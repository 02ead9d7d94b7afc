//! A real tool in a scratch home, beside a git repository to work in and a model to talk to.

use std::path::PathBuf;
use std::process::Command;

use cm_protocol::{CreateSession, PolicyChoice};
use cm_testkit::homes::{self, Login, Spec, Tool, ToolHome, Trusted};
use cm_testkit::model::ModelServer;
use cm_testkit::tools::Tools;

use super::stage::{Stage, request};
use super::support::Agent;

/// Runs scenarios with tools, each as a test of its own: `each! { scenario: Claude, Codex; … }`.
macro_rules! each {
    ($($scenario:ident: $($tool:ident),+;)+) => { $(
        mod $scenario {
            $( crate::room::each!(@ $scenario $tool); )+
        }
    )+ };
    (@ $scenario:ident Claude) => { crate::room::each!(= $scenario claude Claude); };
    (@ $scenario:ident Codex) => { crate::room::each!(= $scenario codex Codex); };
    (@ $scenario:ident Claude197) => { #[cfg(feature = "all-tools")] crate::room::each!(= $scenario claude_197 Claude197); };
    (@ $scenario:ident Gemini) => { #[cfg(feature = "all-tools")] crate::room::each!(= $scenario gemini Gemini); };
    (@ $scenario:ident OpenCode) => { #[cfg(feature = "all-tools")] crate::room::each!(= $scenario opencode OpenCode); };
    (@ $scenario:ident Aider) => { #[cfg(feature = "all-tools")] crate::room::each!(= $scenario aider Aider); };
    (= $scenario:ident $name:ident $tool:ident) => {
        #[tokio::test]
        async fn $name() {
            super::$scenario(cm_testkit::homes::Tool::$tool).await;
        }
    };
}
pub(crate) use each;

/// Scenarios whose commands leave the sandbox where a tool has one: in it they run without a word, and leave
/// nothing.
const SCENARIOS: &str = r#"
[command]
about = "Runs a command that leaves made_by_command.txt."
[[command.step]]
say = "I will run a command."
calls = [{ bash = { command = "touch made_by_command.txt && echo command-ran", escalate = true } }]
[[command.step]]
say = "The command has run."

[flaky_command]
about = "The same, and then overloaded twice before the end."
[[flaky_command.step]]
calls = [{ bash = { command = "touch made_by_command.txt", escalate = true } }]
[[flaky_command.step]]
error = { status = 529, times = 2 }
say = "Recovered."

[held_command]
about = "Holds at `before`, runs the command, holds at `after`."
[[held_command.step]]
gate = "before"
say = "Now the command."
calls = [{ bash = { command = "touch made_by_command.txt", escalate = true } }]
[[held_command.step]]
gate = "after"
say = "The command has run."

[twice]
about = "Asks about two commands, one after the other."
[[twice.step]]
calls = [{ bash = { command = "touch first.txt", escalate = true } }]
[[twice.step]]
calls = [{ bash = { command = "touch second.txt", escalate = true } }]
[[twice.step]]
say = "Both asked."

[lasting]
about = "A command that goes on."
[[lasting.step]]
calls = [{ bash = { command = "touch started.txt && sleep 60", escalate = true } }]
[[lasting.step]]
say = "It has ended."

[several]
about = "Lets several be chosen."
[[several.step]]
calls = [{ question = { header = "Tests", text = "Which parts should be covered by tests?", options = ["Prices", "Stock", "Login"], many = true } }]
[[several.step]]
say = "Thank you for the answers."

[mend]
about = "Forgets something, and does it when it is told."
[[mend.step]]
say = "All of it is done."
[[mend.step]]
calls = [{ bash = { command = "touch mended.txt", escalate = true } }]
[[mend.step]]
say = "Now all of it is done."

[sandboxed]
about = "Learns from its sandbox that a command needs leave, as models do, and asks for it."
[[sandboxed.step]]
calls = [{ bash = { command = "touch made_by_command.txt" } }]
[[sandboxed.step]]
calls = [{ bash = { command = "touch made_by_command.txt", escalate = true } }]
[[sandboxed.step]]
say = "The command has run."

[every]
about = "Writes, then tests."
[[every.step]]
first_byte_ms = 700
calls = [{ write = { path = "made.txt", content = "alpha\n" } }]
[[every.step]]
first_byte_ms = 700
calls = [{ bash = { command = "sh ./run_tests.sh" } }]
[[every.step]]
first_byte_ms = 700
say = "All of it is done."
"#;

/// A tool, where it works, and who it talks to.
pub struct Room {
    pub tool: Tool,
    pub model: ModelServer,
    pub home: ToolHome,
    dir: tempfile::TempDir,
}

impl Room {
    /// It is logged in and trusts the project.
    pub fn new(tool: Tool) -> Self {
        Self::with(tool, Trusted::Yes, Login::Yes)
    }

    pub fn with(tool: Tool, trusted: Trusted, login: Login) -> Self {
        // Short, for the agent's own directories stand beside it.
        let dir = tempfile::Builder::new().prefix("cmr-").tempdir_in("/tmp").expect("a directory");
        let project = dir.path().join("project");
        std::fs::create_dir(&project).expect("a project");
        let model = ModelServer::start().expect("a model");
        model.add(SCENARIOS).expect("scenarios");
        let url = model.url();
        let spec = Spec { tool, dir: dir.path(), project: &project, url: &url, trusted, login };
        let home = homes::make(&Tools::usual(), &spec).unwrap_or_else(|error| panic!("{error}"));
        let room = Self { tool, model, home, dir };
        room.git(&["init", "-q", "-b", "main"]);
        room.git(&["commit", "-q", "--allow-empty", "-m", "begin"]);
        room
    }

    /// Runs git in the project; what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
            .args(args)
            .current_dir(&self.home.project)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A file in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.project.join(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// What the agent calls it.
    pub fn name(&self) -> &'static str {
        match self.tool {
            Tool::Claude197 => "claude",
            tool => tool.name(),
        }
    }

    /// A session whose model plays a scenario; without one it has no task.
    pub fn request(&self, scenario: &str, policy: Option<PolicyChoice>) -> CreateSession {
        let task = if scenario.is_empty() { String::new() } else { prompt(scenario) };
        let mut env = self.home.env.clone();
        let programs = self.home.program.parent().expect("a directory").display();
        let path = std::env::var("PATH").unwrap_or_default();
        env.insert("PATH".to_owned(), format!("{programs}:{path}"));
        let args = self.home.args.clone();
        CreateSession { env, args, policy, ..request(self.name(), &task, &self.home.project) }
    }

    /// An agent of its own, without a session.
    pub async fn agent(&self) -> Agent {
        let home = self.home.home.display().to_string();
        Agent::with_env(&[], &[("HOME", &home), ("XDG_CONFIG_HOME", &format!("{home}/.config"))]).await
    }

    /// A session in an agent of its own.
    pub async fn open(&self, scenario: &str, policy: Option<PolicyChoice>) -> Stage {
        Stage::open(self.agent().await, self.request(scenario, policy)).await
    }

    /// What came of the tool calls the model has made, in the order of its turns.
    pub fn results(&self) -> Vec<String> {
        let turns = self.model.turns();
        let results = turns.iter().filter_map(|turn| turn.played.as_ref()).flat_map(|turn| &turn.results);
        results.map(|result| format!("{result:?}")).collect()
    }

    /// Somewhere outside of the project.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// What a person writes to have a scenario played.
pub fn prompt(scenario: &str) -> String {
    format!("Please do what is to be done here. SCENARIO:{scenario}")
}
