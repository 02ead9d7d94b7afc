//! The two ways: this project, and what people do with OpenSSH and Docker's own commands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cm_testkit::hosts::engine::IMAGES;

use super::engines::Engines;
use crate::bench::deploy::timed::{Bench, Took};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// By hand, for one host: the image, two containers, and that the agent answers.
const BEGIN: &str = r#"docker save @IMAGE@ | ssh -F @CONFIG@ @HOST@ '
    set -e
    export DOCKER_HOST=unix://@SOCKET@
    docker load -q
    all="--network none --restart unless-stopped -v cm-agent:/var/lib/cm-agent"
    docker inspect keeper >/dev/null 2>&1 || docker run -d --name keeper $all @IMAGE@ keeper
    docker rm -f agent >/dev/null 2>&1 || true
    docker run -d --name agent --restart unless-stopped -v cm-agent:/var/lib/cm-agent \
        --network container:keeper --pid container:keeper @IMAGE@ serve --placement keeper
    i=0; until docker exec agent cm-agent health; do i=$((i+1)); test $i -lt 300 || exit 1; sleep 0.1; done' &
pids="$pids $!"
"#;
const TRUE: &str = "ssh -F @CONFIG@ @HOST@ true &\npids=\"$pids $!\"\n";
const END: &str = "for pid in $pids; do wait \"$pid\" || exit 1; done\n";

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This project.
    Fleet,
    /// OpenSSH and a script.
    ByHand,
}

impl Way {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "cm-fleet",
            Self::ByHand => "by hand",
        }
    }
}

/// Everything it takes to go both.
pub struct Ways {
    bench: Bench,
    fleet: PathBuf,
}

impl Ways {
    /// Writes it all.
    pub fn ready(workspace: &Workspace, engines: &Engines) -> Result<Self, Failure> {
        let bench = Bench::new(workspace.target.join("bench-containers"))?;
        for (number, image) in IMAGES.into_iter().enumerate() {
            bench.write(&format!("{number}.yaml"), &inventory(engines, image))?;
            bench.write(&format!("{number}.sh"), &script(engines, BEGIN, image))?;
        }
        bench.write("true.sh", &script(engines, TRUE, ""))?;
        Ok(Self { bench, fleet: workspace.target.join("release/cm-fleet") })
    }

    /// Deploys one of the two images to all hosts, wherever they stand.
    pub fn deploy(&self, way: Way, image: usize) -> Result<Took, Failure> {
        let name = |suffix: &str| format!("{image}.{suffix}");
        let ran = match way {
            Way::Fleet => self.bench.run(&self.fleet, &["deploy", &name("yaml"), "--yes"]),
            Way::ByHand => self.bench.run(Path::new("sh"), &[&name("sh")]),
        };
        ran.map(|(took, _)| took)
    }

    /// `ssh HOST true` on all hosts.
    pub fn reach(&self) -> Result<Took, Failure> {
        self.bench.run(Path::new("sh"), &["true.sh"]).map(|(took, _)| took)
    }
}

fn script(engines: &Engines, each: &str, image: &str) -> String {
    let mut text = "pids=\n".to_owned();
    for number in engines.numbers() {
        text += &each
            .replace("@IMAGE@", image)
            .replace("@CONFIG@", &engines.path("ssh_config").display().to_string())
            .replace("@HOST@", &format!("e{number}"))
            .replace("@SOCKET@", &engines.socket(number).display().to_string());
    }
    text + END
}

fn inventory(engines: &Engines, image: &str) -> String {
    let at = |name: &str| engines.path(name).display().to_string();
    let mut text = format!(
        "fleet: bench\ndefaults:\n  address: 127.0.0.1\n  port: {}\n  user: {}\n  identity: {}\n  known_hosts: {}\n  \
         runtime: container\nhosts:\n",
        engines.port,
        engines.user,
        at("client"),
        at("known_hosts")
    );
    for number in engines.numbers() {
        let socket = engines.socket(number);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  e{number}: {{container: {{image: \"{image}\", network: none, socket: {}}}}}",
            socket.display()
        );
    }
    text
}
