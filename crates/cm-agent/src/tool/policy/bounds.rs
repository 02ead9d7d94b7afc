//! What no policy allows unless it names the very command: bounds around every rule (PURE).

mod together;

pub(super) use together::together;

use super::act::Run;
use super::effects::Effects;
use super::known::among;
use super::pattern::base_name;
use super::place::{GLOB, Ground, Place, has_unknown};

/// Something that is not simply allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// Its name, for journal and receipts.
    pub(super) name: &'static str,
    /// What the tool or a person is told.
    pub(super) why: String,
    /// It is refused; otherwise a person is asked.
    pub(super) refuse: bool,
}

fn refuse(name: &'static str, why: impl Into<String>) -> Option<Bound> {
    Some(Bound { name, why: why.into(), refuse: true })
}

fn ask(name: &'static str, why: impl Into<String>) -> Option<Bound> {
    Some(Bound { name, why: why.into(), refuse: false })
}

/// Directories of the system.
const SYSTEM: &str = "/etc /boot /bin /sbin /lib /lib32 /lib64 /usr /sys /proc /dev /var/spool/cron /var/lib \
    /run/systemd";

/// What decides who a person is and what runs as them, in the home directory.
const PERSONAL: &str = ".ssh .gnupg .aws .azure .kube .docker .netrc .pgpass .git-credentials .gitconfig \
    .config/git .config/gh .config/gcloud .npmrc .pypirc .cargo/config .cargo/config.toml \
    .cargo/credentials.toml .cargo/bin .bashrc .bash_profile .bash_login .bash_logout \
    .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .config/fish .config/autostart \
    .config/systemd .local/bin .claude .codex .gemini";

/// Names that give a secret away wherever they stand in a word.
const SECRETS: &str = "/.ssh/ id_rsa id_ed25519 id_ecdsa /.aws/ /.gnupg/ /.netrc /.git-credentials \
    /.kube/config /.docker/config.json /.config/gh/ /.config/gcloud /etc/shadow /.pgpass \
    /.npmrc /.pypirc _history /.codex/auth /.claude/.credentials /.gemini/oauth";

/// A path that is written.
pub(super) fn written(place: &Place, ground: Ground) -> Option<Bound> {
    let whole_home = Place::of(ground.home, None).is_inside(ground);
    let inside = place.is_inside(ground);
    if !inside || whole_home {
        for name in PERSONAL.split_ascii_whitespace() {
            if place.is_under(&format!("{}/{name}", ground.home)) {
                return refuse(
                    "writes-personal",
                    format!("{} decides what runs as you or who you are", place.shown()),
                );
            }
        }
    }
    if inside && ground.work_dir != "/" {
        return None;
    }
    let Place::At(parts) = place else { return None };
    if parts.iter().any(|part| part == ".ssh" || part == ".gnupg") {
        return refuse("writes-personal", format!("{} decides who may log in", place.shown()));
    }
    if SYSTEM.split_ascii_whitespace().any(|directory| place.is_under(directory)) {
        return refuse("writes-system", format!("{} belongs to the system", place.shown()));
    }
    None
}

/// A path that is read.
pub(super) fn read(place: &Place, ground: Ground) -> Option<Bound> {
    let shown = place.shown();
    if !place.is_inside(ground) && *place != Place::Unknown && names_secret(&shown) {
        return ask("reads-secrets", format!("{shown} holds a secret"));
    }
    None
}

fn names_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    if lower.ends_with(".pub") {
        return false;
    }
    SECRETS.split_ascii_whitespace().any(|name| lower.contains(name)) || base_name(&lower) == ".env"
}

/// A program that is run, seen with what runs around it.
pub(super) fn run(run: &Run, effects: &Effects, ground: Ground) -> Option<Bound> {
    let words = run.inner.innermost();
    let written =
        effects.writes.iter().find_map(|place| if run.elsewhere { None } else { written(place, ground) });
    deletes(words, effects, run, ground)
        .or_else(|| power_and_disks(words))
        .or_else(|| processes(words))
        .or_else(|| containers(run))
        .or_else(|| pushes(effects))
        .or(written)
        .or_else(|| rights(words, effects, ground))
        .or_else(|| programs(words))
        .or_else(|| {
            if effects.unknown_program {
                None
            } else {
                effects.reads.iter().find_map(|place| read(place, ground))
            }
        })
}

