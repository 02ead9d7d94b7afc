//! Paths as names only: where they lie, and which globs they fit (PURE).
//!
//! What a link points to is out of reach: the file system is never asked. `..` takes a component away.

/// Stands in a text for what only the shell knows.
pub(super) const UNKNOWN: char = '\0';
/// Stands in a text for any part of a file name.
pub(super) const GLOB: char = '\u{1}';
/// Stands in a text for a variable's value that may be printed.
pub(super) const PRINTABLE: char = '\u{2}';

/// Stands in a text for a variable's value that may be a secret.
pub(super) const SECRET: char = '\u{3}';

/// Stands in a text for a value that is a number.
pub(super) const NUMBER: char = '\u{4}';

/// Whether the shell changes something about this text in a way that is not known here.
pub(super) fn is_exact(text: &str) -> bool {
    !text.contains([UNKNOWN, GLOB, PRINTABLE, SECRET, NUMBER])
}

/// Whether a value stands in it that is not known here.
pub(super) fn has_unknown(text: &str) -> bool {
    text.contains([UNKNOWN, PRINTABLE, SECRET])
}

/// Where the session works.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) work_dir: &'a str,
    pub(super) home: &'a str,
}

/// A path, as far as its name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Its components from the root, none of them `.` or `..`.
    At(Vec<String>),
    /// Not known.
    Unknown,
}

impl Place {
    /// The place a text names, seen from directory `from` (`None`: which one is not known).
    pub(super) fn of(text: &str, from: Option<&str>) -> Self {
        if has_unknown(text) {
            return Self::Unknown;
        }
        let mut parts: Vec<String> = Vec::new();
        if !text.starts_with('/') {
            match from {
                Some(from) => parts.extend(components(from)),
                None => return Self::Unknown,
            }
        }
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part if part.contains(GLOB)
                    && part.chars().all(|c| c == GLOB || c == '.')
                    && part.contains('.') =>
                {
                    return Self::Unknown;
                }
                part => parts.push(part.to_owned()),
            }
        }
        Self::At(parts)
    }

    /// The place a prompt names: `~` is the home directory, a text cut short is unknown.
    pub(super) fn named(text: &str, ground: Ground) -> Self {
        let text = text.trim();
        if text.is_empty() || text.contains('…') || text.contains("...") || text.chars().any(char::is_control)
        {
            return Self::Unknown;
        }
        match text.strip_prefix('~') {
            None => Self::of(text, Some(ground.work_dir)),
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                Self::of(&format!("{}{rest}", ground.home), None)
            }
            Some(_) => Self::Unknown,
        }
    }

    /// Whether it is a device that keeps nothing, or a stream that is open anyway.
    pub(super) fn is_harmless_device(&self) -> bool {
        const HARMLESS: [&str; 7] = ["null", "zero", "full", "tty", "stdin", "stdout", "stderr"];
        let Self::At(parts) = self else { return false };
        match parts.as_slice() {
            [dev, name] => dev == "dev" && HARMLESS.contains(&name.as_str()),
            [dev, fd, number] => dev == "dev" && fd == "fd" && number.bytes().all(|b| b.is_ascii_digit()),
            _ => false,
        }
    }

    /// Whether it is the work tree or lies in it.
    pub(super) fn is_inside(&self, ground: Ground) -> bool {
        self.is_under(ground.work_dir)
    }

    /// Whether it is this directory or lies in it.
    pub(super) fn is_under(&self, directory: &str) -> bool {
        let Self::At(parts) = self else { return false };
        let top = components(directory).collect::<Vec<_>>();
        directory.starts_with('/') && parts.len() >= top.len() && parts.iter().zip(&top).all(|(a, b)| a == b)
    }

    /// Whether it is this directory or one above it.
    pub(super) fn is_above(&self, directory: &str) -> bool {
        let Self::At(parts) = self else { return false };
        let below = components(directory).collect::<Vec<_>>();
        parts.len() <= below.len() && parts.iter().zip(&below).all(|(a, b)| a == b)
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::At(parts) => format!("/{}", parts.join("/")).replace(GLOB, "*"),
            Self::Unknown => "a path that is not known".to_owned(),
        }
    }
}

/// The components of a path, without `.` and empty ones; `..` taken lexically.
fn components(path: &str) -> impl Iterator<Item = String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts.into_iter()
}

/// How well something fits a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// It may, and cannot be told.
    Maybe,
    Yes,
}

impl Fit {
    pub(super) fn from_bool(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

/// A condition on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathRule {
    Inside,
    Outside,
    /// Components with `*` and `?`; `**` stands for any number of them. What lies below fits too.
    Glob {
        base: Base,
        parts: Vec<String>,
    },
}

/// What a glob starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Tree,
    Home,
    Root,
}

