//! Hosts whose agent runs in a container: from what the inventory wants to containers of Docker or Podman, through
//! the engine's own API over the host's ssh connection. Nothing is installed on such a host, and no shell is needed.
//!
//! [`wanted`] says what containers a host is to have, [`facts`] what it has, [`plan`] compares the two, [`archive`]
//! and [`tar`] read and write what images and settings travel in: all pure. [`engine`] speaks to an engine, [`image`]
//! sees that the image is there, [`steps`] and [`undo`] do what was planned and undo it, [`way`] is the way to the
//! agent in its container.

pub mod archive;
pub mod ask;
pub mod clean;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod facts;
pub mod healthy;
pub mod host;
pub mod image;
pub mod logs;
pub mod make;
pub mod packed;
pub mod plan;
pub mod run;
pub mod socket;
pub mod steps;
pub mod swap;
pub mod tar;
pub mod tty;
pub mod undo;
pub mod wanted;
pub mod way;
