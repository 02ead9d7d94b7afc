//! What git prints, taken apart. PURE.

/// A path as git tells it: bytes, relative to the top of the work tree.
pub type RawPath = Vec<u8>;

/// What `git rev-parse --is-inside-work-tree --show-cdup --git-path objects --git-path index HEAD` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether it is in a work tree; not so in a bare repository and inside `.git`.
    pub in_work_tree: bool,
    /// The way from there to the top (`../../`, or nothing).
    pub up: Vec<u8>,
    /// Where objects are written, seen from there.
    pub objects: Vec<u8>,
    /// The index, seen from there.
    pub index: Vec<u8>,
    /// The commit; `None` if there is none yet.
    pub commit: Option<String>,
}

/// Reads it. Without a commit git still prints the rest (and `HEAD`, and fails).
pub fn place(printed: &[u8]) -> Option<Place> {
    let mut lines: Vec<&[u8]> = printed.strip_suffix(b"\n")?.split(|b| *b == b'\n').collect();
    let commit = lines.pop().map(|line| String::from_utf8_lossy(line).into_owned()).filter(|id| is_id(id));
    let inside = lines.first()?;
    // In a bare repository there is no way up, and git prints no line for it.
    let in_work_tree = match *inside {
        b"true" => true,
        b"false" => false,
        _ => return None,
    };
    let (up, paths) = if in_work_tree { (*lines.get(1)?, &lines[2..]) } else { (&b""[..], &lines[1..]) };
    // A path may contain line ends; both are in the same directory, so they contain the same number.
    let (objects, index) = paths.split_at(paths.len() / 2);
    if objects.len() != index.len() || index.is_empty() {
        return None;
    }
    Some(Place {
        in_work_tree,
        up: up.to_vec(),
        objects: objects.join(&b'\n'),
        index: index.join(&b'\n'),
        commit,
    })
}

/// Whether it is a whole object id, of either kind.
pub fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The ids of the empty blob and the empty tree, which git knows without having them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// The empty file.
    pub blob: &'static str,
    /// The empty directory.
    pub tree: &'static str,
}

/// Those of SHA-1 repositories.
const SHA1: Empty = Empty {
    blob: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
};

/// Those of SHA-256 repositories.
const SHA256: Empty = Empty {
    blob: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    tree: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
};

/// The empty ones of a repository, judged by any id in it.
pub fn empty_like(id: &str) -> Empty {
    if id.len() == 64 { SHA256 } else { SHA1 }
}

/// What `git status --porcelain=v2 -z --branch --untracked-files=all` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The commit; `None` if there is none yet.
    pub commit: Option<String>,
    /// The branch; `None` if HEAD is detached.
    pub branch: Option<String>,
    /// Files git knows that differ from the commit.
    pub changed: Vec<RawPath>,
    /// Files with both sides of a merge.
    pub unmerged: Vec<RawPath>,
    /// Files git does not know and does not ignore.
    pub untracked: Vec<RawPath>,
    /// Repositories inside, which git does not know and does not look into.
    pub nested: Vec<RawPath>,
}

impl Status {
    /// How many files are not as they were committed.
    pub fn uncommitted(&self) -> usize {
        self.changed.len() + self.unmerged.len() + self.untracked.len() + self.nested.len()
    }
}

/// Reads it. What is not understood is passed over, and so is a last record without its end.
pub fn status(printed: &[u8]) -> Status {
    let mut status = Status::default();
    let whole = printed.iter().rposition(|b| *b == 0).map_or(&b""[..], |end| &printed[..end]);
    let mut records = whole.split(|b| *b == 0);
    while let Some(record) = records.next() {
        let Some((kind, rest)) = record.split_first() else { continue };
        let field = |n: usize| record.splitn(n + 1, |b| *b == b' ').nth(n).map(<[u8]>::to_vec);
        match kind {
            b'#' => header(&mut status, &String::from_utf8_lossy(rest)),
            b'1' => status.changed.extend(field(8)),
            b'2' => {
                status.changed.extend(field(9));
                // Its old name follows.
                records.next();
            }
            b'u' => status.unmerged.extend(field(10)),
            b'?' => {
                let Some(path) = field(1) else { continue };
                let list = if path.ends_with(b"/") { &mut status.nested } else { &mut status.untracked };
                list.push(path);
            }
            _ => {}
        }
    }
    status
}

