//! The JSON Schema of the wire, made from the types (feature `schema`).

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{Auth, AuthReply, ErrorReply, Event, Reply, Request, ScreenFrame, Snapshot};

/// The schema of every message in both directions: `docs/protocol.schema.json`. Its definitions
/// `ClientFrame` and `ServerFrame` are what a client sends and receives.
pub fn document() -> Value {
    let mut types = SchemaSettings::draft2020_12().into_generator();
    let client = any_of(vec![reference::<Auth>(&mut types), reference::<Request>(&mut types)]);
    let server = any_of(vec![
        reference::<AuthReply>(&mut types),
        reference::<Reply>(&mut types),
        reference::<ErrorReply>(&mut types),
        reference::<Event>(&mut types),
        typed::<Snapshot>("snapshot", &mut types),
        typed::<ScreenFrame>("screen", &mut types),
    ]);
    let mut definitions = types.take_definitions(true);
    definitions.insert("ClientFrame".into(), client);
    definitions.insert("ServerFrame".into(), server);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The wire between cm-fleet and cm-agent",
        "description": "One JSON text frame of a WebSocket connection. Fields not named here are to be ignored.",
        "anyOf": [{ "$ref": "#/$defs/ClientFrame" }, { "$ref": "#/$defs/ServerFrame" }],
        "$defs": definitions,
    })
}

fn any_of(members: Vec<Value>) -> Value {
    json!({ "anyOf": members })
}

fn reference<T: JsonSchema>(types: &mut SchemaGenerator) -> Value {
    types.subschema_for::<T>().to_value()
}

/// A message whose `type` word is written by the frame, not by the type itself.
fn typed<T: JsonSchema>(word: &str, types: &mut SchemaGenerator) -> Value {
    json!({
        "allOf": [reference::<T>(types)],
        "properties": { "type": { "const": word } },
        "required": ["type"],
    })
}
