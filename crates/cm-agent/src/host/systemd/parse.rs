//! PURE. What systemctl prints, and what the manager or systemd-run has to be given.

use std::collections::HashMap;

use super::message::Value;
use super::{Start, UnitLimits, UnitSpec};

/// How long a unit has to end before it is killed, in seconds.
const STOP: u64 = 5;
/// The first version that keeps a unit whose child was killed for want of memory.
const OOM_POLICY: u32 = 243;

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitState {
    /// systemd knows no such unit: it was never started, or ended well and was forgotten.
    Gone,
    /// It is starting or running.
    Active {
        /// Its first process; `None` while there is none yet.
        main_pid: Option<i32>,
        /// Its control group below the cgroup file system.
        control_group: String,
    },
    /// It is being stopped.
    Stopping,
    /// It has ended, and systemd remembers how.
    Ended {
        /// systemd's word: `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, …
        result: String,
        /// How its first process ended.
        main: Option<MainExit>,
    },
}

/// How a unit's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainExit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl UnitState {
    /// How it ended, for people; `None` while it has not.
    pub fn ending(&self) -> Option<String> {
        let Self::Ended { result, main } = self else { return None };
        Some(match main {
            // systemd.exec(5): its own exit codes, before the program ran.
            Some(MainExit::Code(200)) => "the working directory cannot be entered".into(),
            Some(MainExit::Code(203)) => "the program cannot be executed".into(),
            Some(MainExit::Code(code)) => format!("it ended with code {code} ({result})"),
            Some(MainExit::Signal(signal)) => {
                format!("it was ended by {} ({result})", crate::host::signal::signal_name(*signal))
            }
            None => format!("it failed ({result})"),
        })
    }
}

/// The properties asked for.
pub(super) const PROPERTIES: &str =
    "--property=Id,LoadState,ActiveState,Result,MainPID,ExecMainCode,ExecMainStatus,ControlGroup";

/// Reads `systemctl show` of one or more units: blocks of `Name=value`, an empty line between them.
pub(super) fn units(text: &str) -> Vec<(String, UnitState)> {
    text.split("\n\n").filter_map(|block| unit(&properties(block))).collect()
}

/// `Name=value` lines.
pub(super) fn properties(block: &str) -> HashMap<&str, &str> {
    block.lines().filter_map(|line| line.split_once('=')).collect()
}

fn unit(of: &HashMap<&str, &str>) -> Option<(String, UnitState)> {
    let id = (*of.get("Id")?).to_owned();
    let get = |name: &str| of.get(name).copied().unwrap_or("");
    let number = |name: &str| get(name).parse::<i32>().ok();
    // Values of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED.
    let main = match (number("ExecMainCode"), number("ExecMainStatus")) {
        (Some(1), Some(code)) => Some(MainExit::Code(code)),
        (Some(2 | 3), Some(signal)) => Some(MainExit::Signal(signal)),
        _ => None,
    };
    let ended = || UnitState::Ended { result: get("Result").to_owned(), main };
    let state = match (get("LoadState"), get("ActiveState")) {
        (_, "active" | "activating" | "reloading" | "refreshing" | "maintenance") => UnitState::Active {
            main_pid: number("MainPID").filter(|pid| *pid > 0),
            control_group: get("ControlGroup").to_owned(),
        },
        (_, "deactivating") => UnitState::Stopping,
        (_, "failed") => ended(),
        ("not-found", _) => UnitState::Gone,
        // Loaded and inactive: it ended well a moment ago, or there is a file of that name never started.
        _ if main.is_some() => ended(),
        _ => UnitState::Gone,
    };
    Some((id, state))
}

/// The first number of a manager's `Version`: `252.39-1~deb12u2`, `systemd 239` (before 240), `v257.7`.
pub fn version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches("systemd ").trim_start_matches('v');
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Which of the limits will not hold, given the controllers of the user manager's control group (`None`: not
/// the unified hierarchy, where a user manager has none).
pub(super) fn unenforced(limits: &UnitLimits, controllers: Option<&str>) -> Vec<&'static str> {
    let has = |name: &str| controllers.is_some_and(|all| all.split_ascii_whitespace().any(|one| one == name));
    let asked = [
        ("memory", limits.memory.is_some(), "memory"),
        ("cpu", limits.cpu.is_some(), "cpu"),
        ("tasks", limits.tasks.is_some(), "pids"),
    ];
    asked.into_iter().filter(|(_, set, controller)| *set && !has(controller)).map(|(word, ..)| word).collect()
}

