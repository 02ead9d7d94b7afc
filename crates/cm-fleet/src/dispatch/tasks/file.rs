//! The keys of a file of tasks: one description that is read with, laid over each other, and published as JSON
//! Schema. PURE.

use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::kind::{
    Arg, Command, Cpu, Directory, Earlier, Env, Flag, Matrix, Memory, Mendings, Name, On, PolicyText,
    Processes, Prose, Reference, Repo, Retries, Time, Tool, Tree,
};
use crate::yaml::{At, FromNode, Layer, Many, Node, Place, Reader, What, keys};

keys! {
    /// What can be said of a task; under `defaults` it holds for all of them.
    Settings "for a task" {
        /// What does the task: a coding tool, `shell` for a script of sh, or any interactive program.
        lay tool: Tool,
        /// Where it is done: a directory on the host, within the work tree where there is a `repo`.
        lay path: Directory,
        /// A git repository that is cloned on the host; the task gets a work tree of its own in it.
        lay repo: Repo,
        /// The commit, branch or tag of `repo`. Default: its default branch.
        lay reference as "ref": Reference,
        /// Which hosts may do it: a name (gpu-01, gpu-*), @group or label=value, joined by , & !.
        lay on: On,
        /// Make the task once for each of these hosts; `{{ host }}` and `{{ labels.NAME }}` stand for its name
        /// and labels.
        lay each_host: At<Flag>,
        /// Make the task once for each combination of these values; `{{ key }}` stands for a value.
        lay matrix: Matrix,
        /// What decides about prompts: read-only, careful, trusting, one of your own by name, or a YAML file.
        lay policy: PolicyText,
        /// A command that proves the task done, run where the task worked.
        lay check: Command,
        /// How long the check may take: 90s, 10m. Default: 10m.
        lay check_timeout: Time,
        /// How often a failed check is given back to the tool to mend. Default: 0.
        lay retry_on_failed_check: Mendings,
        /// End the task as failed after this time: 90s, 10m, 1h30m.
        lay timeout: Time,
        /// How often a failed task is tried again, on any host. Default: 0.
        lay retries: Retries,
        /// Variables: a value, or none to pass your own on; or a list of NAME and NAME=value.
        merge env: Env,
        /// Arguments for the tool's own command line.
        lay args: Many<Arg>,
        /// Work in a git work tree of its own: true, or the branch's name. Default: false.
        lay worktree: Tree,
        /// The commit, branch or tag the work tree starts from. Default: HEAD.
        lay base: Reference,
        /// Memory the task may use: 512M, 2G.
        lay memory: Memory,
        /// Cores it may use: 1.5.
        lay cpu: Cpu,
        /// Processes and threads it may have.
        lay tasks: Processes,
    }
}

/// A task as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Where.
    pub place: Place,
    /// What is to be done; none where that could not be read.
    pub text: Option<Prose>,
    /// What others refer to it by.
    pub name: Option<Name>,
    /// The tasks that have to be done before it.
    pub after: Vec<Earlier>,
    /// What holds for it, that of `defaults` included.
    pub settings: Settings,
}

/// A whole file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// In the order of the file.
    pub tasks: Vec<Task>,
    /// From where to where `defaults` reach.
    pub defaults: Option<(Place, Place)>,
}

/// Bytes of `defaults` times tasks at most.
const DEFAULTS: usize = 512 << 20;

const FILE: &[&str] = &["defaults", "tasks"];
const TASK: &[&str] = &["task", "name", "after"];

impl Read {
    /// Reads the tree of a file.
    pub fn from_node(node: &Node, reader: &mut Reader<'_>) -> Self {
        let (mut defaults, mut tasks, mut span) = (Settings::default(), None, None);
        let mut weight = 0;
        let Some(entries) = top(node, reader) else { return Self::default() };
        for (key, value) in entries {
            match key.value.as_str() {
                "defaults" => {
                    span = Some((key.place, last(value)));
                    weight = self::weight(value);
                    defaults = defaults_of(value, reader);
                }
                "tasks" => tasks = Some(value),
                name if Settings::KEYS.contains(&name) || TASK.contains(&name) => {
                    let message = format!("`{name}` does not stand here; put it under `defaults` or a task");
                    reader.wrong(key.place, message);
                }
                _ => reader.unknown_key(key, "in a file of tasks", FILE),
            }
        }
        let read = match tasks {
            Some(tasks) => list(tasks, &defaults, weight, reader),
            None => {
                reader.wrong(node.place, "there is no `tasks`: a list of what is to be done");
                Vec::new()
            }
        };
        names(&read, reader);
        Self { tasks: read, defaults: span }
    }

