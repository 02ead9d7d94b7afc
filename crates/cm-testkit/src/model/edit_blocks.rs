//! PURE. Calls as text, for a client that has no tools and reads what to do out of the answer.

use super::scenario::{Call, Step};

/// The call in the words of search-and-replace blocks; what has none is left out.
pub fn written(call: &Call) -> String {
    let block = |path: &str, old: &str, new: &str| {
        format!("\n\n{path}\n```\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE\n```\n", line(old), line(new))
    };
    match call {
        Call::Write { path, content } => block(path, "", content),
        Call::Edit { path, old, new } => block(path, old, new),
        Call::Bash { command, .. } => format!("\n\n```bash\n{command}\n```\n"),
        Call::Question { text, .. } => format!("\n\n{text}\n"),
        Call::Fetch { url } => format!("\n\nSee {url}\n"),
        Call::Read { .. } | Call::ExitPlan { .. } | Call::Todo { .. } | Call::Raw { .. } => String::new(),
    }
}

/// Whether anything of the step can be written: its words alone, if it calls nothing.
pub fn can_write(step: &Step) -> bool {
    step.calls.is_empty() || step.calls.iter().any(|call| !written(call).is_empty())
}

/// The text with a line's end, unless it is empty.
fn line(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_replaces_nothing() {
        let call = Call::Write { path: "a.txt".into(), content: "x\n".into() };
        assert_eq!(written(&call), "\n\na.txt\n```\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n```\n");
    }
}
