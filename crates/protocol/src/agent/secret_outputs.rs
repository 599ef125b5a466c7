//! Secret outputs of a job, sealed by its agent for its run.
//!
//! An orchestrator makes one X25519 pair per run ([`RunKey`]) and sends the public half with every
//! dispatch; an agent makes a fresh pair per job ([`Sealer`]). The shared secret goes through HKDF-SHA-256
//! into an AES-256-GCM key. Public keys travel as DER SubjectPublicKeyInfo in base64.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use super::Secret;

const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];
const INFO: &[u8] = b"kici-run-secret-outputs";
const IV: usize = 12;
const TAG: usize = 16;

/// One sealed value (`job.status.secretOutputs[name]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Public key of the agent's pair for this job.
    pub agent_public_key: String,
    /// Base64 of IV, tag and ciphertext.
    pub encrypted: String,
}

/// Why an envelope could not be made or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretOutputError {
    /// Not base64 of a 44-byte X25519 key.
    #[error("the {whose} public key is not an X25519 key in base64 SPKI form")]
    BadKey {
        /// `run` or `agent`.
        whose: &'static str,
    },
    /// Not base64, or too short for IV and tag.
    #[error("the envelope is not base64 of IV, tag and ciphertext")]
    BadEnvelope,
    /// Sealed for another run, or changed on the way.
    #[error("the envelope does not open with this run's key")]
    WrongKey,
    /// Opened, but no text.
    #[error("the secret output is not UTF-8")]
    NotText,
}

/// The pair of one run, held by the orchestrator.
pub struct RunKey(StaticSecret);

impl RunKey {
    /// A new pair.
    #[must_use]
    pub fn generate() -> Self {
        Self(StaticSecret::from(rand::random::<[u8; 32]>()))
    }

    /// A stored pair.
    #[must_use]
    pub fn from_bytes(private: [u8; 32]) -> Self {
        Self(StaticSecret::from(private))
    }

    /// The private half, to be stored encrypted.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// `runPublicKey` of a dispatch.
    #[must_use]
    pub fn public_key(&self) -> String {
        encode_key(&PublicKey::from(&self.0))
    }

    /// Opens one value.
    ///
    /// # Errors
    /// The envelope is damaged or was sealed for another run.
    pub fn open(&self, envelope: &Envelope) -> Result<Secret, SecretOutputError> {
        let agent = decode_key(&envelope.agent_public_key, "agent")?;
        let bytes =
            BASE64.decode(&envelope.encrypted).map_err(|_| SecretOutputError::BadEnvelope)?;
        if bytes.len() < IV + TAG {
            return Err(SecretOutputError::BadEnvelope);
        }
        let (iv, rest) = bytes.split_at(IV);
        let (tag, ciphertext) = rest.split_at(TAG);
        let nonce = Nonce::try_from(iv).map_err(|_| SecretOutputError::BadEnvelope)?;
        let plain = cipher(&self.0, &agent)
            .decrypt(&nonce, [ciphertext, tag].concat().as_slice())
            .map_err(|_| SecretOutputError::WrongKey)?;
        String::from_utf8(plain).map(Secret::from).map_err(|_| SecretOutputError::NotText)
    }
}

/// Seals all outputs of one job, held by the agent.
pub struct Sealer {
    cipher: Aes256Gcm,
    public_key: String,
}

impl Sealer {
    /// A fresh pair for the run behind `run_public_key`.
    ///
    /// # Errors
    /// The key is not an X25519 key.
    pub fn new(run_public_key: &str) -> Result<Self, SecretOutputError> {
        Self::with_private(run_public_key, rand::random())
    }

    fn with_private(run_public_key: &str, private: [u8; 32]) -> Result<Self, SecretOutputError> {
        let run = decode_key(run_public_key, "run")?;
        let private = StaticSecret::from(private);
        Ok(Self {
            cipher: cipher(&private, &run),
            public_key: encode_key(&PublicKey::from(&private)),
        })
    }

    /// Seals one value.
    #[must_use]
    pub fn seal(&self, value: &str) -> Envelope {
        self.seal_with(value, rand::random())
    }

    fn seal_with(&self, value: &str, iv: [u8; IV]) -> Envelope {
        // The library appends the tag; the wire has it in front of the ciphertext.
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(iv), value.as_bytes())
            .expect("a secret is far below the 64 GiB limit of GCM");
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG);
        Envelope {
            agent_public_key: self.public_key.clone(),
            encrypted: BASE64.encode([&iv, tag, ciphertext].concat()),
        }
    }
}

fn cipher(private: &StaticSecret, public: &PublicKey) -> Aes256Gcm {
    let shared = private.diffie_hellman(public);
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, shared.as_bytes())
        .expand(INFO, &mut key)
        .expect("32 bytes are a valid HKDF-SHA-256 output length");
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(key))
}

fn encode_key(key: &PublicKey) -> String {
    BASE64.encode([SPKI_PREFIX.as_slice(), key.as_bytes()].concat())
}

fn decode_key(text: &str, whose: &'static str) -> Result<PublicKey, SecretOutputError> {
    let bytes = BASE64.decode(text).map_err(|_| SecretOutputError::BadKey { whose })?;
    let raw = bytes.strip_prefix(&SPKI_PREFIX).ok_or(SecretOutputError::BadKey { whose })?;
    let raw: [u8; 32] = raw.try_into().map_err(|_| SecretOutputError::BadKey { whose })?;
    Ok(PublicKey::from(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vector {
        run_private_key_raw_hex: String,
        run_public_key_spki_base64: String,
        agent_private_key_raw_hex: String,
        iv_hex: String,
        plaintext_utf8: String,
        envelope: Envelope,
    }

    fn vector() -> Vector {
        serde_json::from_str(include_str!(
            "../../tests/fixtures/agent-protocol/secret-output-vector.json"
        ))
        .unwrap()
    }

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_recorded_vector_is_sealed_and_opened() {
        let v = vector();
        let run = RunKey::from_bytes(bytes(&v.run_private_key_raw_hex));
        assert_eq!(run.public_key(), v.run_public_key_spki_base64);
        let sealer =
            Sealer::with_private(&run.public_key(), bytes(&v.agent_private_key_raw_hex)).unwrap();
        assert_eq!(sealer.seal_with(&v.plaintext_utf8, bytes(&v.iv_hex)), v.envelope);
        assert_eq!(run.open(&v.envelope).unwrap().expose(), v.plaintext_utf8);
    }

    #[test]
    fn another_run_cannot_open_it() {
        let envelope = Sealer::new(&RunKey::generate().public_key()).unwrap().seal("x");
        assert_eq!(RunKey::generate().open(&envelope).unwrap_err(), SecretOutputError::WrongKey);
    }

    #[test]
    fn damaged_envelopes_are_told_apart() {
        let run = RunKey::generate();
        let good = Sealer::new(&run.public_key()).unwrap().seal("");
        assert_eq!(run.open(&good).unwrap().expose(), "");
        let short = Envelope { encrypted: BASE64.encode([0; 27]), ..good.clone() };
        assert_eq!(run.open(&short).unwrap_err(), SecretOutputError::BadEnvelope);
        let key = Envelope { agent_public_key: "AAAA".into(), ..good };
        assert_eq!(run.open(&key).unwrap_err(), SecretOutputError::BadKey { whose: "agent" });
        assert!(Sealer::new("not base64!").is_err());
    }
}
