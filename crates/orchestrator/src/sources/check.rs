//! How a source's deliveries prove where they come from, made ready for use.

use std::net::IpAddr;
use std::str::FromStr as _;

use axum::http::HeaderName;
use axum::http::header::AUTHORIZATION;
use hmac::{Hmac, KeyInit as _};
use ipnet::IpNet;
use jiff::Timestamp;
use kici_protocol::http::sources::{VerificationConfig, VerificationMethod};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// What is checked, and against what.
pub(crate) enum Check {
    /// A keyed hash of the raw body.
    Hmac { header: HeaderName, keys: Box<Shared<Hmac<Sha256>>> },
    /// A shared text, perhaps after `Bearer `.
    Text { header: HeaderName, texts: Shared<SecretString> },
    /// The sender's address.
    Address(Vec<IpNet>),
    /// Nothing.
    None,
    /// The source cannot be used as it is; says why, for the log.
    Misconfigured(String),
}

/// A secret, and the one it replaced while that is still accepted.
pub(crate) struct Shared<T> {
    current: T,
    previous: Option<(T, Timestamp)>,
}

impl<T> Shared<T> {
    /// The secrets that are accepted at this moment.
    pub(crate) fn accepted(&self, now: Timestamp) -> impl Iterator<Item = &T> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        std::iter::once(&self.current).chain(previous.map(|(secret, _)| secret))
    }
}

/// The secrets of a source as they were opened: the current one, and the previous one until when.
pub(super) struct Opened {
    pub(super) current: Option<SecretString>,
    pub(super) previous: Option<(SecretString, Timestamp)>,
}

impl Check {
    /// Makes a check of what is stored. Never fails: a source that cannot be checked refuses its
    /// deliveries, and the others go on.
    pub(super) fn new(
        method: VerificationMethod,
        config: &VerificationConfig,
        opened: Opened,
    ) -> Check {
        match Check::try_new(method, config, opened) {
            Ok(check) => check,
            Err(why) => Check::Misconfigured(why),
        }
    }

    fn try_new(
        method: VerificationMethod,
        config: &VerificationConfig,
        opened: Opened,
    ) -> Result<Check, String> {
        let header = |default: HeaderName| match &config.header_name {
            None => Ok(default),
            Some(name) => {
                HeaderName::from_str(name).map_err(|_| format!("{name:?} is no header name"))
            }
        };
        let current = opened.current.filter(|secret| !secret.expose_secret().is_empty());
        let shared = |what: &str| {
            let current = current.ok_or_else(|| format!("it has no {what}"))?;
            Ok::<_, String>(Shared { current, previous: opened.previous })
        };
        Ok(match method {
            VerificationMethod::HmacSha256 => {
                let texts = shared("secret")?;
                Check::Hmac {
                    header: header(HeaderName::from_static("x-signature-256"))?,
                    keys: Box::new(Shared {
                        current: key(&texts.current),
                        previous: texts.previous.map(|(secret, until)| (key(&secret), until)),
                    }),
                }
            }
            VerificationMethod::BearerToken => {
                Check::Text { header: header(AUTHORIZATION)?, texts: shared("token")? }
            }
            VerificationMethod::ApiKey => Check::Text {
                header: header(HeaderName::from_static("x-api-key"))?,
                texts: shared("key")?,
            },
            VerificationMethod::IpAllowlist => {
                let list = config.allowlist.as_deref().unwrap_or_default();
                if list.is_empty() {
                    return Err("its allowlist is empty".into());
                }
                Check::Address(list.iter().map(|entry| network(entry)).collect::<Result<_, _>>()?)
            }
            VerificationMethod::None => Check::None,
        })
    }
}

fn key(secret: &SecretString) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose_secret().as_bytes()).expect("any length is a key")
}

/// Reads an address or a network.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8"))
}
