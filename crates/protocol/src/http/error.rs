//! The body of every answer that is not a success.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a 4xx or 5xx answer of the API carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One sentence for the user.
    pub error: String,
    /// What is wrong with which field, when the request was refused for its content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
    /// Further fields of this one answer, such as the `status` of a run that has already ended.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl ErrorBody {
    /// A body with nothing but its sentence.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), details: Vec::new(), more: Map::new() }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A word for programs, such as `invalid_value`.
    pub code: String,
    /// Where in the body or query it is: keys and list positions from the outside in.
    pub path: Vec<PathPart>,
    /// A sentence for people.
    pub message: String,
}

/// A key or a list position on the way to a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathPart {
    /// A position in a list.
    Index(usize),
    /// A key of an object.
    Key(String),
}

impl ErrorDetail {
    /// A detail about the value under `key`, a dotted path.
    pub fn at(key: &str, message: impl Into<String>) -> Self {
        Self {
            code: "invalid_value".into(),
            path: key.split('.').map(|part| PathPart::Key(part.into())).collect(),
            message: message.into(),
        }
    }

    /// The place as people write it: `verificationConfig.allowlist[2]`.
    pub fn place(&self) -> String {
        let mut place = String::new();
        for part in &self.path {
            match part {
                PathPart::Index(index) => place.push_str(&format!("[{index}]")),
                PathPart::Key(key) => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(key);
                }
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_error_is_one_field() {
        let body = ErrorBody::new("Run not found");
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"error":"Run not found"}"#);
    }

    #[test]
    fn a_detail_names_its_place() {
        let mut detail = ErrorDetail::at("verificationConfig.allowlist", "not an address");
        detail.path.push(PathPart::Index(2));
        assert_eq!(detail.place(), "verificationConfig.allowlist[2]");
        let back: ErrorDetail =
            serde_json::from_str(&serde_json::to_string(&detail).unwrap()).unwrap();
        assert_eq!(back, detail);
    }
}
