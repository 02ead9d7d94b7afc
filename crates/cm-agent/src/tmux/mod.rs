//! tmux, driven through one control-mode client per session.
