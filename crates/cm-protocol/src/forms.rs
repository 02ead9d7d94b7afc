//! Fields that may be written short: a word, a flag or one value in place of the whole. PURE.
//!
//! Not by `#[serde(untagged)]`: that says of a slip deep inside no more than that nothing fits.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A short form.
pub(crate) enum Short<'a> {
    /// A word.
    Text(&'a str),
    /// `true` or `false`.
    Flag(bool),
}

/// Reads `Full`, or what `short` makes of a short form; `expecting` says what may stand here.
pub(crate) fn short_or_full<'de, D: Deserializer<'de>, Full: Deserialize<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    short: impl FnOnce(Short<'_>) -> Result<T, &'static str>,
    full: impl FnOnce(Full) -> T,
) -> Result<T, D::Error> {
    struct Either<Full, S, F> {
        expecting: &'static str,
        short: S,
        full: F,
        reads: PhantomData<Full>,
    }

    impl<'de, Full, T, S, F> Visitor<'de> for Either<Full, S, F>
    where
        Full: Deserialize<'de>,
        S: FnOnce(Short<'_>) -> Result<T, &'static str>,
        F: FnOnce(Full) -> T,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expecting)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.short)(Short::Text(text)).map_err(E::custom)
        }

        fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
            (self.short)(Short::Flag(flag)).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            Full::deserialize(MapAccessDeserializer::new(map)).map(self.full)
        }
    }

    deserializer.deserialize_any(Either { expecting, short, full, reads: PhantomData })
}

/// `x` or `[x, y]`.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}
