//! Values on the command line: durations, sizes, variables, terminal sizes, task lists. PURE.

use cm_protocol::Size;

/// A duration in seconds: `90`, `90s`, `10m`, `1h30m`, `1.5h`, `2d`. Must be more than zero.
///
/// # Errors
/// In words, for the command line.
pub fn duration(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no duration; write 90s, 10m, 1h30m or 2d");
    if let Ok(seconds) = text.parse::<f64>() {
        return positive(seconds).ok_or_else(wrong);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let tail = &rest[digits..];
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        total += number
            * match &tail[..unit_len] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return Err(wrong()),
            };
        rest = &tail[unit_len..];
    }
    positive(total).ok_or_else(wrong)
}

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0 && value <= 1e10).then_some(value)
}

/// A number of bytes: `512M`, `2G`, `1.5GiB`, `1048576`. Units are powers of 1024, as systemd reads them.
///
/// # Errors
/// In words, for the command line.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no amount of memory; write 512M, 2G or a number of bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim_end_matches("iB").trim_end_matches('B');
    let factor = match unit {
        "" => 1_u64,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(wrong()),
    };
    // Lossless enough: a limit over 2^53 bytes is no limit.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    positive(number * factor as f64)
        .filter(|bytes| *bytes <= 9e15)
        .map(|bytes| bytes as u64)
        .ok_or_else(wrong)
}

/// A number of cores: `1`, `0.5`, `1.5`.
///
/// # Errors
/// In words, for the command line.
pub fn cores(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .and_then(positive)
        .filter(|value| *value <= 4096.0)
        .ok_or_else(|| format!("`{text}` is no number of cores; write 1 or 1.5"))
}

/// A terminal's size: `120x40`. 20 to 500 columns, 5 to 200 rows.
///
/// # Errors
/// In words, for the command line.
pub fn size(text: &str) -> Result<Size, String> {
    let wrong = || format!("`{text}` is no terminal size; write 120x40 (20-500 columns, 5-200 rows)");
    let (cols, rows) = text.split_once(['x', 'X']).ok_or_else(wrong)?;
    let size = Size { cols: cols.parse().map_err(|_| wrong())?, rows: rows.parse().map_err(|_| wrong())? };
    ((20..=500).contains(&size.cols) && (5..=200).contains(&size.rows)).then_some(size).ok_or_else(wrong)
}

/// A variable for a session: given outright, or to be taken from this command's own environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvArg {
    /// `K=V`
    Set(String, String),
    /// `K`
    Inherit(String),
}

/// `K=V` or `K`.
///
/// # Errors
/// In words, for the command line. A value is never repeated in them: it may be a secret.
pub fn env(text: &str) -> Result<EnvArg, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let good = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !good {
        return Err(format!("`{name}` is no name of a variable; write NAME=value, or NAME to pass yours on"));
    }
    if value.is_some_and(|value| value.contains('\0')) {
        return Err(format!("the value of {name} contains a NUL byte"));
    }
    Ok(match value {
        Some(value) => EnvArg::Set(name.to_owned(), value.to_owned()),
        None => EnvArg::Inherit(name.to_owned()),
    })
}

/// A command for a shell: anything but nothing.
///
/// # Errors
/// In words, for the command line.
pub fn command(text: &str) -> Result<String, String> {
    match text {
        _ if text.trim().is_empty() => Err("there is no command in it; write it as for `sh -c`".into()),
        _ if text.contains('\0') => Err("it contains a NUL byte".into()),
        _ => Ok(text.to_owned()),
    }
}

/// Tasks of a file: one a line; empty lines and lines that begin with `#` are skipped.
pub fn task_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// How long a host may be silent: a duration of at least 6 seconds, for it is asked six times in that.
///
/// # Errors
/// As [`duration`], or it is too short.
pub fn grace(text: &str) -> Result<f64, String> {
    match duration(text)? {
        seconds if seconds < 6.0 => Err("a host is given 6 seconds at least".to_owned()),
        seconds => Ok(seconds),
    }
}

