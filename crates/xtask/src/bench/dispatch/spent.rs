//! Processor time that test hosts have used, all of their processes together: what else runs on the machine does not
//! count.

use std::fs;

use crate::failure::Failure;

use super::place::Place;

/// Seconds that all hosts have used so far.
///
/// # Errors
/// Docker does not say where a host is, or the kernel does not count there.
pub fn by_hosts(place: &Place) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for host in place.hosts() {
        let pid = place.docker(&["inspect", "--format", "{{.State.Pid}}", &host.container])?;
        let path = format!("/proc/{}/cgroup", pid.trim());
        let groups = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
        let counted = files(&groups).into_iter().find_map(|file| seconds(&fs::read_to_string(file).ok()?));
        sum += counted.ok_or_else(|| {
            Failure::check(
                format!("nobody counts the processor time of {}", host.name),
                format!("read {path}"),
            )
        })?;
    }
    Ok(sum)
}

/// PURE. Where the kernel counts for a container, in the order in which to look: control groups of the first version,
/// then of the second.
fn files(groups: &str) -> Vec<String> {
    let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    // systemd inside moves its first process into a group below the container's.
    let container = |path: &str| path.trim_end_matches("/init.scope").to_owned();
    let first = lines().filter(|(kinds, _)| kinds.split(',').any(|kind| kind == "cpuacct"));
    let first = first.map(|(kinds, path)| format!("/sys/fs/cgroup/{kinds}{}/cpuacct.usage", container(path)));
    let second = lines().filter(|(kinds, _)| kinds.is_empty());
    first.chain(second.map(|(_, path)| format!("/sys/fs/cgroup{}/cpu.stat", container(path)))).collect()
}

/// PURE. Nanoseconds alone, or microseconds in a line of their own.
fn seconds(text: &str) -> Option<f64> {
    let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse::<u64>().ok());
    match micros {
        Some(micros) => Some(micros as f64 / 1e6),
        None => Some(text.trim().parse::<u64>().ok()? as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_what_the_kernel_counts() {
        let check = |groups: &str, expected: &[&str]| assert_eq!(files(groups), expected);
        check("0::/docker/a/init.scope\n", &["/sys/fs/cgroup/docker/a/cpu.stat"]);
        check(
            "3:cpu,cpuacct:/docker/a\n0::/docker/a/init.scope\n",
            &["/sys/fs/cgroup/cpu,cpuacct/docker/a/cpuacct.usage", "/sys/fs/cgroup/docker/a/cpu.stat"],
        );
        check("", &[]);
        let check = |text: &str, expected: Option<f64>| assert_eq!(seconds(text), expected);
        check("1500000000\n", Some(1.5));
        check("usage_usec 2500000\nuser_usec 1\n", Some(2.5));
        check("user_usec 1\n", None);
    }
}
