//! What a run is to do, from what was asked: tasks with numbers, names and identities. PURE.

use std::collections::BTreeMap;

use cm_agent::work::Remote;
use cm_protocol::{
    Check, Context, CreateSession, OnDone, Orphan, PolicyChoice, Repo, ResourceLimits, Size, Worktree,
};
use serde::{Deserialize, Serialize};

use super::tasks::Wanted;
use crate::failure::Failure;
use crate::report::clean::{clean, fit};
use crate::report::event::{FleetPlan, TaskPlan};

/// Characters of a task's first line that reports show.
const SUMMARY: usize = 120;

/// What holds for every task that does not say something else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// The tool.
    pub tool: String,
    /// Where they work.
    pub path: String,
    /// The name, where one was given.
    pub name: Option<String>,
    /// Variables; none where this process' own is passed on.
    pub env: BTreeMap<String, Option<String>>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Limits of each task.
    pub limits: ResourceLimits,
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
    /// A repository that hosts clone.
    pub repo: Option<Repo>,
    /// How often work in progress of tasks with a work tree of their own is saved, seconds.
    pub save_every: Option<f64>,
    /// How often a task that has failed is tried again.
    pub retries: u32,
}

/// The rules of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// The run's random id.
    pub run: String,
    /// How many tasks run at once at most.
    pub jobs: usize,
    /// Whether to leave as soon as every task has its session.
    pub detach: bool,
    /// What becomes of sessions nobody asks for any more.
    pub orphan: Orphan,
    /// The hosts.
    pub fleet: FleetPlan,
    /// The pool each task may use, in the order of the tasks; 0 where there are fewer.
    pub pools: Vec<usize>,
}

/// A run, ready to go. Kept beside the ledger, it is all it takes to go on with the run: values of variables that
/// were passed on from this process are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The run's random id.
    pub run: String,
    /// How many tasks run at once at most; 1 or more.
    pub jobs: usize,
    /// Whether to leave as soon as every task has its session.
    pub detach: bool,
    /// What becomes of sessions nobody asks for any more.
    #[serde(default)]
    pub orphan: Orphan,
    /// The hosts.
    pub fleet: FleetPlan,
    /// What reports say of the tasks.
    pub tasks: Vec<TaskPlan>,
    /// What agents are asked, in the same order.
    pub requests: Vec<CreateSession>,
    /// Variables of the requests that are this process' own, by name, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<Vec<String>>,
}

impl Plan {
    /// The plan as it is kept: without the values that are passed on.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut plan = self.clone();
        for (request, names) in plan.requests.iter_mut().zip(&self.inherited) {
            names.iter().for_each(|name| {
                request.env.remove(name);
            });
        }
        plan
    }

    /// Puts the values back that were not kept.
    ///
    /// # Errors
    /// A variable is no longer there.
    pub fn with_secrets(mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        for (request, names) in self.requests.iter_mut().zip(&self.inherited) {
            for name in names {
                request.env.insert(name.clone(), passed_on(name, env)?);
            }
        }
        Ok(self)
    }
}

