//! What is probably not meant although a file of tasks is good: secrets that stand in it. PURE.

use std::collections::BTreeSet;

use super::file::Read;

/// Everything to be warned of, each once.
pub fn doubts(read: &Read) -> Vec<String> {
    let mut all = BTreeSet::new();
    for task in &read.tasks {
        for (name, value) in task.settings.env.iter().flat_map(|env| &env.0) {
            if value.as_ref().is_some_and(|value| !value.written().is_empty()) && tells(name) {
                all.insert(format!(
                    "the value of {name} stands in the file; write `{name}:` without one to pass your own on"
                ));
            }
        }
        if task.settings.repo.as_ref().is_some_and(|repo| has_password(repo.0.written())) {
            all.insert("a password stands in the URL of a `repo`; let the host's own git have it".to_owned());
        }
    }
    all.into_iter().collect()
}

/// Whether a variable's name says that it is a secret.
fn tells(name: &str) -> bool {
    let upper = name.to_uppercase();
    let telling = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY"];
    telling.iter().any(|word| upper.contains(word))
}

/// `https://user:password@host/…`
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once('@').is_some_and(|(who, _)| who.contains(':'))
}
