//! The author's files: where imports lead, what a file is, and how TypeScript becomes JavaScript.
//!
//! Both engines load through `Sources`; `graph` reads the same files before an engine is chosen.

mod facts;
pub(crate) mod position;
pub(crate) mod resolve;
mod sources;
mod strip;

pub(crate) use facts::Import;
pub(crate) use resolve::Target;
pub(crate) use sources::{Loaded, ModuleKind, Sources};

/// The `file:` URL of a path.
pub(crate) fn file_url(path: &std::path::Path) -> String {
    use std::fmt::Write as _;
    let mut url = String::from("file://");
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~!$&'()*+,;=:@".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
