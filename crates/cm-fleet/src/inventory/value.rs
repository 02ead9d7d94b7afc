//! The values an inventory's keys take: each checked where it is read, each with its JSON Schema. PURE.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Engine, Mount, Placement, PolicyRef, Pull, SecretRef, Value};
use crate::yaml::{FromNode, Layer, Node, Reader};

mod read;

use read::{
    address, env, extra_hosts, host_key, jump, labels, local_path, mount, plain, policy, positive,
    remote_path, seconds, secret, user,
};

/// Defines value types: what they hold, their schema, and how they are read.
macro_rules! values {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $schema:tt, $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(pub $inner);

        impl Layer for $name {}

        impl FromNode for $name {
            fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let read: fn(&Node, &mut Reader<'_>) -> Option<$inner> = $read;
                read(node, reader).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

values! {
    /// A port.
    Port(u16) = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": "\\$\\{"}]},
        |node, reader| positive(node, reader, "a port (1 to 65535)");
    /// How many.
    Count(u32) = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000000}, {"type": "string", "pattern": "\\$\\{"}]},
        |node, reader| {
            let wanted = "a whole number (1 to 1000000)";
            positive::<u32>(node, reader, wanted).filter(|count| {
                if *count > 1_000_000 {
                    reader.wrong(node.place, format!("`{count}` is not {wanted}"));
                }
                *count <= 1_000_000
            })
        };
    /// Cores.
    Cores(f64) = {"type": ["number", "string"]}, |node, reader| node.scalar(reader, crate::parse::cores);
    /// Bytes.
    Bytes(u64) = {"type": ["integer", "string"]}, |node, reader| node.scalar(reader, crate::parse::bytes);
    /// Seconds.
    Seconds(u64) = {"type": ["number", "string"]}, |node, reader| node.scalar(reader, seconds);
    /// Yes or no.
    Flag(bool) = {"type": ["boolean", "string"]}, |node, reader| bool::from_node(node, reader);
    /// Who logs in.
    User(String) = {"type": ["string", "number"]}, |node, reader| node.scalar(reader, user);
    /// Where a host is.
    Address(String) = {"type": "string"}, |node, reader| node.scalar(reader, address);
    /// A host to go through.
    Jump(String) = {"type": "string"}, |node, reader| node.scalar(reader, jump);
    /// A pin.
    HostKey(String) = {"type": "string", "pattern": "^(SHA256:|ssh-|ecdsa-|sk-|\\$\\{)"},
        |node, reader| node.scalar(reader, host_key);
    /// A path on this machine.
    LocalPath(PathBuf) = {"type": "string"}, local_path;
    /// A path on the host.
    RemotePath(String) = {"type": "string"}, |node, reader| node.scalar(reader, remote_path);
    /// An address to listen on.
    Listen(SocketAddr) = {"type": "string"},
        |node, reader| node.scalar(reader, |text| {
            text.parse().map_err(|_| format!("`{text}` is no ADDRESS:PORT, as 127.0.0.1:9876 or [::]:9876"))
        });
    /// A reference to a secret.
    Token(SecretRef) = {"type": "string", "pattern": "^(env|file|cmd):"}, secret;
    /// A policy.
    Policy(PolicyRef) = {"type": "string"}, policy;
    /// What a host or container runs in.
    RuntimeWord(Word) = {"enum": ["systemd", "container", "local"]},
        |node, reader| node.word(reader, &[
            ("systemd", Word::Systemd), ("container", Word::Container), ("local", Word::Local),
        ]);
    /// When an image is pulled.
    PullWord(Pull) = {"enum": ["never", "missing", "always"]},
        |node, reader| node.word(reader, &[
            ("never", Pull::Never), ("missing", Pull::Missing), ("always", Pull::Always),
        ]);
    /// Which engine.
    EngineWord(Engine) = {"enum": ["auto", "docker", "podman"]},
        |node, reader| node.word(reader, &[
            ("auto", Engine::Auto), ("docker", Engine::Docker), ("podman", Engine::Podman),
        ]);
    /// Where sessions run.
    PlacementWord(Placement) = {"enum": ["auto", "systemd", "detached"]},
        |node, reader| node.word(reader, &[
            ("auto", Placement::Auto), ("systemd", Placement::Systemd), ("detached", Placement::Detached),
        ]);
    /// A text without white space, that cannot be taken for an option.
    Plain(String) = {"type": ["string", "number"]}, |node, reader| node.scalar(reader, |text| plain(text, "a text"));
    /// One mount.
    MountText(Mount) = {"type": "string"}, |node, reader| node.scalar(reader, mount);
    /// Labels.
    Labels(BTreeMap<String, String>) = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        labels;
    /// Variables.
    Env(BTreeMap<String, Value>) = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
        env;
    /// Names and their addresses.
    ExtraHosts(BTreeMap<String, String>) = {"type": "object", "additionalProperties": {"type": "string"}},
        extra_hosts;
}

/// The words of `runtime:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A unit.
    Systemd,
    /// A container.
    Container,
    /// This machine.
    Local,
}

/// Maps are merged key by key.
macro_rules! merged {
    ($($name:ident)*) => {$(
        impl $name {
            /// Lays `inner` over this, key by key.
            pub fn merge(&mut self, inner: &Self) {
                self.0.extend(inner.0.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
    )*};
}
merged!(Labels Env ExtraHosts);
