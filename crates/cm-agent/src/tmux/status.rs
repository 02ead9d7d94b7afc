//! PURE: what one question tells of a pane, its program and its server.

/// The question. Numbers first; the four free texts come last and are cut by the lengths of the first three in
/// bytes, so that nothing a program calls itself can be taken for a separator. (The last has no length of its
/// own: tmux asks the system anew each time the name of the program is mentioned.)
pub const STATUS_FORMAT: &str = "#{pid}|#{start_time}|#{pane_pid}|#{pane_dead}|#{pane_dead_status}|\
#{pane_dead_signal}|#{pane_dead_time}|#{@cm-died}|#{cursor_x}|#{cursor_y}|#{cursor_flag}|#{alternate_on}|#{history_size}|\
#{history_limit}|#{pane_width}|#{pane_height}|#{pane_in_mode}|#{session_attached_list}|#{n:@cm-id}|\
#{n:pane_title}|#{n:window_name}|#{@cm-id}#{pane_title}#{window_name}#{pane_current_command}";

/// A pane and its server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneStatus {
    /// The tmux server's process.
    pub server_pid: i32,
    /// When the server started, Unix seconds. With the pid: its identity.
    pub server_start: i64,
    /// The id the server was launched with; empty if it is no server of ours.
    pub session_id: String,
    /// The program's process (its session and process group, too).
    pub pane_pid: i32,
    /// Whether the program runs.
    pub life: Life,
    /// The cursor's column, from 0.
    pub cursor_x: u16,
    /// The cursor's row, from 0.
    pub cursor_y: u16,
    /// Whether the cursor is shown.
    pub cursor_visible: bool,
    /// Whether a full-screen program holds the alternate screen.
    pub alternate: bool,
    /// Lines that have left the top of the screen and are kept.
    pub history: u64,
    /// How many of them are kept at most.
    pub history_limit: u64,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// Whether copy mode (or another mode) takes the keys.
    pub in_mode: bool,
    /// How many people's terminals are attached.
    pub people: usize,
    /// The terminal's title.
    pub title: String,
    /// The window's name: `main` at first, then the tool's status where it is told
    /// ([`Told`](crate::tool::Told)), `cm-dead` after the end.
    pub window_name: String,
    /// The program in the foreground.
    pub program: String,
}

/// Whether a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Running,
    /// Nobody holds its terminal any more, but its end has not been told. Usually it is told within a
    /// millisecond (tmux sees the closed terminal before the ended process) and announced like any end. A
    /// program that only lets go of its terminal is hung up by that; if it ignores it, it stays like this.
    HungUp,
    /// It has ended.
    Ended(Ending),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exit {
        /// The exit code.
        code: i32,
        /// Unix seconds; tmux from 3.3 on says it.
        at: Option<i64>,
    },
    /// By a signal.
    Signal {
        /// Its name, e.g. `SIGKILL`.
        name: String,
        /// Unix seconds; tmux from 3.3 on says it.
        at: Option<i64>,
    },
    /// Not told: tmux before 3.3 has no word for a signal.
    Untold,
}

impl PaneStatus {
    /// Reads the answer to [`STATUS_FORMAT`]. `None`: it is no such answer.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        let mut fields = body.splitn(22, |&b| b == b'|');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let server_pid = text()?.parse().ok()?;
        let server_start = text()?.parse().ok()?;
        let pane_pid = text()?.parse().ok()?;
        let dead = text()? == "1";
        let (code, signal, at) = (text()?, text()?, text()?.parse().ok());
        let died = text()? == "1";
        let life = match (dead, ending(code, signal, at)) {
            (false, _) => Life::Running,
            (true, Some(ending)) => Life::Ended(ending),
            (true, None) if died => Life::Ended(Ending::Untold),
            (true, None) => Life::HungUp,
        };
        let cursor_x = text()?.parse().ok()?;
        let cursor_y = text()?.parse().ok()?;
        let cursor_visible = text()? == "1";
        let alternate = text()? == "1";
        let history = text()?.parse().ok()?;
        let history_limit = text()?.parse().ok()?;
        let cols = text()?.parse().ok()?;
        let rows = text()?.parse().ok()?;
        // The number of stacked modes.
        let in_mode = !matches!(text()?, "" | "0");
        // A terminal's client is called by its tty, any other `client-PID`.
        let people = text()?.split(',').filter(|name| name.starts_with('/')).count();
        let lengths = [text()?.parse::<usize>().ok()?, text()?.parse().ok()?, text()?.parse().ok()?];
        let mut rest = fields.next()?;
        let mut cut = |length: usize| {
            let (text, tail) = rest.split_at_checked(length)?;
            rest = tail;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let (session_id, title, window_name) = (cut(lengths[0])?, cut(lengths[1])?, cut(lengths[2])?);
        let program = String::from_utf8_lossy(rest).into_owned();
        Some(Self {
            server_pid,
            server_start,
            session_id,
            pane_pid,
            life,
            cursor_x,
            cursor_y,
            cursor_visible,
            alternate,
            history,
            history_limit,
            cols,
            rows,
            in_mode,
            people,
            title,
            window_name,
            program,
        })
    }
}

