//! `cargo xtask demo`: a few tasks through the agent of this machine, for someone who sees this for the
//! first time. Leaves nothing behind.

mod scratch;

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

use scratch::Scratch;

/// Tasks that must succeed. Each leaves a file named after its place when it has really run to its end.
const GOOD: [&str; 4] = [
    "cargo --version && uname -a",
    "for i in 1 2 3 4 5 6; do echo \"step $i of 6\"; sleep 0.5; done; echo counted",
    "for word in one session each and a terminal of its own; do echo \"$word\"; sleep 0.4; done",
    "tmux -V; git --version; echo \"$(ls | wc -l) files here\"",
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
        "\nFive tasks follow, each in a tmux session of its own on this machine. One of them fails on purpose.\n"
    );
    let fleet = workspace.target.join("debug/cm-fleet");
    let code = Run::new(&fleet)
        .dir(scratch.work())
        .envs(scratch.environment())
        .without("CM_FLEET_SOCKET")
        .args(["dispatch", "--tool", "shell"])
        .args(tasks())
        .live_code(LONG)?;
    judge(code, &scratch.marks())?;
    scratch.clean_up()?;
    println!("{}", explanation(&fleet.display().to_string()));
    Ok(())
}

fn tasks() -> Vec<String> {
    let good = GOOD.iter().enumerate().map(|(place, task)| format!("{task} && touch ../done-{place}"));
    good.chain([format!("{BAD}; touch ../done-bad")]).collect()
}

/// Exactly the good tasks came to their end, and the command said that one failed.
fn judge(code: Option<i32>, marks: &[String]) -> Result<(), Failure> {
    let expected: Vec<String> = (0..GOOD.len()).map(|place| format!("done-{place}")).collect();
    if code == Some(A_TASK_FAILED) && marks == expected {
        return Ok(());
    }
    let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    Err(Failure::check(
        format!(
            "expected {} tasks done, one failed and exit code {A_TASK_FAILED}; there were {} done, and {code}",
            expected.len(),
            marks.len()
        ),
        "see the table above; a failure you did not cause is a bug worth reporting",
    ))
}

fn explanation(fleet: &str) -> String {
    format!(
        "\nWhat you saw: cm-fleet started an agent in the background, which ran every task in its own tmux \
         session, watched it and reported how it ended.\nThe task that failed was meant to, and nothing of \
         this demo is left on the machine.\n\nTry next:\n  \
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
        let all: Vec<String> = (0..GOOD.len()).map(|place| format!("done-{place}")).collect();
        let check = |code, marks: &[String], expected| {
            assert_eq!(judge(code, marks).is_ok(), expected, "{code:?} {marks:?}");
        };
        check(Some(1), &all, true);
        check(Some(0), &all, false);
        check(Some(3), &all, false);
        check(None, &all, false);
        check(Some(1), &all[1..], false);
        check(Some(1), &[all.clone(), vec!["done-bad".to_owned()]].concat(), false);
    }

    #[test]
    fn the_tasks_are_what_sh_understands_and_end_as_they_should() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        for (place, task) in tasks().iter().enumerate() {
            // Without the pauses: what is checked is the words, not the waiting.
            let script = format!("sleep() {{ :; }}\n{task}");
            let good = Run::new("sh").args(["-c", &script]).dir(&work).succeeds();
            assert_eq!(good, place < GOOD.len(), "{task}");
            assert_eq!(dir.path().join(format!("done-{place}")).exists(), place < GOOD.len());
        }
    }
}
