//! One session from launch to result.
