//! One combination as a task that is wanted: every value filled in and read. PURE.

use std::collections::{BTreeMap, HashSet};

use cm_protocol::{Check, ResourceLimits, Worktree};

use super::Wanted;
use super::file::{Read, Settings, Task};
use super::kind::TreeKind;
use super::spread::Made;
use super::template::{Scope, Seat};
use crate::yaml::{Place, Reader};

/// The task of a combination, without what it waits for. None: its text could not be read, or depends on a host that
/// is not known yet.
pub fn want(task: &Task, made: &Made<'_>, reader: &mut Reader<'_>) -> Option<Wanted> {
    let (scope, said) = (&made.scope, &task.settings);
    macro_rules! value {
        ($key:ident) => {
            said.$key.as_ref().and_then(|text| text.value(scope, reader))
        };
    }
    let text = task.text.as_ref().and_then(|text| text.value(scope, reader));
    let wanted = Wanted {
        name: made.name.clone(),
        text: text.clone().unwrap_or_default(),
        tool: value!(tool),
        path: path(said, scope, reader),
        repo: value!(repo),
        reference: value!(reference),
        on: value!(on),
        host: match scope.seat {
            Seat::Here(host) => Some(host.name.clone()),
            Seat::Any | Seat::Later => None,
        },
        policy: policy(said, scope, reader),
        check: check(said, scope, reader),
        timeout: value!(timeout),
        retries: value!(retries),
        env: env(said, scope, reader),
        args: args(said, scope, reader),
        worktree: tree(said, scope, reader),
        limits: ResourceLimits { memory: value!(memory), cpu: value!(cpu), tasks: value!(tasks) },
        after: Vec::new(),
    };
    let later = task.text.as_ref().is_some_and(|text| text.0.needs_host()) && text.is_none();
    (text.is_some() || later).then_some(wanted)
}

fn path(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let key = said.path.as_ref()?;
    let path = key.value(scope, reader)?;
    let outside = path.starts_with(['/', '~']) || path.split('/').any(|part| part == "..");
    if said.repo.is_some() && outside {
        let message =
            format!("`{path}`: with `repo`, the path is one within its work tree: no `/`, `~` or `..`");
        reader.wrong(key.0.place, message);
    }
    Some(path)
}

/// A file belongs to the file it is named in.
fn policy(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let key = said.policy.as_ref()?;
    let text = key.value(scope, reader)?;
    if !text.contains('/') && ![".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end)) {
        return Some(text);
    }
    match reader.path(key.0.place, &text).map(|path| path.into_os_string().into_string()) {
        Ok(Ok(path)) => Some(path),
        Ok(Err(path)) => {
            reader.wrong(key.0.place, format!("the path {} is not UTF-8", path.display()));
            None
        }
        Err(why) => {
            reader.wrong(key.0.place, why);
            None
        }
    }
}

fn check(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Check> {
    let command = said.check.as_ref()?.value(scope, reader)?;
    let timeout = said.check_timeout.as_ref().and_then(|time| time.value(scope, reader));
    let retries = said.retry_on_failed_check.as_ref().and_then(|times| times.value(scope, reader));
    Some(Check { command, timeout, retries: retries.unwrap_or(0) })
}

fn env(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for (name, value) in said.env.iter().flat_map(|env| &env.0) {
        let value = match value {
            None => None,
            Some(template) => match template.fill(scope) {
                Ok(filled) => Some(filled.text),
                Err(why) => {
                    reader.wrong_secret(template.place, why);
                    continue;
                }
            },
        };
        all.insert(name.clone(), value);
    }
    all
}

fn args(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Vec<String> {
    let all = said.args.iter().flat_map(|many| &many.0);
    all.filter_map(|arg| arg.value(scope, reader)).collect()
}

#[allow(clippy::needless_update, reason = "a run adds what only it knows, such as where to go on")]
fn tree(said: &Settings, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Worktree> {
    let branch = match said.worktree.as_ref()?.value(scope, reader)? {
        TreeKind::None => return None,
        TreeKind::Own => None,
        TreeKind::Branch(branch) => Some(branch),
    };
    let base = said.base.as_ref().and_then(|base| base.value(scope, reader));
    Some(Worktree { branch, base, ..Worktree::default() })
}

/// What is wrong where two combinations of a task would work on one branch of one repository; `branches` is what
/// its others work on.
pub fn shared(wanted: &Wanted, branches: &mut HashSet<[Option<String>; 4]>) -> Option<String> {
    let branch = wanted.worktree.as_ref()?.branch.clone()?;
    let Wanted { host, repo, path, .. } = wanted;
    let fresh = branches.insert([Some(branch.clone()), host.clone(), repo.clone(), path.clone()]);
    (!fresh).then(|| {
        format!(
            "`{branch}` is one branch, and these are several tasks; put a {{{{ key }}}} in it, or write true"
        )
    })
}

/// Of what was noted since `before`, keeps what is not `known` of the same place, and says of a mistake under
/// `defaults` for which task it is one.
pub fn say_once(
    read: &Read,
    task: &Task,
    before: usize,
    known: &mut HashSet<Place>,
    reader: &mut Reader<'_>,
) {
    for mut problem in reader.problems.split_off(before) {
        if !known.insert(problem.place) {
            continue;
        }
        if read.is_default(problem.place) {
            problem.message += &format!(" (for the task in line {})", task.place.line);
        }
        reader.problems.push(problem);
    }
}

/// How much room its texts take.
pub fn bytes(wanted: &Wanted) -> usize {
    let Wanted { text, check, env, args, .. } = wanted;
    let env = env.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
    text.len()
        + check.as_ref().map_or(0, |check| check.command.len())
        + env.sum::<usize>()
        + args.iter().map(String::len).sum::<usize>()
}