fn has_letter(words: &[String], letters: &str, long: &str) -> bool {
    words.iter().skip(1).take_while(|word| *word != "--").any(|word| {
        if word.starts_with("--") {
            word.len() > 3 && long.starts_with(word.as_str())
        } else {
            word.starts_with('-') && word.contains(|c| letters.contains(c))
        }
    })
}

fn deletes(words: &[String], effects: &Effects, run: &Run, ground: Ground) -> Option<Bound> {
    const NAME: &str = "deletes-outside";
    let program = base_name(words.first()?);
    let recursive = match program {
        "rm" => has_letter(words, "rR", "--recursive"),
        "find" => words.iter().any(|word| word == "-delete"),
        "mv" | "shred" | "unlink" => false,
        _ => return None,
    };
    let filtered = program == "find"
        && words.iter().any(|word| {
            ["-name", "-iname", "-path", "-regex", "-newer", "-mtime", "-size", "-empty"]
                .contains(&word.as_str())
        });
    for place in if program == "mv" { &effects.reads } else { &effects.writes } {
        let root = matches!(place, Place::At(parts) if parts.is_empty());
        let everything = root
            || place.is_above(ground.home)
            || matches!(place, Place::At(parts) if parts.len() == 1 && parts[0].contains(GLOB));
        let tree = place.is_above(ground.work_dir) && !place.is_inside(ground);
        if everything || tree {
            return refuse(NAME, format!("it would take {} away", place.shown()));
        }
        let at_top = matches!(place, Place::At(parts) if place.is_inside(ground)
            && parts.last().is_some_and(|last| last.chars().all(|c| c == GLOB || c == '.'))
            && Place::At(parts[..parts.len() - 1].to_vec()).is_above(ground.work_dir));
        let whole = place.is_above(ground.work_dir) || at_top;
        if (recursive && !filtered && (whole || is_repository(place))) || (program == "mv" && whole) {
            return ask("deletes-work", format!("it would take all of {} away", place.shown()));
        }
        if !recursive
            && !matches!(place, Place::At(parts) if parts.last().is_some_and(|last| last.contains(GLOB)))
        {
            continue;
        }
        if program == "mv" {
            continue;
        }
        if *place == Place::Unknown {
            return ask(NAME, "what it would delete is not known");
        }
        if !place.is_inside(ground) {
            let why = format!("it would delete {}, outside the work tree", place.shown());
            return if run.elsewhere { ask(NAME, why) } else { refuse(NAME, why) };
        }
    }
    None
}

fn is_repository(place: &Place) -> bool {
    matches!(place, Place::At(parts) if parts.last().is_some_and(|last| last == ".git"))
}

fn power_and_disks(words: &[String]) -> Option<Bound> {
    const POWER: &str = "shutdown reboot halt poweroff telinit kexec";
    const DISKS: &str = "wipefs fdisk sfdisk cfdisk gdisk sgdisk parted cryptsetup mkswap blkdiscard hdparm \
    lvremove vgremove";
    let program = base_name(words.first()?);
    let verb = words.iter().skip(1).find(|word| !word.starts_with('-')).map_or("", String::as_str);
    let powers = among(POWER, program)
        || (program == "init" && matches!(verb, "0" | "6"))
        || (program == "systemctl"
            && matches!(
                verb,
                "poweroff"
                    | "reboot"
                    | "halt"
                    | "kexec"
                    | "rescue"
                    | "emergency"
                    | "suspend"
                    | "hibernate"
                    | "isolate"
            ))
        || (program == "loginctl" && matches!(verb, "terminate-user" | "kill-user"));
    if powers {
        return refuse("stops-machine", "it would stop the machine");
    }
    if among(DISKS, program) || program.starts_with("mkfs") || program == "zpool" {
        return refuse("writes-disks", "it would change disks");
    }
    None
}

fn processes(words: &[String]) -> Option<Bound> {
    let program = base_name(words.first()?);
    let everything = match program {
        "killall5" => true,
        "kill" => words.len() > 2 && words[2..].iter().any(|word| word == "-1"),
        "pkill" | "killall" => words.iter().skip(1).any(|word| matches!(word.as_str(), "." | ".*" | "")),
        _ => false,
    };
    if everything { refuse("ends-everything", "it would end every process there is") } else { None }
}

