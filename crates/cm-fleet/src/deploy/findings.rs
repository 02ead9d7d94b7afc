//! What a host's facts mean for somebody who wants to know why something does not work. PURE.

use cm_protocol::deploy::{Facts, Finding, Verdict};

use super::plan::{good_tmux, size};

/// Room on the disk that is too little for an agent's program and journal, in bytes.
const LITTLE_ROOM: u64 = 200 << 20;
/// Memory that is too little for a coding tool, in bytes.
const LITTLE_MEMORY: u64 = 300 << 20;
/// Seconds a clock may be off before times in reports confuse.
const CLOCK: f64 = 5.0;
/// Seconds after which it is bad: certificates and log-ins begin to fail.
const CLOCK_BAD: f64 = 300.0;

/// Everything there is to say, in the order in which a host comes to work. `now`: Unix seconds by our own clock.
pub fn of(fleet: &str, facts: &Facts, now: f64) -> Vec<Finding> {
    let mut all = vec![
        finding("ssh", Verdict::Good, format!("{} {} as {}", facts.os, facts.arch, facts.user), None),
        systemd(facts),
        linger(facts),
        tmux(facts),
        git(facts),
        disk(facts),
    ];
    all.extend(memory(facts));
    all.push(clock(facts, now));
    all.extend(agent(fleet, facts));
    // What the host found itself goes before what we say of the same thing.
    if let Some(doctor) = &facts.doctor {
        all.retain(|ours| !doctor.iter().any(|theirs| theirs.what == ours.what));
        all.extend(doctor.iter().cloned());
    }
    all
}

fn finding(what: &str, verdict: Verdict, seen: impl Into<String>, remedy: Option<&str>) -> Finding {
    Finding { what: what.to_owned(), verdict, seen: seen.into(), remedy: remedy.map(str::to_owned) }
}

fn systemd(facts: &Facts) -> Finding {
    match (&facts.systemd, facts.user_manager) {
        (Some(version), true) => {
            finding("systemd", Verdict::Good, format!("{version}, user manager answers"), None)
        }
        (Some(version), false) => finding(
            "systemd",
            Verdict::Bad,
            format!("{version}, but no user manager answers for {}", facts.user),
            Some(
                "sudo apt-get install dbus-user-session libpam-systemd, then sudo loginctl enable-linger USER",
            ),
        ),
        (None, _) => finding(
            "systemd",
            Verdict::Bad,
            "there is none",
            Some("`runtime: container`, or run `cm-agent serve --placement detached` in your own way"),
        ),
    }
}

fn linger(facts: &Facts) -> Finding {
    match facts.linger {
        Some(true) => finding("linger", Verdict::Good, "services run without a login", None),
        Some(false) if facts.installed.is_none() => {
            finding("linger", Verdict::Unsure, "off; a deployment switches it on", None)
        }
        Some(false) => {
            let remedy = format!("sudo loginctl enable-linger {}", facts.user);
            finding("linger", Verdict::Bad, "everything ends at the last logout", Some(&remedy))
        }
        None => finding("linger", Verdict::Unsure, "cannot be told", None),
    }
}

fn tmux(facts: &Facts) -> Finding {
    let remedy = Some("sudo apt-get install tmux (3.2 or newer)");
    match &facts.tmux {
        Some(version) if good_tmux(version) => finding("tmux", Verdict::Good, version.as_str(), None),
        Some(version) => finding("tmux", Verdict::Bad, format!("{version} is too old"), remedy),
        None => finding("tmux", Verdict::Bad, "there is none", remedy),
    }
}

fn git(facts: &Facts) -> Finding {
    match &facts.git {
        Some(version) => finding("git", Verdict::Good, version.as_str(), None),
        None => finding(
            "git",
            Verdict::Poor,
            "there is none: no work trees, and results do not say what changed",
            Some("sudo apt-get install git"),
        ),
    }
}

fn disk(facts: &Facts) -> Finding {
    let remedy = Some("make room, or name a directory on another file system: agent: {dir: …}");
    match (facts.disk_free, facts.exec) {
        (_, Some(false)) => finding(
            "disk",
            Verdict::Bad,
            "programs may not be run from the agent's directory (noexec)",
            Some("name a directory on another file system: agent: {dir: /opt/cm-agent}"),
        ),
        (Some(free), _) if free < LITTLE_ROOM => {
            finding("disk", Verdict::Bad, format!("{} free", size(free)), remedy)
        }
        (Some(free), _) => finding("disk", Verdict::Good, format!("{} free", size(free)), None),
        (None, _) => finding("disk", Verdict::Unsure, "cannot be told", None),
    }
}

fn memory(facts: &Facts) -> Option<Finding> {
    let free = facts.memory_available?;
    let verdict = if free < LITTLE_MEMORY { Verdict::Poor } else { Verdict::Good };
    let remedy = (verdict == Verdict::Poor)
        .then_some("a coding tool takes some 300 MB: fewer `slots`, or more memory");
    Some(finding("memory", verdict, format!("{} available", size(free)), remedy))
}

