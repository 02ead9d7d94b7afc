//! The model server and the homes, proved with the real programs: each writes, edits and runs a command.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cm_testkit::homes::{self, Login, Spec, Tool, ToolHome, Trusted};
use cm_testkit::model::ModelServer;
use cm_testkit::terminal::Terminal;
use cm_testkit::tools::Tools;

/// What no single step of a real tool may take longer than, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// After which an unchanged dialog did not take a key.
const SOON: Duration = Duration::from_millis(700);

/// A tool in a scratch home, beside a project and a model.
struct Room {
    dir: tempfile::TempDir,
    model: ModelServer,
    home: ToolHome,
}

impl Room {
    fn new(tool: Tool, trusted: Trusted, login: Login) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let project = dir.path().join("project");
        std::fs::create_dir(&project).expect("a project");
        let git = Command::new("git").args(["init", "-q"]).current_dir(&project).status().expect("git");
        assert!(git.success());
        let model = ModelServer::start().expect("a model");
        let url = model.url();
        let spec = Spec { tool, dir: dir.path(), project: &project, url: &url, trusted, login };
        let home = homes::make(&Tools::usual(), &spec).unwrap_or_else(|error| panic!("{error}"));
        Self { dir, model, home }
    }

    fn ready(tool: Tool) -> Self {
        Self::new(tool, Trusted::Yes, Login::Yes)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.project.join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs the tool to its end without a terminal.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.home.command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(PATIENCE) {
            Ok(output) => output.expect("its output"),
            Err(_) => {
                let _ = Command::new("kill").arg(pid.to_string()).status();
                let rest = receiver.recv_timeout(Duration::from_secs(5));
                panic!("{} did not end: {rest:?}\n{}", self.home.program.display(), self.requests())
            }
        }
    }

    fn open(&self, more: &[&str]) -> Terminal {
        Terminal::start(self.dir.path(), &self.home.project, (100, 40), &self.home.argv(more))
            .expect("a terminal")
    }

    fn requests(&self) -> String {
        let lines: Vec<String> =
            self.model.requests().iter().map(|record| record.line(self.model.started())).collect();
        lines.join("\n")
    }

    /// The three kinds of work, each by a run of its own.
    fn works(&self, run: impl Fn(&str) -> Output) {
        let done = |what: &str, good: &dyn Fn() -> bool| {
            let output = run(what);
            let said = format!(
                "{}\n{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                self.requests()
            );
            assert!(good(), "{what}: {said}");
        };
        done("SCENARIO:write", &|| self.text("made.txt") == "alpha\nbeta\ngamma\n");
        done("SCENARIO:edit", &|| self.text("made.txt") == "alpha\nBETA\ngamma\n");
        done("SCENARIO:bash", &|| self.path("made_by_command.txt").exists());
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.home.end_all();
    }
}