fn passed_on(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Failure> {
    env(name).ok_or_else(|| {
        Failure::usage(format!("{name} is to be passed on, and there is no such variable here"))
            .hint(format!("export it first, or write --env {name}=value"))
    })
}

/// The run for what was asked; `policy` finds a policy by what a task calls it, `env` this process' variables.
///
/// # Errors
/// There is no task, one of them is empty, several are to share one branch, a policy or variable is missing.
pub fn plan(
    defaults: &Defaults,
    wanted: Vec<Wanted>,
    rules: Rules,
    policy: &dyn Fn(&str) -> Result<PolicyChoice, Failure>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Plan, Failure> {
    if wanted.is_empty() {
        return Err(Failure::usage("there is no task")
            .hint("write it as an argument: cm-fleet dispatch \"fix the tests\"")
            .hint("or read tasks from a file: cm-fleet dispatch --tasks tasks.yaml"));
    }
    let many = wanted.len() > 1;
    if let (true, Some(Worktree { branch: Some(branch), .. })) = (many, &defaults.worktree) {
        return Err(Failure::usage(format!(
            "--worktree={branch} is one branch, and these are several tasks"
        ))
        .hint("leave the name away: each task gets a branch of its own"));
    }
    let Rules { run, jobs, detach, orphan, fleet, pools } = rules;
    let mut plan = Plan {
        run,
        jobs: jobs.max(1),
        detach,
        orphan,
        fleet,
        tasks: Vec::with_capacity(wanted.len()),
        requests: Vec::with_capacity(wanted.len()),
        inherited: Vec::with_capacity(wanted.len()),
    };
    for (index, task) in wanted.into_iter().enumerate() {
        let number = index + 1;
        if task.text.trim().is_empty() {
            return Err(Failure::usage(format!("task {number} is empty")));
        }
        let name = task.name.clone().or_else(|| {
            defaults.name.as_ref().map(|n| if many { format!("{n}-{number}") } else { n.clone() })
        });
        let task_id = format!("{}-{number}", plan.run);
        let (request, inherited) = request(defaults, &task, task_id.clone(), name.clone(), policy, env)?;
        let first = task.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        plan.tasks.push(TaskPlan {
            number,
            task_id,
            label: name.unwrap_or_else(|| format!("task-{number}")),
            tool: request.tool().to_owned(),
            path: request.path().unwrap_or_default().to_owned(),
            summary: fit(&clean(first), SUMMARY),
            after: task.after.iter().map(|before| before + 1).collect(),
            pool: pools.get(index).copied().unwrap_or_default(),
            retries: task.retries.unwrap_or(defaults.retries),
            repo: repo(&request),
        });
        plan.requests.push(request);
        plan.inherited.push(inherited);
    }
    Ok(plan)
}

/// The address of the repository a request names, without a login that may stand in it.
fn repo(request: &CreateSession) -> Option<String> {
    let repo = request.context.as_ref()?.repo.as_ref()?;
    Some(Remote::read(&repo.url).ok()?.url().to_owned())
}

/// What an agent is asked for a task, and the names of the variables that are passed on.
fn request(
    defaults: &Defaults,
    task: &Wanted,
    task_id: String,
    name: Option<String>,
    policy: &dyn Fn(&str) -> Result<PolicyChoice, Failure>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(CreateSession, Vec<String>), Failure> {
    let (mut values, mut inherited) = (BTreeMap::new(), Vec::new());
    for (name, value) in
        defaults.env.iter().filter(|(name, _)| !task.env.contains_key(*name)).chain(&task.env)
    {
        let value = match value {
            Some(value) => value.clone(),
            None => {
                inherited.push(name.clone());
                passed_on(name, env)?
            }
        };
        values.insert(name.clone(), value);
    }
    let limits = ResourceLimits {
        memory: task.limits.memory.or(defaults.limits.memory),
        cpu: task.limits.cpu.or(defaults.limits.cpu),
        tasks: task.limits.tasks.or(defaults.limits.tasks),
    };
    let repo = match &task.repo {
        Some(url) => Some(Repo { url: url.clone(), reference: task.reference.clone() }),
        None => defaults.repo.clone(),
    };
    // In a repository that is cloned a path is within it.
    let default_path = repo.is_none().then(|| defaults.path.clone());
    let path = task.path.clone().or(default_path);
    let mut worktree = task.worktree.clone().or_else(|| defaults.worktree.clone());
    // What is cloned is worked on in a work tree, too.
    if defaults.save_every.is_some() && (worktree.is_some() || repo.is_some()) {
        let tree = worktree.get_or_insert_default();
        tree.save_every = tree.save_every.or(defaults.save_every);
    }
    let policy = match &task.policy {
        Some(wanted) => Some(policy(wanted)?),
        None => defaults.policy.clone(),
    };
    let request = CreateSession {
        tool: Some(task.tool.clone().unwrap_or_else(|| defaults.tool.clone())),
        task: Some(task.text.clone()),
        context: Some(Context { path, repo }),
        task_id: Some(task_id),
        attempt: Some(1),
        name,
        env: values,
        timeout: task.timeout.or(defaults.timeout),
        limits: (limits != ResourceLimits::default()).then_some(limits),
        size: defaults.size,
        on_done: Some(defaults.on_done),
        args: if task.args.is_empty() { defaults.args.clone() } else { task.args.clone() },
        policy,
        check: task.check.clone().or_else(|| defaults.check.clone()),
        worktree,
        resume: None,
        lease: None,
    };
    Ok((request, inherited))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(texts: &[&str]) -> Vec<Wanted> {
        texts.iter().map(|text| Wanted { text: (*text).to_owned(), ..Wanted::default() }).collect()
    }

    fn defaults() -> Defaults {
        Defaults { tool: "shell".into(), path: "/p".into(), on_done: OnDone::Close, ..Defaults::default() }
    }

    fn planned(defaults: &Defaults, wanted: Vec<Wanted>) -> Result<Plan, Failure> {
        let rules = Rules { run: "r1".into(), ..Rules::default() };
        let policy = |wanted: &str| match wanted {
            "careful" => Ok(PolicyChoice::Name(wanted.to_owned())),
            other => Err(Failure::usage(format!("there is no policy {other}"))),
        };
        plan(defaults, wanted, rules, &policy, &|name| (name == "TOKEN").then(|| "s3cret".to_owned()))
    }

    #[test]
    fn tasks_get_numbers_names_and_identities() {
        let named = Defaults { name: Some("n".into()), ..defaults() };
        let one = planned(&named, wanted(&["x"])).expect("fine");
        assert_eq!((one.jobs, one.tasks[0].label.as_str()), (1, "n"));
        let two = planned(&named, wanted(&["\n a\tb\nc", "y"])).expect("fine");
        assert_eq!(two.tasks[1].label, "n-2");
        assert_eq!(two.tasks[0].summary, "a b");
        assert_eq!(two.requests[0].task.as_deref(), Some("\n a\tb\nc"), "the text itself is not touched");
        assert_eq!(two.requests[1].task_id.as_deref(), Some("r1-2"));
        assert_eq!(two.requests[1].attempt, Some(1));
        let unnamed = planned(&defaults(), wanted(&["x"])).expect("fine");
        assert_eq!((unnamed.tasks[0].label.as_str(), &unnamed.requests[0].name), ("task-1", &None));
    }

    #[test]
    fn a_tasks_own_words_come_first() {
        let own = Wanted {
            tool: Some("codex".into()),
            path: Some("/q".into()),
            timeout: Some(5.0),
            policy: Some("careful".into()),
            env: BTreeMap::from([("A".to_owned(), Some("2".to_owned()))]),
            retries: Some(3),
            after: vec![0],
            ..wanted(&["y"]).remove(0)
        };
        let all = Defaults {
            env: BTreeMap::from([
                ("A".to_owned(), Some("1".to_owned())),
                ("B".to_owned(), Some("1".to_owned())),
            ]),
            timeout: Some(9.0),
            ..defaults()
        };
        let plan = planned(&all, vec![wanted(&["x"]).remove(0), own]).expect("fine");
        let [first, second] = plan.requests.as_slice() else { panic!("two") };
        assert_eq!((first.tool(), first.path(), first.timeout), ("shell", Some("/p"), Some(9.0)));
        assert_eq!((second.tool(), second.path(), second.timeout), ("codex", Some("/q"), Some(5.0)));
        assert_eq!(second.env["A"], "2");
        assert_eq!(second.env["B"], "1");
        assert!(second.policy.is_some());
        assert_eq!((plan.tasks[1].retries, plan.tasks[1].after.as_slice()), (3, [1].as_slice()));
    }

    #[test]
    fn what_is_passed_on_is_not_kept() {
        let passing = |name: &str| Defaults { env: BTreeMap::from([(name.to_owned(), None)]), ..defaults() };
        let plan = planned(&passing("TOKEN"), wanted(&["x"])).expect("it is there");
        assert_eq!(plan.requests[0].env["TOKEN"], "s3cret");
        let kept = plan.without_secrets();
        let text = serde_json::to_string(&kept).expect("it serializes");
        assert!(!text.contains("s3cret") && text.contains("TOKEN"), "{text}");
        let back: Plan = serde_json::from_str(&text).expect("it reads");
        assert_eq!(back.clone().with_secrets(&|_| Some("s3cret".into())).expect("again"), plan);
        assert!(back.with_secrets(&|_| None).is_err());
        let failure = planned(&passing("NONE"), wanted(&["x"])).expect_err("it is not");
        assert_eq!(failure.chain, ["NONE is to be passed on, and there is no such variable here"]);
    }

    #[test]
    fn several_tasks_do_not_share_a_branch() {
        let tree =
            |branch: Option<&str>| Worktree { branch: branch.map(str::to_owned), ..Worktree::default() };
        let check = |tasks: &[&str], branch: Option<&str>, good: bool| {
            let planned = planned(&Defaults { worktree: Some(tree(branch)), ..defaults() }, wanted(tasks));
            assert_eq!(planned.is_ok(), good, "{tasks:?} {branch:?}");
        };
        check(&["x"], Some("fix"), true);
        check(&["x", "y"], None, true);
        check(&["x", "y"], Some("fix"), false);
    }

    #[test]
    fn work_in_progress_is_saved_where_a_task_has_a_tree_of_its_own() {
        let tree = |save_every| Some(Worktree { save_every, ..Worktree::default() });
        let repo = Repo { url: "https://example.org/x.git".into(), reference: None };
        #[track_caller]
        fn check(defaults: Defaults, task: Wanted, expected: Option<Worktree>) {
            let plan = planned(&defaults, vec![Wanted { text: "x".into(), ..task }]).expect("fine");
            assert_eq!(plan.requests[0].worktree, expected);
        }
        let saving = Defaults { save_every: Some(60.0), ..defaults() };
        check(saving.clone(), Wanted::default(), None);
        check(Defaults { worktree: tree(None), ..saving.clone() }, Wanted::default(), tree(Some(60.0)));
        check(Defaults { worktree: tree(None), ..defaults() }, Wanted::default(), tree(None));
        check(Defaults { repo: Some(repo.clone()), ..saving.clone() }, Wanted::default(), tree(Some(60.0)));
        check(Defaults { repo: Some(repo), ..defaults() }, Wanted::default(), None);
        let own = Wanted { worktree: tree(Some(5.0)), ..Wanted::default() };
        check(saving, own, tree(Some(5.0)));
    }

    #[test]
    fn nothing_to_do_is_an_error() {
        assert!(planned(&defaults(), wanted(&[])).is_err());
        let failure = planned(&defaults(), wanted(&["x", " \n"])).expect_err("empty");
        assert_eq!(failure.chain, ["task 2 is empty"]);
    }
}
