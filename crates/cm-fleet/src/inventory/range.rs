//! Names that stand for many: `gpu[01-16]`, `node-[a-c]`, `n[1-9/2,20]`; and globs. PURE.

/// Names one pattern may stand for.
pub const MOST: usize = 10_000;

/// All names a pattern stands for, in its order. Zeros in front of a number are kept: `[08-10]` gives `08`,
/// `09`, `10`. Several brackets give every combination, the last one turning fastest.
///
/// # Errors
/// In words: a bracket that is not closed, an end before its beginning, more than 10,000 names.
pub fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find(['[', ']']) {
        let closed = rest[open..].starts_with('[').then(|| rest[open..].find(']')).flatten();
        let Some(close) = closed.map(|at| open + at) else {
            return Err(format!("a bracket of `{pattern}` has no partner"));
        };
        let items = items(&rest[open + 1..close]).map_err(|why| format!("`{pattern}`: {why}"))?;
        if names.len() * items.len() > MOST {
            return Err(too_many(pattern));
        }
        let before = &rest[..open];
        let joined = names.iter().flat_map(|name| items.iter().map(move |i| format!("{name}{before}{i}")));
        names = joined.collect();
        rest = &rest[close + 1..];
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn too_many(pattern: &str) -> String {
    format!("`{pattern}` stands for more than {MOST} names")
}

/// What stands between brackets: parts with commas between, each a word, `a-c`, `01-16` or `1-9/2`.
fn items(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<usize>().ok().filter(|step| *step > 0);
                (range, step.ok_or_else(|| format!("the step of `[{part}]` is no number of at least 1"))?)
            }
            None => (part, 1),
        };
        match range.split_once('-') {
            None if !part.is_empty() && !part.contains('/') && word(part) => all.push(part.to_owned()),
            Some((first, last)) => all.extend(between(first, last, step)?),
            None => return Err(format!("`[{part}]` is no range; write [01-16], [a-c], [1-9/2] or [1,5,7]")),
        }
        if all.len() > MOST {
            return Err(format!("it stands for more than {MOST} names"));
        }
    }
    Ok(all)
}

fn word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

fn between(first: &str, last: &str, step: usize) -> Result<Vec<String>, String> {
    let backwards = || format!("`[{first}-{last}]` ends before it begins");
    if let (&[a], &[z]) = (first.as_bytes(), last.as_bytes())
        && a.is_ascii_alphabetic()
        && z.is_ascii_alphabetic()
        && a.is_ascii_uppercase() == z.is_ascii_uppercase()
    {
        return match a <= z {
            true => Ok((a..=z).step_by(step).map(|letter| char::from(letter).to_string()).collect()),
            false => Err(backwards()),
        };
    }
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err(format!(
            "`[{first}-{last}]` goes neither from number to number nor from letter to letter"
        ));
    };
    if from > to {
        return Err(backwards());
    }
    if (to - from) / step as u64 >= MOST as u64 {
        return Err(format!("it stands for more than {MOST} names"));
    }
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
    Ok((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

/// Whether a text is one that `pattern` means: `*` is any text, `?` any one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: the star takes one more.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether there is a star or question mark in it.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |pattern: &str, expected: &str| match expand(pattern) {
            Ok(names) => assert_eq!(names.join(" "), expected, "{pattern}"),
            Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{pattern}: {why}"),
        };
        check("web", "web");
        check("gpu[8-11]", "gpu8 gpu9 gpu10 gpu11");
        check("gpu[08-11]", "gpu08 gpu09 gpu10 gpu11");
        check("gpu[008-9]", "gpu008 gpu009");
        check("n[0-2]", "n0 n1 n2");
        check("n[a-c].lan", "na.lan nb.lan nc.lan");
        check("r[1-2]-[a-b]", "r1-a r1-b r2-a r2-b");
        check("n[1-9/4]", "n1 n5 n9");
        check("n[1,5-6,x]", "n1 n5 n6 nx");
        check("n[3-1]", "ends before it begins");
        check("n[c-a]", "ends before it begins");
        check("n[1-c]", "neither from number");
        check("n[a-C]", "neither from number");
        check("n[1-", "no partner");
        check("n]1[", "no partner");
        check("n[[1-2]]", "neither from number");
        check("n[]", "no range");
        check("n[1,]", "no range");
        check("n[1-5/0]", "the step");
        check("n[5/2]", "no range");
        check("n[1-99999999999999999999]", "neither from number");
        check("n[0-9999999]", "more than 10000");
        check("n[0-99][0-99][0-9]", "more than 10000");
        assert_eq!(expand("n[0-9999]").expect("just enough").len(), MOST);
    }

    #[test]
    fn globs() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        };
        check("gpu-*", "gpu-01", true);
        check("*", "", true);
        check("*-*-x", "a-b-c-x", true);
        check("g?u", "gpu", true);
        check("g?u", "gu", false);
        check("gpu", "gpu-01", false);
        check("*a*a*a*a*a*b", &"a".repeat(2000), false);
    }
}
