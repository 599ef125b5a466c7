//! Credentials: how they are made and what is stored of them.

use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// What is stored of a credential.
pub(crate) fn token_hash(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

/// A new credential, to be shown once.
#[derive(Debug)]
pub(crate) struct Credential {
    /// What its holder sends.
    pub(crate) secret: SecretString,
    /// What is stored.
    pub(crate) hash: [u8; 32],
}

impl Credential {
    /// 32 random bytes as hex, after `prefix`.
    pub(crate) fn generate(prefix: &str) -> Credential {
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let secret = SecretString::from(format!("{prefix}{}", hex::encode(bytes)));
        let hash = token_hash(secret.expose_secret());
        Credential { secret, hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_64_hex_digits_and_never_the_same() {
        let one = Credential::generate("kat_");
        let text = one.secret.expose_secret();
        assert_eq!(text.len(), 68);
        assert!(text.starts_with("kat_") && hex::decode(&text[4..]).is_ok());
        assert_eq!(one.hash, token_hash(text));
        assert_ne!(Credential::generate("").hash, Credential::generate("").hash);
    }
}
