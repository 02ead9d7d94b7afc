//! The scripted tool as the agent starts it: a profile of the user's own, a program, its screens and its log.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cm_protocol::{CreateSession, PolicyChoice};
use cm_testkit::scripted::{self, Entry, keys_of};

use super::stage::{Stage, request};
use super::support::{Agent, until};

/// Names the tool's directory, in a test binary that was started as the tool.
const PLAYS: &str = "CM_TEST_PLAYS";

/// A line that ends the transcript, or frames the box.
pub const RULE: &str = "────────────────────────────────────────────────────────────";

/// The box of [`boxed`], showing what is typed.
pub const ECHO: &str = "echo = { at = [2, 7] }";

/// A script, a home with the tool's profile, and a project to work in.
pub struct Scripted {
    dir: tempfile::TempDir,
    profile: String,
}

impl Scripted {
    /// With these frames.
    pub fn new(frames: &[String]) -> Self {
        // Short, for the agent's own directories stand beside it.
        let dir = tempfile::Builder::new().prefix("cms-").tempdir_in("/tmp").expect("a directory");
        for name in ["home/.config/cm-agent/tools", "project"] {
            std::fs::create_dir_all(dir.path().join(name)).expect("made");
        }
        let script = format!("about = \"a test\"\n{}", frames.concat());
        let file = dir.path().join("script.toml");
        std::fs::write(&file, &script).expect("written");
        scripted::load(&file).unwrap_or_else(|error| panic!("{error}\n{script}"));
        let program = dir.path().join("scripted-tool");
        let text = format!(
            "#!/bin/sh\n{PLAYS}={dir} exec {exe} --exact program::is_the_tool --nocapture --test-threads=1\n",
            dir = dir.path().display(),
            exe = std::env::current_exe().expect("this binary").display(),
        );
        std::fs::write(&program, text).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
        let profile = PROFILE.replace("PROGRAM", &program.display().to_string());
        Self { dir, profile }
    }