fn header(status: &mut Status, line: &str) {
    match line.trim_start().split_once(' ') {
        Some(("branch.oid", id)) => status.commit = Some(id.to_owned()).filter(|id| is_id(id)),
        Some(("branch.head", name)) => {
            status.branch = Some(name.to_owned()).filter(|name| name != "(detached)");
        }
        _ => {}
    }
}

/// The last line of `git diff --stat`: files, lines added, lines removed. Nothing printed is nothing changed.
pub fn summary(printed: &str) -> Option<(u64, u64, u64)> {
    let Some(line) = printed.lines().rev().find(|line| !line.trim().is_empty()) else {
        return Some((0, 0, 0));
    };
    let (mut files, mut added, mut removed) = (None, 0, 0);
    for part in line.split(',') {
        let (number, what) = part.trim().split_once(' ')?;
        let number = number.parse().ok()?;
        match what.as_bytes().first()? {
            b'f' => files = Some(number),
            b'i' => added = number,
            b'd' => removed = number,
            _ => return None,
        }
    }
    Some((files?, added, removed))
}

/// Why git refused, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No repository there.
    NotARepository,
    /// It belongs to somebody else.
    NotTrusted {
        /// The command that makes git trust it.
        remedy: String,
    },
    /// Anything else, on one line.
    Other(String),
}

/// The longest complaint handed on, in characters.
const COMPLAINT: usize = 500;

/// Reads what git wrote to its error output.
pub fn refusal(complaint: &str) -> Refusal {
    const TRUST: &str = "git config --global --add safe.directory ";
    let lines = || complaint.lines().map(str::trim).filter(|line| !line.is_empty());
    if complaint.contains("dubious ownership") || complaint.contains("unsafe repository") {
        let remedy = lines().find(|line| line.starts_with(TRUST)).map(ToOwned::to_owned);
        return Refusal::NotTrusted { remedy: remedy.unwrap_or_else(|| format!("{TRUST}DIRECTORY")) };
    }
    if complaint.contains("not a git repository") || complaint.contains("must be run in a work tree") {
        return Refusal::NotARepository;
    }
    let all = lines()
        .filter(|line| !line.starts_with("hint:") && !line.starts_with("warning:"))
        .map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: "))
        .collect::<Vec<_>>()
        .join("; ");
    Refusal::Other(all.chars().filter(|c| !c.is_control()).take(COMPLAINT).collect())
}

