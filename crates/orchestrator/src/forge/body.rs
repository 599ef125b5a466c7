//! Reads the body of a delivery, whatever its form.

use std::collections::BTreeMap;

use kici_store::delivery::Claimed;
use serde_json::{Map, Value, json};

use super::ForgeError;

/// The body of a stored delivery as JSON.
pub(super) fn parse(delivery: &Claimed) -> Result<Value, ForgeError> {
    let Some(bytes) = &delivery.payload else {
        return Err(ForgeError::Permanent(
            "the payload was not kept (see KICI_EVENT_LOG_MAX_PAYLOAD_BYTES), so it cannot be evaluated".into(),
        ));
    };
    Ok(value(delivery.content_type.as_deref(), bytes))
}

/// Empty is `{}`, JSON is itself (a scalar goes under `value`), a form is a flat object, and anything
/// else goes under `body` as text.
fn value(content_type: Option<&str>, bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Object(Map::new());
    }
    let content_type = content_type.unwrap_or("application/json").to_ascii_lowercase();
    if content_type.contains("application/json") {
        // A byte order mark is no part of the text.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match serde_json::from_slice(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => return value,
            Ok(scalar) => return json!({ "value": scalar }),
            Err(_) => {}
        }
    } else if content_type.contains("application/x-www-form-urlencoded") {
        let form: BTreeMap<String, String> = form_urlencoded::parse(bytes).into_owned().collect();
        return json!(form);
    }
    json!({ "body": String::from_utf8_lossy(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_body_becomes_json() {
        let cases: [(Option<&str>, &[u8], Value); 9] = [
            (None, b"", json!({})),
            (None, br#"{"a":1}"#, json!({"a": 1})),
            (Some("application/json; charset=utf-8"), b"[1]", json!([1])),
            (Some("application/json"), b"7", json!({"value": 7})),
            (Some("application/json"), b"null", json!({"value": null})),
            (Some("application/json"), b"\xef\xbb\xbf{}", json!({})),
            (Some("application/json"), b"{oops", json!({"body": "{oops"})),
            (
                Some("application/x-www-form-urlencoded"),
                b"a=1&b=x+y&a=2",
                json!({"a": "2", "b": "x y"}),
            ),
            (Some("text/plain"), b"hello", json!({"body": "hello"})),
        ];
        for (content_type, bytes, wanted) in cases {
            assert_eq!(value(content_type, bytes), wanted, "{content_type:?}");
        }
    }
}
