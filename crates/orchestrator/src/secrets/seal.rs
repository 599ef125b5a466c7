//! Encrypts what the database may not know, with the master key of the configuration.
//!
//! AES-256-GCM; stored text is base64 of nonce (12 bytes), tag (16 bytes) and ciphertext. Each use
//! has its own associated data, so that a value moved to another row does not open. While a key is
//! being changed the old one still opens.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};

const NONCE: usize = 12;
const TAG: usize = 16;

/// The master key. Prints nothing.
pub struct SealKey(Aes256Gcm);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// A text that is no master key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Encryption key must be exactly 32 bytes, got {got} bytes: give 64 hexadecimal digits, or base64 of 32 bytes \
     (openssl rand -hex 32 makes one)"
)]
pub struct KeyError {
    got: usize,
}

impl SealKey {
    /// Reads a key from 64 hex digits or base64 of 32 bytes; surrounding white space is ignored.
    pub fn parse(text: &SecretString) -> Result<SealKey, KeyError> {
        let text = text.expose_secret().trim();
        let bytes = match hex::decode(text) {
            Ok(bytes) if bytes.len() == 32 => bytes,
            _ => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => bytes,
                Err(_) => return Err(KeyError { got: text.len() }),
            },
        };
        let got = bytes.len();
        Aes256Gcm::new_from_slice(&bytes).map(SealKey).map_err(|_| KeyError { got })
    }
}

/// A stored text that does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
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

/// Seals with the current key, opens with the current or the old one.
#[derive(Debug)]
pub struct Sealer {
    current: SealKey,
    old: Option<SealKey>,
}

impl Sealer {
    /// A sealer of these keys.
    pub fn new(current: SealKey, old: Option<SealKey>) -> Sealer {
        Sealer { current, old }
    }

    /// Encrypts `secret` for the place that `aad` names.
    pub fn seal(&self, aad: &str, secret: &str) -> String {
        let mut nonce = [0u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: secret.as_bytes(), aad: aad.as_bytes() };
        let sealed = self
            .current
            .0
            .encrypt(&Nonce::from(nonce), payload)
            .expect("a text in memory is far below the limit of the cipher");
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG);
        BASE64_STANDARD.encode([&nonce, tag, ciphertext].concat())
    }

    /// Decrypts what was sealed for the place that `aad` names.
    pub fn open(&self, aad: &str, stored: &str) -> Result<SecretString, OpenError> {
        let bytes = BASE64_STANDARD.decode(stored).map_err(|_| OpenError::Form)?;
        let Some((nonce, rest)) = bytes.split_first_chunk::<NONCE>() else {
            return Err(OpenError::Form);
        };
        let Some((tag, ciphertext)) = rest.split_first_chunk::<TAG>() else {
            return Err(OpenError::Form);
        };
        let sealed = [ciphertext, tag].concat();
        [Some(&self.current), self.old.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|key| {
                let payload = Payload { msg: &sealed, aad: aad.as_bytes() };
                let plain = key.0.decrypt(&Nonce::from(*nonce), payload).ok()?;
                String::from_utf8(plain).ok()
            })
            .map(SecretString::from)
            .ok_or(OpenError::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SealKey {
        SealKey::parse(&SecretString::from(text)).unwrap()
    }

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    #[test]
    fn hex_and_base64_are_the_same_key() {
        let sealed = Sealer::new(key(HEX), None).seal("a:b:c", "s3cret");
        let open = Sealer::new(key(BASE64), None).open("a:b:c", &sealed).unwrap();
        assert_eq!(open.expose_secret(), "s3cret");
        assert_eq!(BASE64_STANDARD.decode(&sealed).unwrap().len(), NONCE + TAG + 6);
    }

    #[test]
    fn opens_what_another_implementation_sealed_but_only_in_its_place() {
        // Made with OpenSSL: nonce 00..0b, key 00..1f.
        let stored = "AAECAwQFBgcICQoLNssLVlNYnj5zYIqA2QOFVy9nuneq";
        let sealer = Sealer::new(key(HEX), None);
        assert_eq!(sealer.open("acme:prod:TOKEN", stored).unwrap().expose_secret(), "hello");
        assert_eq!(sealer.open("acme:prod:OTHER", stored).unwrap_err(), OpenError::Key);
    }

    #[test]
    fn the_old_key_still_opens_and_a_foreign_one_does_not() {
        let other = "ff".repeat(32);
        let sealed = Sealer::new(key(HEX), None).seal("p", "v");
        assert!(Sealer::new(key(&other), Some(key(HEX))).open("p", &sealed).is_ok());
        assert_eq!(Sealer::new(key(&other), None).open("p", &sealed).unwrap_err(), OpenError::Key);
    }

    #[test]
    fn damage_is_noticed() {
        let sealer = Sealer::new(key(HEX), None);
        for bad in ["", "!!", "AAAA"] {
            assert_eq!(sealer.open("p", bad).unwrap_err(), OpenError::Form, "{bad}");
        }
    }

    #[test]
    fn a_key_of_another_size_is_refused_with_its_size() {
        let short = SecretString::from("00".repeat(31));
        assert!(SealKey::parse(&short).unwrap_err().to_string().contains("exactly 32 bytes"));
    }
}
