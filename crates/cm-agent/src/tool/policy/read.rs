//! Reading a policy from YAML, with file, line and column of whatever is wrong (PURE).

use cm_protocol::Policy;

use super::compile::PolicyError;

/// Reads a policy. `file` only names it in errors.
///
/// # Errors
/// Whatever is wrong with the text, where, and what was meant.
pub fn read(file: &str, text: &str) -> Result<Policy, PolicyError> {
    let message = format!("policies are not read yet ({} bytes)", text.len());
    Err(PolicyError::At { file: file.to_owned(), line: 1, column: 1, message })
}
