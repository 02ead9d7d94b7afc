//! PURE: the configuration a session's server is born with.

use std::collections::BTreeMap;

use super::command::{SESSION, quote};

/// What to launch, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The session's id; the server carries it as `@cm-id`.
    pub id: String,
    /// The program and its arguments, run directly; never empty.
    pub command: Vec<String>,
    /// The working directory, absolute. tmux silently takes another one if it cannot be entered: check first.
    pub cwd: Vec<u8>,
    /// Variables for the program beside the server's own environment.
    pub env: BTreeMap<String, String>,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Lines kept that have left the top of the screen.
    pub history_limit: u32,
    /// `TERM` for the program: `tmux-256color` where the host has its description, else `screen-256color`.
    pub terminal: String,
    /// Whether what runs in the terminal may give the window its name: only `cm-agent hold --status` may, which
    /// tells the tool's status that way.
    pub allow_rename: bool,
}

/// What cannot be launched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// No program.
    #[error("cannot launch a session without a command")]
    NoCommand,
    /// A NUL cannot be part of an argument, a path or a variable.
    #[error("cannot launch with a NUL character in {0}")]
    Nul(&'static str),
    /// A variable's name is empty or has `=` in it.
    #[error("not the name of an environment variable: {0:?}")]
    VariableName(String),
}

/// The name that the window takes when the program has ended.
pub const DEAD_NAME: &str = "cm-dead";

/// Options, all set with `-q`: one that this tmux does not know is no error.
///
/// `exit-empty` stays on: `remain-on-exit` keeps the session when the program ends, and when somebody kills
/// the session the server should not stay behind. `message-limit 0`: the server logs every command, which
/// would be a thousand pastes kept in memory.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("-s", "message-limit", "0"),
    ("-s", "exit-unattached", "off"),
    ("-s", "escape-time", "25"),
    ("-s", "set-clipboard", "off"),
    ("-g", "destroy-unattached", "off"),
    ("-g", "update-environment", ""),
    ("-g", "status", "off"),
    ("-gw", "automatic-rename", "off"),
    ("-gw", "allow-rename", "off"),
    ("-gw", "allow-passthrough", "off"),
    ("-gw", "remain-on-exit", "on"),
    ("-gw", "remain-on-exit-format", ""),
];

/// The configuration file's text. It may hold secrets: it belongs in a file of mode 0600 that is removed once
/// the session runs.
///
/// # Errors
/// The specification cannot be launched.
pub fn launch_conf(spec: &LaunchSpec) -> Result<Vec<u8>, LaunchError> {
    check(spec)?;
    let mut conf = Conf(Vec::new());
    for (scope, name, value) in OPTIONS {
        conf.line(["set-option", "-q", scope, name, value]);
    }
    if spec.allow_rename {
        conf.line(["set-option", "-q", "-gw", "allow-rename", "on"]);
    }
    let (cols, rows) = (spec.size.0.max(1).to_string(), spec.size.1.max(1).to_string());
    conf.line(["set-option", "-s", "default-terminal", &spec.terminal]);
    conf.line(["set-option", "-g", "history-limit", &spec.history_limit.to_string()]);
    conf.line(["set-option", "-s", "@cm-id", &spec.id]);
    for (name, value) in &spec.env {
        conf.line(["set-environment", "-g", "--", name, value]);
    }
    // A hook's own commands give no notices; what `run-shell -b` runs after it does. So the control client
    // hears of the end at once, as `%window-renamed`. `@cm-died` says that the process has been reaped: tmux
    // shows a pane as dead from when its terminal is closed, before it knows how the program ended.
    let told =
        format!("set-option -s @cm-died 1 ; run-shell -b -C 'rename-window -t ={SESSION}:^ {DEAD_NAME}'");
    conf.line(["set-hook", "-g", "pane-died", &told]);
    // `-c` expands formats, an option's value is put in as it stands: no directory's name can be a format.
    conf.line([b"set-option".as_slice(), b"-s", b"@cm-cwd", &spec.cwd]);
    let head = [
        "new-session",
        "-d",
        "-s",
        SESSION,
        "-n",
        SESSION,
        "-x",
        &cols,
        "-y",
        &rows,
        "-c",
        "#{@cm-cwd}",
        "--",
    ];
    // tmux gives a single argument to a shell as its script, and runs several directly.
    let direct: &[&str] = if spec.command.len() == 1 { &["/bin/sh", "-c", r#"exec "$0""#] } else { &[] };
    conf.line(head.iter().chain(direct).copied().chain(spec.command.iter().map(String::as_str)));
    Ok(conf.0)
}

fn check(spec: &LaunchSpec) -> Result<(), LaunchError> {
    if spec.command.first().is_none_or(String::is_empty) {
        return Err(LaunchError::NoCommand);
    }
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(LaunchError::VariableName(name.clone()));
        }
        if value.contains('\0') {
            return Err(LaunchError::Nul("an environment variable"));
        }
    }
    if spec.command.iter().any(|arg| arg.contains('\0')) {
        return Err(LaunchError::Nul("the command"));
    }
    if spec.cwd.contains(&0) {
        return Err(LaunchError::Nul("the working directory"));
    }
    Ok(())
}

