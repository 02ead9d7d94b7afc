//! What is seen on a terminal, and what its keys and its end do. The terminal is a tmux of the test's own.

use std::process::Command;

use rustix::process::Signal;

use crate::support::{Place, appears, signal, until};

/// A shell in a terminal.
pub struct Terminal<'a> {
    place: &'a Place,
    columns: &'static str,
}

impl<'a> Terminal<'a> {
    pub fn open(place: &'a Place, columns: &'static str, env: &[(&str, &str)]) -> Self {
        let terminal = Self { place, columns };
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-s", columns]);
        tmux.args(["-x", columns, "-y", "24"]).env_clear().envs(place.env()).env("ENV", "");
        tmux.envs(env.iter().copied()).arg("exec sh").current_dir(place.path("w"));
        assert!(tmux.status().expect("tmux runs").success());
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.place.path(&format!("t{}", self.columns))).args(args);
        tmux
    }

    pub fn keys(&self, keys: &[&str]) {
        assert!(self.tmux(&["send-keys"]).args(keys).status().expect("tmux runs").success());
    }

    pub fn enter(&self, line: &str) {
        self.keys(&["-l", line]);
        self.keys(&["Enter"]);
    }

    pub fn screen(&self, more: &[&str]) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).args(more).output().expect("tmux runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub async fn shows(&self, text: &str) -> String {
        until(&format!("the terminal shows {text:?}"), || {
            Some(self.screen(&[])).filter(|screen| screen.contains(text))
        })
        .await
    }

    /// Copies what is written to it from now on into a file.
    pub fn pipe(&self, file: &std::path::Path) {
        let copy = format!("cat > {}", file.display());
        assert!(self.tmux(&["pipe-pane", &copy]).status().expect("tmux runs").success());
    }

    pub fn resize(&self, columns: &str) {
        let resized = self.tmux(&["resize-window", "-t", self.columns, "-x", columns]).status();
        assert!(resized.expect("tmux runs").success());
    }

    pub fn close(self) {
        assert!(self.tmux(&["kill-server"]).status().expect("tmux runs").success());
    }
}

/// A task that says it has begun, and ends when the test says so. What is typed does not contain the word.
const HELD: &str = "echo be\"\"gun; until [ -e go ]; do sleep 0.02; done; echo the end";

fn dispatch(more: &str) -> String {
    // The mark is put together by the shell: what was typed does not contain it.
    format!("clear; cm-fleet dispatch --tool shell {more}; echo \"left\"=$?")
}

#[tokio::test]
async fn bars_then_a_table_in_colour() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter(&dispatch(&format!(
        "-j 2 '{HELD} of a line that is longer than what fits into one row of it' 'exit 3' '{HELD}'"
    )));
    let bars = terminal.shows("task-3  running").await;
    assert!(terminal.shows("begun").await.contains("task-1  running"), "{bars}");
    assert!(bars.contains("task-2     failed    exit 3"), "{bars}");
    assert!(bars.contains("3 tasks · 1 failed, 2 running · 0:0"), "{bars}");
    std::fs::write(place.path("w/go"), "").expect("written");
    let end = terminal.shows("left=1").await;
    assert!(!end.contains("running") && end.contains("\nname    state   exit "), "no bar is left: {end}");
    let colours = terminal.screen(&["-e"]);
    assert!(colours.contains("\x1b[32mdone") && colours.contains("\x1b[31mfailed"), "{colours}");
    terminal.close();
    place.close().await;
}

#[tokio::test]
async fn no_color_and_a_wider_terminal() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "120", &[("NO_COLOR", "1")]);
    terminal.enter(&dispatch("'exit 3' 'echo fine'"));
    terminal.shows("left=1").await;
    let screen = terminal.screen(&["-e"]);
    assert!(!screen.contains("\x1b["), "{screen:?}");
    terminal.close();
    place.close().await;
}

