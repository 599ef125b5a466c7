//! Git repositories on this machine: what a hook's message means, and what git knows about it.

mod changed;
mod clone_url;
mod event;
mod lock_file;

use serde_json::Value;

pub(super) use changed::changed_files;
pub(super) use clone_url::clone_url;
pub(super) use event::normalise;
pub(super) use lock_file::lock_file;

/// The text at a place of the body, if there is some.
fn text<'a>(payload: &'a Value, pointer: &str) -> Option<&'a str> {
    payload.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn is_full_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_zero(sha: &str) -> bool {
    matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte == b'0')
}
