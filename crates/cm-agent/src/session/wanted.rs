//! What a request says of its repository and work tree, checked. PURE.

use std::path::{Component, Path};

use cm_protocol::{CreateSession, Worktree};

use crate::work::Remote;
use crate::work::parse::is_id;
use crate::work::remote::bad_reference;

/// A field, and what is wrong with it.
pub(super) type Bad = (&'static str, &'static str);

/// A repository that a task asks for by its address.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    /// Its address.
    pub(super) remote: Remote,
    /// The commit, branch or tag it starts from.
    pub(super) reference: Option<String>,
    /// The directory in it where the task works; its top if absent.
    pub(super) below: Option<String>,
}

/// The repository that is to be had by its address, if there is one. Of an address that is not taken nothing is
/// repeated: a login may stand in it.
pub(super) fn repository(request: &CreateSession) -> Result<Option<Wanted>, Bad> {
    let Some(repo) = request.context.as_ref().and_then(|context| context.repo.as_ref()) else {
        return Ok(None);
    };
    let remote = Remote::read(&repo.url).map_err(|why| ("context.repo.url", why))?;
    if let Some(why) = repo.reference.as_deref().and_then(bad_reference) {
        return Err(("context.repo.ref", why));
    }
    if request.worktree.as_ref().is_some_and(|tree| tree.base.is_some()) {
        return Err(("worktree.base", "with context.repo its ref says where the work starts"));
    }
    let below = request.path().map(|path| path.trim_start_matches("./").trim_end_matches('/').to_owned());
    let below = below.filter(|path| !path.is_empty() && path != ".");
    let plain = |path: &String| {
        let mut parts = Path::new(path).components();
        parts.all(|part| matches!(part, Component::Normal(_))) && !path.chars().any(char::is_control)
    };
    let inside = below.iter().all(plain) && !request.path().is_some_and(|path| path.starts_with('/'));
    if !inside {
        return Err((
            "context.path",
            "with context.repo it is a directory inside the repository, relative to its top",
        ));
    }
    Ok(Some(Wanted { remote, reference: repo.reference.clone(), below }))
}

/// A work tree of its own, as far as that can be told without looking.
pub(super) fn worktree(tree: Option<&Worktree>) -> Result<(), Bad> {
    let Some(tree) = tree else { return Ok(()) };
    if tree.save_every.is_some_and(|seconds| !(1.0..=86_400.0).contains(&seconds)) {
        return Err(("worktree.saveEvery", "a number of seconds from 1 to 86400"));
    }
    let Some(work) = &tree.continues else { return Ok(()) };
    if !is_id(&work.commit) {
        return Err(("worktree.continues.commit", "a whole commit id, 40 or 64 hexadecimal digits"));
    }
    if work.base.as_deref().is_some_and(|base| !is_id(base)) {
        return Err(("worktree.continues.base", "a whole commit id, 40 or 64 hexadecimal digits"));
    }
    if work.attempt == 0 {
        return Err(("worktree.continues.attempt", "attempts are counted from 1"));
    }
    if work.host.len() > 256 || work.host.chars().any(char::is_control) {
        return Err(("worktree.continues.host", "at most 256 characters, none of them a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cm_protocol::{Context, Continues, Repo};

    use super::*;

    #[test]
    fn repositories() {
        #[track_caller]
        fn check(
            url: &str,
            reference: Option<&str>,
            path: Option<&str>,
            expected: Result<Option<&str>, &str>,
        ) {
            let repo = Repo { url: url.into(), reference: reference.map(Into::into) };
            let context = Context { path: path.map(Into::into), repo: Some(repo) };
            let request = CreateSession { context: Some(context), ..CreateSession::default() };
            let got = repository(&request).map(|wanted| wanted.expect("a repository").below);
            let got = got.as_ref().map(Option::as_deref).map_err(|(field, _)| *field);
            assert_eq!(got, expected, "{url} {reference:?} {path:?}");
        }
        let url = "https://example.org/w";
        check(url, None, None, Ok(None));
        check(url, Some("v1"), Some("a/b/"), Ok(Some("a/b")));
        check(url, None, Some("./a"), Ok(Some("a")));
        for top in ["", ".", "./"] {
            check(url, None, Some(top), Ok(None));
        }
        for outside in ["/", "/a", "..", "a/../..", ".//a", "./../a", "a\nb"] {
            check(url, None, Some(outside), Err("context.path"));
        }
        check("ext::id", None, None, Err("context.repo.url"));
        check(url, Some("-x"), None, Err("context.repo.ref"));
        assert_eq!(repository(&CreateSession::default()), Ok(None));
    }

    #[test]
    fn work_trees() {
        #[track_caller]
        fn check(save_every: Option<f64>, commit: Option<&str>, attempt: u32, expected: Result<(), &str>) {
            let work =
                |commit: &str| Continues { host: "h".into(), attempt, commit: commit.into(), base: None };
            let tree = Worktree { save_every, continues: commit.map(work), ..Worktree::default() };
            assert_eq!(worktree(Some(&tree)).map_err(|(field, _)| field), expected, "{tree:?}");
        }
        let id = "b6045b925b2ffbae37e35f2dd0da94c8722dd9d9";
        check(None, None, 1, Ok(()));
        check(Some(1.0), Some(id), 1, Ok(()));
        for seconds in [0.0, -1.0, 0.5, 1e9, f64::NAN, f64::INFINITY] {
            check(Some(seconds), None, 1, Err("worktree.saveEvery"));
        }
        for commit in ["", "HEAD", "b604", "--all"] {
            check(None, Some(commit), 1, Err("worktree.continues.commit"));
        }
        check(None, Some(id), 0, Err("worktree.continues.attempt"));
        let base = |base: &str| {
            let work =
                Continues { attempt: 1, commit: id.into(), base: Some(base.into()), ..Continues::default() };
            let tree = Worktree { continues: Some(work), ..Worktree::default() };
            worktree(Some(&tree)).map_err(|(field, _)| field)
        };
        assert_eq!((base(id), base("HEAD")), (Ok(()), Err("worktree.continues.base")));
        assert_eq!(worktree(None), Ok(()));
    }
}
