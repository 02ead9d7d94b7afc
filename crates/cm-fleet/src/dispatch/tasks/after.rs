//! Which task waits for which: names to combinations, and no circles. PURE.

use std::collections::{HashMap, HashSet};

use super::MOST;
use super::file::Read;
use super::kind::Earlier;
use super::spread::All;
use super::template::Seat;
use crate::circle::circle;
use crate::yaml::{Place, Reader, meant};

/// How often tasks may wait for others, all together.
const LINKS: usize = 10 * MOST;
/// Names that are looked through for what was meant.
const LOOKED: usize = 2000;

/// All names, to find tasks by.
pub struct Links<'a> {
    read: &'a Read,
    all: &'a All<'a>,
    /// As they stand in the file: the task.
    written: HashMap<&'a str, usize>,
    /// As they are made: the combination.
    made: HashMap<&'a str, usize>,
    /// How the names begin that are only made when hosts are known.
    later: Vec<&'a str>,
}

/// What a name means.
enum Means {
    Some(Vec<usize>),
    /// That cannot be said before hosts are known.
    Later,
    Nothing(String),
}

impl<'a> Links<'a> {
    /// Of these tasks.
    pub fn new(read: &'a Read, all: &'a All<'a>) -> Self {
        let mut links = Self { read, all, written: HashMap::new(), made: HashMap::new(), later: Vec::new() };
        for (index, task) in read.tasks.iter().enumerate() {
            if let Some(name) = &task.name {
                links.written.entry(name.0.written()).or_insert(index);
            }
        }
        for (at, made) in all.made.iter().enumerate() {
            let Some(name) = made.name.as_deref() else { continue };
            links.made.entry(name).or_insert(at);
            if matches!(made.scope.seat, Seat::Later) {
                links.later.push(name.split("{{").next().unwrap_or_default());
            }
        }
        links.later.sort_unstable();
        links.later.dedup();
        links
    }

    /// What each combination waits for. What is wrong is noted.
    pub fn find(&self, reader: &mut Reader<'_>) -> Vec<Vec<usize>> {
        let mut edges: Vec<Vec<usize>> = vec![Vec::new(); self.all.made.len()];
        let mut links = 0_usize;
        // What is no name at all has been noted.
        let known: HashSet<Place> = reader.problems.iter().map(|problem| problem.place).collect();
        for (task, range) in self.read.tasks.iter().zip(&self.all.of) {
            for earlier in &task.after {
                for at in range.clone() {
                    match self.means(earlier, at) {
                        Means::Some(found) => {
                            links = links.saturating_add(found.len());
                            if let Some(edges) = edges.get_mut(at) {
                                edges.extend(found);
                            }
                        }
                        Means::Later => {}
                        Means::Nothing(why) => {
                            if !known.contains(&earlier.0.place) {
                                reader.wrong(earlier.0.place, why);
                            }
                            break;
                        }
                    }
                    if links > LINKS {
                        let message = format!("with this, tasks wait for others more than {LINKS} times");
                        reader.wrong(earlier.0.place, message);
                        return edges;
                    }
                }
            }
        }
        for edges in &mut edges {
            edges.sort_unstable();
            edges.dedup();
        }
        if let Some(nodes) = circle(&edges) {
            self.circular(&nodes, reader);
        }
        edges
    }

    fn means(&self, earlier: &Earlier, at: usize) -> Means {
        let Some(made) = self.all.made.get(at) else { return Means::Later };
        let filled = earlier.0.fill(&made.scope);
        // One of a task's combinations.
        if let Some(at) = filled.as_ref().ok().and_then(|filled| self.made.get(filled.text.as_str())) {
            return Means::Some(vec![*at]);
        }
        // All of a task's, where it is called as it stands in the file.
        let text = filled.as_ref().map_or("", |filled| filled.text.as_str());
        let task = self.written.get(earlier.0.written()).or_else(|| self.written.get(text));
        if let Some(range) = task.and_then(|task| self.all.of.get(*task)) {
            return Means::Some(range.clone().collect());
        }
        match filled {
            Err(why) => Means::Nothing(why),
            Ok(filled) if filled.open => Means::Later,
            Ok(filled) if self.later.iter().any(|start| filled.text.starts_with(start)) => Means::Later,
            Ok(filled) => Means::Nothing(self.unknown(&filled.text)),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let written = self.written.keys().copied();
        let near = meant(name, written.chain(self.made.keys().copied()).take(LOOKED));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.written.is_empty() => "no task has a `name`".to_owned(),
            None => "it is the `name` of another task that stands here".to_owned(),
        };
        format!("there is no task `{name}`; {hint}")
    }

    /// Notes a circle where its last step is said.
    fn circular(&self, nodes: &[usize], reader: &mut Reader<'_>) {
        let name = |at: &usize| {
            let made = self.all.made.get(*at);
            made.and_then(|made| made.name.as_deref()).unwrap_or("?")
        };
        let [.., from, to] = nodes else { return };
        let task = self.all.made.get(*from).and_then(|made| self.read.tasks.get(made.task));
        let said = task
            .into_iter()
            .flat_map(|task| &task.after)
            .find(|earlier| matches!(self.means(earlier, *from), Means::Some(found) if found.contains(to)));
        let Some(said) = said else { return };
        let message = match nodes {
            [_, _] => format!("a task cannot wait for itself: {} → {}", name(from), name(to)),
            _ => {
                let shown: Vec<&str> = nodes.iter().map(name).collect();
                format!("tasks wait for each other: {}", chain(&shown))
            }
        };
        reader.wrong(said.0.place, message);
    }
}

/// `a → b → a`; of a long one its ends.
fn chain(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    if names.len() <= SHOWN {
        return names.join(" → ");
    }
    let (head, tail) = (&names[..SHOWN / 2], &names[names.len() - SHOWN / 2..]);
    format!("{} → … → {}", head.join(" → "), tail.join(" → "))
}
