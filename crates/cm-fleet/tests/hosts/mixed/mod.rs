//! Fleets of services, containers and this machine in one inventory, through everything a fleet goes through.

use cm_testkit::hosts::engine::{FLEET, broken, images};
use cm_testkit::hosts::{Cast, Claimed, inventory_yaml};

use crate::support::Fleet;

mod denied;
mod life;
mod sessions;
mod swap;

/// The host that is this machine.
pub const HERE: &str = "here";

/// Claimed hosts of all runtimes, and the fleet of them.
pub struct Mixed {
    /// Those with a service of systemd's.
    pub services: Vec<Claimed>,
    /// Those with containers.
    pub boxes: Vec<Claimed>,
    pub fleet: Fleet,
    /// The image that containers are to be of.
    image: String,
}

impl Mixed {
    /// `boxes` container hosts beside services of these kinds, and this machine.
    pub fn claim(services: &[&str], boxes: usize) -> Self {
        let kinds: Vec<&str> = services.iter().copied().chain(std::iter::repeat_n("docker", boxes)).collect();
        let mut services_of = Cast::load().claim_all(&kinds);
        let boxes = services_of.split_off(services.len());
        let mut mixed = Self { fleet: Fleet::new(&[]), services: services_of, boxes, image: String::new() };
        mixed.fleet.name = FLEET.to_owned();
        // This machine's agent is the test's own.
        let run = mixed.fleet.path("r").display().to_string();
        std::fs::create_dir(&run).unwrap();
        mixed.fleet.vars.push(("XDG_RUNTIME_DIR".into(), run));
        for image in images() {
            let there = mixed.boxes[0].engine(&["image", "inspect", &image]);
            assert!(there.status.success(), "there is no image {image}\n  Next: cargo xtask test containers");
        }
        mixed.image(&images()[0]);
        mixed
    }

    /// From now on containers are to be of this image.
    pub fn image(&mut self, image: &str) {
        self.image = image.to_owned();
        self.contain(&format!("image: \"{image}\", network: none"));
    }

    /// From now on containers are to be like this.
    pub fn contain(&mut self, container: &str) {
        let slots = |text: &str| text.replace("    user: ", "    slots: 3\n    user: ");
        let mut text = slots(&inventory_yaml(&self.services.iter().collect::<Vec<_>>()));
        for host in &self.boxes {
            text += slots(&inventory_yaml(&[host])).trim_start_matches("hosts:\n");
            text += &format!("    runtime: container\n    container: {{{container}}}\n");
        }
        self.fleet.hosts = format!("{text}  {HERE}: {{runtime: local, slots: 3}}\n");
    }

    /// From now on containers are to be of one whose agent ends at once.
    pub fn broken(&mut self) {
        let name = format!("cm-test-broken:{}", std::process::id());
        let dir = self.fleet.path("broken");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("Dockerfile"), broken(&images()[0])).unwrap();
        self.boxes[0].engine_says(&["build", "-q", "-t", &name, &dir.display().to_string()]);
        self.image(&name);
    }

    /// All hosts that something is deployed to.
    pub fn all(&self) -> impl Iterator<Item = &Claimed> {
        self.services.iter().chain(&self.boxes)
    }

    /// Everything that containers were deployed as, by host.
    pub fn deployed(&self) -> Vec<String> {
        self.boxes.iter().map(Claimed::deployed).collect()
    }

    /// A command of the program's with the inventory, to its end: code, what it printed, what it complained about.
    pub fn says(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let config = self.fleet.path("ssh_config").display().to_string();
        let all = [&words[..1], &["-i", "fleet.yaml", "-F", &config], &words[1..]].concat();
        let output = self.fleet.command(&all).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The same, which must end with 0: what it printed.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> String {
        let (code, out, err) = self.says(words);
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        out
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        // What a test that failed has left.
        for host in &self.boxes {
            if !std::thread::panicking() || std::env::var_os("CM_TEST_KEEP").is_none() {
                host.remove_deployed();
            }
        }
        let _ = self.fleet.command(&["agent", "stop"]).output();
        let broken = format!("cm-test-broken:{}", std::process::id());
        let _ = self.boxes.first().map(|host| host.engine(&["rmi", &broken]));
    }
}
