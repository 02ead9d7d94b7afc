//! How busy a host is, from what the kernel writes about itself. PURE.

use cm_protocol::Load;

/// What was read; absent: it cannot be.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// `/proc/loadavg`.
    pub loadavg: Option<String>,
    /// `/proc/meminfo`.
    pub meminfo: Option<String>,
    /// `/proc/pressure/memory`.
    pub pressure: Option<String>,
    /// `memory.max` of the control group everything here runs in.
    pub group_max: Option<String>,
    /// Its `memory.current`.
    pub group_current: Option<String>,
    /// Its `memory.stat`.
    pub group_stat: Option<String>,
}

/// `cores`: those that may be used. What cannot be told counts as free.
pub fn load(texts: &Texts, cores: u32) -> Load {
    let cores = cores.max(1);
    let average = texts.loadavg.as_deref().and_then(|text| number(text.split_whitespace().next()?));
    let of_host = texts.meminfo.as_deref().and_then(of_host);
    let free = [of_host, of_group(texts)].into_iter().flatten().fold(1.0, f64::min);
    Load {
        cpu: rounded(average.unwrap_or(0.0) / f64::from(cores)),
        cores,
        memory_available: rounded(free),
        memory_pressure: texts.pressure.as_deref().and_then(pressure),
    }
}

/// More digits than three mean nothing.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// Whether a load is another than was told, for whoever chooses between hosts. Where memory is short, little is much.
pub fn has_changed(told: &Load, now: &Load) -> bool {
    let apart = |told: f64, now: f64, least: f64| (told - now).abs() >= least;
    let short = told.memory_available.min(now.memory_available) < 0.2;
    let pressure = |load: &Load| load.memory_pressure.unwrap_or(0.0);
    told.cores != now.cores
        || apart(told.cpu, now.cpu, (told.cpu.max(now.cpu) / 4.0).max(0.25))
        || apart(told.memory_available, now.memory_available, if short { 0.01 } else { 0.05 })
        || apart(pressure(told), pressure(now), 2.5)
}

/// A number that is one, and not below nothing.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    number(rest.split_whitespace().next()?)
}

fn part(of: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (of / whole).clamp(0.0, 1.0))
}

fn of_host(meminfo: &str) -> Option<f64> {
    part(field(meminfo, "MemAvailable:")?, field(meminfo, "MemTotal:")?)
}

/// Inside a container: what is left of its own limit. Pages of files that were not used lately go when memory
/// is needed.
fn of_group(texts: &Texts) -> Option<f64> {
    // `max` is no number: there is no limit.
    let max = number(texts.group_max.as_deref()?.trim())?;
    let used = number(texts.group_current.as_deref()?.trim())?;
    let goes = texts.group_stat.as_deref().and_then(|text| field(text, "inactive_file ")).unwrap_or(0.0);
    part(max - (used - goes).max(0.0), max)
}

/// The percentage of the last ten seconds in which some task waited for memory.
fn pressure(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    number(some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:   4000000 kB\n";
    const PRESSURE: &str =
        "some avg10=1.50 avg60=0.30 avg300=0.00 total=9\nfull avg10=9.00 avg60=0 total=3\n";

    fn texts(loadavg: &str, meminfo: &str, pressure: &str) -> Texts {
        let text = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        Texts { loadavg: text(loadavg), meminfo: text(meminfo), pressure: text(pressure), ..Texts::default() }
    }

    #[track_caller]
    fn check(texts: &Texts, cores: u32, (cpu, memory, pressure): (f64, f64, Option<f64>)) {
        let expected = Load { cpu, cores: cores.max(1), memory_available: memory, memory_pressure: pressure };
        assert_eq!(load(texts, cores), expected, "{texts:?}");
    }

    #[test]
    fn what_the_kernel_says() {
        check(&texts("6.00 1.00 0.50 3/900 77\n", MEMINFO, PRESSURE), 4, (1.5, 0.25, Some(1.5)));
        check(&texts("0.00 0 0 1/1 1", MEMINFO, "-"), 0, (0.0, 0.25, None));
    }

    #[test]
    fn small_changes_are_no_news() {
        let check = |told: (f64, f64, f64), now: (f64, f64, f64), expected: bool| {
            let [told, now] = [told, now].map(|(cpu, memory_available, pressure)| Load {
                cpu,
                cores: 4,
                memory_available,
                memory_pressure: Some(pressure),
            });
            assert_eq!(has_changed(&told, &now), expected, "{told:?} {now:?}");
            assert_eq!(has_changed(&now, &told), expected, "{now:?} {told:?}");
        };
        check((0.5, 0.5, 0.0), (0.5, 0.5, 0.0), false);
        check((0.5, 0.5, 0.0), (0.74, 0.54, 2.4), false);
        check((0.5, 0.5, 0.0), (0.75, 0.5, 0.0), true);
        check((3.0, 0.5, 0.0), (3.7, 0.5, 0.0), false);
        check((3.0, 0.5, 0.0), (4.0, 0.5, 0.0), true);
        check((0.5, 0.5, 0.0), (0.5, 0.56, 0.0), true);
        check((0.5, 0.12, 0.0), (0.5, 0.1, 0.0), true);
        check((0.5, 0.5, 0.0), (0.5, 0.5, 3.0), true);
        let load = |cores, memory_pressure| Load { cores, memory_pressure, ..Load::default() };
        assert!(has_changed(&load(1, None), &load(2, None)));
        assert!(!has_changed(&load(1, None), &load(1, Some(0.0))));
    }

    #[test]
    fn what_it_does_not_say_counts_as_free() {
        check(&texts("-", "-", "-"), 2, (0.0, 1.0, None));
        check(&texts("", "MemTotal: 0 kB\nMemAvailable: 0 kB", "some"), 2, (0.0, 1.0, None));
        check(&texts("nan x", "MemTotal: 5 kB", "full avg10=3"), 2, (0.0, 1.0, None));
        check(&texts("-3", "MemAvailable: 9 kB\nMemTotal: 5 kB", "some avg10=inf"), 2, (0.0, 1.0, None));
    }

    #[test]
    fn a_containers_own_limit_counts_where_less_is_left_of_it() {
        let group = |max: &str, current: &str, stat: &str| Texts {
            group_max: Some(max.into()),
            group_current: Some(current.into()),
            group_stat: Some(stat.into()),
            ..texts("-", MEMINFO, "-")
        };
        let stat = "anon 700\ninactive_file 100\nactive_file 50\n";
        check(&group("1000\n", "900\n", stat), 1, (0.0, 0.2, None));
        check(&group("1000\n", "900\n", ""), 1, (0.0, 0.1, None));
        check(&group("1000\n", "100\n", stat), 1, (0.0, 0.25, None));
        check(&group("1000\n", "9000\n", stat), 1, (0.0, 0.0, None));
        check(&group("max\n", "900\n", stat), 1, (0.0, 0.25, None));
    }
}
