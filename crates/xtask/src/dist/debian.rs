//! A Rust compiler with another architecture's standard library, unpacked from Debian's packages.
//!
//! For machines that reach Debian's archive and not rustup's server. Nothing is installed: apt works in a directory
//! of ours, with the machine's own sources and keys, and its packages are unpacked there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::sh::{LONG, Run, SHORT};

/// The rustc that Debian keeps new for its browsers.
const RUSTC: &str = "rustc-web";
const STD: &str = "libstd-rust-web-dev";

/// The compiler in `dir`, fetched where it is not there yet.
pub fn rustc(dir: &Path, arch: &str) -> Result<PathBuf, Failure> {
    let (rustc, apt) = (dir.join("rustc"), dir.join("apt"));
    if works(&rustc) {
        return Ok(rustc);
    }
    if !Run::new("apt-get").arg("--version").succeeds() {
        return Err(Failure::check("there is no apt here", "take rustup"));
    }
    let (here, there) = (name(std::env::consts::ARCH), name(arch));
    for part in ["lists/partial", "archives/partial", "debs"] {
        let path = apt.join(part);
        fs::create_dir_all(&path).map_err(Failure::file("create", &path))?;
    }
    let config = dir.join("apt.conf");
    fs::write(&config, settings(&apt.display().to_string(), here, there))
        .map_err(Failure::file("write", &config))?;
    let run = |program: &str| Run::new(program).env("APT_CONFIG", &config).dir(apt.join("debs"));
    run("apt-get").args(["--quiet", "update"]).live(LONG)?;
    let asked = |package: &str| {
        let said = run("apt-cache").args(["depends", "--important", package]).capture(SHORT)?;
        Ok::<_, Failure>(dependencies(&said))
    };
    let mut packages = vec![format!("{RUSTC}:{here}"), format!("{STD}:{here}"), format!("{STD}:{there}")];
    // The compiler itself is a library of the standard library's package, and LLVM one more.
    for library in asked(&format!("{STD}:{here}"))?.iter().filter(|name| name.starts_with("libstd-")) {
        let llvm =
            asked(&format!("{library}:{here}"))?.into_iter().filter(|name| name.starts_with("libllvm"));
        packages.extend(llvm.map(|name| format!("{name}:{here}")));
        packages.push(format!("{library}:{here}"));
    }
    run("apt-get").args(["--quiet", "download"]).args(&packages).live(LONG)?;
    unpack(dir, &apt.join("debs"))?;
    write_rustc(dir, &rustc)?;
    // Lists and packages are of no more use.
    fs::remove_dir_all(&apt).map_err(Failure::file("remove", &apt))?;
    if works(&rustc) {
        return Ok(rustc);
    }
    Err(Failure::check(format!("{} does not run", rustc.display()), format!("rm -r {}", dir.display())))
}

fn works(rustc: &Path) -> bool {
    Run::new(rustc).arg("--version").succeeds()
}

/// Debian's name of an architecture.
fn name(arch: &str) -> &'static str {
    if arch == "aarch64" { "arm64" } else { "amd64" }
}

/// apt's settings: state of its own, both architectures, nothing that is not needed.
fn settings(dir: &str, here: &str, there: &str) -> String {
    format!(
        r#"Dir::State::lists "{dir}/lists";
Dir::State::status "/dev/null";
Dir::Cache::archives "{dir}/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architectures {{ "{here}"; "{there}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
"#
    )
}

/// PURE. The packages that `apt-cache depends` names.
fn dependencies(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| Some(line.trim().strip_prefix("Depends: ")?.trim().to_owned())).collect()
}

fn unpack(dir: &Path, debs: &Path) -> Result<(), Failure> {
    let root = dir.join("root");
    for entry in fs::read_dir(debs).map_err(Failure::file("read", debs))?.flatten() {
        Run::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&root).capture(LONG)?;
    }
    Ok(())
}

/// Writes what starts it with the libraries that came along.
fn write_rustc(dir: &Path, rustc: &Path) -> Result<(), Failure> {
    let root = dir.join("root/usr");
    let libraries = root.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        libraries.display(),
        root.join("bin/rustc").display()
    );
    fs::write(rustc, script).map_err(Failure::file("write", rustc))?;
    fs::set_permissions(rustc, fs::Permissions::from_mode(0o755))
        .map_err(Failure::file("make executable", rustc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_says_a_package_needs() {
        let said = "libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\n |Depends: x\n  Conflicts: y\n";
        assert_eq!(dependencies(said), ["libstd-rust-web-1.96"]);
        assert!(dependencies("").is_empty());
    }
}
