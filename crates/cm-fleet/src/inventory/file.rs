//! The keys of an inventory file: one description that is read with, merged with, and published as JSON
//! Schema. PURE.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::value::{
    Address, Bytes, Cores, Count, EngineWord, Env, ExtraHosts, Flag, HostKey, Jump, Labels, Listen,
    LocalPath, MountText, PlacementWord, Plain, Policy, Port, PullWord, RemotePath, RuntimeWord, Seconds,
    Token, User,
};
use crate::yaml::{At, FromNode, Layer, Many, Node, Reader, What, keys};

keys! {
    /// What can be said of a host; in `defaults` and in groups it holds for many. Inner beats outer:
    /// defaults, outer group, inner group, host. Maps are merged key by key, lists are replaced.
    Settings "for a host" {
        /// Where ssh connects: a name (also one of ssh_config) or an address; `{name}` stands for the
        /// host's name. Default: the host's name.
        lay address: Address,
        /// ssh's port. Default: what ssh_config says, else 22.
        lay port: Port,
        /// Who logs in. Default: what ssh_config says, else your own name.
        lay user: User,
        /// Private keys to try, in this order. Default: what ssh_config says, and the ssh agent's.
        lay identity: Many<LocalPath>,
        /// Hosts to go through, nearest first: `user@host:port`, a name of ssh_config or a host of this
        /// inventory. `none`: directly, whatever ssh_config says; `[]`: what ssh_config says.
        lay jump: Many<At<Jump>>,
        /// known_hosts files in place of your own.
        lay known_hosts: Many<LocalPath>,
        /// A pin: the host shows this key or is not spoken to. `SHA256:…` or `ssh-ed25519 AAAA…`.
        lay host_key: HostKey,
        /// For selection (`--on zone=eu`) and placement.
        merge labels: Labels,
        /// Tasks at a time. Default: the number of the host's cores.
        lay slots: Count,
        /// What the agent runs in. Default: systemd. `local` is this machine, without ssh.
        lay runtime: RuntimeWord,
        /// For runtime `systemd`.
        merge systemd: SystemdKeys,
        /// For runtime `container`.
        merge container: ContainerKeys,
        /// The agent.
        merge agent: AgentKeys,
        /// What decides about prompts where a task does not say: read-only, careful, trusting, one of your
        /// own by name, or a YAML file.
        lay policy: Policy,
        /// Variables for the agent and its sessions. A value `env:NAME`, `file:PATH` or `cmd:COMMAND` is a
        /// secret, fetched when it is needed and never shown; `plain:` before a text takes it as it is.
        merge env: Env,
    }
}

keys! {
    /// A unit of the user's service manager.
    SystemdKeys "under `systemd`" {
        /// Ask for lingering, without which the agent ends when its user logs out. Default: true.
        lay linger: Flag,
    }
}

keys! {
    /// A container of Docker or Podman.
    ContainerKeys "under `container`" {
        /// Image with tag or digest. Default: the one that belongs to this version.
        lay image: Plain,
        /// A file here with the image in it: what `docker save` writes, or an OCI layout as tar; also compressed
        /// with gzip. Default: this machine's engine is asked for the image.
        lay archive: LocalPath,
        /// When the host pulls the image from a registry: never (it is streamed from here where it is not
        /// there), missing, always. Default: never.
        lay pull: PullWord,
        /// The engine is this machine's own, spoken to without ssh. Default: false.
        lay local: Flag,
        /// docker, podman, or auto (the default): Docker where it answers, else Podman.
        lay engine: EngineWord,
        /// The engine's socket on the host. Default: where the engine has it.
        lay socket: RemotePath,
        /// `/on/the/host:/in/the/container`, or a volume's name before the colon; `:ro` against writing.
        lay mounts: Many<MountText>,
        /// Variables of the container alone, over the host's `env`.
        merge env: Env,
        /// Cores the container may use: 2, 1.5.
        lay cpus: Cores,
        /// Memory it may use: 512M, 8G.
        lay memory: Bytes,
        /// Processes and threads it may have.
        lay pids: Count,
        /// Who runs in it: name or uid, with `:group` or `:gid`.
        lay user: Plain,
        /// host, bridge, none or a network of the engine's. Default: the engine's.
        lay network: Plain,
        /// Further lines for /etc/hosts: name and address (or `host-gateway`).
        merge extra_hosts: ExtraHosts,
    }
}