/// How often something is done: `30s`; `0` is never.
///
/// # Errors
/// No duration, or shorter than a second.
pub fn every(text: &str) -> Result<f64, String> {
    match text {
        "0" | "0s" => Ok(0.0),
        text => match duration(text)? {
            seconds if seconds < 1.0 => Err("once a second at most; 0 is never".to_owned()),
            seconds if seconds > 86_400.0 => Err("once a day at least; 0 is never".to_owned()),
            seconds => Ok(seconds),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<f64>| {
            let got = duration(text).ok();
            assert!(
                match (got, expected) {
                    (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                    (a, b) => a == b,
                },
                "duration({text:?}) = {got:?}, expected {expected:?}"
            );
        };
        check("90", Some(90.0));
        check("90s", Some(90.0));
        check("1.5", Some(1.5));
        check("10m", Some(600.0));
        check("1h30m", Some(5400.0));
        check("1.5h", Some(5400.0));
        check("2d", Some(172_800.0));
        check("250ms", Some(0.25));
        for bad in ["", "0", "0s", "-5", "-5m", "m", "10x", "10 m", "1h30", "inf", "nan", "1e99", "1..5s"] {
            check(bad, None);
        }
    }

    #[test]
    fn intervals() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(every(text).ok(), expected, "{text:?}");
        check("0", Some(0.0));
        check("0s", Some(0.0));
        check("1s", Some(1.0));
        check("5m", Some(300.0));
        check("24h", Some(86_400.0));
        for bad in ["", "0.5", "500ms", "25h", "-1", "never"] {
            check(bad, None);
        }
    }

    #[test]
    fn amounts_of_memory() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(bytes(text).ok(), expected, "{text:?}");
        check("1048576", Some(1 << 20));
        check("64k", Some(64 << 10));
        check("512M", Some(512 << 20));
        check("2G", Some(2 << 30));
        check("2GiB", Some(2 << 30));
        check("2GB", Some(2 << 30));
        check("1.5G", Some(3 << 29));
        for bad in ["", "0", "G", "-1G", "2X", "2 G", "nanG", "9999999T", "lots"] {
            check(bad, None);
        }
    }

    #[test]
    fn terminal_sizes_and_cores() {
        let check = |text: &str, expected: Option<(u16, u16)>| {
            assert_eq!(size(text).ok().map(|s| (s.cols, s.rows)), expected, "{text:?}");
        };
        check("120x40", Some((120, 40)));
        check("20X5", Some((20, 5)));
        check("500x200", Some((500, 200)));
        for bad in ["", "120", "19x40", "120x4", "501x40", "120x201", "-1x40", "ax b", "99999999x40"] {
            check(bad, None);
        }
        assert_eq!(cores("1.5").ok(), Some(1.5));
        for bad in ["0", "-1", "", "x", "inf", "1e9"] {
            assert!(cores(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn variables() {
        let check = |text: &str, expected: Option<EnvArg>| assert_eq!(env(text).ok(), expected, "{text:?}");
        check("A=b", Some(EnvArg::Set("A".into(), "b".into())));
        check("A=", Some(EnvArg::Set("A".into(), String::new())));
        check("A=b=c d", Some(EnvArg::Set("A".into(), "b=c d".into())));
        check("_API_KEY1", Some(EnvArg::Inherit("_API_KEY1".into())));
        for bad in ["", "=x", "1A=x", "A B=x", "A-B", "A=\0"] {
            check(bad, None);
        }
        let told = env("BAD NAME=hunter2").expect_err("a blank in a name");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn commands() {
        let check = |text: &str, good: bool| assert_eq!(command(text).is_ok(), good, "{text:?}");
        check("cargo test && git diff --quiet", true);
        for bad in ["", " ", "\n", "a\0b"] {
            check(bad, false);
        }
    }

    #[test]
    fn a_file_of_tasks() {
        assert_eq!(task_lines("# tasks\n\n one \r\ntwo # not a comment\n"), ["one", "two # not a comment"]);
        assert!(task_lines("\n#x\n").is_empty());
    }
}
