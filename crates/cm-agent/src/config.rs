//! What an agent is started with: places, limits, token; checked before anything runs.