fn containers(run: &Run) -> Option<Bound> {
    let words = run.inner.views.iter().find(|words| {
        words
            .first()
            .is_some_and(|first| matches!(base_name(first), "docker" | "podman" | "nerdctl" | "kubectl"))
    })?;
    let opens = words.iter().any(|word| {
        let value = word.split_once('=').map_or(word.as_str(), |(_, value)| value);
        let value = value.strip_prefix("-v").unwrap_or(value);
        word == "--privileged"
            || word.starts_with("--privileged=t")
            || value.starts_with("/:/")
            || word.contains("docker.sock")
            || ["source=/,", "src=/,", "source=/etc", "src=/etc"].iter().any(|mount| word.contains(mount))
            || matches!(word.as_str(), "--pid=host" | "--cap-add=ALL" | "--cap-add=SYS_ADMIN")
            || value.starts_with("/etc:")
    });
    if opens { refuse("opens-host", "the container could change the host") } else { None }
}

/// A forced push to a branch that others build on.
fn pushes(effects: &Effects) -> Option<Bound> {
    let words = &effects.words;
    let at = words.iter().position(|word| word == "push")?;
    if words.first().is_none_or(|first| base_name(first) != "git") {
        return None;
    }
    let rest = &words[at + 1..];
    let forced = rest.iter().any(|word| {
        word.starts_with("--force")
            || matches!(word.as_str(), "--mirror" | "--delete" | "--prune" | "-d")
            || (word.starts_with('-') && !word.starts_with("--") && word.contains(['f', 'd']))
            || word.starts_with('+')
            || word.starts_with(':')
    });
    if !forced {
        return None;
    }
    let operands: Vec<&String> = rest.iter().filter(|word| !word.starts_with('-')).collect();
    let branches: Vec<&str> = operands
        .iter()
        .skip(1)
        .map(|spec| spec.rsplit(':').next().unwrap_or(spec).trim_start_matches('+'))
        .collect();
    let shared = |branch: &&str| {
        matches!(branch.trim_start_matches("refs/heads/"), "main" | "master" | "trunk" | "develop")
            || has_unknown(branch)
    };
    if branches.iter().any(shared) || rest.iter().any(|word| matches!(word.as_str(), "--mirror" | "--all")) {
        return refuse("rewrites-shared-branch", "it would overwrite a branch that others build on");
    }
    if branches.is_empty() {
        return ask("rewrites-shared-branch", "it is forced, and does not say which branch");
    }
    None
}

/// Owners and rights, for everything below a directory.
fn rights(words: &[String], effects: &Effects, ground: Ground) -> Option<Bound> {
    let program = base_name(words.first()?);
    if !matches!(program, "chmod" | "chown" | "chgrp") || !has_letter(words, "R", "--recursive") {
        return None;
    }
    let outside = effects.writes.iter().find(|place| !place.is_inside(ground))?;
    refuse("changes-rights-outside", format!("it would change rights in all of {}", outside.shown()))
}

/// Programs that change the machine itself, and program texts that look as if they would.
fn programs(words: &[String]) -> Option<Bound> {
    const MACHINE: &str = "useradd adduser userdel deluser usermod groupadd passwd chpasswd visudo iptables \
    ip6tables nft ufw sysctl mount umount insmod rmmod modprobe crontab at chattr setcap \
    swapoff";
    const LOOKS: [&str; 12] = [
        "rm -rf /",
        "rm -rf ~",
        "rm -fr",
        "mkfs",
        "/dev/sd",
        "/dev/nvme",
        "rmtree('/",
        "rmtree(\"/",
        "/.ssh",
        "/etc/passwd",
        "/etc/shadow",
        ":(){",
    ];
    let program = base_name(words.first()?);
    if among(MACHINE, program)
        || (program == "systemctl" && !words.iter().any(|word| word == "--user" || word == "status"))
    {
        return ask("changes-machine", format!("`{program}` changes the machine itself"));
    }
    let text = words
        .iter()
        .skip(1)
        .find(|word| word.contains(' ') && LOOKS.iter().any(|looks| word.contains(looks)));
    if text.is_some() && !matches!(program, "echo" | "printf" | "grep" | "rg" | "git") {
        return ask("hidden-text", "a text it is given looks like something that is never allowed");
    }
    None
}
