//! `cargo xtask tools`: the real coding CLIs, at pinned versions, in a directory of ours.

mod install;

use cm_testkit::tools::{Pin, ToolError, Tools, pin, pins};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Has the named tools (or all) installed. Nothing is done for those that are.
pub fn install(workspace: &Workspace, names: &[String]) -> Result<(), Failure> {
    let tools = Tools::of(&workspace.target);
    for pin in chosen(names)? {
        install::ensure(workspace, &tools, &pin)?;
    }
    Ok(())
}

/// Shows which tools there are, and which are installed.
pub fn list(workspace: &Workspace) -> Result<(), Failure> {
    let tools = Tools::of(&workspace.target);
    for pin in pins().map_err(told)? {
        let place = if tools.has(&pin) {
            tools.program_of(&pin).display().to_string()
        } else {
            "not installed".to_owned()
        };
        println!("{:<16} {:<10} {place}", pin.name, pin.version);
    }
    Ok(())
}

/// Prints where a tool's program is.
pub fn path(workspace: &Workspace, name: &str) -> Result<(), Failure> {
    println!("{}", Tools::of(&workspace.target).find(name).map_err(told)?.display());
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Pin>, Failure> {
    if names.is_empty() {
        return pins().map_err(told);
    }
    names.iter().map(|name| pin(name).map_err(told)).collect()
}

/// Where the error says the next move itself, the failure must not say another.
fn told(error: ToolError) -> Failure {
    let text = error.to_string();
    let (what, next) = text.split_once("\n  Next: ").unwrap_or((&text, "cargo xtask tools --list"));
    Failure::check(what, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tools_unless_some_are_named() {
        assert_eq!(chosen(&[]).unwrap(), pins().unwrap());
        let two = chosen(&["codex".to_owned(), "claude@2.1.300".to_owned()]).unwrap();
        assert_eq!((two[0].version.as_str(), two[1].version.as_str()), ("0.169.0", "2.1.300"));
        let failure = chosen(&["x".to_owned()]).unwrap_err().to_string();
        assert!(failure.contains("there are: claude") && failure.contains("tools --list"), "{failure}");
    }
}