fn until(what: &str, terminal: &Terminal, good: impl Fn() -> bool) {
    let began = Instant::now();
    while !good() {
        let screen = terminal.screen().unwrap_or_default();
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}:\n{screen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn exists(path: &Path) -> impl Fn() -> bool + '_ {
    move || path.exists()
}

#[test]
fn claude_works_without_a_terminal() {
    for tool in [Tool::Claude, Tool::Claude197] {
        let room = Room::ready(tool);
        room.works(|prompt| room.run(&["-p", prompt, "--allowedTools", "Write,Edit,Read,Bash"]));
    }
}

#[test]
fn claude_works_in_a_terminal() {
    let room = Room::ready(Tool::Claude);
    let terminal = room.open(&[]);
    terminal.shows("❯", PATIENCE).expect("its box");
    let ask = |prompt: &str, question: &str| {
        terminal.paste(prompt).expect("pasted");
        terminal.shows(prompt, PATIENCE).expect("it stands there");
        terminal.press(&["Enter"]).expect("pressed");
        let asks = |screen: &str| screen.contains(question) && screen.contains("Esc to cancel");
        terminal.until(question, PATIENCE, asks).expect("the question");
        // It drops keys in the first tenth of a second after it has drawn a question.
        let answered = (0..20).any(|_| {
            terminal.press(&["1"]).expect("pressed");
            terminal.until("the answer to be taken", SOON, |screen| !asks(screen)).is_ok()
        });
        assert!(answered, "{}", terminal.screen().expect("a screen"));
    };
    ask("SCENARIO:write", "Do you want to create made.txt?");
    terminal.shows("The file is written.", PATIENCE).expect("its end");
    assert_eq!(room.text("made.txt"), "alpha\nbeta\ngamma\n");
    ask("SCENARIO:edit", "Do you want to make this edit to made.txt?");
    terminal.shows("The change is made.", PATIENCE).expect("its end");
    assert_eq!(room.text("made.txt"), "alpha\nBETA\ngamma\n");
    ask("SCENARIO:bash", "Do you want to proceed?");
    until("the command", &terminal, exists(&room.path("made_by_command.txt")));
}

#[test]
fn claude_asks_whether_to_trust_where_it_never_was() {
    let room = Room::new(Tool::Claude, Trusted::No, Login::Yes);
    let terminal = room.open(&[]);
    terminal.shows("trust this folder", PATIENCE).expect("the question");
    assert!(room.model.turns().is_empty());
}

#[test]
fn codex_works_without_a_terminal() {
    let room = Room::ready(Tool::Codex);
    room.works(|prompt| room.run(&["exec", "--dangerously-bypass-approvals-and-sandbox", prompt]));
}

#[test]
fn codex_works_in_a_terminal() {
    let room = Room::ready(Tool::Codex);
    let terminal = room.open(&["--no-daemon", "-a", "on-request", "-s", "read-only"]);
    terminal.shows("Ask Codex to do anything", PATIENCE).expect("its box");
    terminal.paste("SCENARIO:write").expect("pasted");
    terminal.shows("SCENARIO:write", PATIENCE).expect("it stands there");
    terminal.press(&["Enter"]).expect("pressed");
    terminal.shows("Would you like to make the following edits?", PATIENCE).expect("the question");
    // A key that comes right after the question was drawn is dropped: it is pressed until that is gone.
    let pressed = std::cell::Cell::new(None::<Instant>);
    let answered = |screen: &str| {
        let open = screen.contains("Would you like to make the following edits?");
        if open && pressed.get().is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            pressed.set(Some(Instant::now()));
            terminal.press(&["y"]).expect("pressed");
        }
        !open
    };
    terminal.until("its answer", PATIENCE, answered).expect("it is taken");
    terminal.shows("The file is written.", PATIENCE).expect("its end");
    assert_eq!(room.text("made.txt"), "alpha\nbeta\ngamma\n");
}

#[test]
fn codex_asks_whether_to_trust_where_it_never_was() {
    let room = Room::new(Tool::Codex, Trusted::No, Login::Yes);
    let terminal = room.open(&["--no-daemon"]);
    terminal.shows("Trust and continue", PATIENCE).expect("the question");
    assert!(room.model.turns().is_empty());
}

#[test]
fn what_codex_leaves_behind_ends_with_its_home() {
    let room = Room::ready(Tool::Codex);
    // Without `--no-daemon` it starts a server for all its sessions.
    let terminal = room.open(&[]);
    terminal.shows("Ask Codex to do anything", PATIENCE).expect("its box");
    drop(terminal);
    let home = room.home.clone();
    drop(room);
    let mark = format!("HOME={}", home.home.display()).into_bytes();
    let left = std::fs::read_dir("/proc").expect("processes").flatten().filter(|process| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark)
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn gemini_works_without_a_terminal() {
    let room = Room::ready(Tool::Gemini);
    room.works(|prompt| room.run(&["--yolo", "-p", prompt]));
}

#[test]
fn opencode_works_without_a_terminal() {
    let room = Room::ready(Tool::OpenCode);
    room.works(|prompt| room.run(&["run", "--auto", prompt]));
}

#[test]
fn aider_writes_and_edits() {
    let room = Room::ready(Tool::Aider);
    for (prompt, expected) in
        [("SCENARIO:write", "alpha\nbeta\ngamma\n"), ("SCENARIO:edit", "alpha\nBETA\ngamma\n")]
    {
        let output = room.run(&["--yes-always", "--message", prompt, "made.txt"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(room.text("made.txt"), expected, "{said}\n{}", room.requests());
    }
}
