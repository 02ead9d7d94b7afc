//! What containers are to be.

use cm_protocol::deploy::Hidden;

use super::*;

/// A host that wants this.
pub fn wanted(change: impl FnOnce(&mut ContainerWanted)) -> ContainerWanted {
    let mut wanted = ContainerWanted {
        host: "h1".into(),
        fleet: "f".into(),
        image: ImageWanted { reference: "cm-agent:1".into(), pull: Pull::Never, archive: None },
        shape: Shape { cpus: Some(1.5), memory: Some(1 << 30), pids: Some(100), ..Shape::default() },
        settings: AgentSettings::default(),
        engine: EngineWanted::default(),
    };
    change(&mut wanted);
    wanted
}

fn stamp() -> Stamp {
    Stamp {
        deployment: "d1".into(),
        generation: 3,
        by: "ada@desk".into(),
        at: 7,
        image: "sha256:aa".into(),
        reference: "cm-agent:1".into(),
        home: "/home/ada".into(),
        podman: false,
    }
}

#[test]
fn names_that_engines_take() {
    let check = |host: &str, expected: &str| assert_eq!(Names::new(host).of(Role::Agent), expected);
    check("gpu-01", "cm-agent-gpu-01");
    check("a.b_c", "cm-agent-a.b_c");
    let odd = Names::new("büro/1").of(Role::Keeper);
    assert!(odd.starts_with("cm-keeper-b_ro_1-") && odd.is_ascii(), "{odd}");
    assert_ne!(Names::new("a/b").of(Role::Agent), Names::new("a:b").of(Role::Agent));
    assert_eq!(Names::new("h").kept(12), "cm-agent-h-generation-12");
}

#[test]
fn requests() {
    let wanted = wanted(|wanted| {
        wanted.shape.mounts = vec![
            Mount { source: "~/src".into(), target: "/src".into(), read_only: false },
            Mount { source: "/etc/ssl".into(), target: "/etc/ssl".into(), read_only: true },
        ];
        wanted.shape.user = Some("1000:1000".into());
        wanted.shape.network = Some("bridge".into());
        wanted.shape.extra_hosts = [("m".to_owned(), "10.0.0.9".to_owned())].into();
        wanted.settings.token = Some(Hidden("t0p-s3cret".into()));
        wanted.settings.env.insert("KEY".into(), Hidden("k3y-s3cret".into()));
    });
    let keeper = wanted.keeper(&stamp());
    let config = keeper.host_config.expect("a configuration");
    let binds = ["cm-agent-h1:/var/lib/cm-agent", "/home/ada/src:/src", "/etc/ssl:/etc/ssl:ro"];
    assert_eq!(config.binds, Some(binds.map(str::to_owned).to_vec()));
    assert_eq!(
        (config.nano_cpus, config.memory, config.pids_limit),
        (Some(1_500_000_000), Some(1 << 30), Some(100))
    );
    assert_eq!(config.network_mode.as_deref(), Some("bridge"));
    assert_eq!(config.extra_hosts, Some(vec!["m:10.0.0.9".to_owned()]));
    assert_eq!((keeper.cmd, keeper.user), (Some(vec!["keeper".to_owned()]), Some("1000:1000".to_owned())));

    let agent = wanted.agent(&stamp(), "id-of-keeper");
    // Nothing secret is in what an inspection shows.
    let text = serde_json::to_string(&agent).expect("JSON");
    assert!(!text.contains("s3cret"), "{text}");
    let config = agent.host_config.expect("a configuration");
    assert_eq!(config.pid_mode.as_deref(), Some("container:id-of-keeper"));
    assert_eq!(config.network_mode.as_deref(), Some("container:id-of-keeper"));
    assert_eq!(config.restart_policy, Some(restarts(RestartPolicyNameEnum::NO)));
    let labels = agent.labels.expect("labels");
    for (key, value) in [
        (label::FLEET, "f"),
        (label::HOST, "h1"),
        (label::ROLE, "agent"),
        (label::GENERATION, "3"),
        (label::BY, "ada@desk"),
        (label::IMAGE, "sha256:aa"),
    ] {
        assert_eq!(labels.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[test]
fn a_mount_of_the_users_own_takes_the_place_of_our_volume() {
    let wanted = wanted(|wanted| {
        wanted.shape.mounts = vec![Mount { source: "state".into(), target: STATE.into(), read_only: false }];
    });
    assert_eq!(wanted.binds(""), ["state:/var/lib/cm-agent"]);
    assert_eq!(wanted.volume(), None);
}

#[test]
fn what_is_asked_for_has_a_digest() {
    let one = wanted(|_| {}).digest("i");
    let check = |same: bool, change: fn(&mut ContainerWanted)| {
        assert_eq!(wanted(change).digest("i") == one, same);
    };
    check(true, |_| {});
    check(true, |wanted| wanted.engine.socket = Some("/x".into()));
    check(false, |wanted| wanted.shape.memory = Some(1));
    check(false, |wanted| wanted.shape.user = Some("7".into()));
    check(false, |wanted| wanted.settings.token = Some(Hidden("x".into())));
    assert_ne!(wanted(|_| {}).digest("j"), one);
    // Settings are the agent's alone.
    let keeper = wanted(|_| {}).keeper_digest("i");
    assert_eq!(wanted(|wanted| wanted.settings.max_sessions = Some(3)).keeper_digest("i"), keeper);
}
