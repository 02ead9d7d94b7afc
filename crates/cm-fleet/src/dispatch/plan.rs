//! What a run is to do, from what was asked: tasks with numbers, names and identities. PURE.

use std::collections::BTreeMap;

use cm_protocol::{Check, Context, CreateSession, OnDone, PolicyChoice, ResourceLimits, Size, Worktree};

use crate::failure::Failure;
use crate::report::clean::{clean, fit};
use crate::report::event::TaskPlan;

/// Characters of a task's first line that reports show.
const SUMMARY: usize = 120;

/// What was asked for, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The tasks' texts.
    pub tasks: Vec<String>,
    /// The tool for all of them.
    pub tool: String,
    /// Where they work; absolute.
    pub path: String,
    /// The name, where one was given.
    pub name: Option<String>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Limits of each task.
    pub limits: Option<ResourceLimits>,
    /// The terminal's size.
    pub size: Option<Size>,
    /// What happens to the terminal afterwards.
    pub on_done: OnDone,
    /// More arguments for the tool.
    pub args: Vec<String>,
    /// What is decided without a person.
    pub policy: Option<PolicyChoice>,
    /// What proves a task done.
    pub check: Option<Check>,
    /// A work tree and branch for each task.
    pub worktree: Option<Worktree>,
}

/// A run, ready to go.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The run's random id.
    pub run: String,
    /// How many tasks run at once at most; 1 or more.
    pub jobs: usize,
    /// Whether to leave as soon as every task has its session.
    pub detach: bool,
    /// What reports say of the tasks.
    pub tasks: Vec<TaskPlan>,
    /// What agents are asked, in the same order.
    pub requests: Vec<CreateSession>,
}

/// The run for what was asked; `run` is a fresh random id.
///
/// # Errors
/// There is no task, one of them is empty, or several are to share one branch.
pub fn plan(asked: Asked, run: String, jobs: usize, detach: bool) -> Result<Plan, Failure> {
    if asked.tasks.is_empty() {
        return Err(Failure::usage("there is no task")
            .hint("write it as an argument: cm-fleet dispatch \"fix the tests\"")
            .hint("or read tasks from a file, one a line: cm-fleet dispatch --file tasks.txt"));
    }
    let many = asked.tasks.len() > 1;
    if let (true, Some(Worktree { branch: Some(branch), .. })) = (many, &asked.worktree) {
        return Err(Failure::usage(format!(
            "--worktree={branch} is one branch, and these are several tasks"
        ))
        .hint("leave the name away: each task gets a branch of its own"));
    }
    let mut tasks = Vec::with_capacity(asked.tasks.len());
    let mut requests = Vec::with_capacity(asked.tasks.len());
    for (index, text) in asked.tasks.iter().enumerate() {
        let number = index + 1;
        if text.trim().is_empty() {
            return Err(Failure::usage(format!("task {number} is empty")));
        }
        let name = asked.name.as_ref().map(|n| if many { format!("{n}-{number}") } else { n.clone() });
        let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let task = TaskPlan {
            number,
            task_id: format!("{run}-{number}"),
            label: name.clone().unwrap_or_else(|| format!("task-{number}")),
            tool: asked.tool.clone(),
            path: asked.path.clone(),
            summary: fit(&clean(first), SUMMARY),
        };
        requests.push(CreateSession {
            tool: Some(asked.tool.clone()),
            task: Some(text.clone()),
            context: Some(Context { path: Some(asked.path.clone()), ..Context::default() }),
            task_id: Some(task.task_id.clone()),
            attempt: Some(1),
            name,
            env: asked.env.clone(),
            timeout: asked.timeout,
            limits: asked.limits,
            size: asked.size,
            on_done: Some(asked.on_done),
            args: asked.args.clone(),
            policy: asked.policy.clone(),
            check: asked.check.clone(),
            worktree: asked.worktree.clone(),
            resume: None,
            lease: None,
        });
        tasks.push(task);
    }
    Ok(Plan { run, jobs: jobs.max(1), detach, tasks, requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn asked(tasks: &[&str]) -> Asked {
        Asked {
            tasks: tasks.iter().map(|t| (*t).to_owned()).collect(),
            tool: "shell".into(),
            path: "/p".into(),
            name: None,
            env: BTreeMap::new(),
            timeout: None,
            limits: None,
            size: None,
            on_done: OnDone::Close,
            args: Vec::new(),
            policy: None,
            check: None,
            worktree: None,
        }
    }

    #[test]
    fn tasks_get_numbers_names_and_identities() {
        let one =
            plan(Asked { name: Some("n".into()), ..asked(&["x"]) }, "r1".into(), 0, false).expect("fine");
        assert_eq!((one.jobs, one.tasks[0].label.as_str()), (1, "n"));
        let two = plan(Asked { name: Some("n".into()), ..asked(&["\n a\tb\nc", "y"]) }, "r1".into(), 2, true)
            .expect("fine");
        assert_eq!(two.tasks[1].label, "n-2");
        assert_eq!(two.tasks[0].summary, "a b");
        assert_eq!(two.requests[0].task.as_deref(), Some("\n a\tb\nc"), "the text itself is not touched");
        assert_eq!(two.requests[1].task_id.as_deref(), Some("r1-2"));
        assert_eq!(two.requests[1].attempt, Some(1));
        let unnamed = plan(asked(&["x"]), "r1".into(), 1, false).expect("fine");
        assert_eq!((unnamed.tasks[0].label.as_str(), &unnamed.requests[0].name), ("task-1", &None));
    }

    #[test]
    fn several_tasks_do_not_share_a_branch() {
        let tree =
            |branch: Option<&str>| Worktree { branch: branch.map(str::to_owned), ..Worktree::default() };
        let check = |tasks: &[&str], branch: Option<&str>, good: bool| {
            let planned = plan(Asked { worktree: Some(tree(branch)), ..asked(tasks) }, "r".into(), 1, false);
            assert_eq!(planned.is_ok(), good, "{tasks:?} {branch:?}");
        };
        check(&["x"], Some("fix"), true);
        check(&["x", "y"], None, true);
        check(&["x", "y"], Some("fix"), false);
    }

    #[test]
    fn nothing_to_do_is_an_error() {
        assert!(plan(asked(&[]), "r".into(), 1, false).is_err());
        let failure = plan(asked(&["x", " \n"]), "r".into(), 1, false).expect_err("empty");
        assert_eq!(failure.chain, ["task 2 is empty"]);
    }
}
