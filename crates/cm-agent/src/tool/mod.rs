//! What is known of tools, as pure functions: profiles, screens, detection, states, policy, hooks.
