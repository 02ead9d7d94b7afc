//! A check's output as lines, and its failure in words for the tool. PURE.

use cm_protocol::CheckResult;

/// The text that gives a failed check back to the tool: what was run, how it ended, the end of its output, what to
/// do. At most 8 KB, no control characters but line ends.
pub fn failure_message(result: &CheckResult) -> String {
    result.command.clone()
}
