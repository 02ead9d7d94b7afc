//! Structs of keys that may all be left out: how each is read, laid over another, and described as JSON Schema.
//! PURE.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::node::{At, Many};

/// How an outer layer's value is seen through an inner one: replaced, unless it is a map.
pub trait Layer: Clone {
    /// Lays `inner` over this.
    fn lay(&mut self, inner: &Self) {
        *self = inner.clone();
    }
}

/// Defines a struct of keys that may all be left out: how each is read, and how one lies over another.
/// `lay` replaces, `merge` goes key by key. `as "…"`: the key's name, where Rust has another use for it.
macro_rules! keys {
    ($(#[$doc:meta])* $name:ident $place:literal {
        $($(#[$about:meta])* $how:ident $key:ident $(as $said:tt)?: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name { $($(#[$about])* $(#[schemars(rename = $said)])? pub $key: Option<$type>,)* }

        impl $name {
            /// All keys there are.
            pub const KEYS: &'static [&'static str] = &[$($crate::yaml::key_name!($key $($said)?)),*];

            /// Takes a key's value; false if there is no such key.
            pub fn take(&mut self, key: &str, node: &$crate::yaml::Node, reader: &mut $crate::yaml::Reader<'_>) -> bool {
                match key {
                    // A key with nothing behind it says nothing.
                    $($crate::yaml::key_name!($key $($said)?) => if !node.is_null() {
                        self.$key = $crate::yaml::FromNode::from_node(node, reader);
                    },)*
                    _ => return false,
                }
                true
            }

            /// Lays `inner` over this.
            pub fn merge(&mut self, inner: &Self) {
                $(match (&mut self.$key, &inner.$key) {
                    (_, None) => {}
                    (Some(outer), Some(inner)) => outer.$how(inner),
                    (outer, Some(_)) => outer.clone_from(&inner.$key),
                })*
            }
        }

        impl $crate::yaml::FromNode for $name {
            fn from_node(node: &$crate::yaml::Node, reader: &mut $crate::yaml::Reader<'_>) -> Option<Self> {
                let mut read = Self::default();
                for (key, value) in node.map(reader)? {
                    if !read.take(&key.value, value, reader) {
                        reader.unknown_key(key, $place, Self::KEYS);
                    }
                }
                Some(read)
            }
        }
    };
}
pub(crate) use keys;

/// A key's name in the file.
macro_rules! key_name {
    ($key:ident) => {
        stringify!($key)
    };
    ($key:ident $said:tt) => {
        $said
    };
}
pub(crate) use key_name;

impl<T: Layer> Layer for At<T> {}
impl<T: Layer> Layer for Many<T> {}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Many_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}
