//! One host of its settings, inherited ones included. PURE.

use std::collections::BTreeSet;

use super::{Definitions, jump};
use crate::inventory::file::{AgentKeys, ContainerKeys, Settings};
use crate::inventory::value::Word;
use crate::inventory::{AgentSettings, ContainerSettings, Host, Runtime, SystemdSettings};
use crate::yaml::{Many, Reader};

/// The host. `own_jump`: the way to it is said of it alone.
pub fn host(
    name: &str,
    settings: Settings,
    own_jump: bool,
    groups: BTreeSet<String>,
    reader: &mut Reader<'_>,
) -> Host {
    let listed = |many: Option<Many<crate::inventory::value::LocalPath>>| {
        many.map(|many| many.0.into_iter().map(|path| path.0).collect()).unwrap_or_default()
    };
    let runtime = match settings.runtime.map(|word| word.0) {
        None | Some(Word::Systemd) => {
            let linger = settings.systemd.and_then(|keys| keys.linger);
            Runtime::Systemd(
                linger.map_or_else(SystemdSettings::default, |linger| SystemdSettings { linger: linger.0 }),
            )
        }
        Some(Word::Container) => Runtime::Container(container(settings.container.unwrap_or_default())),
        Some(Word::Local) => Runtime::Local,
    };
    Host {
        name: name.to_owned(),
        address: settings
            .address
            .map_or_else(|| name.to_owned(), |address| address.0.replace("{name}", name)),
        port: settings.port.map(|port| port.0),
        user: settings.user.map(|user| user.0),
        identity: listed(settings.identity),
        jump: jump::way(name, settings.jump.as_ref(), own_jump, reader),
        known_hosts: listed(settings.known_hosts),
        host_key: settings.host_key.map(|key| key.0),
        groups,
        labels: settings.labels.map(|labels| labels.0).unwrap_or_default(),
        slots: settings.slots.map(|slots| slots.0),
        runtime,
        agent: agent(settings.agent.unwrap_or_default()),
        policy: settings.policy.map(|policy| policy.0),
        env: settings.env.map(|env| env.0).unwrap_or_default(),
    }
}

fn container(keys: ContainerKeys) -> ContainerSettings {
    ContainerSettings {
        image: keys.image.map(|image| image.0),
        archive: keys.archive.map(|path| path.0),
        local: keys.local.is_some_and(|flag| flag.0),
        pull: keys.pull.map(|pull| pull.0).unwrap_or_default(),
        engine: keys.engine.map(|engine| engine.0).unwrap_or_default(),
        socket: keys.socket.map(|socket| socket.0),
        mounts: keys.mounts.map(|many| many.0.into_iter().map(|mount| mount.0).collect()).unwrap_or_default(),
        env: keys.env.map(|env| env.0).unwrap_or_default(),
        cpus: keys.cpus.map(|cpus| cpus.0),
        memory: keys.memory.map(|memory| memory.0),
        pids: keys.pids.map(|pids| pids.0),
        user: keys.user.map(|user| user.0),
        network: keys.network.map(|network| network.0),
        extra_hosts: keys.extra_hosts.map(|hosts| hosts.0).unwrap_or_default(),
    }
}

/// `listen` without a `token` is good: the host makes one then, and keeps it (`cm-fleet rotate-token` changes it).
fn agent(keys: AgentKeys) -> AgentSettings {
    AgentSettings {
        binary: keys.binary.map(|path| path.0),
        dir: keys.dir.map(|path| path.0),
        state_dir: keys.state_dir.map(|path| path.0),
        listen: keys.listen.map(|listen| listen.value.0),
        token: keys.token.map(|token| token.0),
        port: keys.port.map(|port| port.0),
        max_sessions: keys.max_sessions.map(|count| count.0),
        max_clients: keys.max_clients.map(|count| count.0),
        keep_finished: keys.keep_finished.map(|seconds| seconds.0),
        placement: keys.placement.map(|word| word.0),
        log: keys.log.map(|log| log.0),
    }
}

/// This machine is one host only.
pub fn one_local(hosts: &Definitions<'_>, resolved: &[Host], reader: &mut Reader<'_>) {
    let mut local = resolved.iter().enumerate().filter(|(_, host)| host.runtime == Runtime::Local);
    if let (Some((_, first)), Some((index, second))) = (local.next(), local.next()) {
        let message = format!(
            "`{}` and `{}` are both this machine (`runtime: local`); it can be one host only",
            first.name, second.name
        );
        reader.wrong(hosts.all[index].name.place, message);
    }
}
