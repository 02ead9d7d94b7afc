//! Whole files of tasks: what is made of them, and what is said of bad ones.

use std::path::{Path, PathBuf};

use super::{File, HostFacts, TasksError, Wanted, expand};

mod bad;
mod documented;
mod good;

/// The variables of these tests.
fn env(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/home/op".to_owned())
}

fn read(text: &str) -> Result<File, TasksError> {
    File::of(Path::new("tasks.yaml"), PathBuf::from("/w/tasks.yaml"), text, &env)
}

fn good(text: &str) -> File {
    read(text).unwrap_or_else(|error| panic!("{}", error.failure()))
}

/// A few hosts: `gpu-1` and `gpu-2` in `gpu`, `web`.
fn hosts() -> Vec<HostFacts> {
    let host = |name: &str, group: &str, zone: &str, os: &str| HostFacts {
        name: name.to_owned(),
        labels: [("zone", zone), ("os", os)].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        groups: [group.to_owned()].into(),
    };
    vec![
        host("gpu-1", "gpu", "eu", "linux"),
        host("gpu-2", "gpu", "us", "mac"),
        host("web", "front", "eu", "linux"),
    ]
}

/// The tasks of a good file.
fn wanted(text: &str) -> Vec<Wanted> {
    expand(&good(text), &hosts()).unwrap_or_else(|error| panic!("{}", error.failure()))
}

/// What is said of a file, or of what it asks of the hosts.
fn said(text: &str) -> String {
    let error = match read(text) {
        Err(error) => error.failure(),
        Ok(file) => match expand(&file, &hosts()) {
            Err(error) => error.failure(),
            Ok(wanted) => panic!("{} tasks are good: {text:.200}", wanted.len()),
        },
    };
    error.to_string()
}

/// A task as a line: its name, text, host, and what it waits for.
fn line(all: &[Wanted], task: &Wanted) -> String {
    let label = |task: &Wanted| task.name.clone().unwrap_or_else(|| "-".to_owned());
    let after: Vec<String> = task.after.iter().map(|at| label(&all[*at])).collect();
    let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(" ")) };
    let host = task.host.as_ref().map(|host| format!(" @{host}")).unwrap_or_default();
    format!("{}: {}{host}{after}\n", label(task), task.text)
}

fn listed(text: &str) -> String {
    let all = wanted(text);
    all.iter().map(|task| line(&all, task)).collect()
}
