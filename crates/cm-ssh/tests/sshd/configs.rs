//! The user's ssh configuration, read by ssh itself, up to a connection.

use std::fs;
use std::time::Duration;

use cm_ssh::{ConfigError, Given, Input, Keys, NoSecrets, Resolver, Ssh, UnknownHost, resolve};

use crate::server::Server;

#[tokio::test]
async fn a_host_of_ssh_config_is_reached_through_its_jump_host() {
    let (bastion, web) = (Server::start(), Server::start());
    let file = web.path("ssh_config");
    let mut text = String::new();
    for (name, server, more) in [("web", &web, "ProxyJump bastion"), ("bastion", &bastion, "")] {
        let target = server.target();
        text += &format!(
            "Host {name}\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n UserKnownHostsFile {}\n \
             IdentityAgent none\n {more}\n",
            server.port,
            target.user,
            target.identities[0].display(),
            target.known_hosts[0].display(),
        );
    }
    fs::write(&file, text).unwrap();
    let given = Given { address: Some("web".to_owned()), ..Given::default() };
    let target = resolve("web-1", &given, Some(&file)).await.unwrap();
    assert_eq!((target.name.as_str(), target.port, target.jumps.len()), ("web-1", web.port, 1));
    assert_eq!((target.jumps[0].name.as_str(), target.jumps[0].port), ("bastion", bastion.port));
    let mut ssh =
        Ssh::connect(&target, &Keys::new(NoSecrets)).await.unwrap_or_else(|error| panic!("{error}"));
    let output = ssh.exec("echo there", Input::None, Duration::from_secs(10)).await.unwrap();
    assert_eq!(output.stdout, b"there\n");
}

#[tokio::test]
async fn what_is_given_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, "Host *\n User nobody\n Port 99\n ProxyJump a\n IdentityFile /etc/hostname\nHost deep\n ProxyJump deep\n").unwrap();
    let identity = dir.path().join("with space");
    fs::write(&identity, "").unwrap();
    let resolver = Resolver::new(Some(file));
    let target = resolver
        .resolve(
            "web",
            &Given {
                address: Some("10.0.0.1".to_owned()),
                port: Some(2222),
                user: Some("deploy".to_owned()),
                identities: vec![identity.clone()],
                jump: Some("none".to_owned()),
                known_hosts: Some(vec!["/kh".into()]),
                unknown_host: Some(UnknownHost::AcceptNew),
                connect_timeout: Some(Duration::from_secs(3)),
                host_key: None,
            },
        )
        .await
        .unwrap();
    assert_eq!((target.address.as_str(), target.port, target.user.as_str()), ("10.0.0.1", 2222, "deploy"));
    assert_eq!(target.identities, [identity, "/etc/hostname".into()]);
    assert_eq!((target.known_hosts, target.jumps.len()), (vec!["/kh".into()], 0));
    assert_eq!(
        (target.unknown_host, target.connect_timeout),
        (UnknownHost::AcceptNew, Duration::from_secs(3))
    );
    let error = resolver.resolve("web", &Given::default()).await.unwrap_err();
    assert!(matches!(error, ConfigError::TooDeep { .. }), "{error}");
}

#[tokio::test]
async fn one_answer_serves_hosts_that_are_alike_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, "Host gpu-*\n User trainer\nHost *\n User deploy\n Port 99\n").unwrap();
    let resolver = Resolver::new(Some(file));
    for (name, user) in [("web", "deploy"), ("db", "deploy"), ("gpu-1", "trainer"), ("10.0.0.9", "deploy")] {
        let target = resolver.resolve(name, &Given::default()).await.unwrap();
        assert_eq!((&*target.name, &*target.address, &*target.user, target.port), (name, name, user, 99));
    }
    let given = Given { port: Some(2222), ..Given::default() };
    assert_eq!(resolver.resolve("web", &given).await.unwrap().port, 2222);
}

#[tokio::test]
async fn nonsense_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, "NoSuchOption yes\n").unwrap();
    let given = Given::default();
    let error = resolve("web", &given, Some(&file)).await.unwrap_err();
    assert!(matches!(&error, ConfigError::Ssh { why, .. } if why.contains("line 1")), "{error}");
    for name in ["-oProxyCommand=false", ""] {
        let error = resolve(name, &given, None).await.unwrap_err();
        assert!(matches!(error, ConfigError::BadName { .. }), "{error}");
    }
    let given = Given { user: Some("-x".to_owned()), ..Given::default() };
    assert!(matches!(resolve("web", &given, None).await, Err(ConfigError::BadName { .. })));
}
