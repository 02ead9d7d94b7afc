//! What waits, as people see it: an entry each, a line each, a whole screen. PURE.

use crate::report::clean::{clean, fit};
use crate::report::paint::Paint;
use crate::report::words::{self, prompt};
use crate::sessions::Seen;
use crate::waiting::{self, Open};

use super::like;

/// Columns of a task's text.
const SUMMARY: usize = 60;

/// One session: who it is, what it asks, what can be chosen, how to answer.
pub fn entry(seen: &Seen, all: &[&Seen], paint: Paint) -> String {
    let id = words::short(&seen.session_id);
    let host = if seen.is_elsewhere() { seen.host.as_str() } else { "" };
    let name = seen.name.as_deref().unwrap_or_default();
    let about = [host, name, &seen.tool, &seen.path, &seen.summary];
    let about: Vec<String> =
        about.iter().map(|text| fit(&clean(text), SUMMARY)).filter(|text| !text.is_empty()).collect();
    let mut under = Vec::new();
    match &seen.prompt {
        Some(asked) => {
            under.push(paint.attention(&prompt::asks(asked)));
            under.extend(prompt::drawn(asked).iter().map(|line| paint.dim(&format!("┊ {line}"))));
            under.extend(prompt::details(&seen.session_id, asked));
            under.extend(alike(seen, all));
        }
        None => {
            let reason = seen.reason.as_deref().map(clean).filter(|reason| !reason.is_empty());
            under.push(paint.attention(reason.as_deref().unwrap_or("waits")));
            under.push(format!("cm-fleet attach {id}"));
        }
    }
    let under: String = under.iter().map(|line| format!("  {line}\n")).collect();
    format!("{}  {}\n{under}", paint.bold(&id), about.join(" · "))
}

/// That there are others which can be settled with it.
fn alike(seen: &Seen, all: &[&Seen]) -> Option<String> {
    let (others, hosts) = like(all, seen);
    let hosts = if hosts > 1 { format!(" on {hosts} hosts") } else { String::new() };
    (others > 0).then(|| format!("--same settles {others} like it{hosts}, too"))
}

/// A question in one line: the host, the session, its name, what it asks or why it waits.
pub fn line(seen: &Seen) -> String {
    match &seen.prompt {
        Some(prompt) => waiting::line(Open { session: seen, prompt }),
        None => {
            let host = if seen.is_elsewhere() { format!("{}  ", clean(&seen.host)) } else { String::new() };
            let name = seen.name.as_deref().map(|name| format!(" {}", clean(name))).unwrap_or_default();
            let reason = seen.reason.as_deref().map(clean).unwrap_or_default();
            format!("{host}{}{name} waits: {reason}", words::short(&seen.session_id))
        }
    }
}

/// A whole screen: all entries as far as they fit, under a line that says how things stand.
pub fn screen(all: &[&Seen], hosts: usize, notes: &[String], rows: usize, paint: Paint) -> String {
    let what = match all.len() {
        0 => "nothing waits".to_owned(),
        1 => "1 waits".to_owned(),
        many => format!("{many} wait"),
    };
    let where_ = if hosts > 1 { format!(" · {hosts} hosts") } else { String::new() };
    let mut lines = vec![format!("{}{where_} · Ctrl-C ends", paint.bold(&what))];
    lines.extend(notes.iter().map(|note| paint.attention(note)));
    let mut shown = 0;
    for seen in all {
        let text = entry(seen, all, paint);
        let entry: Vec<&str> = text.lines().collect();
        // One entry is shown in any case; a last line says what is left out.
        if shown > 0 && lines.len() + entry.len() + 2 > rows {
            break;
        }
        lines.push(String::new());
        lines.extend(entry.iter().map(|line| (*line).to_owned()));
        shown += 1;
    }
    if shown < all.len() {
        lines.push(format!("… and {} more: `cm-fleet inbox` shows all", all.len() - shown));
    }
    lines.truncate(rows.max(2) - 1);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::tests::{on, some};

    #[test]
    fn whole_prompts() {
        let all = some();
        let text = [0, 3, 4].map(|index| entry(&all[index], &[], Paint::OFF)).join("\n");
        insta::assert_snapshot!(text, @r"
        aaaaaa11  one · claude · /home/ada/shop · fix the login test
          asks to run git push ⏎ origin main
          ┊ Bash command
          ┊   git push
          ┊ Do you want to proceed?
          ┊ > 1. Yes
          | git push
          |  origin main
          > 1    Yes
            2    Yes, and don't ask again  (from now on)
            Esc  No, and say why  (refuses)
          left to you by careful/other commands
          cm-fleet approve aaaaaa11/3   cm-fleet deny aaaaaa11/3

        dddddd11  claude · /home/ada/shop · fix the login test
          asks: Which database?
          ┊ Header
          ┊ Which database?
            1  SQLite
            2  Postgres
            3  Postgres, replicated
          cm-fleet answer dddddd11/4 OPTION   cm-fleet deny dddddd11/4

        eeeeee11  limited · claude · /home/ada/shop · fix the login test
          rate_limited: come back
          cm-fleet attach eeeeee11
        ");
    }

    #[test]
    fn over_hosts() {
        let all = some();
        let all = [on("web-01", all[0].clone()), on("gpu", all[1].clone()), on("gpu", all[4].clone())];
        let shown: Vec<&Seen> = all.iter().collect();
        let text = entry(&all[0], &shown, Paint::OFF);
        assert!(text.starts_with("aaaaaa11  web-01 · one · claude"), "{text}");
        assert!(text.ends_with("  --same settles 1 like it, too\n"), "{text}");
        insta::assert_snapshot!(shown.iter().map(|seen| line(seen)).collect::<Vec<_>>().join("\n"), @r"
        web-01  aaaaaa11/3 one asks to run git push ⏎ origin main
        gpu  bbbbbb11/9 two asks to run git push ⏎ origin main
        gpu  eeeeee11 limited waits: rate_limited: come back
        ");
    }

    #[test]
    fn a_screen_is_never_taller_than_its_terminal() {
        let all = some();
        let shown: Vec<&Seen> = all[..5].iter().collect();
        let notes = ["not reached: web-03".to_owned()];
        for rows in 1..80 {
            let text = screen(&shown, 2, &notes, rows, Paint::OFF);
            assert!(text.lines().count() < rows.max(2), "{rows}: {text}");
        }
        let some = screen(&shown, 2, &notes, 24, Paint::OFF);
        assert!(
            some.starts_with("5 wait · 2 hosts · Ctrl-C ends\nnot reached: web-03\n\naaaaaa11  one"),
            "{some}"
        );
        assert!(some.ends_with("… and 4 more: `cm-fleet inbox` shows all\n"), "{some}");
        assert_eq!(screen(&[], 1, &[], 24, Paint::OFF), "nothing waits · Ctrl-C ends\n");
    }
}
