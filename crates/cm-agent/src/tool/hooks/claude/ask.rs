//! What leave is asked for, and what a tool is busy with: read from its tool calls (PURE).

use serde_json::Value;

use super::super::tests_command::is_test_command;
use super::{Answers, HookEvent, HookKind, ToolCall, allow_output, allow_with, clean};
use crate::tool::detect::Activity;
use crate::tool::profile::PromptKind;

/// What leave is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct HookAsk {
    /// Of which kind.
    pub kind: PromptKind,
    /// The tool's tool, e.g. `Bash`.
    pub tool: String,
    /// Commands as they would be run, paths (absolute where the working directory is known) or addresses that it
    /// is about. A patch may be about several files: all must be allowed.
    pub subjects: Vec<String>,
    /// In one line, for people.
    pub summary: String,
    /// The tool's sandbox is to be left for it.
    pub unsandboxed: bool,
    /// What the tool would be called with.
    input: Value,
}

impl HookAsk {
    /// The only subject, or the first.
    pub fn subject(&self) -> Option<&str> {
        self.subjects.first().map(String::as_str)
    }

    /// The answer that gives leave. `None`: leave is no answer to it, see [`HookAsk::answer`].
    pub fn allow(&self) -> Option<Value> {
        match self.kind {
            PromptKind::Question => None,
            PromptKind::Plan => {
                let input = if self.input.is_object() { self.input.clone() } else { serde_json::json!({}) };
                Some(allow_with(input))
            }
            _ => Some(allow_output()),
        }
    }

    /// The texts of its questions, in order, each with the labels to choose from.
    pub fn questions(&self) -> Vec<(&str, Vec<&str>)> {
        let all = self.input.get("questions").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|question| {
            let options = question.get("options").and_then(Value::as_array);
            let labels = options.into_iter().flatten().filter_map(|option| option.get("label")?.as_str());
            Some((question.get("question")?.as_str()?, labels.collect()))
        })
        .collect()
    }

    /// The answer to its questions. `None`: it asks none, or others.
    pub fn answer(&self, answers: &Answers) -> Option<Value> {
        let asked = self.questions();
        if asked.is_empty() || !asked.iter().all(|(question, _)| answers.contains_key(*question)) {
            return None;
        }
        let mut input = self.input.clone();
        input["answers"] = serde_json::to_value(answers).ok()?;
        Some(allow_with(input))
    }
}

/// What leave is asked for by an event. `None`: it asks for none.
pub fn ask_of(event: &HookEvent) -> Option<HookAsk> {
    let HookKind::PermissionRequest(call) = &event.kind else { return None };
    let text = |name: &str| call.input.get(name)?.as_str().filter(|text| !text.is_empty());
    let path = |name: &str| text(name).map(|path| absolute(path, event.cwd.as_deref()));
    let (kind, subjects) = match call.tool.as_str() {
        "Bash" | "PowerShell" | "Monitor" | "shell" | "exec_command" => {
            (PromptKind::Command, command(call).into_iter().collect())
        }
        "Write" | "Edit" | "MultiEdit" => (PromptKind::Edit, path("file_path").into_iter().collect()),
        "NotebookEdit" => (PromptKind::Edit, path("notebook_path").into_iter().collect()),
        "apply_patch" => (PromptKind::Edit, patched(text("command").unwrap_or(""), event.cwd.as_deref())),
        "Read" | "NotebookRead" => (PromptKind::Read, path("file_path").into_iter().collect()),
        "Glob" | "Grep" | "LS" => {
            (PromptKind::Read, path("path").or_else(|| event.cwd.clone()).into_iter().collect())
        }
        "WebFetch" => (PromptKind::Network, text("url").map(str::to_owned).into_iter().collect()),
        "WebSearch" => (PromptKind::Network, text("query").map(str::to_owned).into_iter().collect()),
        "ExitPlanMode" => (PromptKind::Plan, Vec::new()),
        "AskUserQuestion" => (PromptKind::Question, Vec::new()),
        _ => (PromptKind::Confirm, Vec::new()),
    };
    // Whatever is not understood is no command, edit or address, but something to ask a person about.
    let understood = !subjects.is_empty() || matches!(kind, PromptKind::Plan | PromptKind::Question);
    let kind = if understood { kind } else { PromptKind::Confirm };
    let detail = match kind {
        PromptKind::Question => call.input["questions"][0]["question"].as_str().unwrap_or("").to_owned(),
        PromptKind::Plan => text("plan").unwrap_or("").to_owned(),
        PromptKind::Confirm => call.input.to_string(),
        _ => subjects.join(", "),
    };
    Some(HookAsk {
        kind,
        tool: clean(&call.tool),
        subjects,
        summary: clean(&format!("{}: {detail}", call.tool)).trim_end_matches(':').to_owned(),
        unsandboxed: call.input.get("dangerouslyDisableSandbox") == Some(&Value::Bool(true)),
        input: call.input.clone(),
    })
}

/// What a tool is busy with from this event on. `None`: the event does not tell.
pub fn activity_of(event: &HookEvent) -> Option<Activity> {
    let plans = event.permission_mode.as_deref() == Some("plan");
    let call = match &event.kind {
        HookKind::UserPromptSubmit { .. } if plans => return Some(Activity::Planning),
        HookKind::UserPromptSubmit { .. } => return Some(Activity::Running),
        HookKind::PreToolUse(call) | HookKind::PermissionRequest(call) => call,
        _ => return None,
    };
    Some(match call.tool.as_str() {
        "TodoWrite" | "TaskCreate" | "TaskUpdate" | "EnterPlanMode" | "ExitPlanMode" | "update_plan" => {
            Activity::Planning
        }
        "Write" | "Edit" | "MultiEdit" | "NotebookEdit" | "apply_patch" => Activity::Editing,
        _ if command(call).is_some_and(|command| is_test_command(&command)) => Activity::Testing,
        _ if plans => Activity::Planning,
        _ => Activity::Running,
    })
}

/// The command of a call that runs one.
fn command(call: &ToolCall) -> Option<String> {
    let field = call.input.get("command").or_else(|| call.input.get("cmd"))?;
    let command = match field {
        Value::String(command) => command.clone(),
        Value::Array(words) => {
            let words = words.iter().map(|word| word.as_str().map(super::quoted));
            words.collect::<Option<Vec<_>>>()?.join(" ")
        }
        _ => return None,
    };
    Some(command).filter(|command| !command.trim().is_empty())
}

fn absolute(path: &str, cwd: Option<&str>) -> String {
    match cwd {
        Some(cwd) if !path.starts_with(['/', '~']) => format!("{}/{path}", cwd.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

/// The files a patch changes. None if it names any in a way that is not understood.
fn patched(patch: &str, cwd: Option<&str>) -> Vec<String> {
    let heads = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
    let mut files = Vec::new();
    for line in patch.lines().filter(|line| line.starts_with("*** ")) {
        match heads.iter().find_map(|head| line.strip_prefix(head)) {
            Some(path) => files.push(absolute(path.trim(), cwd)),
            None if matches!(line.trim_end(), "*** Begin Patch" | "*** End Patch" | "*** End of File") => {}
            None => return Vec::new(),
        }
    }
    files
}
