//! The scripted program in a real tmux: what stands there, which keys arrived, and how it lies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cm_testkit::scripted::{Entry, keys_of, read};
use cm_testkit::terminal::Terminal;

/// What nothing in these tests may take longer than, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A script being played, in a directory of its own.
struct Stage {
    terminal: Terminal,
    dir: tempfile::TempDir,
}

impl Stage {
    fn play(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
        let argv: Vec<OsString> = vec![
            env!("CARGO_BIN_EXE_cm-scripted").into(),
            script.into(),
            "--log".into(),
            dir.path().join("log").into(),
        ];
        let terminal = Terminal::start(dir.path(), dir.path(), (80, 24), &argv).expect("a terminal");
        Self { terminal, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> Vec<Entry> {
        read(&self.path("log")).expect("a log")
    }

    /// Waits until the log is as wanted.
    fn logged(&self, what: &str, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        let began = Instant::now();
        loop {
            let log = self.log();
            if wanted(&log) {
                return log;
            }
            assert!(began.elapsed() < PATIENCE, "waited too long for {what}: {log:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn at(&self, frame: &str) -> Vec<Entry> {
        self.logged(frame, |log| count(log, frame) > 0)
    }

    fn press(&self, keys: &[&str]) {
        self.terminal.press(keys).expect("pressed");
    }

    fn shows(&self, text: &str) -> String {
        self.terminal.shows(text, PATIENCE).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// How often a frame stood.
fn count(log: &[Entry], frame: &str) -> usize {
    log.iter().filter(|entry| matches!(entry, Entry::Frame { name, .. } if name == frame)).count()
}

fn bytes_of(log: &[Entry]) -> String {
    log.iter()
        .filter_map(|entry| if let Entry::Read { bytes, .. } = entry { Some(bytes.as_str()) } else { None })
        .collect()
}

#[test]
fn it_is_a_tool_from_prompt_to_end() {
    let stage = Stage::play("worker.toml");
    stage.at("idle");
    assert_eq!(stage.terminal.ask("#{pane_title}").expect("a title"), "✳ scripted");
    stage.terminal.paste("fix it").expect("pasted");
    stage.shows("❯ fix it");
    stage.press(&["Enter"]);
    stage.at("working");
    assert_eq!(std::fs::read_to_string(stage.path("task.txt")).expect("a task"), "fix it");
    stage.shows("❯ 1. Yes");
    stage.press(&["1"]);
    let log = stage.at("done");
    assert_eq!(keys_of(&log, "ask"), ["1"]);
    assert!(stage.path("answer.txt").exists() && !stage.path("always.txt").exists());
    stage.shows("● Done with it.");
    stage.press(&["/", "e", "x", "i", "t", "Enter"]);
    assert_eq!(stage.terminal.end(PATIENCE).expect("its end"), 0);
    let log = stage.log();
    assert!(matches!(log.last(), Some(Entry::End { code: 0, .. })), "{log:?}");
    // Every byte is there: the paste in its marks, then the keys.
    let (paste, keys) = ("1b5b3230307e6669782069741b5b3230317e", "0d312f657869740d");
    assert_eq!(bytes_of(&log), format!("{paste}{keys}"));
}

#[test]
fn its_statuses_are_in_its_output() {
    let stage = Stage::play("worker.toml");
    let out = stage.path("out");
    stage.at("idle");
    // What the pane prints from here on goes into a file as it is.
    stage.terminal.pipe(&out).expect("piped");
    stage.press(&["x", "Enter"]);
    stage.at("ask");
    let began = Instant::now();
    let wanted = ["\x1b]7501;state=working\x1b\\", "\x1b]7501;state=blocked:kind=permission\x1b\\"];
    loop {
        let printed = std::fs::read_to_string(&out).unwrap_or_default();
        if wanted.iter().all(|status| printed.contains(status)) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{printed:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_dialog_that_stays_counts_every_key() {
    let stage = Stage::play("stays.toml");
    stage.at("ask");
    stage.press(&["1"]);
    // The key is logged before what it does is done.
    let answered = stage.path("answered.txt");
    stage.logged("the answer", |log| keys_of(log, "ask") == ["1"] && answered.exists());
    stage.press(&["1"]);
    let log = stage.logged("the key too many", |log| keys_of(log, "ask").len() == 2);
    let taken: Vec<bool> = log
        .iter()
        .filter_map(|entry| if let Entry::Key { taken, .. } = entry { Some(*taken) } else { None })
        .collect();
    assert_eq!(taken, [true, false]);
    assert_eq!(count(&log, "box"), 0);
    stage.at("box");
}

#[test]
fn half_a_dialog_is_not_one() {
    let stage = Stage::play("half.toml");
    let screen = stage.shows("❯ 1");
    assert!(!screen.contains("Esc to cancel"), "{screen}");
    stage.press(&["1"]);
    let log = stage.logged("the key", |log| !keys_of(log, "ask").is_empty());
    assert_eq!(count(&log, "ask"), 0);
    std::fs::write(stage.path("go.txt"), "").expect("written");
    stage.shows("Esc to cancel");
    stage.press(&["1"]);
    stage.shows("● Finished.");
}

#[test]
fn a_spinner_goes_on_beside_the_box() {
    let stage = Stage::play("spinner.toml");
    for text in ["⠋", "⠙", "⠹"] {
        stage.shows(&format!("{text} Working"));
    }
    assert_eq!(stage.terminal.ask("#{alternate_on}").expect("an answer"), "1");
    stage.press(&["h", "i"]);
    stage.shows("❯ hi");
    assert_eq!(stage.terminal.ask("#{cursor_x},#{cursor_y}").expect("an answer"), "4,4");
}

#[test]
fn a_screen_comes_from_a_file() {
    let stage = Stage::play("prose.toml");
    stage.at("prose");
    let screen = stage.shows("? for shortcuts");
    assert!(screen.contains("   ❯ 1. Yes\n"), "{screen}");
    assert_eq!(stage.terminal.ask("#{cursor_x},#{cursor_y}").expect("an answer"), "2,15");
}

#[test]
fn an_enter_right_behind_the_text_is_lost() {
    let stage = Stage::play("swallows.toml");
    stage.at("box");
    stage.press(&["h", "i", "Enter"]);
    let log = stage.logged("the keys", |log| keys_of(log, "box").len() == 3);
    assert!(matches!(log.last(), Some(Entry::Key { taken: false, .. })), "{log:?}");
    let began = Instant::now();
    while count(&stage.log(), "ask") == 0 {
        stage.press(&["Enter"]);
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(std::fs::read_to_string(stage.path("task.txt")).expect("a task"), "hi");
}

#[test]
fn it_may_ignore_everything() {
    let stage = Stage::play("deaf.toml");
    stage.at("deaf");
    stage.press(&["C-c", "C-d", "Escape"]);
    let log = stage.logged("the keys", |log| keys_of(log, "deaf").len() == 3);
    assert_eq!(keys_of(&log, ""), ["C-c", "C-d", "Escape"]);
    assert_eq!(stage.terminal.ask("#{cursor_flag}").expect("an answer"), "0");
    assert_eq!(stage.terminal.ended().expect("an answer"), None);
    std::fs::write(stage.path("go.txt"), "").expect("written");
    assert_eq!(stage.terminal.end(PATIENCE).expect("its end"), 3);
}