keys! {
    /// The agent on the host.
    AgentKeys "under `agent`" {
        /// The program here that is put onto the host; `{arch}` is what `uname -m` says there. Default: the
        /// one that belongs to this cm-fleet.
        lay binary: LocalPath,
        /// Where it is installed on the host. Default: ~/.local/share/cm-agent.
        lay dir: RemotePath,
        /// Its journal and transcripts on the host. Default: ~/.local/state/cm-agent.
        lay state_dir: RemotePath,
        /// ADDRESS:PORT for TCP besides its socket; the host makes a token where none is given. Default: only the socket.
        lay listen: At<Listen>,
        /// What clients over TCP have to know: `env:NAME`, `file:PATH` or `cmd:COMMAND`.
        lay token: Token,
        /// For an agent that cm-fleet has not installed: it is reached through ssh at this port of the
        /// host's 127.0.0.1, with `token`. Default: at its socket.
        lay port: Port,
        /// Living sessions allowed. Default: 256.
        lay max_sessions: Count,
        /// Clients at a time. Default: 1024.
        lay max_clients: Count,
        /// How long the terminal of an ended program is kept: 90s, 10m, 1h. Default: 1h.
        lay keep_finished: Seconds,
        /// Where sessions run: in systemd units, detached, or auto (the default).
        lay placement: PlacementWord,
        /// What it logs: info, debug, cm_agent=trace. Default: info.
        lay log: Plain,
    }
}

/// Hosts: names or ranges, each with settings (a map) or without (a list).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hosts(pub Vec<Entry>);

/// A host, or several written as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `gpu-01`, `gpu[01-16]`; in a group's list also `gpu-*`.
    pub pattern: At<String>,
    /// None in a list.
    pub settings: Option<Settings>,
}

/// A group: members, further groups, and settings that hold for all hosts in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// Its own hosts.
    pub hosts: Hosts,
    /// The groups in it.
    pub groups: Groups,
    /// What holds for all hosts in it.
    pub settings: Settings,
}

/// Groups: a map of them, or (within a group) names of groups that stand elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Groups(pub Vec<(At<String>, Option<Group>)>);

/// A fleet of hosts for `cm-fleet`.
///
/// Values may use variables of the environment: `${NAME}`, `${NAME:-default}`; `$${` stands for `${`.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Inventory")]
pub struct FleetFile {
    /// The fleet's name; it marks on hosts what belongs to this fleet. Default: the file's name, or that of
    /// its directory where the file is called fleet.yaml.
    pub fleet: Option<At<String>>,
    /// Files that are read before this one, relative to it; `*` and `?` in a file's name find several.
    pub include: Option<Many<At<String>>>,
    /// What holds for all hosts.
    #[schemars(with = "Option<Settings>")]
    pub defaults: Settings,
    /// Groups of hosts.
    #[schemars(with = "Option<Groups>")]
    pub groups: Groups,
    /// All hosts: a map from a name or range (`gpu[01-16]`) to settings, or a list of names.
    #[schemars(with = "Option<Hosts>")]
    pub hosts: Hosts,
}

const FILE: &[&str] = &["fleet", "include", "defaults", "groups", "hosts"];
const GROUP: &[&str] = &["hosts", "groups", "children"];

impl FromNode for FleetFile {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut file = Self::default();
        for (key, value) in node.map(reader)? {
            match key.value.as_str() {
                name if value.is_null() && FILE.contains(&name) => {}
                "fleet" => file.fleet = At::from_node(value, reader),
                "include" => file.include = Many::from_node(value, reader),
                "defaults" => file.defaults = Settings::from_node(value, reader).unwrap_or_default(),
                "groups" => file.groups = groups(value, false, reader),
                "hosts" => file.hosts = hosts(value, reader),
                name if Settings::KEYS.contains(&name) => {
                    let message = format!("`{name}` does not stand here; put it under `defaults` or a host");
                    reader.wrong(key.place, message);
                }
                _ => reader.unknown_key(key, "in an inventory", FILE),
            }
        }
        Some(file)
    }
}

