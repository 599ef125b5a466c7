//! `match` and `not` of event triggers: JSONPath on a payload, with expected values.

use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use super::pattern::Pattern;

/// Longest path.
const MAX_PATH: usize = 1024;
/// Most `..` in one path: each multiplies the work by the payload's depth.
const MAX_DESCENTS: usize = 2;

/// Conditions on a payload.
#[derive(Debug)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    key: String,
    path: Result<JsonPath, String>,
    expected: Vec<Expected>,
}

#[derive(Debug)]
enum Expected {
    Equal(Value),
    Regex(Pattern),
}

impl Conditions {
    pub(super) fn new(conditions: Option<&Map<String, Value>>) -> Self {
        let conditions = conditions.into_iter().flatten();
        Self(conditions.map(|(key, expected)| Condition::new(key, expected)).collect())
    }

    /// The first key that nothing matches, if there is one.
    pub(super) fn first_unmet(&self, payload: &Value) -> Result<Option<&str>, String> {
        for condition in &self.0 {
            if !condition.is_met(payload)? {
                return Ok(Some(&condition.key));
            }
        }
        Ok(None)
    }

    /// The first key that something matches, if there is one.
    pub(super) fn first_met(&self, payload: &Value) -> Result<Option<&str>, String> {
        for condition in &self.0 {
            if condition.is_met(payload)? {
                return Ok(Some(&condition.key));
            }
        }
        Ok(None)
    }
}

impl Condition {
    fn new(key: &str, expected: &Value) -> Self {
        let expected = match expected {
            Value::Array(any) => any.iter().map(Expected::new).collect(),
            one => vec![Expected::new(one)],
        };
        Self { key: key.to_owned(), path: compile(key), expected }
    }

    fn is_met(&self, payload: &Value) -> Result<bool, String> {
        let path = self.path.as_ref().map_err(Clone::clone)?;
        for node in path.query(payload).iter() {
            for expected in &self.expected {
                if expected.accepts(node)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Expected {
    fn new(expected: &Value) -> Self {
        match expected.as_str().and_then(regex_literal) {
            Some((source, flags)) => Self::Regex(Pattern::regex(source, flags)),
            None => Self::Equal(expected.clone()),
        }
    }

    fn accepts(&self, node: &Value) -> Result<bool, String> {
        match (self, node) {
            (Self::Regex(pattern), Value::String(text)) => pattern.is_match(text),
            (Self::Regex(_), _) => Ok(false),
            (Self::Equal(Value::Number(a)), Value::Number(b)) => Ok(a.as_f64() == b.as_f64()),
            (Self::Equal(Value::Object(_) | Value::Array(_)), _) => Ok(false),
            (Self::Equal(expected), node) => Ok(expected == node),
        }
    }
}

/// `/source/flags` with a non-empty source and JavaScript's classic flags.
fn regex_literal(text: &str) -> Option<(&str, &str)> {
    let (source, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    let valid = !source.is_empty() && flags.chars().all(|flag| "gimsuy".contains(flag));
    valid.then_some((source, flags))
}

fn compile(key: &str) -> Result<JsonPath, String> {
    let mut path = match key.chars().next() {
        Some('$') => key.to_owned(),
        Some('[' | '.') => format!("${key}"),
        _ => format!("$.{key}"),
    };
    if path.len() > MAX_PATH {
        return Err(format!("JSONPath is longer than {MAX_PATH} bytes"));
    }
    if path.matches("..").count() > MAX_DESCENTS {
        return Err(format!("JSONPath `{key}` descends more than {MAX_DESCENTS} times"));
    }
    let parsed = JsonPath::parse(&path).or_else(|error| {
        path = quote_members(&path);
        JsonPath::parse(&path).map_err(|_| error)
    });
    parsed.map_err(|error| format!("invalid JSONPath `{key}`: {error}"))
}

/// Rewrites members that the standard does not allow unquoted (`$.build-id`) as `['build-id']`.
fn quote_members(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('.') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let member = &rest[..end];
        if member.contains('-') && !member.contains(['\'', '\\']) {
            out.push_str(&format!("['{member}']"));
        } else {
            out.push('.');
            out.push_str(member);
        }
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn met(key: &str, expected: Value, payload: Value) -> Result<bool, String> {
        Condition::new(key, &expected).is_met(&payload)
    }

    #[test]
    fn paths_may_leave_out_the_root_and_use_dashes() {
        assert_eq!(met("env", json!("prod"), json!({"env": "prod"})), Ok(true));
        assert_eq!(met("[0]", json!(1), json!([1])), Ok(true));
        assert_eq!(met("$.a.build-id", json!(7), json!({"a": {"build-id": 7}})), Ok(true));
        assert_eq!(met("$.a[-1:]", json!(2), json!({"a": [1, 2]})), Ok(true));
        assert_eq!(
            met("$.a[?@.b == 1].c", json!("x"), json!({"a": [{"b": 1, "c": "x"}]})),
            Ok(true)
        );
    }

    #[test]
    fn unusable_paths_say_so() {
        assert!(met("$.a[", json!(1), json!({})).unwrap_err().contains("invalid JSONPath `$.a[`"));
        assert!(met("$..a..b..c", json!(1), json!({})).unwrap_err().contains("descends"));
        assert!(met("$.a", json!("/(/"), json!({"a": "x"})).is_err());
    }

    #[test]
    fn equality_is_strict_but_numbers_are_numbers() {
        assert_eq!(met("$.n", json!(1.0), json!({"n": 1})), Ok(true));
        assert_eq!(met("$.n", json!("1"), json!({"n": 1})), Ok(false));
        assert_eq!(met("$.o", json!([[1]]), json!({"o": [1]})), Ok(false));
        assert_eq!(met("$.s", json!("//"), json!({"s": "//"})), Ok(true));
    }
}
