//! Secrets that a job hands to the jobs after it (`ctx.setSecretOutput`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const MOST: usize = 20;
const LARGEST: usize = 64 * 1024;

/// Why a secret output is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretOutputError {
    /// Too many.
    #[error("setSecretOutput('{key}'): a job can have at most {MOST} secret outputs")]
    TooMany { key: String },
    /// Too large.
    #[error("setSecretOutput('{key}'): the value has {size} bytes, at most {LARGEST} are allowed")]
    TooLarge { key: String, size: usize },
    /// No name.
    #[error("setSecretOutput: the key is empty")]
    NoKey,
}

/// The secret outputs of one job.
#[derive(Debug, Default)]
pub(crate) struct SecretOutputs(Mutex<BTreeMap<String, String>>);

impl SecretOutputs {
    /// Adds one; the same key again replaces it.
    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), SecretOutputError> {
        if key.is_empty() {
            return Err(SecretOutputError::NoKey);
        }
        if value.len() > LARGEST {
            return Err(SecretOutputError::TooLarge { key: key.to_owned(), size: value.len() });
        }
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if outputs.len() >= MOST && !outputs.contains_key(key) {
            return Err(SecretOutputError::TooMany { key: key.to_owned() });
        }
        outputs.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// All of them, in clear.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_and_size_are_limited() {
        let outputs = SecretOutputs::default();
        for n in 0..MOST {
            outputs.set(&format!("k{n}"), "v").unwrap();
        }
        outputs.set("k0", "again").unwrap();
        assert_eq!(
            outputs.set("one-more", "v"),
            Err(SecretOutputError::TooMany { key: "one-more".to_owned() })
        );
        assert!(matches!(
            outputs.set("k1", &"x".repeat(LARGEST + 1)),
            Err(SecretOutputError::TooLarge { size, .. }) if size == LARGEST + 1
        ));
        assert_eq!(outputs.all().len(), MOST);
    }
}
