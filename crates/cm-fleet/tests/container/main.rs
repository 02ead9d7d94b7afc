//! Hosts whose agent runs in a container, on real engines: `cargo xtask test containers`, or by hand with the
//! variable CM_TEST_IMAGES naming two images of the agent, and the feature `container-tests`.

mod broken;
mod lifecycle;
mod podman;
mod pulling;
mod registry;
mod sending;
mod stage;
mod unfit;