/// The arguments for systemd-run.
pub(super) fn run_arguments(spec: &UnitSpec<'_>, version: u32) -> Vec<String> {
    let mut args: Vec<String> =
        ["--user", "--quiet", "--no-ask-password", "--unit", spec.name].map(Into::into).into();
    args.push(format!("--description={}", spec.description));
    args.push(format!("--working-directory={}", spec.cwd));
    // Either way the start is reported only when it has come about, so its failure is an answer, not a surprise.
    let mut properties = match spec.start {
        Start::Runs => vec!["Type=exec".to_owned()],
        Start::Returns { complaints } => vec![
            "Type=forking".to_owned(),
            "StandardOutput=null".to_owned(),
            format!("StandardError=file:{}", complaints.display()),
        ],
    };
    properties.extend([
        "KillMode=control-group".to_owned(),
        // Interactive shells ignore SIGTERM.
        "SendSIGHUP=yes".to_owned(),
        format!("TimeoutStopSec={STOP}"),
    ]);
    if version >= OOM_POLICY {
        // One greedy child that is killed must not take the session along.
        properties.push("OOMPolicy=continue".to_owned());
    }
    properties.extend(spec.limits.memory.map(|bytes| format!("MemoryMax={bytes}")));
    if let Some(cores) = spec.limits.cpu {
        properties.push(format!("CPUQuota={}%", percent(cores)));
    }
    properties.extend(spec.limits.tasks.map(|tasks| format!("TasksMax={tasks}")));
    for property in properties {
        args.extend(["-p".to_owned(), property]);
    }
    let plain = version >= 254;
    if plain {
        args.push("--expand-environment=no".into());
    }
    args.push("--".into());
    args.extend(command(spec, plain));
    args
}

/// What a unit runs: the program in an environment of its own. `plain`: the manager was told not to expand `$X` and
/// `${X}` in arguments; else `$$` is a dollar.
fn command(spec: &UnitSpec<'_>, plain: bool) -> Vec<String> {
    let set = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    let quoted = |arg: String| if plain { arg } else { arg.replace('$', "$$") };
    let given = set.chain(spec.argv.iter().cloned()).map(quoted);
    ["/usr/bin/env", "-i"].map(Into::into).into_iter().chain(given).collect()
}

/// What is run and asked of the manager itself, the same as of systemd-run.
pub(super) struct Order<'a> {
    command: Vec<String>,
    complaints: Option<String>,
    spec: UnitSpec<'a>,
    version: u32,
}

impl<'a> Order<'a> {
    /// For a manager of this version.
    pub(super) fn new(spec: UnitSpec<'a>, version: u32) -> Self {
        let complaints = match spec.start {
            Start::Runs => None,
            Start::Returns { complaints } => Some(complaints.display().to_string()),
        };
        Self { command: command(&spec, false), complaints, spec, version }
    }

    /// The unit's properties, by their names on the bus.
    pub(super) fn properties(&self) -> Vec<(&str, Value<'_>)> {
        let UnitSpec { description, cwd, limits, .. } = self.spec;
        let mut all = vec![("Description", Value::Text(description)), ("WorkingDirectory", Value::Text(cwd))];
        match &self.complaints {
            None => all.push(("Type", Value::Text("exec"))),
            Some(complaints) => all.extend([
                ("Type", Value::Text("forking")),
                ("StandardOutput", Value::Text("null")),
                ("StandardErrorFile", Value::Text(complaints)),
            ]),
        }
        all.extend([
            ("KillMode", Value::Text("control-group")),
            ("SendSIGHUP", Value::Flag(true)),
            ("TimeoutStopUSec", Value::Number(STOP * 1_000_000)),
        ]);
        if self.version >= OOM_POLICY {
            all.push(("OOMPolicy", Value::Text("continue")));
        }
        all.extend(limits.memory.map(|bytes| ("MemoryMax", Value::Number(bytes))));
        all.extend(limits.cpu.map(|cores| ("CPUQuotaPerSecUSec", Value::Number(percent(cores) * 10_000))));
        all.extend(limits.tasks.map(|tasks| ("TasksMax", Value::Number(tasks))));
        all.push(("ExecStart", Value::Run(&self.command)));
        all
    }
}

