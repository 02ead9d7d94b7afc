//! Hosts of the kind `docker`, whose agents run in containers of this machine's engine, beside the host itself.

use std::process::Output;
use std::time::Duration;

use super::claimed::Claimed;
use super::run::must;

/// Says which two images of the agent tests deploy, in place of those that `cargo xtask test` makes.
pub const IMAGES_VARIABLE: &str = "CM_TEST_IMAGES";
/// The images that `cargo xtask test` makes: the agent, and the same with another program.
pub const IMAGES: [&str; 2] = ["cm-test-agent:one", "cm-test-agent:two"];
/// The fleet of all tests that deploy to such hosts: what carries its label may be removed.
pub const FLEET: &str = "cm-test-hosts";
/// The kind.
pub const KIND: &str = "docker";

/// For anything that is asked of the engine.
const ANSWER: Duration = Duration::from_secs(60);

/// The images of the agent: what is deployed, and what comes after.
pub fn images() -> [String; 2] {
    let Ok(named) = std::env::var(IMAGES_VARIABLE) else { return IMAGES.map(str::to_owned) };
    let mut named = named.split_whitespace().map(str::to_owned);
    match (named.next(), named.next()) {
        (Some(one), Some(two)) => [one, two],
        _ => panic!("{IMAGES_VARIABLE} names two images, one before the other"),
    }
}

/// The labels of everything that tests have deployed to a host.
pub fn labels(host: &str) -> [String; 2] {
    [format!("io.cm-fleet.fleet={FLEET}"), format!("io.cm-fleet.host={host}")]
}

impl Claimed {
    /// This machine's engine, asked by root whatever the host's user may.
    pub fn engine(&self, args: &[&str]) -> Output {
        super::run::run(&mut self.docker(args), &[], ANSWER)
    }

    /// As [`Claimed::engine`]: what it printed; panics if it fails.
    pub fn engine_says(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&must(&mut self.docker(args), &[], ANSWER).stdout).trim().to_owned()
    }

    /// The containers that were deployed to it, by name: `NAME STATE IMAGE`, one a line.
    pub fn deployed(&self) -> String {
        let mut lines: Vec<String> = self
            .listed("ps -a --format", "{{.Names}} {{.State}} {{.Image}}")
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines.join("\n")
    }

    /// Removes what was deployed to it, volumes and all.
    pub fn remove_deployed(&self) {
        for id in self.listed("ps -a --format", "{{.ID}}").lines() {
            self.engine_says(&["rm", "-f", "-v", id]);
        }
        for name in self.listed("volume ls --format", "{{.Name}}").lines() {
            self.engine_says(&["volume", "rm", name]);
        }
    }

    fn listed(&self, words: &str, format: &str) -> String {
        let filters = labels(&self.name).map(|label| format!("--filter=label={label}"));
        let all: Vec<&str> =
            words.split(' ').chain([format]).chain(filters.iter().map(String::as_str)).collect();
        self.engine_says(&all)
    }
}

/// The recipe of an image whose agent ends as soon as it is started; its keeper is good.
pub fn broken(of: &str) -> String {
    format!(
        "FROM {of}\nENTRYPOINT [\"/bin/sh\",\"-c\",\"case $0 in serve) echo broken on purpose; exit 7;; esac; \
         exec tini -- cm-agent \\\"$0\\\" \\\"$@\\\"\"]\n"
    )
}