fn hosts(node: &Node, reader: &mut Reader<'_>) -> Hosts {
    let entries = match &node.what {
        What::List(items) => items
            .iter()
            .filter_map(|item| {
                let hint = "a host's name; settings need a map: `NAME:` and under it `key: value`";
                let What::Scalar { text, .. } = &item.what else { return item.expected(hint, reader) };
                let pattern = At { place: item.place, value: text.clone() };
                Some(Entry { pattern, settings: None })
            })
            .collect(),
        What::Map(entries) => entries
            .iter()
            .map(|(key, value)| {
                let settings = Settings::from_node(value, reader).unwrap_or_default();
                Entry { pattern: key.clone(), settings: Some(settings) }
            })
            .collect(),
        _ => {
            node.expected::<()>("hosts: a list of names, or names with settings", reader);
            Vec::new()
        }
    };
    Hosts(entries)
}

fn groups(node: &Node, names: bool, reader: &mut Reader<'_>) -> Groups {
    let all = match &node.what {
        What::List(items) if names => items
            .iter()
            .filter_map(|item| At::from_node(item, reader))
            .map(|name: At<String>| (name, None))
            .collect(),
        What::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), Some(Group::from_node(value, reader).unwrap_or_default())))
            .collect(),
        _ => {
            let wanted =
                if names { "groups: a list of names, or a map" } else { "groups: names and what they hold" };
            node.expected::<()>(wanted, reader);
            Vec::new()
        }
    };
    Groups(all)
}

impl FromNode for Group {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut group = Self::default();
        // A list is the short form of a group with nothing but hosts.
        if let What::List(_) = node.what {
            group.hosts = hosts(node, reader);
            return Some(group);
        }
        for (key, value) in node.map(reader)? {
            match key.value.as_str() {
                name if value.is_null() && GROUP.contains(&name) => {}
                "hosts" => group.hosts = hosts(value, reader),
                "groups" | "children" => group.groups.0.extend(groups(value, true, reader).0),
                name => {
                    if !group.settings.take(name, value, reader) {
                        let keys: Vec<&str> = GROUP.iter().chain(Settings::KEYS).copied().collect();
                        reader.unknown_key(key, "for a group", &keys);
                    }
                }
            }
        }
        Some(group)
    }
}

impl JsonSchema for Hosts {
    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<Settings>();
        json_schema!({"anyOf": [
            {"type": "object", "additionalProperties": {"anyOf": [settings, {"type": "null"}]}},
            {"type": "array", "items": {"type": ["string", "number"]}},
        ]})
    }
}

impl JsonSchema for Groups {
    fn schema_name() -> Cow<'static, str> {
        "Groups".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let group = generator.subschema_for::<Group>();
        json_schema!({"type": "object", "additionalProperties": {"anyOf": [group, {"type": "null"}]}})
    }
}

impl JsonSchema for Group {
    fn schema_name() -> Cow<'static, str> {
        "Group".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let hosts = generator.subschema_for::<Hosts>();
        let groups = generator.subschema_for::<Groups>();
        let inner = json_schema!({
            "description": "The groups in it: a list of names, or a map of groups.",
            "anyOf": [groups, {"type": "array", "items": {"type": "string"}}],
        });
        let mut keys = Settings::json_schema(generator);
        let about = "Members, further groups, and settings that hold for all hosts in it.";
        keys.insert("description".to_owned(), about.into());
        if let Some(properties) = keys.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.insert("hosts".to_owned(), hosts.to_value());
            properties.insert("groups".to_owned(), inner.clone().to_value());
            properties.insert("children".to_owned(), inner.to_value());
        }
        json_schema!({"anyOf": [keys, {"type": "array", "items": {"type": ["string", "number"]}}]})
    }
}

/// The JSON Schema of an inventory, draft 2020-12.
pub fn schema() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<FleetFile>()
}