/// Lines of configuration.
struct Conf(Vec<u8>);

impl Conf {
    /// One command, every word of it quoted.
    fn line<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) {
        for (at, word) in words.into_iter().enumerate() {
            match at {
                0 => self.0.extend_from_slice(word.as_ref()),
                _ => {
                    self.0.push(b' ');
                    quote(word.as_ref(), &mut self.0);
                }
            }
        }
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec {
            id: "cm-1".into(),
            command: vec!["sh".into(), "-c".into(), "echo \"$A\"; exit 1\n".into()],
            cwd: b"/tmp/a #{b}".to_vec(),
            env: BTreeMap::from([("TOKEN".into(), "s\"e'c$ret\n".into())]),
            size: (100, 30),
            history_limit: 5000,
            terminal: "screen-256color".into(),
            allow_rename: false,
        }
    }

    #[test]
    fn the_whole_text() {
        let conf = launch_conf(&spec()).expect("launchable");
        insta::assert_snapshot!(String::from_utf8(conf).expect("ASCII"), @r###"
        set-option "-q" "-s" "message-limit" "0"
        set-option "-q" "-s" "exit-unattached" "off"
        set-option "-q" "-s" "escape-time" "25"
        set-option "-q" "-s" "set-clipboard" "off"
        set-option "-q" "-g" "destroy-unattached" "off"
        set-option "-q" "-g" "update-environment" ""
        set-option "-q" "-g" "status" "off"
        set-option "-q" "-gw" "automatic-rename" "off"
        set-option "-q" "-gw" "allow-rename" "off"
        set-option "-q" "-gw" "allow-passthrough" "off"
        set-option "-q" "-gw" "remain-on-exit" "on"
        set-option "-q" "-gw" "remain-on-exit-format" ""
        set-option "-s" "default-terminal" "screen-256color"
        set-option "-g" "history-limit" "5000"
        set-option "-s" "@cm-id" "cm-1"
        set-environment "-g" "--" "TOKEN" "s\042e\047c\044ret\012"
        set-hook "-g" "pane-died" "set-option -s @cm-died 1 \073 run-shell -b -C \047rename-window -t =main:\136 cm-dead\047"
        set-option "-s" "@cm-cwd" "/tmp/a \043\173b\175"
        new-session "-d" "-s" "main" "-n" "main" "-x" "100" "-y" "30" "-c" "\043\173@cm-cwd\175" "--" "sh" "-c" "echo \042\044A\042\073 exit 1\012"
        "###);
    }

    #[test]
    fn the_window_is_named_from_inside_only_where_that_is_wanted() {
        let text = |allow_rename| {
            let conf = launch_conf(&LaunchSpec { allow_rename, ..spec() }).expect("launchable");
            String::from_utf8(conf).expect("ASCII")
        };
        let line = "set-option \"-q\" \"-gw\" \"allow-rename\" \"on\"\n";
        assert_eq!(text(true).replacen(line, "", 1), text(false));
        assert!(text(true).contains(line) && !text(false).contains(line));
    }

    #[test]
    fn a_single_word_is_not_a_script() {
        let conf = launch_conf(&LaunchSpec { command: vec!["a b; c".into()], ..spec() }).expect("launchable");
        let text = String::from_utf8(conf).expect("ASCII");
        let last = text.lines().last().expect("a line");
        assert!(last.ends_with(r#""--" "/bin/sh" "-c" "exec \042\0440\042" "a b\073 c""#), "{last}");
    }

    #[test]
    fn what_cannot_be_launched() {
        let check = |spec: LaunchSpec, expected| assert_eq!(launch_conf(&spec), Err(expected));
        check(LaunchSpec { command: vec![], ..spec() }, LaunchError::NoCommand);
        check(LaunchSpec { command: vec!["".into()], ..spec() }, LaunchError::NoCommand);
        check(LaunchSpec { command: vec!["a\0".into()], ..spec() }, LaunchError::Nul("the command"));
        check(LaunchSpec { cwd: b"/\0".to_vec(), ..spec() }, LaunchError::Nul("the working directory"));
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check(LaunchSpec { env: env("A=B", "c"), ..spec() }, LaunchError::VariableName("A=B".into()));
        check(LaunchSpec { env: env("", "c"), ..spec() }, LaunchError::VariableName(String::new()));
        check(LaunchSpec { env: env("A", "c\0"), ..spec() }, LaunchError::Nul("an environment variable"));
    }
}
