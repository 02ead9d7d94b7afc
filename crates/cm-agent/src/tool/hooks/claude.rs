//! Hooks as Claude Code calls them, and Codex in the same words: what they say, and what they are answered (PURE).
//!
//! Seen with Claude Code 2.1.330 and 2.1.197 and Codex 0.169:
//!
//! | moment | Claude | Codex |
//! |---|---|---|
//! | a turn | UserPromptSubmit, …, Stop | the same |
//! | a turn that the service failed | StopFailure; `error`: `rate_limit`, `authentication_failed`, `server_error` … | nothing |
//! | leave is needed | PermissionRequest, at once; Notification 6 s later | PermissionRequest, at once |
//! | `allow` | done without a dialog | the same |
//! | `deny` with a message | the tool is told and goes on: …, Stop | the same |
//! | `deny` with `interrupt` | the turn ends; no Stop | not understood: it asks in its own way |
//! | a question (AskUserQuestion) | PermissionRequest; `allow` is taken only with `updatedInput.answers` by 2.1.330, but 2.1.197 takes a plain one as an empty answer | – |
//! | a plan (ExitPlanMode) | PermissionRequest; 2.1.330 takes `allow` only with `updatedInput`, 2.1.197 with or without | – |
//! | Esc, Ctrl-C, No in the dialog | nothing | Interrupt |
//! | `auto` mode | no PermissionRequest for what it allows itself | – |
//! | a background agent | Stop names it in `background_tasks`; later a UserPromptSubmit and a Stop of their own | – |
//! | `/clear` | SessionEnd `clear`, SessionStart `clear`: the process goes on | – |
//! | `/compact` | PreCompact, tool calls of an `agent_id`, SessionStart `compact` | – |
//! | the terminal goes | SessionEnd `other` | – |
//!
//! So hooks alone do not tell when a turn was broken off.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::clean;

mod ask;

pub use ask::{HookAsk, activity_of, ask_of};

/// What a hook was called with.
#[derive(Debug, Clone, PartialEq)]
pub struct HookEvent {
    /// The tool's own name for its conversation.
    pub session_id: Option<String>,
    /// Where it writes that down.
    pub transcript_path: Option<String>,
    /// Where it works.
    pub cwd: Option<String>,
    /// `default`, `acceptEdits`, `plan`, `auto`, `bypassPermissions` …
    pub permission_mode: Option<String>,
    /// The helper of the tool's in which this happened; absent: the tool itself.
    pub agent_id: Option<String>,
    /// What happened.
    pub kind: HookKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum HookKind {
    /// A conversation begins or goes on: `startup`, `resume`, `clear`, `compact`.
    SessionStart {
        /// Why.
        source: String,
    },
    /// A conversation ends; with `clear` the tool goes on.
    SessionEnd {
        /// Why: `prompt_input_exit`, `clear`, `logout`, `other` …
        reason: String,
    },
    /// A turn begins.
    UserPromptSubmit {
        /// The task, as the tool took it. News of a background task come like this, too.
        prompt: String,
    },
    /// A tool call begins, unless leave is needed.
    PreToolUse(ToolCall),
    /// Leave is needed. The hook's answer may settle it.
    PermissionRequest(ToolCall),
    /// A tool call has been carried out.
    PostToolUse(ToolCall),
    /// A tool call was carried out and has failed.
    PostToolUseFailure {
        /// Which.
        call: ToolCall,
        /// How, one line.
        error: String,
    },
    /// The tool wants attention.
    Notification {
        /// What for: `permission_prompt`, `idle_prompt` …
        kind: String,
        /// In words, one line.
        message: String,
    },
    /// A turn has ended well.
    Stop {
        /// The tool's last words, one line.
        message: Option<String>,
        /// How many tasks still run in the background; each will report as a turn of its own.
        background: usize,
    },
    /// A turn has ended because the service failed.
    StopFailure {
        /// `rate_limit`, `authentication_failed`, `server_error` …
        error: String,
        /// In words, one line.
        message: Option<String>,
    },
    /// A person broke the turn off (Codex).
    Interrupt,
    /// A helper of the tool's has finished.
    SubagentStop,
    /// The conversation is about to be shortened.
    PreCompact,
    /// Another.
    Other(String),
}

/// A call of one of the tool's own tools.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Which, e.g. `Bash`.
    pub tool: String,
    /// With what.
    pub input: Value,
    /// The call's id.
    pub id: Option<String>,
}

