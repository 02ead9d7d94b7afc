//! Base images made on this machine, for where no registry can be reached: from packages, and from what is installed here.
//!
//! They carry the names that the Dockerfile asks for, so that it need not know. What this machine trusts and how its
//! cargo reaches crates is in those that build, and in none that runs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::hosts::Docker;
use crate::sh::{self, LONG, Run, SHORT};
use crate::workspace::Workspace;

use super::recipe::Recipe;

/// What Debian's own slim image leaves out.
const LEFT_OUT: [&str; 6] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/overrides/*",
];
/// What building takes besides Rust: OpenSSL's own build asks for perl and make.
const TO_BUILD: &str = "ca-certificates gcc git libc6-dev make perl";
/// The container a base is made in.
const MAKING: &str = "cm-image-base";
/// Where this machine keeps what it trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes those of `names` (the Dockerfile's arguments) that are not there.
pub fn ensure(
    workspace: &Workspace,
    docker: &Docker,
    recipe: &Recipe,
    names: &[&str],
) -> Result<(), Failure> {
    // All others are made of it.
    let debian = named(recipe, "DEBIAN")?;
    for name in ["DEBIAN"].iter().chain(names.iter().filter(|name| **name != "DEBIAN")) {
        let image = named(recipe, name)?;
        if exists(docker, image) {
            println!("base {image} is there");
            continue;
        }
        match *name {
            "DEBIAN" => bootstrap(workspace, docker, image)?,
            "RUST" => made(docker, debian, image, rust)?,
            "NODE" => made(docker, debian, image, node)?,
            other => {
                let what = format!("nobody knows how to make {image}, the Dockerfile's {other}, here");
                return Err(Failure::check(
                    what,
                    "docker pull it, or teach crates/xtask/src/image/bases.rs".to_owned(),
                ));
            }
        }
        println!("base {image} was made here");
    }
    Ok(())
}

fn named<'a>(recipe: &'a Recipe, name: &str) -> Result<&'a str, Failure> {
    recipe.base(name).ok_or_else(|| {
        Failure::check(format!("the Dockerfile has no ARG {name}="), "name the base image there".to_owned())
    })
}

/// Whether Docker has this image.
pub fn exists(docker: &Docker, image: &str) -> bool {
    docker.run(["image", "inspect", image]).succeeds()
}

/// Debian from its packages.
fn bootstrap(workspace: &Workspace, docker: &Docker, image: &str) -> Result<(), Failure> {
    let suite = image.split_once(':').map_or(image, |(_, tag)| tag);
    let suite = suite.split('-').next().unwrap_or(suite);
    let dir = super::directory(workspace)?;
    let tar = dir.join("base.tar");
    let file = fs::File::create(&tar).map_err(Failure::file("write", &tar))?;
    let run = if sh::may_be_root() { Run::as_root("mmdebstrap") } else { Run::new("mmdebstrap") };
    let options = LEFT_OUT.iter().map(|option| format!("--dpkgopt={option}"));
    let made =
        run.args(["--quiet", "--variant=minbase", "--components=main"]).args(options).args([suite, "-"]);
    let result =
        made.into_file(file, LONG).and_then(|()| docker.run(["import"]).arg(&tar).arg(image).live(LONG));
    // Needed no longer in any case.
    let _ = fs::remove_file(&tar);
    result
}

/// Something to put into a base, and what is said of it.
struct Making<'a> {
    docker: &'a Docker,
}

impl Making<'_> {
    fn sh(&self, script: &str) -> Result<(), Failure> {
        self.docker.run(["exec", MAKING, "sh", "-ec", script]).live(LONG)
    }

    fn put(&self, from: &Path, to: &str) -> Result<(), Failure> {
        self.docker.run(["cp"]).arg(from).arg(format!("{MAKING}:{to}")).live(LONG)
    }

    fn install(&self, packages: &str) -> Result<(), Failure> {
        self.sh(&format!(
            "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; \
             apt-get -qq install -y --no-install-recommends {packages}; rm -rf /var/lib/apt/lists/*"
        ))
    }

    /// What this machine trusts: where registries are mirrored, their certificates are of its own making.
    fn trust(&self) -> Result<(), Failure> {
        if fs::exists(TRUSTED).unwrap_or(false) {
            self.sh("mkdir -p /etc/ssl/certs")?;
            self.put(Path::new(TRUSTED), TRUSTED)?;
        }
        Ok(())
    }
}

/// Makes an image of `base` by filling a container; the variables it is to have are returned by `fill`.
fn made(
    docker: &Docker,
    base: &str,
    image: &str,
    fill: fn(&Making<'_>) -> Result<Vec<String>, Failure>,
) -> Result<(), Failure> {
    // What an earlier attempt left behind.
    let _ = docker.run(["rm", "--force", MAKING]).capture(SHORT);
    docker
        .run(["run", "--detach", "--network", "host", "--name", MAKING, base, "sleep", "3600"])
        .live(SHORT)?;
    let filled = fill(&Making { docker }).and_then(|variables| {
        let mut commit = docker.run(["commit", "--change", "CMD [\"/bin/bash\"]"]);
        for variable in variables {
            commit = commit.args(["--change", &format!("ENV {variable}")]);
        }
        commit.args([MAKING, image]).live(LONG)
    });
    let removed = docker.run(["rm", "--force", MAKING]).capture(SHORT);
    filled?;
    removed.map(drop)
}

/// The toolchain that runs this, and what it needs to link and to reach crates.
fn rust(making: &Making<'_>) -> Result<Vec<String>, Failure> {
    let sysroot = Run::new("rustc").args(["--print", "sysroot"]).capture(SHORT)?;
    let sysroot = PathBuf::from(sysroot.trim());
    making.install(TO_BUILD)?;
    making.trust()?;
    making.sh("mkdir -p /usr/local/rust/lib /usr/local/cargo")?;
    // Without its documentation, which is most of it.
    for part in ["bin", "libexec", "lib"] {
        let from = sysroot.join(part);
        if fs::exists(&from).unwrap_or(false) {
            making.sh(&format!("mkdir -p /usr/local/rust/{part}"))?;
            making.put(&from.join("."), &format!("/usr/local/rust/{part}"))?;
        }
    }
    // How this user's cargo reaches crates, and no credentials.
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    for name in ["config.toml", "config"] {
        if let Some(config) = home.as_ref().map(|home| home.join(name)).filter(|file| file.is_file()) {
            making.put(&config, "/usr/local/cargo/config.toml")?;
            break;
        }
    }
    making.sh("PATH=/usr/local/rust/bin:$PATH; cargo --version; rustc --version")?;
    let path = "PATH=/usr/local/cargo/bin:/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Ok(vec![path.into(), "CARGO_HOME=/usr/local/cargo".into()])
}

/// This machine's Node and npm, where the official image has them.
fn node(making: &Making<'_>) -> Result<Vec<String>, Failure> {
    let program = Run::new("node").args(["--print", "process.execPath"]).capture(SHORT)?;
    let program = fs::canonicalize(program.trim()).map_err(Failure::file("find", program.trim()))?;
    let npm = Run::new("npm").args(["root", "--global"]).capture(SHORT)?;
    let npm = PathBuf::from(npm.trim()).join("npm");
    let npm = fs::canonicalize(&npm).map_err(Failure::file("find", &npm))?;
    making.trust()?;
    making.put(&program, "/usr/local/bin/node")?;
    making.sh("mkdir -p /usr/local/lib/node_modules/npm")?;
    making.put(&npm.join("."), "/usr/local/lib/node_modules/npm")?;
    making.sh("ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm; \
         ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx; node --version; npm --version")?;
    Ok(vec![format!("NODE_EXTRA_CA_CERTS={TRUSTED}")])
}