fn clock(facts: &Facts, now: f64) -> Finding {
    if facts.now <= 0.0 {
        return finding("clock", Verdict::Unsure, "cannot be told", None);
    }
    let off = facts.now - now;
    let verdict = match off.abs() {
        off if off <= CLOCK => Verdict::Good,
        off if off <= CLOCK_BAD => Verdict::Poor,
        _ => Verdict::Bad,
    };
    let remedy = (verdict != Verdict::Good).then_some("sudo timedatectl set-ntp true");
    finding("clock", verdict, format!("{off:+.0} s"), remedy)
}

fn agent(fleet: &str, facts: &Facts) -> Vec<Finding> {
    let Some(installed) = &facts.installed else {
        return vec![finding("agent", Verdict::Unsure, "not installed", Some("cm-fleet deploy"))];
    };
    let mut all = Vec::new();
    if installed.fleet != fleet {
        let seen = format!("it belongs to the fleet `{}`", installed.fleet);
        all.push(finding("agent", Verdict::Bad, seen, Some("cm-fleet deploy --take-over, if that is right")));
    }
    let unit = facts.unit.as_ref();
    match &facts.running {
        Some(running) if running.sha256 == installed.binary.sha256 => {
            let seen = format!("{} runs, {} sessions", running.version, running.sessions);
            all.push(finding("agent", Verdict::Good, seen, None));
        }
        Some(_) => {
            let seen = "another program runs than is installed";
            all.push(finding("agent", Verdict::Poor, seen, Some("cm-fleet deploy")));
        }
        None => {
            let state = unit.map_or("no unit", |unit| unit.active.as_str());
            let seen = format!("it does not run ({state})");
            all.push(finding(
                "agent",
                Verdict::Bad,
                seen,
                Some("cm-fleet logs --agent says why; cm-fleet deploy"),
            ));
        }
    }
    if let Some(unit) = unit {
        if unit.enabled != "enabled" {
            let seen = format!("it is {}: it does not start at boot", unit.enabled);
            all.push(finding("unit", Verdict::Poor, seen, Some("cm-fleet deploy")));
        }
        for drift in &unit.drift {
            all.push(finding(
                "unit",
                Verdict::Poor,
                format!("changed by hand: {drift}"),
                Some("cm-fleet deploy"),
            ));
        }
        if let Some(times @ 3..) = unit.restarts {
            let seen = format!("systemd has restarted it {times} times");
            all.push(finding("unit", Verdict::Poor, seen, Some("cm-fleet logs --agent says why")));
        }
    }
    if let Some(lock) = &facts.lock {
        let seen = format!("{} deploys to it since {:.0} s", lock.owner, lock.held);
        all.push(finding("lock", Verdict::Unsure, seen, None));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Facts {
        Facts {
            os: "Debian 12".into(),
            arch: "x86_64".into(),
            user: "ada".into(),
            now: 1000.0,
            systemd: Some("252".into()),
            user_manager: true,
            linger: Some(true),
            tmux: Some("3.3a".into()),
            git: Some("2.39".into()),
            disk_free: Some(1 << 40),
            ..Facts::default()
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Facts), what: &str, verdict: Verdict) {
        let mut facts = bare();
        change(&mut facts);
        let all = of("f", &facts, 1000.0);
        let found = all.iter().find(|finding| finding.what == what).expect(what);
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(
            verdict == Verdict::Good || verdict == Verdict::Unsure || found.remedy.is_some(),
            "{found:?}"
        );
    }

    #[test]
    fn findings() {
        check(|_| {}, "ssh", Verdict::Good);
        check(|f| f.user_manager = false, "systemd", Verdict::Bad);
        check(|f| f.systemd = None, "systemd", Verdict::Bad);
        check(|f| f.linger = Some(false), "linger", Verdict::Unsure);
        check(|f| f.tmux = None, "tmux", Verdict::Bad);
        check(|f| f.tmux = Some("2.1".into()), "tmux", Verdict::Bad);
        check(|f| f.git = None, "git", Verdict::Poor);
        check(|f| f.disk_free = Some(1000), "disk", Verdict::Bad);
        check(|f| f.exec = Some(false), "disk", Verdict::Bad);
        check(|f| f.memory_available = Some(1000), "memory", Verdict::Poor);
        check(|f| f.now = 1003.0, "clock", Verdict::Good);
        check(|f| f.now = 1030.0, "clock", Verdict::Poor);
        check(|f| f.now = 1600.0, "clock", Verdict::Bad);
        check(|_| {}, "agent", Verdict::Unsure);
        let theirs = Finding {
            what: "tmux".into(),
            verdict: Verdict::Bad,
            seen: "x".into(),
            remedy: Some("y".into()),
        };
        check(|f| f.doctor = Some(vec![theirs]), "tmux", Verdict::Bad);
    }
}