impl HookEvent {
    /// Reads what a hook was called with. `None`: it is no such event.
    pub fn read(event: &Value) -> Option<Self> {
        let text = |name: &str| event.get(name)?.as_str().map(str::to_owned);
        let line = |name: &str| text(name).map(|text| clean(&text)).filter(|text| !text.is_empty());
        let word = |name: &str| line(name).unwrap_or_default();
        let call = || {
            let input = event.get("tool_input").cloned().unwrap_or(Value::Null);
            Some(ToolCall { tool: text("tool_name")?, input, id: text("tool_use_id") })
        };
        let kind = match event.get("hook_event_name")?.as_str()? {
            "SessionStart" => HookKind::SessionStart { source: word("source") },
            "SessionEnd" => HookKind::SessionEnd { reason: word("reason") },
            "UserPromptSubmit" => HookKind::UserPromptSubmit { prompt: text("prompt").unwrap_or_default() },
            "PreToolUse" => HookKind::PreToolUse(call()?),
            "PermissionRequest" => HookKind::PermissionRequest(call()?),
            "PostToolUse" => HookKind::PostToolUse(call()?),
            "PostToolUseFailure" => HookKind::PostToolUseFailure { call: call()?, error: word("error") },
            "Notification" => {
                HookKind::Notification { kind: word("notification_type"), message: word("message") }
            }
            "Stop" => {
                HookKind::Stop { message: line("last_assistant_message"), background: background(event) }
            }
            "StopFailure" => {
                HookKind::StopFailure { error: word("error"), message: line("last_assistant_message") }
            }
            "Interrupt" => HookKind::Interrupt,
            "SubagentStop" => HookKind::SubagentStop,
            "PreCompact" => HookKind::PreCompact,
            other => HookKind::Other(clean(other)),
        };
        Some(Self {
            session_id: text("session_id"),
            transcript_path: text("transcript_path"),
            cwd: text("cwd"),
            permission_mode: text("permission_mode"),
            agent_id: text("agent_id"),
            kind,
        })
    }
}

fn background(event: &Value) -> usize {
    let tasks = event.get("background_tasks").and_then(Value::as_array).into_iter().flatten();
    tasks.filter(|task| task.get("status").is_none_or(|status| status == "running")).count()
}

/// The answer that gives leave, where nothing but leave is wanted (see [`HookAsk::allow`]).
pub fn allow_output() -> Value {
    decision(json!({"behavior": "allow"}))
}

/// The answer that refuses; the tool is told why. `interrupt`: its turn ends, too (Claude only).
pub fn deny_output(message: &str, interrupt: bool) -> Value {
    let mut verdict = json!({"behavior": "deny", "message": message});
    if interrupt {
        verdict["interrupt"] = Value::Bool(true);
    }
    decision(verdict)
}

fn allow_with(input: Value) -> Value {
    decision(json!({"behavior": "allow", "updatedInput": input}))
}

fn decision(verdict: Value) -> Value {
    json!({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": verdict}})
}

/// How long a tool waits for the hook, in seconds: longer than the hook takes at most.
const TIMEOUT: u32 = 10;

/// What Claude's hooks are registered for. Versions of Claude that do not know one of them ignore it.
const CLAUDE: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "Stop",
    "StopFailure",
    "SubagentStop",
    "PreCompact",
    "SessionEnd",
];

/// What Codex's hooks are registered for.
const CODEX: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "Stop",
    "Interrupt",
    "SessionEnd",
];

/// The text of the file for Claude's `--settings`: every event goes to `AGENT hook`. `agent`: the program, by
/// its absolute path, and what makes it an agent. Nothing in it is secret.
pub fn settings(agent: &[String]) -> String {
    let hook = json!([{"hooks": [{"type": "command", "command": command(agent), "timeout": TIMEOUT}]}]);
    let hooks: Map<String, Value> = CLAUDE.iter().map(|event| ((*event).to_owned(), hook.clone())).collect();
    json!({ "hooks": hooks }).to_string()
}

/// The same as arguments for Codex. It asks whether such hooks are trusted unless it is also given
/// `--dangerously-bypass-hook-trust`, which holds for hooks that the work tree brings along, too.
pub fn codex_arguments(agent: &[String]) -> Vec<String> {
    // A JSON string is a TOML string.
    let command = Value::from(command(agent)).to_string();
    let hook = format!("[{{hooks=[{{type=\"command\",command={command},timeout={TIMEOUT}}}]}}]");
    CODEX.iter().flat_map(|event| ["-c".to_owned(), format!("hooks.{event}={hook}")]).collect()
}

/// The command line of the hook, for a shell.
fn command(agent: &[String]) -> String {
    agent.iter().map(String::as_str).chain(["hook"]).map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The answers to a question, by the question's text.
pub type Answers = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