/// Cores as a percentage of one; at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is at least 1, and saturates"
)]
fn percent(cores: f64) -> u64 {
    (cores * 100.0).round().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn states_of_units() {
        #[track_caller]
        fn check(text: &str, expected: UnitState) {
            let text = format!("Id=cm-session-a.service\n{text}");
            assert_eq!(units(&text), [("cm-session-a.service".to_owned(), expected)]);
        }
        let ended = |result: &str, main| UnitState::Ended { result: result.into(), main };
        check(
            "MainPID=62\nResult=success\nExecMainCode=0\nExecMainStatus=0\nControlGroup=/user.slice/a=b\nLoadState=loaded\nActiveState=active\n",
            UnitState::Active { main_pid: Some(62), control_group: "/user.slice/a=b".into() },
        );
        check(
            "MainPID=0\nLoadState=loaded\nActiveState=activating\n",
            UnitState::Active { main_pid: None, control_group: String::new() },
        );
        check("LoadState=loaded\nActiveState=deactivating\n", UnitState::Stopping);
        check("LoadState=not-found\nActiveState=inactive\n", UnitState::Gone);
        check("LoadState=loaded\nActiveState=inactive\nExecMainCode=0\nExecMainStatus=0", UnitState::Gone);
        check(
            "Result=signal\nExecMainCode=2\nExecMainStatus=9\nLoadState=loaded\nActiveState=failed\n",
            ended("signal", Some(MainExit::Signal(9))),
        );
        check(
            "Result=oom-kill\nExecMainCode=3\nExecMainStatus=11\nLoadState=loaded\nActiveState=failed",
            ended("oom-kill", Some(MainExit::Signal(11))),
        );
        check(
            "Result=exit-code\nExecMainCode=1\nExecMainStatus=200\nLoadState=loaded\nActiveState=failed",
            ended("exit-code", Some(MainExit::Code(200))),
        );
        check(
            "Result=success\nExecMainCode=1\nExecMainStatus=0\nLoadState=loaded\nActiveState=inactive",
            ended("success", Some(MainExit::Code(0))),
        );
    }

    #[test]
    fn many_units_and_none() {
        let text = "Id=a.service\nLoadState=loaded\nActiveState=deactivating\n\nId=b.service\nLoadState=not-found\nActiveState=inactive\n";
        assert_eq!(
            units(text),
            [("a.service".to_owned(), UnitState::Stopping), ("b.service".to_owned(), UnitState::Gone)]
        );
        assert_eq!(units(""), []);
        assert_eq!(units("garbage\n\nmore"), []);
    }

    #[test]
    fn versions() {
        assert_eq!(version("252.39-1~deb12u2"), Some(252));
        assert_eq!(version("v257.7"), Some(257));
        assert_eq!(version("systemd 239"), Some(239));
        assert_eq!(version("elogind 252"), None);
    }

    #[test]
    fn limits_that_do_not_hold() {
        let all = UnitLimits { memory: Some(1), cpu: Some(1.0), tasks: Some(1) };
        #[track_caller]
        fn check(limits: UnitLimits, controllers: Option<&str>, expected: &[&str]) {
            assert_eq!(unenforced(&limits, controllers), expected);
        }
        check(all, None, &["memory", "cpu", "tasks"]);
        check(all, Some("memory pids\n"), &["cpu"]);
        check(all, Some("cpuset cpu io memory pids"), &[]);
        check(all, Some("cpuset"), &["memory", "cpu", "tasks"]);
        check(UnitLimits::default(), None, &[]);
    }

    #[test]
    fn arguments_reach_the_program_as_they_are() {
        let spec = UnitSpec {
            name: "cm-session-x",
            description: "a session",
            argv: &["/bin/echo".into(), "$HOME".into()],
            env: &[("A".into(), "${B} $".into())],
            cwd: "/tmp",
            limits: UnitLimits { memory: Some(1 << 20), cpu: Some(1.5), tasks: Some(9) },
            start: Start::Runs,
        };
        insta::assert_snapshot!(run_arguments(&spec, 252).join(" "), @"--user --quiet --no-ask-password --unit cm-session-x --description=a session --working-directory=/tmp -p Type=exec -p KillMode=control-group -p SendSIGHUP=yes -p TimeoutStopSec=5 -p OOMPolicy=continue -p MemoryMax=1048576 -p CPUQuota=150% -p TasksMax=9 -- /usr/bin/env -i A=$${B} $$ /bin/echo $$HOME");
        insta::assert_snapshot!(run_arguments(&spec, 255).split_off(23).join(" "), @"--expand-environment=no -- /usr/bin/env -i A=${B} $ /bin/echo $HOME");
        let spec = UnitSpec { start: Start::Returns { complaints: Path::new("/run/x") }, ..spec };
        let forking = run_arguments(&spec, 252).join(" ");
        assert!(forking.contains(" -p Type=forking -p StandardOutput=null -p StandardError=file:/run/x -p "));
        assert!(!run_arguments(&spec, 239).join(" ").contains("OOMPolicy"));
        let order = Order::new(spec, 252);
        let properties: Vec<String> =
            order.properties().iter().map(|(name, value)| format!("{name} {value:?}")).collect();
        insta::assert_snapshot!(properties.join("\n"), @r#"
        Description Text("a session")
        WorkingDirectory Text("/tmp")
        Type Text("forking")
        StandardOutput Text("null")
        StandardErrorFile Text("/run/x")
        KillMode Text("control-group")
        SendSIGHUP Flag(true)
        TimeoutStopUSec Number(5000000)
        OOMPolicy Text("continue")
        MemoryMax Number(1048576)
        CPUQuotaPerSecUSec Number(1500000)
        TasksMax Number(9)
        ExecStart Run(["/usr/bin/env", "-i", "A=$${B} $$", "/bin/echo", "$$HOME"])
        "#);
    }
}
