//! Looks at the machine that change nothing: the unit, the agent, the clocks.

use std::path::Path;
use std::time::Duration;

use cm_client::{Client, Endpoint};
use cm_protocol::deploy::Running;

use super::host::{Clock, UnitNow};
use super::layout::UNIT;
use super::program::{self, WITHIN, one_line};
use crate::host::clock::moment;
use crate::host::moment::Moment;
use crate::host::process::ProcessId;
use crate::host::systemd::{self, direct};

/// How long an agent may take to answer.
pub const ANSWER: Duration = Duration::from_secs(3);
/// What is asked of the unit, with the interface it belongs to.
pub const PROPERTIES: [(&str, &str); 15] = [
    ("Manager", "Version"),
    ("Unit", "LoadState"),
    ("Unit", "ActiveState"),
    ("Unit", "SubState"),
    ("Unit", "UnitFileState"),
    ("Service", "MainPID"),
    ("Service", "NRestarts"),
    ("Service", "Result"),
    ("Service", "ExecMainCode"),
    ("Service", "ExecMainStatus"),
    ("Service", "ExecMainStartTimestampMonotonic"),
    ("Service", "KillMode"),
    ("Unit", "DropInPaths"),
    ("Unit", "NeedDaemonReload"),
    ("Unit", "Job"),
];

/// Reads `systemctl show` of the agent's unit. PURE.
pub fn unit_now(text: &str) -> UnitNow {
    let get = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("").to_owned()
    };
    let number = |name: &str| get(name).parse::<u32>().unwrap_or(0);
    // systemd.exec(5): its own exit codes; 203 is about the program, not about the unit.
    let not_set_up = number("ExecMainCode") == 1 && matches!(number("ExecMainStatus"), 200..=202 | 204..=245);
    // Values of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED.
    let ended = match (number("ExecMainCode"), number("ExecMainStatus")) {
        (1, 203) => "the program cannot be executed".into(),
        (1, code) => format!("exit code {code}"),
        (2 | 3, signal) => crate::host::signal::signal_name(signal.cast_signed()),
        _ => String::new(),
    };
    UnitNow {
        active: get("ActiveState"),
        sub: get("SubState"),
        enabled: get("UnitFileState"),
        main_pid: number("MainPID"),
        restarts: number("NRestarts"),
        result: get("Result"),
        ended,
        not_set_up,
        kill_mode: get("KillMode"),
        drop_ins: get("DropInPaths").split_whitespace().map(str::to_owned).collect(),
        stale: get("NeedDaemonReload") == "yes",
        loaded: get("LoadState") == "loaded",
        // Empty or 0 where there is none.
        job: number("Job") > 0,
    }
}

/// How the agent's unit is, and which version the user's service manager at `xdg` has: by its own word, else by
/// systemctl's, which says nothing of the version here.
///
/// # Errors
/// Neither answers, in words.
pub async fn unit(xdg: &Path) -> Result<(UnitNow, Option<u32>), String> {
    if let Ok(Ok(text)) = tokio::time::timeout(WITHIN, direct::show(xdg, UNIT, &PROPERTIES)).await {
        let version = text.lines().find_map(|line| line.strip_prefix("Version="));
        return Ok((unit_now(&text), version.and_then(systemd::version)));
    }
    let names: Vec<&str> = PROPERTIES[1..].iter().map(|(_, name)| *name).collect();
    let names = format!("--property={}", names.join(","));
    let said = program::said(xdg, "systemctl", &["--user", "show", &names, UNIT]).await;
    match said.map_err(|error| format!("systemctl: {error}"))? {
        said if said.good => Ok((unit_now(&said.out), None)),
        said => Err(format!("systemctl --user show: {}", one_line(&said.err))),
    }
}

/// Asks an agent who it is.
pub async fn running(socket: &Path) -> Option<Running> {
    let endpoint = Endpoint::Unix(socket.to_path_buf());
    let client = Client::connect(&endpoint, ANSWER).await.ok()?.with_timeout(ANSWER);
    let info = client.agent_info().await.ok()?;
    client.close().await;
    Some(Running {
        sha256: info.sha256,
        version: info.version,
        pid: info.pid,
        socket: socket.display().to_string(),
        uptime: (crate::host::clock::unix_now() - info.started_at).max(0.0),
        sessions: u32::try_from(info.capacity.sessions).unwrap_or(u32::MAX),
    })
}

/// The clocks, as the kernel has them.
pub fn clock() -> Clock {
    let Moment { boot_id, up, unix } = moment();
    Clock { up, boot_id, unix }
}

/// Whether a process still runs, by pid and start.
pub fn lives((pid, start): (u32, u64)) -> bool {
    ProcessId { pid: pid.cast_signed(), start }.alive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_as_systemctl_shows_it() {
        let text = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nUnitFileState=enabled\n\
                    MainPID=0\nNRestarts=3\nResult=exit-code\nExecMainCode=1\nExecMainStatus=1\nKillMode=process\n\
                    DropInPaths=/a.conf /b.conf\nNeedDaemonReload=yes\n";
        let unit = unit_now(text);
        assert_eq!(
            (unit.active.as_str(), unit.restarts, unit.ended.as_str()),
            ("activating", 3, "exit code 1")
        );
        assert_eq!(unit.drop_ins, ["/a.conf", "/b.conf"]);
        assert!(unit.stale && unit.loaded && unit.main_pid == 0 && !unit.not_set_up);
        assert!(unit_now("ExecMainCode=1\nExecMainStatus=228\n").not_set_up, "SECCOMP");
        assert!(!unit_now("ExecMainCode=1\nExecMainStatus=203\n").not_set_up, "EXEC");
        assert!(!unit_now("ExecMainCode=2\nExecMainStatus=228\n").not_set_up, "a signal");
        assert!(!unit_now("LoadState=not-found\nActiveState=inactive\n").loaded);
    }
}
