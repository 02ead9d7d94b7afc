//! When a limit ends, read from a tool's own words: `resets 3pm`, `try again in 32s` (PURE).

/// Seconds of a day.
const DAY: f64 = 86_400.0;
/// The longest time ahead that is believed: a month and a bit.
const FARTHEST: f64 = 40.0 * DAY;

/// The part of a message that says when: `resets 3pm` gives `3pm`.
pub fn words(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let begins = [
        "resets at ",
        "resets in ",
        "resets ",
        "reset at ",
        "try again at ",
        "try again in ",
        "retry in ",
        "retry after ",
        "retry-after: ",
        "available again at ",
        "available again in ",
        "available at ",
        "until ",
        "after ",
        "wait ",
    ];
    let (at, begin) = begins.iter().find_map(|begin| lower.find(begin).map(|at| (at, begin)))?;
    let keep = if begin.ends_with(" in ") { at + begin.len() - 3 } else { at + begin.len() };
    let rest = text.get(keep..)?;
    let end = rest.find(['·', ';', '\n', '|', '!']).unwrap_or(rest.len());
    let rest = rest[..end].split(". ").next()?.trim().trim_end_matches('.');
    (rest.bytes().any(|b| b.is_ascii_digit()) && rest.len() <= 80).then(|| rest.to_owned())
}

/// The moment a text names, in Unix seconds. `now_unix` is the present; `utc_offset_seconds` is added to UTC
/// for local time where the text names no zone.
pub fn parse(text: &str, now_unix: f64, utc_offset_seconds: i32) -> Option<f64> {
    let named = words(text).unwrap_or_else(|| text.trim().to_owned());
    let lower = named.to_lowercase();
    let clock = clock(&lower);
    let at = match clock {
        Some(_) if !lower.trim_start().starts_with("in ") => {
            let offset = zone(&lower).unwrap_or(utc_offset_seconds);
            moment(&lower, clock?, now_unix, f64::from(offset))?
        }
        _ => now_unix + span(&lower)?,
    };
    (at >= now_unix && at - now_unix <= FARTHEST * 10.0).then_some(at)
}

/// A length of time: `2 hours 5 minutes`, `32s`, `1h30m`, `30`.
fn span(text: &str) -> Option<f64> {
    let text = text.trim().trim_start_matches("in ").trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (0.0..=FARTHEST).contains(&seconds).then_some(seconds);
    }
    let mut total = 0.0;
    let mut any = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].trim_end_matches('.').parse().ok()?;
        rest = rest[end..].trim_start();
        let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => DAY,
            "w" | "week" | "weeks" => 7.0 * DAY,
            _ => return any.then_some(total),
        };
        total += number * unit;
        any = true;
        rest = &rest[unit_end..];
    }
    (any && total <= FARTHEST).then_some(total)
}

/// A time of day in seconds: `3pm`, `3:30 pm`, `15:00`, `15:00:10`.
fn clock(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() || (at > 0 && (bytes[at - 1].is_ascii_alphanumeric())) {
            at += 1;
            continue;
        }
        let end = text[at..].find(|c: char| !c.is_ascii_digit() && c != ':').map_or(text.len(), |n| at + n);
        let parts: Vec<f64> = text[at..end].split(':').map_while(|n| n.parse().ok()).collect();
        let after = text[end..].trim_start();
        let half = ["am", "a.m", "pm", "p.m"].iter().position(|half| after.starts_with(half));
        if parts.len() > 1 || half.is_some() {
            let mut hours = parts[0];
            if half.is_some() {
                hours = hours % 12.0 + if half >= Some(2) { 12.0 } else { 0.0 };
            }
            let (minutes, seconds) = (parts.get(1).unwrap_or(&0.0), parts.get(2).unwrap_or(&0.0));
            let good = hours < 24.0 && *minutes < 60.0 && *seconds < 60.0;
            return good.then_some(hours * 3600.0 + minutes * 60.0 + seconds);
        }
        at = end.max(at + 1);
    }
    None
}

/// The zone a text names, as seconds to add to UTC.
fn zone(text: &str) -> Option<i32> {
    let token = text.split(|c: char| c.is_whitespace() || c == '(' || c == ')').rfind(|word| {
        word.starts_with("utc") || word.starts_with("gmt") || *word == "z" || word.ends_with("00z")
    })?;
    let rest = token.trim_start_matches("utc").trim_start_matches("gmt");
    let sign = match rest.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return Some(0),
    };
    let mut parts = rest[1..].split(':');
    let hours: i32 = parts.next()?.parse().ok()?;
    let minutes: i32 = parts.next().and_then(|m| m.parse().ok()).unwrap_or(0);
    (hours <= 14).then_some(sign * (hours * 3600 + minutes * 60))
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

