//! PURE. A call in a scenario's words → the name and arguments the client offers.

use std::path::Path;

use serde_json::{Value, json};

use super::asked::Offered;
use super::scenario::Call;

/// A call as the client understands it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// One of those it offers.
    pub name: String,
    /// What it is called with.
    pub input: Input,
}

/// What a tool is called with.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Named arguments.
    Object(Value),
    /// Text, for tools that take it so.
    Text(String),
}

impl Input {
    /// As an object, for dialects that know nothing else.
    pub fn object(&self) -> Value {
        match self {
            Self::Object(value) => value.clone(),
            Self::Text(text) => json!({ "input": text }),
        }
    }
}

/// The tools of a client, and where it works.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// What it offers.
    pub offered: &'a [Offered],
    /// Its working directory, if it says it.
    pub cwd: Option<&'a str>,
}

impl Client<'_> {
    /// The call in this client's words. `None` if it has no tool for it.
    pub fn call(&self, call: &Call) -> Option<ToolCall> {
        match call {
            Call::Write { path, content } => self.write(path, content),
            Call::Read { path } => self.read(path),
            Call::Edit { path, old, new } => self.edit(path, old, new),
            Call::Bash { command, escalate } => self.bash(command, *escalate),
            Call::Question { header, text, options, many } => self.question(header, text, options, *many),
            Call::ExitPlan { plan } => {
                self.first(&["ExitPlanMode", "exit_plan_mode", "plan_exit"], |_| json!({ "plan": plan }))
            }
            Call::Todo { items } => self.todo(items),
            Call::Fetch { url } => self.first(&["WebFetch", "web_fetch", "webfetch"], |name| match name {
                "WebFetch" => json!({ "url": url, "prompt": "What does this page say?" }),
                "web_fetch" => json!({ "prompt": format!("Read {url}") }),
                _ => json!({ "url": url, "format": "text" }),
            }),
            Call::Raw { name, arguments } => self.first(&[name.as_str()], |_| arguments.clone()),
        }
    }

    fn write(&self, path: &str, content: &str) -> Option<ToolCall> {
        let full = self.absolute(path);
        self.first(&["Write", "write_file", "write"], |name| match name {
            "write" => json!({ "filePath": full, "content": content }),
            _ => json!({ "file_path": full, "content": content }),
        })
        .or_else(|| {
            let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
            self.patch(&format!("*** Add File: {path}\n{lines}"))
        })
        .or_else(|| self.bash(&format!("printf %s {} > {}", quoted(content), quoted(&full)), false))
    }

    fn read(&self, path: &str) -> Option<ToolCall> {
        let full = self.absolute(path);
        self.first(&["Read", "read_file", "read"], |name| match name {
            "read" => json!({ "filePath": full }),
            _ => json!({ "file_path": full }),
        })
        .or_else(|| self.bash(&format!("cat {}", quoted(path)), false))
    }

    fn edit(&self, path: &str, old: &str, new: &str) -> Option<ToolCall> {
        let full = self.absolute(path);
        self.first(&["Edit", "replace", "edit"], |name| match name {
            "Edit" => json!({ "file_path": full, "old_string": old, "new_string": new }),
            "replace" => json!({
                "file_path": full, "old_string": old, "new_string": new,
                "instruction": format!("Replace {old} by {new}."),
            }),
            _ => json!({ "filePath": full, "oldString": old, "newString": new }),
        })
        .or_else(|| self.patch(&format!("*** Update File: {path}\n@@\n-{old}\n+{new}\n")))
        .or_else(|| {
            let script = format!("s/{old}/{new}/");
            self.bash(&format!("sed -i {} {}", quoted(&script), quoted(&full)), false)
        })
    }

    fn patch(&self, body: &str) -> Option<ToolCall> {
        let name = self.find("apply_patch")?;
        let text = format!("*** Begin Patch\n{body}*** End Patch\n");
        Some(ToolCall { name: name.to_owned(), input: Input::Text(text) })
    }

    fn bash(&self, command: &str, escalate: bool) -> Option<ToolCall> {
        let names = ["Bash", "exec_command", "shell_command", "run_shell_command", "bash", "shell"];
        self.first(&names, |name| match name {
            "exec_command" if escalate => json!({
                "cmd": command,
                "sandbox_permissions": "require_escalated",
                "justification": "May this run outside of the sandbox?",
            }),
            "exec_command" => json!({ "cmd": command }),
            "shell_command" => json!({ "command": command }),
            "shell" => json!({ "command": ["bash", "-lc", command] }),
            "run_shell_command" => {
                json!({ "command": command, "description": "As the task needs.", "is_background": false })
            }
            _ => json!({ "command": command, "description": "As the task needs" }),
        })
    }

    fn question(&self, header: &str, text: &str, options: &[String], many: bool) -> Option<ToolCall> {
        let options: Vec<Value> = options
            .iter()
            .map(|label| json!({ "label": label, "description": format!("Take {label}") }))
            .collect();
        let names = ["AskUserQuestion", "ask_user", "request_user_input", "question"];
        self.first(&names, |name| {
            let mut asked = json!({ "header": header, "question": text, "options": options });
            match name {
                "AskUserQuestion" => asked["multiSelect"] = json!(many),
                "ask_user" => {
                    asked["multiSelect"] = json!(many);
                    asked["type"] = json!("choice");
                }
                "request_user_input" => asked["id"] = json!("choice"),
                _ => asked["multiple"] = json!(many),
            }
            json!({ "questions": [asked] })
        })
    }

    fn todo(&self, items: &[String]) -> Option<ToolCall> {
        let each = |make: &dyn Fn(&String, &str) -> Value| -> Vec<Value> {
            let status = |at| if at == 0 { "in_progress" } else { "pending" };
            items.iter().enumerate().map(|(at, item)| make(item, status(at))).collect()
        };
        let names = ["TodoWrite", "TaskCreate", "update_plan", "write_todos", "todowrite"];
        self.first(&names, |name| match name {
            "TaskCreate" => {
                let first = items.first().map_or("Work", String::as_str);
                json!({ "subject": first, "description": first, "activeForm": first })
            }
            "update_plan" => {
                json!({ "plan": each(&|item, status| json!({ "step": item, "status": status })) })
            }
            "write_todos" => {
                json!({ "todos": each(&|item, status| json!({ "description": item, "status": status })) })
            }
            "TodoWrite" => json!({ "todos": each(&|item, status| {
                json!({ "content": item, "activeForm": item, "status": status })
            }) }),
            _ => json!({ "todos": each(&|item, status| {
                json!({ "content": item, "status": status, "priority": "medium" })
            }) }),
        })
    }

    /// The first of `names` that is offered, called with what `arguments` says for it.
    fn first(&self, names: &[&str], arguments: impl Fn(&str) -> Value) -> Option<ToolCall> {
        let name = names.iter().find_map(|name| self.find(name))?;
        Some(ToolCall { name: name.to_owned(), input: Input::Object(arguments(name)) })
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.offered.iter().map(|tool| tool.name.as_str()).find(|offered| *offered == name)
    }

    fn absolute(&self, path: &str) -> String {
        match self.cwd {
            Some(cwd) => Path::new(cwd).join(path).to_string_lossy().into_owned(),
            None => path.to_owned(),
        }
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAUDE: &[&str] = &["Bash", "Read", "Edit", "Write", "AskUserQuestion", "TodoWrite", "WebFetch"];
    const CODEX: &[&str] = &["exec_command", "apply_patch", "update_plan"];
    const GEMINI: &[&str] = &["read_file", "write_file", "replace", "run_shell_command", "ask_user"];
    const OPENCODE: &[&str] = &["bash", "read", "edit", "write", "question", "todowrite", "webfetch"];

    fn call(offered: &[&str], call: &Call) -> Option<(String, Input)> {
        let offered: Vec<Offered> =
            offered.iter().map(|name| Offered { name: (*name).to_owned(), custom: false }).collect();
        let client = Client { offered: &offered, cwd: Some("/p") };
        client.call(call).map(|call| (call.name, call.input))
    }

    #[test]
    fn each_client_is_called_by_its_own_names() {
        let check = |offered: &[&str], asked: &Call, name: &str, input: Value| {
            let expected = Some((name.to_owned(), Input::Object(input)));
            assert_eq!(call(offered, asked), expected, "{asked:?}");
        };
        let write = Call::Write { path: "a".into(), content: "x\n".into() };
        check(CLAUDE, &write, "Write", json!({"file_path": "/p/a", "content": "x\n"}));
        check(GEMINI, &write, "write_file", json!({"file_path": "/p/a", "content": "x\n"}));
        check(OPENCODE, &write, "write", json!({"filePath": "/p/a", "content": "x\n"}));
        check(&["shell"], &write, "shell", json!({"command": ["bash", "-lc", "printf %s 'x\n' > '/p/a'"]}));
        let read = Call::Read { path: "/q/b".into() };
        check(CLAUDE, &read, "Read", json!({"file_path": "/q/b"}));
        check(OPENCODE, &read, "read", json!({"filePath": "/q/b"}));
        check(CODEX, &read, "exec_command", json!({"cmd": "cat '/q/b'"}));
        let edit = Call::Edit { path: "a".into(), old: "x".into(), new: "y".into() };
        check(CLAUDE, &edit, "Edit", json!({"file_path": "/p/a", "old_string": "x", "new_string": "y"}));
        check(OPENCODE, &edit, "edit", json!({"filePath": "/p/a", "oldString": "x", "newString": "y"}));
        let bash = Call::Bash { command: "ls".into(), escalate: false };
        check(CODEX, &bash, "exec_command", json!({"cmd": "ls"}));
        let fetch = Call::Fetch { url: "http://x/".into() };
        check(OPENCODE, &fetch, "webfetch", json!({"url": "http://x/", "format": "text"}));
    }

    #[test]
    fn codex_is_given_patches_as_text() {
        let check = |asked: &Call, expected: &str| {
            let expected = Some(("apply_patch".to_owned(), Input::Text(expected.to_owned())));
            assert_eq!(call(CODEX, asked), expected);
        };
        let write = Call::Write { path: "a".into(), content: "x\ny\n".into() };
        check(&write, "*** Begin Patch\n*** Add File: a\n+x\n+y\n*** End Patch\n");
        let edit = Call::Edit { path: "a".into(), old: "x".into(), new: "y".into() };
        check(&edit, "*** Begin Patch\n*** Update File: a\n@@\n-x\n+y\n*** End Patch\n");
    }

    #[test]
    fn what_a_client_has_no_tool_for_is_not_called() {
        let todo = Call::Todo { items: vec!["x".into()] };
        assert_eq!(call(&["Bash"], &todo), None);
        let write = Call::Write { path: "a".into(), content: String::new() };
        assert_eq!(call(&[], &write), None);
    }
}
