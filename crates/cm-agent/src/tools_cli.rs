//! `cm-agent tools`: lists profiles of tools, checks a user's own, explains captured screens.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::tool::explain::explain;
use crate::tool::screen::width;
use crate::tool::{Cursor, Profile, Profiles, Screen};
use crate::tools;

/// The largest captured screen that is read.
const LARGEST_SCREEN: u64 = 4 * 1024 * 1024;

/// What is known of tools.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ToolsCommand {
    /// List the tools with a profile, built in and your own
    List {
        /// JSON, one profile a line
        #[arg(long)]
        json: bool,
    },
    /// Check profiles: prints FILE:LINE:COLUMN and what is wrong; exit 0 if all are good, else 1
    Check {
        /// Profiles [default: those in ~/.config/cm-agent/tools]
        files: Vec<PathBuf>,
    },
    /// Say what is seen on a captured screen (tmux capture-pane -p, with or without -e), and by which rule
    Explain(ExplainArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The tool that drew it; one without a profile is read by its structure
    #[arg(long, value_name = "NAME")]
    tool: String,
    /// The captured screen; - for standard input
    #[arg(long, value_name = "FILE")]
    screen: PathBuf,
    /// The terminal's title
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    title: String,
    /// The tool's version [default: its newest profile]
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Where the cursor is, from 0: COL,ROW; with ,hidden if it is not shown [default: not known]
    #[arg(long, value_name = "COL,ROW", value_parser = parse_cursor)]
    cursor: Option<Cursor>,
    /// The terminal's size [default: as wide as its widest line]
    #[arg(long, value_name = "COLSxROWS", value_parser = parse_size)]
    size: Option<(u16, u16)>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: ToolsCommand) -> ExitCode {
    match command {
        ToolsCommand::List { json } => list(json),
        ToolsCommand::Check { files } => check(files),
        ToolsCommand::Explain(args) => match explained(&args) {
            Ok(text) => print(&text),
            Err(why) => failed(&why),
        },
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The profiles at hand; what is wrong with the user's own is said on standard error and does no harm.
fn profiles() -> Profiles {
    let Some(dir) = tools::user_directory(&env) else { return Profiles::builtin() };
    let (profiles, errors) = tools::tools_dir(&dir);
    for error in errors {
        let _ = writeln!(std::io::stderr(), "cm-agent: {error}");
    }
    profiles
}

fn explained(args: &ExplainArgs) -> Result<String, String> {
    let text = read_screen(&args.screen)?;
    let screen = Screen::default().with_text(&text);
    let widest = screen.lines.iter().map(|line| width(line)).max().unwrap_or(0);
    let fit = |n: usize| u16::try_from(n.max(1)).unwrap_or(u16::MAX);
    let (cols, rows) = args.size.unwrap_or((fit(widest), fit(screen.lines.len())));
    let screen = Screen { cols, rows, title: args.title.clone(), ..screen };
    let profiles = profiles();
    // `claude-code`, `gemini-cli`: the names of their packages.
    let short = args.tool.strip_suffix("-cli").or_else(|| args.tool.strip_suffix("-code"));
    let tool =
        short.filter(|short| !profiles.knows(&args.tool) && profiles.knows(short)).unwrap_or(&args.tool);
    let profile = profiles.for_version(tool, args.version.as_deref());
    let seen = explain(&profile, &screen, args.cursor);
    if args.json {
        serde_json::to_string(&seen).map_err(|error| error.to_string())
    } else {
        Ok(seen.lines().join("\n"))
    }
}

fn read_screen(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let said = path.display();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LARGEST_SCREEN + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_SCREEN + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("the screen {said} cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST_SCREEN {
        return Err(format!("{said} has more than {LARGEST_SCREEN} bytes: that is no screen"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One profile, for `list --json`.
#[derive(Serialize)]
struct Listed<'a> {
    tool: &'a str,
    profile: &'a str,
    profile_version: u32,
    versions: Option<String>,
    program: &'a str,
    status: Option<&'a str>,
    hooks: Option<&'a str>,
    title: bool,
}

fn listed(profile: &Profile) -> Listed<'_> {
    let channels = profile.channels();
    Listed {
        tool: &profile.tool,
        profile: &profile.name,
        profile_version: profile.version,
        versions: Some(profile.versions.to_string()).filter(|range| !range.is_empty()),
        program: &profile.program,
        status: channels.status,
        hooks: channels.hooks,
        title: channels.title,
    }
}

fn list(json: bool) -> ExitCode {
    let profiles = profiles();
    let mut lines = Vec::new();
    for profile in profiles.all() {
        let one = listed(profile);
        if json {
            match serde_json::to_string(&one) {
                Ok(line) => lines.push(line),
                Err(error) => return failed(&error.to_string()),
            }
            continue;
        }
        let channels = [one.status, one.hooks.map(|_| "hooks"), one.title.then_some("title"), Some("screen")];
        let channels: Vec<&str> = channels.into_iter().flatten().collect();
        let versions = one.versions.as_deref().unwrap_or("all");
        lines.push(format!("{:<10} {:<14} {:<14} {}", one.tool, one.profile, versions, channels.join(", ")));
    }
    print(&lines.join("\n"))
}

fn check(files: Vec<PathBuf>) -> ExitCode {
    let files = if files.is_empty() {
        let Some(dir) = tools::user_directory(&env) else {
            return failed("no home directory is known: name the files to check");
        };
        match tools::files(&dir) {
            Ok(found) if found.is_empty() => return print(&format!("no profiles in {}", dir.display())),
            Ok(found) => found,
            Err(error) => return print_and(&error.to_string(), ExitCode::FAILURE),
        }
    } else {
        files
    };
    let mut good = true;
    let mut lines = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match tools::read(&file).and_then(|text| Profile::parse(&name, &text)) {
            Ok(_) => lines.push(format!("{name}: ok")),
            Err(error) => {
                good = false;
                lines.push(error.to_string());
            }
        }
    }
    print_and(&lines.join("\n"), if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(text: &str) -> ExitCode {
    print_and(text, ExitCode::SUCCESS)
}

fn print_and(text: &str, code: ExitCode) -> ExitCode {
    // A reader that has seen enough closes the pipe.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cm-agent: {why}");
    ExitCode::FAILURE
}

fn parse_cursor(text: &str) -> Result<Cursor, String> {
    let mut parts = text.split(',').map(str::trim);
    let mut number = || parts.next().and_then(|part| part.parse::<u16>().ok());
    let (col, row) = (number(), number());
    let visible = match parts.next() {
        None | Some("shown" | "visible") => Some(true),
        Some("hidden") => Some(false),
        Some(_) => None,
    };
    match (col, row, visible, parts.next()) {
        (Some(col), Some(row), Some(visible), None) => Ok(Cursor { col, row, visible }),
        _ => Err("expected COL,ROW or COL,ROW,hidden, counted from 0".into()),
    }
}

fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let (cols, rows) = text.split_once(['x', 'X', '×']).ok_or("expected COLSxROWS, as 120x40")?;
    let number = |part: &str| part.trim().parse::<u16>().ok().filter(|n| *n > 0);
    number(cols).zip(number(rows)).ok_or_else(|| "expected COLSxROWS, as 120x40".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_sizes() {
        let at = |col, row, visible| Ok(Cursor { col, row, visible });
        assert_eq!(parse_cursor("3,4"), at(3, 4, true));
        assert_eq!(parse_cursor("3,4,hidden"), at(3, 4, false));
        for bad in ["", "3", "3,x", "-1,2", "1,2,3", "1,2,hidden,4", "70000,1"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_size("120x40"), Ok((120, 40)));
        for bad in ["", "120", "0x40", "120x", "axb"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
