//! YAML that people write: read into a tree that knows where everything stands, its mistakes told together.
//!
//! `parse` makes nodes of text (the only room that knows the YAML crate), `node` reads values out of them, `keys`
//! defines what a map may hold, `problem` shows what is wrong, `near` says what was probably meant.

pub use keys::Layer;
pub(crate) use keys::{key_name, keys};
pub use near::meant;
pub use node::{At, FromNode, Many, Node, Reader, What};
pub use parse::{parse, read};
pub use problem::{Diagnostic, Mistakes, Place, Problem, Sources};

mod keys;
mod near;
mod node;
mod parse;
mod problem;
