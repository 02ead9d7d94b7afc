//! The example at the repository's top: all of it, field by field.

use std::collections::BTreeMap;
use std::path::Path;

use super::{env, names, repository};
use crate::inventory::{
    AgentSettings, ContainerSettings, Engine, Host, Inventory, Mount, Placement, PolicyRef, Pull, Runtime,
    SecretRef, Selector, SystemdSettings, Value,
};

fn example() -> Inventory {
    Inventory::load(&repository("fleet.example.yaml"), &env).unwrap_or_else(|error| panic!("{error}"))
}

fn host<'a>(fleet: &'a Inventory, name: &str) -> &'a Host {
    fleet.host(name).unwrap_or_else(|| panic!("there is {name}"))
}

fn map<T: Clone>(entries: &[(&str, T)]) -> BTreeMap<String, T> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn texts(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn groups(host: &Host) -> String {
    host.groups.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn usual_agent() -> AgentSettings {
    AgentSettings {
        max_sessions: Some(64),
        keep_finished: Some(7200),
        log: Some("info".into()),
        ..AgentSettings::default()
    }
}

fn usual_env() -> BTreeMap<String, Value> {
    map(&[
        ("LANG", Value::Plain("C.UTF-8".into())),
        ("ANTHROPIC_API_KEY", Value::Secret(SecretRef::Env("ANTHROPIC_API_KEY".into()))),
    ])
}

#[test]
fn the_fleet() {
    let fleet = example();
    assert_eq!(fleet.name, "lab");
    assert_eq!(fleet.file, repository("fleet.example.yaml"));
    assert_eq!(fleet.files, std::slice::from_ref(&fleet.file));
    assert_eq!(
        names(&fleet),
        "bastion gpu01 gpu02 gpu03 gpu04 gpu05 gpu06 gpu07 gpu08 gpu09 gpu10 gpu11 gpu12 gpu13 gpu14 gpu15 \
         gpu16 web-a web-b web-d far box laptop"
    );
    assert_eq!(
        fleet.groups.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        "everything-warm gpu gpu-new rack-1 web"
    );
}

#[test]
fn a_bastion() {
    let fleet = example();
    let expected = Host {
        name: "bastion".into(),
        address: "bastion.example.com".into(),
        port: Some(2222),
        user: Some("gate".into()),
        identity: vec!["/home/op/.ssh/id_ed25519".into()],
        jump: vec![],
        known_hosts: vec!["/home/op/.ssh/known_hosts.lab".into(), "/home/op/.ssh/known_hosts".into()],
        host_key: Some("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".into()),
        groups: ["rack-1".to_owned()].into(),
        labels: texts(&[("zone", "eu")]),
        slots: None,
        runtime: Runtime::Systemd(SystemdSettings { linger: true }),
        agent: usual_agent(),
        policy: Some(PolicyRef::Name("careful".into())),
        env: usual_env(),
    };
    assert_eq!(*host(&fleet, "bastion"), expected);
}

#[test]
fn ranges_and_groups() {
    let fleet = example();
    let gpu = host(&fleet, "gpu01");
    assert_eq!(gpu.address, "gpu01.lab.example.com");
    assert_eq!((gpu.user.as_deref(), gpu.port), (Some("deploy"), None));
    assert_eq!(gpu.jump, ["bastion"]);
    assert_eq!((gpu.slots, &gpu.labels), (Some(4), &texts(&[("zone", "eu"), ("gpu", "yes")])));
    assert_eq!(groups(gpu), "everything-warm gpu rack-1");
    assert_eq!(gpu.env.get("WARM"), Some(&Value::Plain("1".into())));
    assert_eq!(gpu.env.len(), 3);
    let new = host(&fleet, "gpu16");
    assert_eq!((new.slots, groups(new).as_str()), (Some(6), "everything-warm gpu gpu-new"));
    assert_eq!(new.labels, texts(&[("zone", "eu"), ("gpu", "yes"), ("gen", "9")]));
    let web = host(&fleet, "web-d");
    assert_eq!((web.address.as_str(), groups(web).as_str()), ("web-d", "everything-warm web"));
    assert_eq!(web.labels, texts(&[("zone", "eu"), ("tier", "front")]));
    let chosen = fleet.select(&[Selector::parse("@gpu & gen=9 & !gpu14, far").expect("one")]).expect("some");
    assert_eq!(
        chosen.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(),
        ["gpu13", "gpu15", "gpu16", "far"]
    );
}

#[test]
fn a_host_with_all_settings() {
    let fleet = example();
    let expected = Host {
        name: "far".into(),
        address: "2001:db8::7".into(),
        port: None,
        user: Some("deploy".into()),
        identity: vec!["/home/op/.ssh/far".into(), "/home/op/.ssh/id_ed25519".into()],
        jump: vec!["bastion".into(), "gate@far-gate.example.com:2200".into()],
        known_hosts: vec![],
        host_key: None,
        groups: [].into(),
        labels: texts(&[("zone", "eu")]),
        slots: Some(8),
        runtime: Runtime::Systemd(SystemdSettings { linger: true }),
        agent: AgentSettings {
            binary: Some(repository("target/agents/cm-agent-{arch}")),
            dir: Some("~/opt/cm-agent".into()),
            state_dir: Some("/var/lib/agents/state".into()),
            listen: Some("127.0.0.1:9876".parse().expect("an address")),
            token: Some(SecretRef::File("/home/op/.config/cm-fleet/far.token".into())),
            port: None,
            max_sessions: Some(64),
            max_clients: Some(16),
            keep_finished: Some(7200),
            placement: Some(Placement::Systemd),
            log: Some("info".into()),
        },
        policy: Some(PolicyRef::File(repository("./policies/far.yaml"))),
        env: usual_env(),
    };
    assert_eq!(*host(&fleet, "far"), expected);
}

#[test]
fn a_container_and_this_machine() {
    let fleet = example();
    let mount = |source: &str, target: &str, read_only| Mount {
        source: source.into(),
        target: target.into(),
        read_only,
    };
    let expected = ContainerSettings {
        image: Some("registry.example.com/cm-agent:0.1.0".into()),
        archive: Some(repository("images/cm-agent.tar.gz")),
        local: false,
        pull: Pull::Missing,
        engine: Engine::Podman,
        socket: Some("/run/user/1000/podman/podman.sock".into()),
        mounts: vec![
            mount("~/src", "/src", false),
            mount("/etc/ssl/certs", "/etc/ssl/certs", true),
            mount("agent-state", "/var/lib/cm-agent", false),
        ],
        env: map(&[
            ("GITHUB_TOKEN", Value::Secret(SecretRef::Cmd("pass show github/token".into()))),
            ("MODE", Value::Plain("env:is-no-secret-here".into())),
        ]),
        cpus: Some(1.5),
        memory: Some(8 << 30),
        pids: Some(2048),
        user: Some("1000:1000".into()),
        network: Some("bridge".into()),
        extra_hosts: texts(&[("models.internal", "10.0.0.9"), ("host.docker.internal", "host-gateway")]),
    };
    assert_eq!(host(&fleet, "box").runtime, Runtime::Container(expected));
    assert_eq!(host(&fleet, "laptop").runtime, Runtime::Local);
}

/// The example leaves no key out.
#[test]
fn every_key_is_shown() {
    use crate::inventory::file::{AgentKeys, ContainerKeys, Settings, SystemdKeys};
    let text = std::fs::read_to_string(repository("fleet.example.yaml")).expect("read");
    let keys = [Settings::KEYS, SystemdKeys::KEYS, ContainerKeys::KEYS, AgentKeys::KEYS].concat();
    for key in keys.iter().chain(&["fleet", "include", "defaults", "groups", "hosts", "children"]) {
        let shown = text.lines().any(|line| line.trim_start().starts_with(&format!("{key}:")));
        assert!(shown, "fleet.example.yaml does not show `{key}`");
    }
}

/// `cargo run -p cm-fleet -- schema > docs/inventory.schema.json` writes it anew.
#[test]
fn the_schema_in_the_documentation_is_the_one_printed() {
    let file = std::fs::read_to_string(repository("docs/inventory.schema.json")).expect("read");
    let now = serde_json::to_string_pretty(&crate::inventory::file::schema()).expect("JSON");
    assert!(file.trim_end() == now, "run: cargo run -p cm-fleet -- schema > docs/inventory.schema.json");
}

#[test]
fn the_documentation_names_every_key() {
    use crate::inventory::file::{AgentKeys, ContainerKeys, Settings, SystemdKeys};
    let text = std::fs::read_to_string(Path::new(&repository("docs/inventory.md"))).expect("read");
    for key in [Settings::KEYS, SystemdKeys::KEYS, ContainerKeys::KEYS, AgentKeys::KEYS].concat() {
        assert!(text.contains(&format!("`{key}`")), "docs/inventory.md does not name `{key}`");
    }
}
