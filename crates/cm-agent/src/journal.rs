//! The append-only record on disk: numbered, rotated, bounded, synced where a promise was given.