/// Reads how a program ended, if that is told. A signal is told by number in 3.3, by name where the system has
/// names for them.
fn ending(code: &str, signal: &str, at: Option<i64>) -> Option<Ending> {
    match (code.parse(), signal) {
        (Ok(code), _) => Some(Ending::Exit { code, at }),
        (Err(_), "") => None,
        (Err(_), _) => Some(Ending::Signal { name: signal_name(signal), at }),
    }
}

impl PaneStatus {
    /// How the program ended, if it did.
    pub fn ended(&self) -> Option<&Ending> {
        match &self.life {
            Life::Ended(ending) => Some(ending),
            Life::Running | Life::HungUp => None,
        }
    }
}

/// `SIGKILL` for `9`, `KILL` and `SIGKILL`.
fn signal_name(signal: &str) -> String {
    let upper = signal.to_ascii_uppercase();
    let number: Option<i32> = upper.parse().ok();
    match number {
        None if upper.starts_with("SIG") => upper,
        None => format!("SIG{upper}"),
        Some(number) => crate::host::signal::signal_name(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: &str =
        "10|1700000000|11|0|||||3|4|1|0|100|2000|80|24|0|client-5,/dev/pts/1|4|5|6|cm-1a|b\ncma|n:1.e|sh x";

    #[test]
    fn a_living_pane() {
        let status = PaneStatus::parse(format!("{ALIVE}\n").as_bytes()).expect("an answer");
        assert_eq!((status.server_pid, status.server_start, status.pane_pid), (10, 1_700_000_000, 11));
        assert_eq!((status.cursor_x, status.cursor_y, status.cursor_visible), (3, 4, true));
        assert_eq!((status.history, status.history_limit, status.cols, status.rows), (100, 2000, 80, 24));
        assert_eq!((status.people, status.in_mode, status.alternate), (1, false, false));
        assert_eq!((&*status.session_id, &*status.title), ("cm-1", "a|b\nc"));
        assert_eq!((&*status.window_name, &*status.program), ("ma|n:1", ".e|sh x"));
        assert_eq!(status.life, Life::Running);
    }

    #[test]
    fn endings() {
        let check = |fields: &str, expected: Option<Ending>| {
            let text = ALIVE.replacen("|0|||||", &format!("|1|{fields}|"), 1);
            let life = PaneStatus::parse(text.as_bytes()).expect("an answer").life;
            assert_eq!(life, expected.map_or(Life::HungUp, Life::Ended), "{fields}");
        };
        check("3||99|1", Some(Ending::Exit { code: 3, at: Some(99) }));
        check("0|||", Some(Ending::Exit { code: 0, at: None }));
        check("|9|99|", Some(Ending::Signal { name: "SIGKILL".into(), at: Some(99) }));
        check("|TERM|99|1", Some(Ending::Signal { name: "SIGTERM".into(), at: Some(99) }));
        check("|sigterm||1", Some(Ending::Signal { name: "SIGTERM".into(), at: None }));
        check("|40||", Some(Ending::Signal { name: "signal 40".into(), at: None }));
        check("|||1", Some(Ending::Untold));
        check("|||", None);
    }

    #[test]
    fn anything_else_is_no_answer() {
        let (cut, _) = ALIVE.split_at(ALIVE.find("cm-1a").expect("in it") + 8);
        for text in ["", "|", "hello", cut, &ALIVE.replace("80", "x"), &ALIVE.replace("|4|5|", "||5|")] {
            assert_eq!(PaneStatus::parse(text.as_bytes()), None, "{text}");
        }
    }
}
