//! The master key: 32 bytes in hex or base64, from a variable or a file.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::vars::Vars;

/// A 32-byte key that prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl From<[u8; 32]> for SecretKey {
    fn from(bytes: [u8; 32]) -> Self {
        SecretKey(bytes)
    }
}

impl SecretKey {
    /// The key's bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn read(vars: &mut Vars, field: &str, name: &str, file: &str) -> Option<SecretKey> {
        let text = match (vars.text(name), vars.text(file)) {
            (Some(_), Some(_)) => {
                vars.problem(field, format_args!("{name} and {file} are both set; keep one"));
                return None;
            }
            (Some(text), None) => text,
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    vars.problem(field, format_args!("could not read {file} at {path}: {error}"));
                    return None;
                }
            },
            (None, None) => return None,
        };
        let key = decode(text.trim());
        if key.is_none() {
            // The value is a secret, also when it is a wrong one.
            vars.problem(
                field,
                "the master key must be exactly 32 bytes in hex (64 digits) or base64",
            );
        }
        key
    }
}

fn decode(text: &str) -> Option<SecretKey> {
    let bytes = match hex::decode(text) {
        Ok(bytes) if bytes.len() == 32 => bytes,
        _ => [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|form| form.decode(text).ok())?,
    };
    Some(SecretKey(bytes.try_into().ok()?))
}
