//! Programs that are dangerous together: a download that is run, a secret that is sent away (PURE).

use super::super::act::Run;
use super::super::effects::{Effects, candidates};
use super::super::pattern::base_name;
use super::super::place::{Place, has_unknown};
use super::super::unwrap::{Script, is_shell};
use super::{Bound, names_secret, refuse};

/// What runs are dangerous together: a download that is run, a secret that is sent away.
pub(in super::super) fn together(runs: &[(usize, &Run, &Effects)], read: &[Place]) -> Option<Bound> {
    let fetched = |(_, run, effects): &&(usize, &Run, &Effects)| {
        let program = run.inner.innermost().first().map_or("", |first| base_name(first));
        effects.network && !matches!(program, "pip" | "pip3" | "npm" | "cargo" | "git" | "docker" | "go")
    };
    for (_, run, _) in runs.iter().filter(|(_, run, _)| reads_a_program(run)) {
        let fed = runs.iter().filter(fetched).any(|(at, other, _)| {
            (other.pipe.0 == run.pipe.0 && other.pipe.1 < run.pipe.1) || run.fed_by.contains(at)
        });
        if fed {
            return refuse("runs-download", "it would run whatever it downloads");
        }
    }
    let sender = runs.iter().find(|(_, _, effects)| effects.network)?;
    let secret = runs.iter().find_map(|(_, run, _)| {
        let words = run.inner.views.first()?;
        let logs_in = matches!(
            run.inner.innermost().first().map(|first| base_name(first)),
            Some("ssh" | "scp" | "sftp" | "rsync" | "git")
        );
        let mut before = "";
        words.iter().find(|word| {
            let key = logs_in && before == "-i";
            before = word;
            !key && candidates(word).into_iter().chain([word.as_str()]).any(names_secret)
        })
    });
    let stored = read.iter().map(Place::shown).find(|shown| names_secret(shown));
    if let Some(secret) = secret.cloned().or(stored) {
        return refuse("sends-secrets", format!("it could send {secret} to another machine"));
    }
    let dumps = runs.iter().any(|(at, run, _)| {
        let program = run.inner.innermost();
        let dump = matches!(program, [one] if matches!(one.as_str(), "env" | "printenv" | "set" | "export" | "history"));
        dump && (run.pipe.0 == sender.1.pipe.0 && run.pipe.1 < sender.1.pipe.1 || sender.1.fed_by.contains(at))
    });
    if dumps { refuse("sends-secrets", "it would send the environment to another machine") } else { None }
}

/// Whether a run takes its program from a pipe, a substitution or its input.
fn reads_a_program(run: &Run) -> bool {
    let words = run.inner.innermost();
    if !runs_its_input(words) {
        return false;
    }
    let program = base_name(&words[0]);
    let from_input = words.len() == 1
        || run.inner.script == Script::Fed
        || words[1..]
            .iter()
            .any(|word| matches!(word.as_str(), "-" | "-s" | "/dev/stdin") || word.starts_with("/dev/fd/"));
    from_input
        || matches!(program, "eval" | "source" | ".")
        || (is_shell(program) && words.iter().any(|word| has_unknown(word)))
        || (words.len() > 2
            && words[2..].iter().any(|word| has_unknown(word))
            && matches!(words[1].as_str(), "-c" | "-e"))
}

/// Whether a program reads what it is to do from its input: a shell or another interpreter without a script.
fn runs_its_input(words: &[String]) -> bool {
    let Some(program) = words.first().map(|first| base_name(first)) else { return false };
    let interpreter = is_shell(program)
        || ["python", "perl", "ruby", "node", "php", "deno", "bun", "lua", "fish", "osascript", "pwsh"]
            .iter()
            .any(|name| program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') == *name);
    interpreter || matches!(program, "eval" | "source" | ".")
}