/// How much of a patch that had to be cut is whole files: up to where its last file begins. The whole of it if
/// there is only one.
pub fn whole_files(patch: &[u8]) -> usize {
    const START: &[u8] = b"\ndiff --git ";
    patch.windows(START.len()).rposition(|bytes| bytes == START).map_or(patch.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b6045b925b2ffbae37e35f2dd0da94c8722dd9d9";

    #[test]
    fn places() {
        #[track_caller]
        fn check(printed: &str, expected: Option<(bool, &str, &str, &str, bool)>) {
            let found = place(printed.as_bytes());
            let expected = expected.map(|(in_work_tree, up, objects, index, commit)| Place {
                in_work_tree,
                up: up.into(),
                objects: objects.into(),
                index: index.into(),
                commit: commit.then(|| ID.to_owned()),
            });
            assert_eq!(found, expected, "{printed:?}");
        }
        let top = format!("true\n\n.git/objects\n.git/index\n{ID}\n");
        check(&top, Some((true, "", ".git/objects", ".git/index", true)));
        let empty = "true\n../\n../.git/objects\n../.git/index\nHEAD\n";
        check(empty, Some((true, "../", "../.git/objects", "../.git/index", false)));
        let bare = format!("false\nobjects\nindex\n{ID}\n");
        check(&bare, Some((false, "", "objects", "index", true)));
        let odd = format!("true\n\n/a\nb/.git/objects\n/a\nb/.git/worktrees/x/index\n{ID}\n");
        check(&odd, Some((true, "", "/a\nb/.git/objects", "/a\nb/.git/worktrees/x/index", true)));
        for nothing in ["", "\n", "true\n", "true\n\n", "maybe\n\na\nb\nHEAD\n", "true\n\na\nb\nc\nHEAD\n"] {
            check(nothing, None);
        }
    }

    #[test]
    fn states() {
        let printed = format!(
            "# branch.oid {ID}\0# branch.head cm/x\0# branch.ab +1 -0\0# stash 3\0\
             1 .M N... 100644 100644 100644 {ID} {ID} a b\0\
             2 R. N... 100644 100644 100644 {ID} {ID} R100 new name\0old\0\
             u UU N... 100644 100644 100644 100644 {ID} {ID} {ID} both\0\
             ? new\nfile\0? inner/\0! ignored\0? cut o"
        );
        let expected = Status {
            commit: Some(ID.into()),
            branch: Some("cm/x".into()),
            changed: vec![b"a b".to_vec(), b"new name".to_vec()],
            unmerged: vec![b"both".to_vec()],
            untracked: vec![b"new\nfile".to_vec()],
            nested: vec![b"inner/".to_vec()],
        };
        assert_eq!(status(printed.as_bytes()), expected);
        assert_eq!(expected.uncommitted(), 5);
        assert_eq!(status(b"# branch.oid (initial)\0# branch.head (detached)\0"), Status::default());
        for rubbish in [&b""[..], b"\0\0", b"1\0", b"2 x\0", b"?\0", b"? ", b"\xff\xfe\0"] {
            assert_eq!(status(rubbish), Status::default(), "{rubbish:?}");
        }
    }

    #[test]
    fn summaries() {
        #[track_caller]
        fn check(printed: &str, expected: Option<(u64, u64, u64)>) {
            assert_eq!(summary(printed), expected, "{printed:?}");
        }
        check("", Some((0, 0, 0)));
        check(" a | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n", Some((1, 1, 1)));
        check(" 12 files changed, 3 deletions(-)\n", Some((12, 0, 3)));
        check(" 1 file changed, 0 insertions(+), 0 deletions(-)\n", Some((1, 0, 0)));
        check(" 2 files changed\n", Some((2, 0, 0)));
        check(" a | 2 +-\n", None);
        check("fatal: no\n", None);
    }

    #[test]
    fn refusals() {
        let owner = "fatal: detected dubious ownership in repository at '/r 2'\nTo add an exception for this \
                     directory, call:\n\n\tgit config --global --add safe.directory '/r 2'\n";
        let remedy = "git config --global --add safe.directory '/r 2'".to_owned();
        assert_eq!(refusal(owner), Refusal::NotTrusted { remedy });
        assert_eq!(refusal("fatal: not a git repository (or any …): .git\n"), Refusal::NotARepository);
        let other = "hint: try\nwarning: x\nerror: bad\nfatal: worse\n";
        assert_eq!(refusal(other), Refusal::Other("bad; worse".into()));
        let Refusal::Other(long) = refusal(&"x".repeat(100_000)) else { panic!("other") };
        assert_eq!(long.len(), COMPLAINT);
    }

    #[test]
    fn cuts() {
        assert_eq!(whole_files(b"diff --git a b\n+x"), 17);
        assert_eq!(whole_files(b"diff --git a b\n+x\ndiff --git c d\n+"), 18);
        assert_eq!(whole_files(b""), 0);
    }
}