/// The next moment with this time of day, on the date or weekday the text names.
fn moment(text: &str, clock: f64, now: f64, offset: f64) -> Option<f64> {
    let today = ((now + offset) / DAY).floor();
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let month = words().position(|word| word.len() >= 3 && MONTHS.iter().any(|m| word.starts_with(m)));
    if let Some(at) = month {
        let word = words().nth(at)?;
        let month = MONTHS.iter().position(|m| word.starts_with(m))?;
        let number = |n: Option<usize>| {
            let word = words().nth(n?)?;
            word.trim_end_matches(|c: char| c.is_alphabetic()).parse::<i64>().ok()
        };
        let before = number(at.checked_sub(1)).filter(|day| (1..=31).contains(day));
        let day = before.or_else(|| number(Some(at + 1))).filter(|day| (1..=31).contains(day))?;
        let year = words().find_map(|word| word.parse::<i64>().ok().filter(|y| (2000..2200).contains(y)));
        let this_year = year_of(today as i64);
        let at = |year: i64| days(year, month as i64 + 1, day) as f64 * DAY + clock - offset;
        return Some(match year {
            Some(year) => at(year),
            None if at(this_year) >= now => at(this_year),
            None => at(this_year + 1),
        });
    }
    let weekday =
        words().find_map(|word| WEEKDAYS.iter().position(|day| word.len() >= 3 && word.starts_with(day)));
    let mut day = today;
    if words().any(|word| word == "tomorrow") {
        day += 1.0;
    } else if let Some(weekday) = weekday {
        day += (weekday as f64 - today.rem_euclid(7.0)).rem_euclid(7.0);
    }
    let at = day * DAY + clock - offset;
    let again = if weekday.is_some() { 7.0 * DAY } else { DAY };
    Some(if at < now { at + again } else { at })
}

/// Days from 1970-01-01 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn year_of(day: i64) -> i64 {
    let guess = 1970 + day.div_euclid(366);
    (guess..guess + 3).rfind(|year| days(*year, 1, 1) <= day).unwrap_or(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-10-07 12:00:00 UTC, a Wednesday.
    const NOW: f64 = 1_791_374_400.0;

    #[test]
    fn moments() {
        let check = |text: &str, offset: i32, expected: Option<f64>| {
            assert_eq!(parse(text, NOW, offset).map(|at| at - NOW), expected, "{text:?}");
        };
        let hour = 3600.0;
        check("resets 3pm", 0, Some(3.0 * hour));
        check("resets 3pm", 7200, Some(hour));
        check("resets 11am", 0, Some(23.0 * hour));
        check("resets at 15:00 (UTC)", 7200, Some(3.0 * hour));
        check("resets 3:30pm (UTC+2)", 0, Some(1.5 * hour));
        check("in 2 hours 5 minutes", 0, Some(2.0 * hour + 300.0));
        check("try again in 32s", 0, Some(32.0));
        check("try again in 1h30m.", 0, Some(1.5 * hour));
        check("resets in 3 days", 0, Some(3.0 * DAY));
        check("resets Oct 9, 3am", 0, Some(2.0 * DAY - 9.0 * hour));
        check("resets 9 Oct, 15:00", 0, Some(2.0 * DAY + 3.0 * hour));
        check("resets Jan 1, 12pm", 0, Some(86.0 * DAY));
        check("try again at Oct 9th, 2026 3:00 PM.", 0, Some(2.0 * DAY + 3.0 * hour));
        check("Retry-After: 30", 0, Some(30.0));
        check("resets Friday 12:00", 0, Some(2.0 * DAY));
        check("resets tomorrow at 12:00", 0, Some(DAY));
        check("12:00", 0, Some(0.0));
        for nothing in ["", "soon", "resets later", "try again", "25:00", "in 3 fortnights", "in 99999 days"]
        {
            check(nothing, 0, None);
        }
    }

    #[test]
    fn the_words_that_say_when() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(words(text).as_deref(), expected, "{text:?}");
        };
        check("You've hit your limit · resets 3pm (UTC)", Some("3pm (UTC)"));
        check("Limit reached, try again in 5 minutes.", Some("in 5 minutes"));
        check("It failed.", None);
        check("Please try again later", None);
    }
}
