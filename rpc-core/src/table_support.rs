//! What the code that the table's macros write needs by path. Not part of the interface.

pub use async_trait::async_trait;

/// The last segment of a written type path.
pub const fn type_name(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut start = bytes.len();
    while start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'_') {
        start -= 1;
    }
    path.split_at(start).1
}
