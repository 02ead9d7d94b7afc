//! Which programs reach other machines, and which (PURE).

use super::effects::Effects;
use super::known::among;
use super::pattern::host_of;
use super::place::UNKNOWN;

/// Programs that are there to reach other machines.
const CLIENTS: &str = "curl wget http https xh aria2c nc ncat netcat socat telnet ftp sftp tftp ssh scp rsync ping dig nslookup host whois \
                       traceroute nmap openssl gh glab aws gcloud az kubectl mail sendmail npx bunx uvx brew snap flatpak apt apt-get dnf yum \
                       pacman apk zypper";

/// Programs that reach other machines with some first words.
const VERBS: [(&str, &str); 6] = [
    ("pip pip3 uv pipx poetry", "install download add sync tool pip publish"),
    ("npm pnpm yarn bun", "install i ci add publish login update upgrade exec x dlx create"),
    ("cargo", "install add update publish fetch search login yank"),
    ("go", "get install mod"),
    ("gem bundle composer", "install update push require"),
    ("docker podman", "pull push login run build"),
];

/// Programs whose operands are hosts or addresses.
const BY_HOST: &str = "curl wget nc ncat ping telnet";

/// Programs that copy to and from `user@host:path`.
const BY_PLACE: &str = "scp rsync sftp ssh";

/// Other machines a program reaches.
pub(super) fn reached(program: &str, words: &[String], effects: &mut Effects) {
    let verb = words.get(1).map_or("", String::as_str);
    effects.network |= among(CLIENTS, program)
        || VERBS.iter().any(|(programs, verbs)| among(programs, program) && among(verbs, verb));
    for word in &words[1..] {
        let value = word.split_once('=').map_or(word.as_str(), |(_, value)| value);
        if value.contains("://") || (among(BY_HOST, program) && is_hostish(value)) {
            effects.network = true;
            effects.hosts.extend(host_of(value));
        } else if among(BY_PLACE, program)
            && !word.starts_with('-')
            && (word.contains([':', '@']) || program == "ssh")
        {
            effects.hosts.extend(host_of(word));
            if program == "ssh" {
                break;
            }
        }
    }
}

/// Whether a word may be a bare host or address.
fn is_hostish(word: &str) -> bool {
    !word.starts_with(['-', '/', '.', '@', '{', '+'])
        && !word.is_empty()
        && (word.contains('.') || word.contains(UNKNOWN) || word.starts_with("localhost"))
}
