//! Which machine, user and binary this is, without asking a name service.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::OnceLock,
};

use sha2::{Digest, Sha256};

/// Which build this is: `CM_BUILD` at compile time, else the commit, else `unknown`.
pub const BUILD: &str = env!("CM_BUILD_ID");

/// How much of a small system file is read, in bytes.
const SMALL: u64 = 1 << 20;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its host name, as the kernel has it.
    pub hostname: String,
    /// Its system, as it calls itself (`Debian GNU/Linux 12 (bookworm)`).
    pub os: String,
    /// The architecture of this binary (`x86_64`).
    pub arch: &'static str,
    /// Changes with every boot.
    pub boot_id: String,
}

/// The user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub uid: u32,
    /// Its name; the number in words if it has none.
    pub name: String,
    /// Its home; `None` if neither the environment nor `/etc/passwd` names one.
    pub home: Option<PathBuf>,
    /// Its login shell, if `/etc/passwd` names one.
    pub shell: Option<PathBuf>,
}

/// The machine this runs on.
pub fn machine() -> Machine {
    let uname = rustix::system::uname();
    let kernel = || format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    let release = read_small("/etc/os-release").or_else(|| read_small("/usr/lib/os-release"));
    Machine {
        hostname: uname.nodename().to_string_lossy().into_owned(),
        os: release.as_deref().and_then(pretty_name).unwrap_or_else(kernel),
        arch: std::env::consts::ARCH,
        boot_id: boot_id(),
    }
}

/// The kernel's boot id. Where `/proc` hides it: the time of the boot.
pub fn boot_id() -> String {
    let random = read_small("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned());
    random.filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let stat = read_small("/proc/stat").unwrap_or_default();
        let time = stat.lines().find_map(|line| line.strip_prefix("btime "));
        format!("btime-{}", time.unwrap_or("unknown").trim())
    })
}

/// The user this runs as: names from `env` (asked for `HOME`, `USER`, `LOGNAME`), else from `/etc/passwd`.
pub fn account(env: &dyn Fn(&str) -> Option<String>) -> Account {
    let uid = rustix::process::getuid().as_raw();
    account_in(uid, env, &read_small("/etc/passwd").unwrap_or_default())
}

/// PURE. The account with this number.
fn account_in(uid: u32, env: &dyn Fn(&str) -> Option<String>, passwd: &str) -> Account {
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() >= 7 && fields[2].parse() == Ok(uid));
    let field =
        |n: usize| entry.as_ref().map(|fields| fields[n].to_owned()).filter(|field| !field.is_empty());
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let absolute = |path: &String| path.starts_with('/');
    Account {
        uid,
        name: set("USER").or_else(|| set("LOGNAME")).or_else(|| field(0)).unwrap_or_else(|| uid.to_string()),
        home: set("HOME").filter(absolute).or_else(|| field(5).filter(absolute)).map(Into::into),
        shell: field(6).filter(absolute).map(Into::into),
    }
}

/// PURE. `PRETTY_NAME` in os-release(5).
fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim();
    let bare = value.trim_matches(['"', '\'']);
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// The sha256 of the binary that runs, in hex; read once, on the first call, which blocks on the disk. `None`
/// if it cannot be read. It is the file that was started, even if another lies in its place now.
pub fn binary_sha256() -> Option<&'static str> {
    static HASH: OnceLock<Option<String>> = OnceLock::new();
    HASH.get_or_init(|| {
        let hash = File::open("/proc/self/exe").and_then(sha256);
        hash.inspect_err(|error| tracing::warn!(%error, "cannot read the running binary")).ok()
    })
    .as_deref()
}

/// SHA-256 of a file, in hex.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of(path: &std::path::Path) -> io::Result<String> {
    sha256(File::open(path)?)
}

fn sha256(mut from: impl Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read_small(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(SMALL).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        const PASSWD: &str =
            "root:x:0:0:root:/root:/bin/bash\nbad line\nme:x:1000:1000:Me,,,:/home/me:/usr/bin/fish\n";
        #[track_caller]
        fn check(uid: u32, env: &[(&str, &str)], expected: (&str, Option<&str>, Option<&str>)) {
            let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            let found = account_in(uid, &env, PASSWD);
            let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
            let (home, shell) = (text(&found.home), text(&found.shell));
            assert_eq!((found.name.as_str(), home.as_deref(), shell.as_deref()), expected);
        }
        check(1000, &[], ("me", Some("/home/me"), Some("/usr/bin/fish")));
        check(1000, &[("HOME", "/h"), ("USER", "u")], ("u", Some("/h"), Some("/usr/bin/fish")));
        check(
            1000,
            &[("HOME", "relative"), ("USER", ""), ("LOGNAME", "l")],
            ("l", Some("/home/me"), Some("/usr/bin/fish")),
        );
        check(4711, &[], ("4711", None, None));
    }

    #[test]
    fn systems_name_themselves() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(pretty_name(text).as_deref(), expected);
        }
        check(
            "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
            Some("Debian GNU/Linux 12 (bookworm)"),
        );
        check("PRETTY_NAME='Void'\n", Some("Void"));
        check("PRETTY_NAME=\"\"\n", None);
        check("NAME=x\n", None);
    }

    #[test]
    fn this_machine_and_this_binary() {
        let here = machine();
        assert!(!here.hostname.is_empty() && !here.os.is_empty() && here.boot_id.len() >= 10, "{here:?}");
        assert_eq!(here.boot_id, boot_id());
        assert_eq!(
            sha256(&b"abc"[..]).expect("read"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(binary_sha256().map(str::len), Some(64));
        assert!(!BUILD.is_empty());
    }
}
