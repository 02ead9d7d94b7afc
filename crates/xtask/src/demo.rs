//! `cargo xtask demo`: a few tasks through the agent of this machine, for someone who sees this for the
//! first time. Leaves nothing behind.

mod scratch;

use std::path::Path;

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run, SHORT};
use crate::workspace::Workspace;

use scratch::Scratch;

/// Tasks that must succeed.
const GOOD: [&str; 4] = [
    "cargo --version && uname -a",
    "for i in 1 2 3 4 5 6; do echo \"step $i of 6\"; sleep 0.5; done",
    "for word in one session each and a terminal of its own; do echo \"$word\"; sleep 0.4; done",
    "tmux -V && git --version",
];
/// One that must fail, so that a failure is seen as well.
const BAD: &str = "echo 'this task fails on purpose'; sleep 1; exit 7";
/// What `cm-fleet dispatch` exits with when a task failed.
const A_TASK_FAILED: i32 = 1;

/// Checks and installs what is missing, builds, runs the tasks, and checks that what was expected happened.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    need::ensure(workspace, &[Need::Git, Need::Tmux])?;
    Run::cargo().dir(&workspace.root).args(["build", "--package", "cm-fleet", "--locked"]).live(LONG)?;
    Scratch::clear_stale();
    let scratch = Scratch::new()?;
    println!(
        "\nFive tasks follow, each in a tmux session of its own on this machine.\nOne of them fails on purpose.\n"
    );
    let fleet = workspace.target.join("debug/cm-fleet");
    let command =
        || Run::new(&fleet).dir(scratch.work()).envs(scratch.environment()).without("CM_FLEET_SOCKET");
    let code = command().args(["dispatch", "--tool", "shell"]).args(tasks()).live_code(LONG)?;
    let sessions = command().args(["sessions", "--all", "--json"]).capture(SHORT)?;
    judge(code, &states(&sessions))?;
    scratch.clean_up()?;
    println!("{}", explanation(&near(&fleet)));
    Ok(())
}

fn tasks() -> impl Iterator<Item = &'static str> {
    GOOD.into_iter().chain([BAD])
}

/// How the agent says the sessions ended, in the order they were made.
fn states(sessions: &str) -> Vec<String> {
    let state = |line: &str| {
        let session: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        session["state"].as_str().unwrap_or("unreadable").to_owned()
    };
    sessions.lines().map(state).collect()
}

/// The program as one would type it here.
fn near(fleet: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    fleet.strip_prefix(here).unwrap_or(fleet).display().to_string()
}

/// Exactly the good tasks are done, and the command said that one failed.
fn judge(code: Option<i32>, states: &[String]) -> Result<(), Failure> {
    let count = |word: &str| states.iter().filter(|state| *state == word).count();
    let (done, failed) = (count("done"), count("failed"));
    if code == Some(A_TASK_FAILED) && (done, failed, states.len()) == (GOOD.len(), 1, GOOD.len() + 1) {
        return Ok(());
    }
    let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    Err(Failure::check(
        format!(
            "expected {} tasks done, one failed and exit code {A_TASK_FAILED}; there were {done} done, {failed} \
             failed, and {code}",
            GOOD.len(),
        ),
        "see the table above; a failure you did not cause is a bug worth reporting",
    ))
}

fn explanation(fleet: &str) -> String {
    format!(
        "\nWhat you saw: cm-fleet started an agent in the background. The agent ran each\n\
         task in its own tmux session, watched it and reported how it ended. The task\n\
         that failed was meant to. Nothing of this demo is left on the machine.\n\n\
         Try next:\n  \
         {fleet} dispatch 'cargo --version && uname -a' --tool shell\n  \
         {fleet} dispatch 'sleep 30; echo late' --tool shell --detach\n  \
         {fleet} sessions"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_expected_passes() {
        let check = |code, sessions: &str, expected| {
            let lines: String = sessions.split(' ').map(|s| format!("{{\"state\":\"{s}\"}}\n")).collect();
            assert_eq!(judge(code, &states(&lines)).is_ok(), expected, "{code:?} {sessions:?}");
        };
        check(Some(1), "done done done done failed", true);
        check(Some(1), "failed done done done done", true);
        check(Some(0), "done done done done failed", false);
        check(Some(3), "done done done done failed", false);
        check(None, "done done done done failed", false);
        check(Some(1), "done done done failed", false);
        check(Some(1), "done done done failed failed", false);
        check(Some(1), "done done done done failed running", false);
        assert!(judge(Some(1), &states("")).is_err());
    }

    #[test]
    fn the_tasks_are_what_sh_understands_and_end_as_they_should() {
        for (place, task) in tasks().enumerate() {
            // Without the pauses: what is checked is the words, not the waiting.
            let script = format!("sleep() {{ :; }}\n{task}");
            let good = Run::new("sh").args(["-c", &script]).succeeds();
            assert_eq!(good, place < GOOD.len(), "{task}");
        }
    }
}