    /// Whether something is said under `defaults`, and thus for many tasks.
    pub fn is_default(&self, place: Place) -> bool {
        self.defaults.is_some_and(|(first, last)| (first..=last).contains(&place))
    }
}

/// About how much memory a piece of YAML takes.
fn weight(node: &Node) -> usize {
    const EACH: usize = 64;
    match &node.what {
        What::Scalar { text, .. } => EACH + text.len(),
        What::List(items) => items.iter().map(weight).sum::<usize>() + EACH,
        What::Map(entries) => {
            entries.iter().map(|(key, value)| key.value.len() + weight(value)).sum::<usize>() + EACH
        }
        What::Null | What::Noted => EACH,
    }
}

fn list(node: &Node, defaults: &Settings, weight: usize, reader: &mut Reader<'_>) -> Vec<Task> {
    let What::List(items) = &node.what else {
        return node.expected("a list of tasks", reader).unwrap_or_default();
    };
    if items.is_empty() {
        reader.wrong(node.place, "there is no task in the list");
    }
    // Every task has them all, in memory too.
    if weight.saturating_mul(items.len()) > DEFAULTS {
        reader.wrong(node.place, "these are too many tasks for so long `defaults`");
        return Vec::new();
    }
    items.iter().filter_map(|item| Task::read(item, defaults, reader)).collect()
}

fn top<'a>(node: &'a Node, reader: &mut Reader<'_>) -> Option<&'a [(At<String>, Node)]> {
    if let What::List(_) = node.what {
        reader.wrong(node.place, "the list of tasks stands under the key `tasks`");
        return None;
    }
    node.map(reader)
}

/// The end of a piece of YAML.
fn last(node: &Node) -> Place {
    match &node.what {
        What::List(items) => items.iter().map(last).max(),
        What::Map(entries) => entries.iter().map(|(key, value)| last(value).max(key.place)).max(),
        _ => None,
    }
    .unwrap_or(node.place)
    .max(node.place)
}

fn defaults_of(node: &Node, reader: &mut Reader<'_>) -> Settings {
    let mut read = Settings::default();
    for (key, value) in node.map(reader).unwrap_or_default() {
        let name = key.value.as_str();
        if TASK.contains(&name) {
            let message = format!("`{name}` does not stand under `defaults`: each task has its own");
            reader.wrong(key.place, message);
        } else if !read.take(name, value, reader) {
            reader.unknown_key(key, "under `defaults`", Settings::KEYS);
        }
    }
    read
}

impl Task {
    /// Whether it is made once for each host.
    pub fn each_host(&self) -> bool {
        self.settings.each_host.as_ref().is_some_and(|flag| flag.value.0)
    }

    fn read(node: &Node, defaults: &Settings, reader: &mut Reader<'_>) -> Option<Self> {
        // A text alone is a task of which there is nothing more to say.
        if let What::Scalar { .. } = node.what {
            let text = Prose::from_node(node, reader);
            let settings = defaults.clone();
            return Some(Self { place: node.place, text, name: None, after: Vec::new(), settings });
        }
        let (mut own, mut text, mut name, mut after) = (Settings::default(), None, None, Vec::new());
        let mut said = false;
        if node.is_null() {
            reader.wrong(node.place, "there is no task here");
            return None;
        }
        for (key, value) in node.map(reader)? {
            match key.value.as_str() {
                "task" => {
                    said = true;
                    text =
                        if value.is_null() { empty(value, reader) } else { Prose::from_node(value, reader) };
                }
                "name" if !value.is_null() => name = Name::from_node(value, reader),
                "after" if !value.is_null() => {
                    after = Many::from_node(value, reader).map_or_else(Vec::new, |many| many.0);
                }
                word if TASK.contains(&word) => {}
                word => {
                    if !own.take(word, value, reader) {
                        let keys: Vec<&str> = TASK.iter().chain(Settings::KEYS).copied().collect();
                        reader.unknown_key(key, "for a task", &keys);
                    }
                }
            }
        }
        if !said {
            reader.wrong(node.place, "this task has no `task`: the text of what is to be done");
        }
        let mut settings = defaults.clone();
        settings.merge(&own);
        alone(&own, &settings, reader);
        Some(Self { place: node.place, text, name, after, settings })
    }
}

