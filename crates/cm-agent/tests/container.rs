//! The agent's image, in real containers. Built with the feature `container-tests` only, and run by `cargo xtask test
//! containers`, which makes the images and names them.

#[path = "container/alone.rs"]
mod alone;
#[path = "container/keeper.rs"]
mod keeper;
#[path = "container/stage.rs"]
mod stage;
