//! Encrypts what the database may not know, with the master key of the configuration.
//!
//! AES-256-GCM; stored text is base64 of nonce (12 bytes), tag (16 bytes) and ciphertext. Each use
//! has its own associated data, so that a value moved to another row does not open. While a key is
//! being changed the old one still opens.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::SecretKey;

const NONCE: usize = 12;
const TAG: usize = 16;

/// The configuration has no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no encryption key is configured: set KICI_SECRET_KEY to 32 random bytes (openssl rand -hex 32) and restart"
)]
pub(crate) struct NoKey;

/// A stored text that does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// It is not of the form that [`Sealer::seal`] writes.
    #[error("the stored secret is damaged: it is not base64 of nonce, tag and ciphertext")]
    Form,
    /// Another key or another place.
    #[error(
        "the stored secret does not open with the configured key: it was written with another KICI_SECRET_KEY \
         (set KICI_SECRET_KEY_OLD to that one) or belongs to another place"
    )]
    Key,
}

/// Seals with the current key, opens with the current or the old one. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sealer(Arc<Keys>);

struct Keys {
    current: Option<Aes256Gcm>,
    old: Option<Aes256Gcm>,
}

impl Sealer {
    /// A sealer of these keys. Without a current one nothing is sealed; that is for development only.
    pub(crate) fn new(current: Option<&SecretKey>, old: Option<&SecretKey>) -> Sealer {
        let cipher = |key: &SecretKey| Aes256Gcm::new(&(*key.bytes()).into());
        Sealer(Arc::new(Keys { current: current.map(cipher), old: old.map(cipher) }))
    }

    /// Encrypts `secret` for the place that `aad` names.
    pub(crate) fn seal(&self, aad: &str, secret: &SecretString) -> Result<String, NoKey> {
        let cipher = self.0.current.as_ref().ok_or(NoKey)?;
        let mut nonce = [0u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), payload)
            .expect("a text in memory is far below the limit of the cipher");
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG);
        Ok(BASE64_STANDARD.encode([&nonce, tag, ciphertext].concat()))
    }

    /// Decrypts what was sealed for the place that `aad` names.
    pub(crate) fn open(&self, aad: &str, stored: &str) -> Result<SecretString, OpenError> {
        let bytes = BASE64_STANDARD.decode(stored).map_err(|_| OpenError::Form)?;
        let Some((nonce, rest)) = bytes.split_first_chunk::<NONCE>() else {
            return Err(OpenError::Form);
        };
        let Some((tag, ciphertext)) = rest.split_first_chunk::<TAG>() else {
            return Err(OpenError::Form);
        };
        let sealed = [ciphertext, tag].concat();
        [&self.0.current, &self.0.old]
            .into_iter()
            .flatten()
            .find_map(|cipher| {
                let payload = Payload { msg: &sealed, aad: aad.as_bytes() };
                let plain = cipher.decrypt(&Nonce::from(*nonce), payload).ok()?;
                String::from_utf8(plain).ok()
            })
            .map(SecretString::from)
            .ok_or(OpenError::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(current: u8, old: Option<u8>) -> Sealer {
        // The bytes n, n+1, … n+31.
        let key = |first: u8| SecretKey::from(std::array::from_fn(|i| first + i as u8));
        Sealer::new(Some(&key(current)), old.map(key).as_ref())
    }

    #[test]
    fn opens_what_another_implementation_sealed_but_only_in_its_place() {
        // Made with OpenSSL: nonce 00..0b, key 00..1f.
        let stored = "AAECAwQFBgcICQoLNssLVlNYnj5zYIqA2QOFVy9nuneq";
        let sealer = sealer(0, None);
        assert_eq!(sealer.open("acme:prod:TOKEN", stored).unwrap().expose_secret(), "hello");
        assert_eq!(sealer.open("acme:prod:OTHER", stored).unwrap_err(), OpenError::Key);
    }

    #[test]
    fn the_old_key_still_opens_and_a_foreign_one_does_not() {
        let sealed = sealer(0, None).seal("p", &"s3cret".into()).unwrap();
        assert_eq!(BASE64_STANDARD.decode(&sealed).unwrap().len(), NONCE + TAG + 6);
        assert_eq!(sealer(9, Some(0)).open("p", &sealed).unwrap().expose_secret(), "s3cret");
        assert_eq!(sealer(9, None).open("p", &sealed).unwrap_err(), OpenError::Key);
    }

    #[test]
    fn damage_is_noticed() {
        for bad in ["", "!!", "AAAA"] {
            assert_eq!(sealer(0, None).open("p", bad).unwrap_err(), OpenError::Form, "{bad}");
        }
    }

    #[test]
    fn without_a_key_nothing_is_stored_in_clear() {
        assert_eq!(Sealer::new(None, None).seal("p", &"v".into()).unwrap_err(), NoKey);
    }
}