fn empty<T>(node: &Node, reader: &mut Reader<'_>) -> Option<T> {
    reader.wrong(node.place, "the task is empty");
    None
}

/// What a task says that means nothing without something else.
fn alone(own: &Settings, all: &Settings, reader: &mut Reader<'_>) {
    let tree = all.worktree.as_ref().is_some_and(|tree| tree.0.written() != "false");
    let said = [
        ("check_timeout", own.check_timeout.as_ref().map(|it| it.0.place), "check", all.check.is_some()),
        (
            "retry_on_failed_check",
            own.retry_on_failed_check.as_ref().map(|it| it.0.place),
            "check",
            all.check.is_some(),
        ),
        ("ref", own.reference.as_ref().map(|it| it.0.place), "repo", all.repo.is_some()),
        ("base", own.base.as_ref().map(|it| it.0.place), "worktree", tree),
    ];
    for (key, place, other, there) in said {
        if let (Some(place), false) = (place, there) {
            reader.wrong(place, format!("`{key}` means nothing without `{other}`"));
        }
    }
}

/// Names are there once.
fn names(tasks: &[Task], reader: &mut Reader<'_>) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for name in tasks.iter().filter_map(|task| task.name.as_ref()) {
        let place = name.0.place;
        match seen.get(name.0.written()) {
            Some(line) => {
                let message = format!("the name `{}` is already in line {line}", name.0.written());
                reader.wrong(place, message);
            }
            None => {
                seen.insert(name.0.written(), place.line);
            }
        }
    }
}

/// Tasks for `cm-fleet dispatch --tasks FILE`.
///
/// Texts may hold `{{ key }}`: a value of the task's `matrix`, or with `each_host` the host's name (`{{ host }}`) and
/// labels (`{{ labels.NAME }}`). `{{{{` stands for `{{`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Tasks")]
#[allow(dead_code, reason = "only described")]
struct TasksFile {
    /// What holds for all tasks that do not say otherwise.
    defaults: Option<Settings>,
    /// What is to be done, in any order that `after` leaves.
    #[schemars(with = "Vec<OneTask>", length(min = 1))]
    tasks: (),
}

/// A task: its text alone, or a map.
struct OneTask;

impl JsonSchema for OneTask {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (text, name) = (generator.subschema_for::<Prose>(), generator.subschema_for::<Name>());
        let after = generator.subschema_for::<Many<Earlier>>();
        let mut keys = Settings::json_schema(generator);
        let about = "A task: its text alone, or all there is to say of it.";
        keys.insert("description".to_owned(), about.into());
        keys.insert("required".to_owned(), serde_json::json!(["task"]));
        if let Some(properties) = keys.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            let described = |schema: Schema, about: &str| {
                let mut schema = schema;
                schema.insert("description".to_owned(), about.into());
                schema.to_value()
            };
            properties.insert("task".to_owned(), described(text, "What is to be done."));
            let about = "What it is called; with a matrix, the values that are not in it are added.";
            properties.insert("name".to_owned(), described(name, about));
            let about = "Names of tasks that have to be done before this one.";
            properties.insert("after".to_owned(), described(after, about));
        }
        json_schema!({"anyOf": [keys, {"type": ["string", "number"]}]})
    }
}

/// The JSON Schema of a file of tasks, draft 2020-12.
pub fn schema() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<TasksFile>()
}
