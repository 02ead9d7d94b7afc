//! The command line of a tool: the profile's arguments, the user's, and the task (PURE).

use std::collections::BTreeMap;

use super::{Profile, TaskEntry};

impl Profile {
    /// The program and its arguments, for a task (empty: none) and further arguments of the user's. An
    /// argument of the profile's is left out where one of the user's takes its place.
    pub fn argv(&self, task: &str, args: &[String]) -> Vec<String> {
        let mut argv = vec![self.program.clone()];
        argv.extend(own(&self.launch.args, &self.launch.yields, args));
        match self.launch.task {
            TaskEntry::Script if !task.is_empty() => {
                argv.push("-c".into());
                // A shell would read such a script as options (failure 27).
                if task.starts_with(['-', '+']) {
                    argv.push("--".into());
                }
                argv.push(task.into());
                if !args.is_empty() {
                    argv.push(self.program.clone());
                }
            }
            TaskEntry::Script | TaskEntry::Typed | TaskEntry::Argument => {}
        }
        argv.extend_from_slice(args);
        if self.launch.task == TaskEntry::Argument && !task.is_empty() {
            argv.extend(self.launch.argument.iter().map(|word| word.replace("{task}", task)));
        }
        argv
    }
}

/// The profile's own arguments, without those (and their values) whose place one of the user's takes.
fn own(own: &[String], yields: &BTreeMap<String, Vec<String>>, users: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut dropping = false;
    for word in own {
        if word.starts_with('-') {
            dropping =
                yields.get(word).is_some_and(|instead| instead.iter().any(|flag| is_among(flag, users)));
        }
        if !dropping {
            kept.push(word.clone());
        }
    }
    kept
}

/// Whether a flag is among the words, in any of the ways it can be written: `--flag`, `--flag=x`, `-fx`; for a
/// word that is no flag, `word=x`, as after `-c`. What follows `--` are no flags.
fn is_among(flag: &str, words: &[String]) -> bool {
    let is_short = flag.len() == 2 && flag.starts_with('-') && flag != "--";
    words.iter().take_while(|word| *word != "--").any(|word| {
        word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || is_short)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Profiles;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_users_arguments_take_the_place_of_the_profiles() {
        let profiles = Profiles::builtin();
        let check = |tool: &str, users: &str, own: &str| {
            let argv = profiles.for_tool(tool).argv("do it", &words(users));
            let expected = words(&format!("{tool} {own} {users} -- do it"));
            assert_eq!(words(&argv.join(" ")), expected, "{tool} {users}");
        };
        let all = "--no-daemon -a on-request -s read-only";
        check("codex", "", all);
        check("codex", "-m gpt-5.5", all);
        check("codex", "-a never", "--no-daemon -s read-only");
        check("codex", "-anever", "--no-daemon -s read-only");
        check("codex", "--ask-for-approval=never", "--no-daemon -s read-only");
        check("codex", "--sandbox workspace-write", "--no-daemon -a on-request");
        check("codex", "-c sandbox_mode=\"workspace-write\"", "--no-daemon -a on-request");
        check("codex", "--dangerously-bypass-approvals-and-sandbox", "--no-daemon");
        check("codex", "--no-daemon -s read-only", "-a on-request");
        // Neither another flag that begins so, nor what is none.
        check("codex", "--sandboxed", all);
        check("codex", "--add-dir x -- -a never", all);
        let mode = "--permission-mode default";
        check("claude", "", mode);
        check("claude", "--add-dir ../x", mode);
        check("claude", "--permission-mode plan", "");
        check("claude", "--dangerously-skip-permissions", "");
    }
}
