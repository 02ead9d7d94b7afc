//! PURE. The journal's own lines among the records, and how the two are told apart.

use serde::{Deserialize, Serialize};

/// Every mark begins with this; no record does (a record with this key would be refused as unreadable, and
/// nobody names a field so).
const PREFIX: &[u8] = b"{\"#journal\":";

/// A line the journal writes for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// The first line of every segment.
    Segment {
        /// The boot it was begun in.
        boot: String,
        /// The highest number in the segments before it.
        after: u64,
        /// Numbers up to this one may have been handed out.
        ceiling: u64,
        /// Whether the next line is a checkpoint.
        checkpoint: bool,
    },
    /// Numbers up to `ceiling` may be handed out once this line is on the disk.
    Reserve {
        /// The boot it was written in.
        boot: String,
        /// The last number of the block.
        ceiling: u64,
    },
    /// Something that stood here could not be read; every event up to `after` may be missing.
    Hole {
        /// The highest number that may have been lost.
        after: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "#journal")]
    mark: Mark,
}

impl Mark {
    /// The line, with its newline.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(&Line { mark: self.clone() })
            .unwrap_or_else(|_| unreachable!("a mark is strings, numbers and booleans"));
        line.push(b'\n');
        line
    }

    /// Whether a line is meant to be a mark.
    pub(super) fn claims(line: &[u8]) -> bool {
        line.starts_with(PREFIX)
    }

    /// The mark in a line that claims to be one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Line>(line).ok().map(|line| line.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_way_to_disk_and_are_recognised() {
        for mark in [
            Mark::Segment { boot: "b\"1".into(), after: 7, ceiling: 10_007, checkpoint: true },
            Mark::Reserve { boot: String::new(), ceiling: u64::MAX },
            Mark::Hole { after: 3 },
        ] {
            let line = mark.to_line();
            assert!(Mark::claims(&line), "{mark:?}");
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(Mark::parse(&line), Some(mark));
        }
        assert!(!Mark::claims(br#"{"type":"state_change","seq":1}"#));
        assert_eq!(Mark::parse(br#"{"#), None);
    }
}
