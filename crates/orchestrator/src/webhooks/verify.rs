//! Whether a delivery comes from where its source says.

use std::net::IpAddr;

use axum::http::HeaderMap;
use hmac::Mac as _;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::sources::Check;

/// What the check of a delivery gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Genuine,
    Forged,
    /// There is nothing to check against.
    Misconfigured,
}

/// Checks a delivery, over its raw bytes and in constant time. Header names have no case.
pub(super) fn verify(
    check: &Check,
    headers: &HeaderMap,
    body: &[u8],
    client: IpAddr,
    now: Timestamp,
) -> Verdict {
    let genuine = match check {
        Check::Misconfigured(_) => return Verdict::Misconfigured,
        Check::None => true,
        Check::Address(networks) => networks.iter().any(|network| network.contains(&client)),
        Check::Hmac { header, keys } => {
            let presented = headers.get(header).and_then(|value| signature(value.as_bytes()));
            presented.is_some_and(|presented| {
                keys.accepted(now)
                    .any(|key| key.clone().chain_update(body).verify_slice(&presented).is_ok())
            })
        }
        Check::Text { header, texts } => headers.get(header).is_some_and(|value| {
            let value = value.as_bytes();
            let presented = value.strip_prefix(b"Bearer ").unwrap_or(value);
            texts
                .accepted(now)
                .any(|text| bool::from(text.expose_secret().as_bytes().ct_eq(presented)))
        }),
    };
    if genuine { Verdict::Genuine } else { Verdict::Forged }
}

/// `sha256=` and 64 hex digits of either case, or only the digits.
fn signature(value: &[u8]) -> Option<[u8; 32]> {
    let digits = value.strip_prefix(b"sha256=").unwrap_or(value);
    let mut bytes = [0u8; 32];
    (digits.len() == 64 && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_signature() {
        let digits = "ab".repeat(32);
        let good = [
            digits.clone(),
            format!("sha256={digits}"),
            format!("sha256={}", digits.to_uppercase()),
        ];
        for form in good {
            assert_eq!(signature(form.as_bytes()), Some([0xab; 32]), "{form}");
        }
        let bad = [
            format!("SHA256={digits}"),
            format!("sha1={}", "ab".repeat(20)),
            digits[1..].to_owned(),
            format!("sha256={}zz", &digits[2..]),
            String::new(),
        ];
        for form in bad {
            assert_eq!(signature(form.as_bytes()), None, "{form}");
        }
    }
}
