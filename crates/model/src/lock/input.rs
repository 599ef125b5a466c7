//! Descriptors of dispatch and schedule inputs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::js::JsNumber;

/// What a dispatch input may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputDescriptor {
    /// Kind of value.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// May be left out.
    #[serde(default)]
    pub optional: bool,
    /// May be null.
    #[serde(default)]
    pub nullable: bool,
    /// Used when left out. `Some(Null)` when the author declared `null`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub default: Option<Value>,
    /// The checks in the order that the author declared them, then `values` and `literal`.
    #[serde(flatten)]
    pub checks: serde_json::Map<String, Value>,
}

impl InputDescriptor {
    /// Smallest number, or shortest text.
    pub fn min(&self) -> Option<JsNumber> {
        self.checks.get("min").and_then(Value::as_f64).map(JsNumber)
    }

    /// Largest number, or longest text.
    pub fn max(&self) -> Option<JsNumber> {
        self.checks.get("max").and_then(Value::as_f64).map(JsNumber)
    }

    /// Source of the expression that a text has to match.
    pub fn pattern(&self) -> Option<&str> {
        self.checks.get("pattern").and_then(Value::as_str)
    }

    /// The values of an enumeration.
    pub fn values(&self) -> Option<&[Value]> {
        self.checks.get("values").and_then(Value::as_array).map(Vec::as_slice)
    }

    /// The only value of a literal.
    pub fn literal(&self) -> Option<&Value> {
        self.checks.get("literal")
    }
}

/// Kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Text.
    String,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of several texts.
    Enum,
    /// One fixed value.
    Literal,
}

/// Keeps a written `null` apart from an absent field.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
