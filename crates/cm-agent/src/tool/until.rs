//! STUB.
/// x
pub fn parse(_: &str, _: f64, _: i32) -> Option<f64> {
    None
}