    /// It says its status through its terminal.
    pub fn speaking(mut self) -> Self {
        self.profile.insert_str(0, "status = \"osc7501\"\n");
        self
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A file in the directory it works in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("project").join(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Where profiles of the user's own are.
    pub fn profiles(&self) -> PathBuf {
        self.home().join(".config/cm-agent/tools")
    }

    /// Starts an agent that knows it, without a session.
    pub async fn agent(&self) -> Agent {
        std::fs::write(self.profiles().join("scripted.toml"), &self.profile).expect("written");
        let home = self.home().display().to_string();
        let config = self.home().join(".config").display().to_string();
        Agent::with_env(&[], &[("HOME", &home), ("XDG_CONFIG_HOME", &config)]).await
    }

    /// A session of it with this task.
    pub fn request(&self, task: &str, policy: Option<PolicyChoice>) -> CreateSession {
        CreateSession { policy, ..request("scripted", task, &self.dir.path().join("project")) }
    }

    /// A session of it in an agent of its own.
    pub async fn open(&self, task: &str, policy: Option<PolicyChoice>) -> Stage {
        Stage::open(self.agent().await, self.request(task, policy)).await
    }

    /// What it did and read so far.
    pub fn log(&self) -> Vec<Entry> {
        scripted::read(&self.dir.path().join("log")).expect("a log")
    }

    /// The keys that arrived while this frame stood; all of them, if it is empty.
    pub fn keys(&self, frame: &str) -> Vec<String> {
        keys_of(&self.log(), frame)
    }

    /// Waits until a frame stands.
    pub async fn at(&self, frame: &str) {
        until(&format!("the frame {frame}"), async || self.stood(frame).map(|_| ())).await;
    }

    /// When a frame stood first, in microseconds since 1970.
    pub fn stood(&self, frame: &str) -> Option<u64> {
        self.log().iter().find_map(|entry| match entry {
            Entry::Frame { t, name } if name == frame => Some(*t),
            _ => None,
        })
    }

    /// When the first key arrived while a frame stood.
    pub fn pressed(&self, wanted: &str) -> Option<u64> {
        self.log().iter().find_map(|entry| match entry {
            Entry::Key { t, frame, .. } if frame == wanted => Some(*t),
            _ => None,
        })
    }

    /// Lets the tool go on where it waits for this file.
    pub fn release(&self, name: &str) {
        std::fs::write(self.path(name), "").expect("written");
    }
}

/// A frame. `more`: whatever else it has.
///
/// As tools do, it shows the cursor where one types, and nowhere else.
pub fn frame(name: &str, text: &str, more: &str) -> String {
    let types = more.contains("echo =") || more.contains("cursor =");
    format!("[[frame]]\nname = \"{name}\"\ncursor_visible = {types}\n{more}\ntext = '''\n{text}'''\n")
}

/// The same frame with another name.
pub fn renamed(frame: &str, name: &str) -> String {
    let (head, rest) = frame.split_once("name = \"").expect("it has a name");
    let (_, rest) = rest.split_once('"').expect("it ends");
    format!("{head}name = \"{name}\"{rest}")
}

/// The same frame, said with this status.
pub fn said(frame: &str, status: &str) -> String {
    frame.replacen("[[frame]]", &format!("[[frame]]\nstatus = '{status}'"), 1)
}

/// Its screen with the input box: at most six lines above, and what stands in the box.
pub fn boxed(above: &str, text: &str) -> String {
    let mut lines: Vec<&str> = above.lines().collect();
    assert!(lines.len() <= 6, "{above}");
    lines.resize(6, "");
    format!("{}\n{RULE}\n❯ {text}\n{RULE}\n  ? for shortcuts\n", lines.join("\n"))
}

/// Its screen with a dialog about a command in the box's place.
pub fn asks(command: &str, options: &str) -> String {
    let options: String = options.lines().map(|line| format!(" {}\n", line.trim_end())).collect();
    format!(
        "❯ do it\n\n{RULE}\n Bash command\n\n   {command}\n\n Do you want to proceed?\n{options}\n Esc to cancel\n"
    )
}

/// Ready for a task.
pub fn idle() -> String {
    let then = "then = [{ line = '', touch = 'task.txt', goto = 'working' }]";
    frame("idle", &boxed(" scripted tool 1.0", ""), &format!("{ECHO}\n{then}"))
}

/// At work until `then` leads on.
pub fn working(then: &str) -> String {
    let spin = "spin = { at = [0, 2], every_ms = 100, texts = ['✻ Working… ({s}s · esc to interrupt)', '✽ Working… ({s}s · esc to interrupt)'] }";
    let screen = boxed("❯ do it\n\n✻ Working… (0s · esc to interrupt)", "");
    frame("working", &screen, &format!("{spin}\n{ECHO}\nthen = [{then}]"))
}

/// The turn is over.
pub fn done() -> String {
    frame("done", &boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s", ""), ECHO)
}

/// The options that most of its dialogs have.
pub const OPTIONS: &str = "❯ 1. Yes\n  2. Yes, and don't ask again\n  3. No";

/// Leads on from a dialog with [`OPTIONS`].
pub const ANSWERS: &str = "then = [{ on = 'Enter', touch = 'yes.txt', goto = 'done' }, { on = 'Down', goto = 'second' }, { on = 'Escape', goto = 'idle' }]";

/// The same dialog with the highlight on the second and the third option.
pub fn lower(command: &str) -> [String; 2] {
    [
        frame(
            "second",
            &asks(command, "  1. Yes\n❯ 2. Yes, and don't ask again\n  3. No"),
            "then = [{ on = 'Enter', touch = 'always.txt', goto = 'done' }, { on = 'Down', goto = 'third' }]",
        ),
        frame(
            "third",
            &asks(command, "  1. Yes\n  2. Yes, and don't ask again\n❯ 3. No"),
            "then = [{ on = 'Enter', touch = 'no.txt', goto = 'done' }]",
        ),
    ]
}

/// A whole tool: a box, work, a question about `touch made.txt`, done. `work`: what leads on from its work.
pub fn whole(work: &str) -> Vec<String> {
    let ask = frame("ask", &asks("touch made.txt", OPTIONS), ANSWERS);
    let [second, third] = lower("touch made.txt");
    vec![idle(), working(work), ask, second, third, done()]
}

/// What the agent is told of it.
const PROFILE: &str = r#"
name = "scripted"
version = 1
program = "PROGRAM"
authority = "screen"
terminal_prompts = false

[launch]
task = "typed"
pass_env = ["HOME", "PATH", "LANG", "LC_*", "TMPDIR"]

[ready]
quiet = "200ms"
animated = "600ms"
silent = "20s"

[done]
quiet = "1s"
animated = "2s"
report = "500ms"

[asking]
quiet = "60ms"
answered = "5s"

[keys]
interrupt = ["Escape"]
refuse = ["Escape"]

[box]
marks = ["❯"]
shape = "rules"
framed_dialogs = true

[transcript]
sent = '^❯ \S'
piece = '^● '

[working]
line = ['^[✻✽] Working…']

[turn]
done = ['^✻ Baked for ']

[[trouble]]
cause = "interrupted"
pattern = '^● Interrupted'

[[trouble]]
cause = "rate_limited"
pattern = '^● Limit reached'

[[trouble]]
cause = "api_error"
pattern = '^● API Error'

[[dialog]]
name = "command"
kind = "command"
pattern = '(?i)^bash command'
footer = '^Esc to cancel'

[[dialog]]
name = "trust"
kind = "trust"
pattern = '(?i)trust this folder'
"#;

/// Not a test of anything: this binary, started as the tool, plays its script.
#[test]
fn is_the_tool() {
    let Some(dir) = std::env::var_os(PLAYS) else { return };
    let dir = Path::new(&dir);
    let script = scripted::load(&dir.join("script.toml")).expect("a script");
    let code = scripted::run(script, Some(&dir.join("log"))).expect("played");
    std::process::exit(code.into());
}