impl PathRule {
    /// Reads a condition.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        match text {
            "inside" => return Ok(Self::Inside),
            "outside" => return Ok(Self::Outside),
            "" => {
                return Err("a path is empty; use `inside`, `outside` or a glob such as `src/**`".to_owned());
            }
            _ => {}
        }
        let (base, rest) = if let Some(rest) = text.strip_prefix("~/") {
            (Base::Home, rest)
        } else if text == "~" {
            (Base::Home, "")
        } else if let Some(rest) = text.strip_prefix('/') {
            (Base::Root, rest)
        } else if text.starts_with('~') {
            return Err(format!("bad glob {text:?}: only `~/` is known, not another user's home"));
        } else {
            (Base::Tree, text)
        };
        let mut parts = Vec::new();
        if base == Base::Tree && !rest.trim_end_matches('/').contains('/') {
            parts.push("**".to_owned());
        }
        for part in rest.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return Err(format!("bad glob {text:?}: `..` is not understood; write the path it means"));
            }
            if part.contains("**") && part != "**" {
                return Err(format!("bad glob {text:?}: `**` has to stand alone between slashes"));
            }
            if part.contains(['[', ']', '{', '}', '\\']) {
                return Err(format!("bad glob {text:?}: only `*`, `?` and `**` are understood"));
            }
            if part.chars().any(char::is_control) {
                return Err(format!("bad glob {text:?}: it has characters that cannot be seen"));
            }
            parts.push(part.to_owned());
        }
        Ok(Self::Glob { base, parts })
    }

    pub(super) fn fit(&self, place: &Place, ground: Ground) -> Fit {
        let Place::At(at) = place else { return Fit::Maybe };
        match self {
            Self::Inside => Fit::from_bool(place.is_inside(ground)),
            Self::Outside => Fit::from_bool(!place.is_inside(ground)),
            Self::Glob { base, parts } => {
                let top = match base {
                    Base::Tree => ground.work_dir,
                    Base::Home => ground.home,
                    Base::Root => "/",
                };
                let pattern: Vec<String> = components(top).chain(parts.iter().cloned()).collect();
                if fits(&pattern, at, false) {
                    Fit::Yes
                } else if fits(&pattern, at, true) {
                    Fit::Maybe
                } else {
                    Fit::No
                }
            }
        }
    }
}

/// Whether the components fit the pattern, or lie below something that does; `maybe`: whether they could.
fn fits(pattern: &[String], parts: &[String], maybe: bool) -> bool {
    let one = if maybe { meets } else { wildcard };
    // reached[i]: the pattern's first i components can be used up by the parts so far.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    let skip = |reached: &mut Vec<bool>| {
        for i in 0..pattern.len() {
            if reached[i] && pattern[i] == "**" {
                reached[i + 1] = true;
            }
        }
    };
    skip(&mut reached);
    for part in parts {
        if reached[pattern.len()] {
            return true;
        }
        let mut next = vec![false; pattern.len() + 1];
        for i in 0..pattern.len() {
            if !reached[i] {
                continue;
            }
            if pattern[i] == "**" {
                next[i] = true;
            } else if one(&pattern[i], part) {
                next[i + 1] = true;
            }
        }
        skip(&mut next);
        if maybe && part.chars().all(|c| c == GLOB) && !is_single_glob(part) {
            // It may stand for several components.
            for i in 0..pattern.len() {
                next[i + 1] |= next[i];
            }
        }
        reached = next;
    }
    reached[pattern.len()]
}

/// Whether a name begins with exactly one [`GLOB`].
fn is_single_glob(name: &str) -> bool {
    name.starts_with(GLOB) && !name[1..].starts_with(GLOB)
}

/// Any name at all, also one that begins with a dot, also several components.
pub(super) const ANYTHING: &str = "\u{1}\u{1}";

/// Whether a text fits a pattern of `*` (any text) and `?` (one character).
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some('?') if text[t] != GLOB => {
                p += 1;
                t += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether some text fits both the pattern and the name in which [`GLOB`] stands for anything; case aside.
///
/// A single one at the start is a `*` the shell expands: it leaves out names that begin with a dot.
fn meets(pattern: &str, name: &str) -> bool {
    if pattern.starts_with('.') && is_single_glob(name) {
        return false;
    }
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let width = name.len() + 1;
    let mut reached = vec![false; (pattern.len() + 1) * width];
    reached[0] = true;
    for p in 0..=pattern.len() {
        for n in 0..=name.len() {
            if !reached[p * width + n] {
                continue;
            }
            let (left, right) = (pattern.get(p).copied(), name.get(n).copied());
            if left == Some('*') {
                reached[(p + 1) * width + n] = true;
                if right.is_some() {
                    reached[p * width + n + 1] = true;
                }
            }
            if right == Some(GLOB) {
                reached[p * width + n + 1] = true;
                if left.is_some() {
                    reached[(p + 1) * width + n] = true;
                }
            }
            let same = left.zip(right).is_some_and(|(left, right)| left == '?' || left == right);
            if same {
                reached[(p + 1) * width + n + 1] = true;
            }
        }
    }
    reached.last().copied().unwrap_or(false)
}
