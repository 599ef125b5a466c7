//! The shapes in which a secret value may show up in output.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Values with fewer bytes would mask half of every log.
const SHORTEST_VALUE: usize = 3;
/// Lines of a multi-line secret, and pieces of an encoding, count from this length on.
const SHORTEST_PIECE: usize = 6;
/// Widths at which common tools wrap base64 (`openssl`, `base64`).
const WRAPS: [usize; 2] = [64, 76];

/// Adds every form of `value` to `forms`.
pub(super) fn of(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    let trimmed = value.trim();
    if trimmed.len() < SHORTEST_VALUE {
        return;
    }
    encodings(value, forms);
    if trimmed != value {
        encodings(trimmed, forms);
    }
    if trimmed.contains('\n') {
        for line in trimmed.lines().map(str::trim).filter(|l| l.len() >= SHORTEST_PIECE) {
            forms.insert(line.as_bytes().to_vec());
        }
    }
}

fn encodings(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    forms.insert(value.as_bytes().to_vec());
    base64_forms(value.as_bytes(), forms);

    let lower = hex(value.as_bytes());
    forms.insert(lower.to_ascii_uppercase().into_bytes());
    forms.insert(lower.into_bytes());

    // As `encodeURIComponent` leaves it, strictly by RFC 3986, and as a form field.
    for keep in ["-_.!~*'()", "-_.~", "*-._"] {
        let encoded = percent(value, keep);
        forms.insert(encoded.replace("%20", "+").into_bytes());
        forms.insert(encoded.to_ascii_lowercase().into_bytes());
        forms.insert(encoded.into_bytes());
    }

    let json = serde_json::Value::String(value.to_owned()).to_string();
    forms.insert(json.as_bytes()[1..json.len() - 1].to_vec());
}

/// The value encoded alone, and what is sure to show when it is encoded inside something longer:
/// base64 packs three bytes into four characters, so there are three alignments.
fn base64_forms(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for engine in [STANDARD, URL_SAFE] {
        let whole = engine.encode(value);
        forms.insert(whole.trim_end_matches('=').as_bytes().to_vec());
        for width in WRAPS.into_iter().filter(|&width| whole.len() > width) {
            for piece in whole.as_bytes().chunks(width).filter(|p| p.len() >= SHORTEST_PIECE) {
                forms.insert(piece.to_vec());
            }
        }
        for shift in 0..3_usize {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(value);
            let encoded = engine.encode(&bytes);
            // Six bits a character: leave out those that carry bits of a neighbour.
            let from = (shift * 8).div_ceil(6);
            let to = bytes.len() * 8 / 6;
            if to >= from + SHORTEST_PIECE {
                forms.insert(encoded.as_bytes()[from..to].to_vec());
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
        out
    })
}

fn percent(value: &str, keep: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::super::Masker;
    use super::*;

    const SECRET: &str = "p\"ss w/rd+ü&";

    #[test]
    fn every_encoding_is_recognised() {
        let masker = Masker::new([SECRET]);
        for shown in [
            SECRET.to_owned(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            hex(SECRET.as_bytes()),
            hex(SECRET.as_bytes()).to_uppercase(),
            percent(SECRET, "-_.!~*'()"),
            percent(SECRET, "").replace("%20", "+"),
            serde_json::json!(SECRET).to_string(),
        ] {
            let masked = masker.text(&format!("<{shown}>"));
            assert!(masked.contains("***"), "{shown} was shown as {masked}");
            assert!(masked.len() <= "<\"***==\">".len(), "{shown} was shown as {masked}");
        }
    }

    #[test]
    fn base64_is_recognised_at_every_alignment() {
        let secret = "hunter2secret";
        let masker = Masker::new([secret]);
        for before in 0..6 {
            for after in 0..4 {
                let text = format!("{}{secret}{}", "x".repeat(before), "y".repeat(after));
                let masked = masker.text(&STANDARD.encode(text));
                assert!(masked.contains("***"), "{before} before, {after} after: {masked}");
            }
        }
    }

    #[test]
    fn lines_of_a_key_and_wrapped_base64_are_recognised() {
        let key = format!("BEGIN\n{}\n  {}\nshort\n", "abcdefgh".repeat(8), "ijklmnop".repeat(8));
        let masker = Masker::new([key.as_str()]);
        assert_eq!(masker.text(&"ijklmnop".repeat(8)), "***");
        assert_eq!(masker.text("short"), "short");
        for line in STANDARD.encode(&key).as_bytes().chunks(76) {
            assert_eq!(
                masker.text(std::str::from_utf8(line).unwrap()).trim_end_matches('='),
                "***"
            );
        }
    }
}