#[tokio::test]
async fn one_interrupt_detaches_and_leaves_the_screen_tidy() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter(&dispatch(&format!("-j 1 '{HELD}' 'echo never'")));
    terminal.shows("begun").await;
    terminal.keys(&["C-c"]);
    let end = terminal.shows("left=130").await;
    insta::assert_snapshot!(without_ids(&end), @r#"
    run        stopping  sessions go on; Ctrl-C again within 2 s ends them
    name    state        exit  time  session   task
    task-1  running                  ID  echo be""gun; until [ -e go ]; do sl…
    task-2  not started                        echo never
    1 session goes on:
      cm-fleet logs -f ID   follows it
      cm-fleet attach ID    opens it
      cm-fleet kill ID      ends it
      cm-fleet sessions           lists them all
      cm-fleet runs resume ID   goes on with the run
    left=130
    "#);
    // The terminal is as it was: it shows keys again.
    terminal.enter("stty -a | tr ' ' '\\n' | grep echoctl");
    terminal.shows("\nechoctl").await;
    std::fs::write(place.path("w/go"), "").expect("written");
    let logs = place.expect(0, &["logs", "-f", &id(&end)]).await.out;
    assert_eq!(logs, "begun\nthe end\n");
    terminal.close();
    place.close().await;
}

/// The screen without what differs from run to run.
fn without_ids(screen: &str) -> String {
    let (id, run) = (after(screen, "logs -f "), after(screen, "runs resume "));
    let end = screen.find("left=130").expect("it has ended") + "left=130".len();
    screen[..end].replace(&id, "ID").replace(&run, "ID")
}

/// The id in the line that says how to follow the session.
fn id(screen: &str) -> String {
    after(screen, "logs -f ")
}

/// The id that follows these words.
fn after(screen: &str, words: &str) -> String {
    let at = screen.find(words).expect("it says what to do next") + words.len();
    screen[at..].chars().take_while(char::is_ascii_hexdigit).collect()
}

#[tokio::test]
async fn the_second_interrupt_ends_the_sessions() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter(&dispatch(&format!("'{HELD}'")));
    terminal.shows("begun").await;
    terminal.keys(&["C-c"]);
    terminal.shows("Ctrl-C again within 2 s ends them").await;
    terminal.keys(&["C-c"]);
    let end = terminal.shows("left=130").await;
    assert!(end.contains("task-1     killed") && end.contains("task-1  killed"), "{end}");
    terminal.close();
    place.close().await;
}

#[tokio::test]
async fn the_third_interrupt_leaves_at_once() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter(&dispatch(&format!("'{HELD}'")));
    terminal.shows("begun").await;
    // An agent that does not answer must not keep anybody.
    let agent = place.agent();
    signal(agent, Signal::STOP);
    for said in ["Ctrl-C again within 2 s ends them", "Ctrl-C again leaves at once", "left=130"] {
        terminal.keys(&["C-c"]);
        terminal.shows(said).await;
    }
    signal(agent, Signal::CONT);
    terminal.close();
    place.close().await;
}

#[tokio::test]
async fn a_closed_terminal_takes_nothing_with_it() {
    let place = Place::new();
    let terminal = Terminal::open(&place, "80", &[]);
    terminal.enter(&dispatch(&format!("--name orphan '{HELD}; touch over'")));
    terminal.shows("begun").await;
    terminal.close();
    let listed = place.expect(0, &["sessions"]).await.out;
    assert!(listed.contains("orphan") && listed.contains("running"), "{listed}");
    std::fs::write(place.path("w/go"), "").expect("written");
    appears(&place.path("w/over")).await;
    assert_eq!(place.expect(0, &["logs", "-f", "orphan"]).await.out, "begun\nthe end\n");
    place.close().await;
}

#[tokio::test]
async fn attached_inside_another_tmux() {
    let place = Place::new();
    place.detach(&["--name", "talk", "echo ready; while read line; do echo \"got $line\"; done"]).await;
    let terminal = Terminal::open(&place, "120", &[]);
    terminal.enter("clear; cm-fleet attach talk");
    terminal.shows("ready").await;
    terminal.enter("hello");
    terminal.shows("got hello").await;
    terminal.keys(&["C-b", "d"]);
    terminal.shows("detached").await;
    terminal.close();
    // Without a terminal there is nothing to attach, but a way to read on.
    let refused = place.expect(2, &["attach", "talk"]).await;
    assert!(refused.err.contains("hint: `cm-fleet logs -f "), "{}", refused.err);
    assert_eq!(place.expect(0, &["logs", "talk"]).await.out, "ready\nhello\ngot hello\n");
    place.close().await;
}
