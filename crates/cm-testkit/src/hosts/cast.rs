//! Who may use which host: one lock file for each, so that tests in many processes share the hosts.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::claimed::Claimed;
use super::description::{Description, Host};

/// How long a test waits for others to be done with a host. The runner's limit for one test is longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it looks.
const TICK: Duration = Duration::from_millis(50);

/// The hosts that are up.
#[derive(Debug, Clone)]
pub struct Cast {
    description: Description,
    locks: PathBuf,
}

impl Cast {
    /// The hosts described by `CM_TESTHOSTS` or `testhosts/hosts.json` in the build directory. Panics with the
    /// command to run where there are none.
    pub fn load() -> Self {
        let (description, path) = Description::load().unwrap_or_else(|why| panic!("{why}"));
        let locks = path.with_file_name("locks");
        fs::create_dir_all(&locks).unwrap_or_else(|error| panic!("{}: {error}", locks.display()));
        Self { description, locks }
    }

    /// What is known of them.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// A host of this kind for this test alone, like new. Waits for other tests to be done with it.
    pub fn claim(&self, kind: &str) -> Claimed {
        let mut all = self.claim_all(&[kind]);
        all.pop().unwrap_or_else(|| panic!("no host of kind {kind}"))
    }

    /// Hosts of these kinds, in this order, a different one for each; all at once, so that two tests never
    /// wait for each other. The host to jump through is held too: shared, unless it is claimed itself.
    pub fn claim_all(&self, kinds: &[&str]) -> Vec<Claimed> {
        for kind in kinds {
            let (there, wanted) = (self.of(kind).count(), kinds.iter().filter(|k| *k == kind).count());
            assert!(
                there >= wanted,
                "{wanted} hosts of kind {kind} are wanted, {there} are up\n  \
                 Next: cargo xtask hosts up 20 --cast"
            );
        }
        let end = Instant::now() + PATIENCE;
        let locked = loop {
            if let Some(locked) = self.lock(kinds) {
                break locked;
            }
            assert!(
                Instant::now() < end,
                "hosts {kinds:?} were in use for {PATIENCE:?}: see which process holds a file open in {}",
                self.locks.display()
            );
            thread::sleep(TICK);
        };
        let claimed: Vec<Claimed> = locked
            .into_iter()
            .map(|(host, locks)| Claimed::new(host.clone(), self.description.clone(), locks))
            .collect();
        // They are made like new side by side; it takes a second each.
        thread::scope(|scope| {
            for host in &claimed {
                scope.spawn(|| host.renew());
            }
        });
        claimed
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Host> {
        self.description.hosts.iter().filter(move |host| host.kind == kind)
    }

    /// All of them or none.
    fn lock(&self, kinds: &[&str]) -> Option<Vec<(&Host, Vec<File>)>> {
        let mut taken = BTreeSet::new();
        let mut locked = Vec::new();
        for kind in kinds {
            let (host, lock) = self.of(kind).filter(|host| !taken.contains(&host.name)).find_map(|host| {
                let file = self.file(&host.name);
                file.try_lock().is_ok().then_some((host, file))
            })?;
            taken.insert(host.name.clone());
            locked.push((host, vec![lock]));
        }
        for (host, locks) in &mut locked {
            let Some(jump) = host.jump.as_ref().filter(|jump| !taken.contains(*jump)) else { continue };
            let file = self.file(jump);
            file.try_lock_shared().ok()?;
            locks.push(file);
        }
        Some(locked)
    }

    fn file(&self, name: &str) -> File {
        let path = self.locks.join(name);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        opened.unwrap_or_else(|error| panic!("could not open {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_locked_all_or_none_and_a_jump_host_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let host = |name: &str, kind: &str, jump: Option<&str>| {
            let jump = jump.map_or("null".to_owned(), |jump| format!("{jump:?}"));
            format!(
                r#"{{"name":"{name}","kind":"{kind}","container":"","address":"","port":22,"user":"","identity":"","known_hosts":"","host_key":"","jump":{jump}}}"#
            )
        };
        let hosts = [
            host("a", "plain", None),
            host("b", "plain", None),
            host("gate", "bastion", None),
            host("in1", "inner", Some("gate")),
            host("in2", "inner", Some("gate")),
        ];
        let text = format!(
            r#"{{"checkout":"","docker":[],"ssh_config":"","known_hosts":"","agent":null,"keys":{{"plain":"","locked":"","passphrase":"","askpass":"","certified":"","certificate":"","authority":""}},"hosts":[{}]}}"#,
            hosts.join(",")
        );
        let cast = Cast { description: serde_json::from_str(&text).unwrap(), locks: dir.path().to_owned() };
        let names = |locked: &Option<Vec<(&Host, Vec<File>)>>| {
            locked
                .as_ref()
                .map(|all| all.iter().map(|(host, _)| host.name.clone()).collect::<Vec<_>>().join(" "))
        };
        let first = cast.lock(&["plain", "inner"]);
        assert_eq!(names(&first).as_deref(), Some("a in1"));
        let check = |kinds: &[&str], expected: Option<&str>| {
            assert_eq!(names(&cast.lock(kinds)).as_deref(), expected, "{kinds:?}");
        };
        check(&["plain", "plain"], None);
        check(&["bastion"], None);
        check(&["plain"], Some("b"));
        check(&["plain", "inner"], Some("b in2"));
        drop(first);
        check(&["inner", "bastion", "inner"], Some("in1 gate in2"));
    }
}
