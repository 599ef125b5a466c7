//! Compares two lock files for meaning: what may differ between compilers does not count.

use serde_json::{Map, Value};

use super::same_regex::same_labels;
use crate::hash;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// JSON path.
    pub path: String,
    /// What differs.
    pub detail: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.detail)
    }
}

/// Compares our lock file with a reference, both as text. Exempt: `sourceLocation`, the text of
/// inline expressions, the source of label expressions that accept the same labels, a `concurrency.group` that only
/// ours has, and therefore the top-level `contentHash`, which must be right for each file itself.
pub fn compare_lock(ours: &str, theirs: &str) -> Vec<Difference> {
    let mut out = Vec::new();
    let mut parsed = Vec::new();
    for (name, text) in [("ours", ours), ("theirs", theirs)] {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => {
                check_hash(name, text, &value, &mut out);
                parsed.push(value);
            }
            Err(error) => out.push(difference("", format!("{name} is not JSON: {error}"))),
        }
    }
    if let [ours, theirs] = parsed.as_slice() {
        compare("", ours, theirs, &mut out);
    }
    out
}

fn check_hash(name: &str, text: &str, value: &Value, out: &mut Vec<Difference>) {
    let expected = hash::top_level_hash_of_text(text).unwrap_or_default();
    let stored = value.get("contentHash").and_then(Value::as_str).unwrap_or_default();
    if stored != expected {
        let detail = format!("{name} stores {stored}, its content hashes to {expected}");
        out.push(difference("contentHash", detail));
    }
}

fn compare(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<Difference>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => objects(path, a, b, out),
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                out.push(difference(path, format!("{} elements, not {}", a.len(), b.len())));
            }
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), a, b, out);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => out.push(difference(path, format!("{a}, not {b}"))),
    }
}

fn objects(path: &str, a: &Map<String, Value>, b: &Map<String, Value>, out: &mut Vec<Difference>) {
    let word = |map: &Map<String, Value>, key: &str| -> Option<String> {
        map.get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let regex = |map: &Map<String, Value>| {
        let regex = word(map, "kind").as_deref() == Some("regex");
        regex.then(|| word(map, "source").zip(word(map, "flags"))).flatten()
    };
    if let (Some(ours), Some(theirs)) = (regex(a), regex(b)) {
        if let Err(label) = same_labels(&ours, &theirs) {
            let detail = format!("/{}/ and /{}/ disagree on {label:?}", ours.0, theirs.0);
            out.push(difference(path, detail));
        }
        return;
    }
    let inline = |map: &Map<String, Value>| word(map, "_type").as_deref() == Some("inline");
    let both_inline = inline(a) && inline(b);
    for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
        let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let exempt = key == "sourceLocation"
            || both_inline && key == "expression"
            || path.is_empty() && key == "contentHash"
            // Our addition, which others do not write.
            || path.ends_with(".concurrency") && key == "group" && !b.contains_key(key);
        match (a.get(key), b.get(key)) {
            _ if exempt => {}
            (Some(a), Some(b)) => compare(&place, a, b, out),
            (Some(a), None) => out.push(difference(&place, format!("{a} is only in ours"))),
            (None, Some(b)) => out.push(difference(&place, format!("{b} is only in theirs"))),
            (None, None) => {}
        }
    }
    let order = |map: &Map<String, Value>, other: &Map<String, Value>| -> Vec<String> {
        let shared = map.keys().filter(|key| other.contains_key(*key));
        shared.filter(|key| *key != "sourceLocation").cloned().collect()
    };
    if order(a, b) != order(b, a) {
        out.push(difference(path, "the keys are in another order".to_owned()));
    }
}

fn difference(path: &str, detail: String) -> Difference {
    Difference { path: path.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemptions_are_narrow() {
        let lock = |source: &str, env: &str, name: &str| {
            let text = format!(
                r#"{{"schemaVersion":29,"contentHash":"H","workflows":[{{"name":"{name}","a":{{"kind":"regex","source":"{source}","flags":""}},"e":{{"_type":"inline","expression":"{env}"}}}}]}}"#
            );
            let hash = hash::top_level_hash_of_text(&text).unwrap();
            text.replace("\"H\"", &format!("\"{hash}\""))
        };
        let base = lock("^web-[^/]*?$", "(e) => 1", "w");
        assert_eq!(compare_lock(&lock("^(?:web\\\\-[^/]*)$", "e=>1", "w"), &base), []);
        assert_eq!(compare_lock(&lock("^web-.*$", "(e) => 1", "w"), &base).len(), 1);
        assert_eq!(compare_lock(&lock("^web-[^/]*?$", "(e) => 1", "x"), &base).len(), 1);
        let broken = base.replace("29", "30");
        assert!(compare_lock(&broken, &base).iter().any(|d| d.path == "contentHash"));
    }
}
