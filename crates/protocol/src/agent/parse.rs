//! Reads one text frame into a message, without ever treating something new as an error.
//!
//! The `type` is read first and the body once it is known, so an unknown type is an outcome
//! ([`Parsed::Unknown`]) and a bad field names its path. Texts of errors carry no values of the
//! frame: a dispatch holds secrets.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// What a well-formed frame turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed<T> {
    /// A message that this version knows.
    Known(T),
    /// A type from another version: log it and go on.
    Unknown {
        /// Its `type`.
        kind: String,
    },
}

/// A job as named by a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRef {
    /// The run.
    pub run_id: String,
    /// The dispatch-queue id of the job.
    pub job_id: String,
}

/// Why a frame is not a message.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON at all.
    #[error("the frame is not JSON")]
    Malformed(#[source] serde_json::Error),
    /// JSON, but not an object with a string `type`.
    #[error("the frame is not a JSON object with a string `type`")]
    NotAMessage,
    /// A known type with a missing or wrong field.
    #[error("invalid {kind} message: {problem}")]
    Invalid {
        /// The `type`.
        kind: String,
        /// The job it names, if both ids could be read; lets an agent refuse a bad dispatch by name.
        job: Option<JobRef>,
        /// Which field is wrong and how, without its value.
        problem: String,
    },
}

/// The field that decides how the rest is read.
#[derive(Deserialize)]
pub(super) struct Head {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

impl Head {
    pub(super) fn read(text: &str) -> Result<Self, ParseError> {
        // serde would also fill a struct from an array.
        if !text.trim_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(ParseError::Malformed)?;
            return Err(ParseError::NotAMessage);
        }
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() { ParseError::NotAMessage } else { ParseError::Malformed(error) }
        })
    }
}

/// Reads the whole frame as `T`; `head` comes from the same text.
pub(super) fn body<T: DeserializeOwned>(text: &str, head: &Head) -> Result<T, ParseError> {
    serde_json::from_str(text).map_err(|_| {
        // Read again with the path recorded: costs only on the failing road.
        let deserializer = &mut serde_json::Deserializer::from_str(text);
        let problem = match serde_path_to_error::deserialize::<_, T>(deserializer) {
            Ok(_) => "trailing characters".to_owned(),
            Err(error) => {
                let path = error.path().to_string();
                let text = without_values(&error.inner().to_string());
                if path == "." { text } else { format!("{path}: {text}") }
            }
        };
        let job = serde_json::from_str(text).ok();
        ParseError::Invalid { kind: head.kind.clone(), job, problem }
    })
}

/// serde quotes offending strings in double quotes (field names in backticks): cut those.
fn without_values(text: &str) -> String {
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}\"…\"{}", &text[..first], &text[last + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Defines one direction of the link: the enum, its wire names and `parse`.
macro_rules! messages {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$doc:meta])* $variant:ident($body:ty) = $kind:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $name {
            $( $(#[$doc])* #[serde(rename = $kind)] $variant($body), )*
        }

        impl $name {
            /// Every `type` of this direction.
            pub const TYPES: &'static [&'static str] = &[$($kind),*];

            /// Reads one text frame.
            ///
            /// # Errors
            /// The frame is not JSON, not a message, or a known message with a bad field.
            pub fn parse(text: &str) -> Result<$crate::agent::Parsed<Self>, $crate::agent::ParseError> {
                use $crate::agent::parse::{Head, body};
                let head = Head::read(text)?;
                Ok($crate::agent::Parsed::Known(match head.kind.as_str() {
                    $( $kind => Self::$variant(body(text, &head)?), )*
                    _ => return Ok($crate::agent::Parsed::Unknown { kind: head.kind }),
                }))
            }

            /// The wire `type`.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$variant(_) => $kind, )* }
            }

            /// The text frame.
            #[must_use]
            pub fn to_text(&self) -> String {
                serde_json::to_string(self).expect("messages have string keys and finite numbers")
            }
        }
    };
}
pub(super) use messages;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{FromAgent, ToAgent};

    fn refused(text: &str) -> String {
        match FromAgent::parse(text) {
            Err(error) => error.to_string(),
            Ok(parsed) => panic!("accepted {text} as {parsed:?}"),
        }
    }

    #[test]
    fn what_is_no_message_is_refused_by_kind() {
        for text in ["", "{", "nope", "{\"type\":\"heartbeat\",}"] {
            assert_eq!(refused(text), "the frame is not JSON", "{text}");
        }
        for text in ["null", "[]", "1", "\"x\"", "{}", "{\"type\":5}", "[\"heartbeat\",1]"] {
            assert_eq!(
                refused(text),
                "the frame is not a JSON object with a string `type`",
                "{text}"
            );
        }
    }

    #[test]
    fn an_unknown_type_is_an_outcome() {
        let parsed = FromAgent::parse(r#"{"type":"foo.bar","x":1,"runId":[1]}"#).unwrap();
        assert_eq!(parsed, Parsed::Unknown { kind: "foo.bar".into() });
    }

    #[test]
    fn a_bad_field_is_named_and_a_bad_value_is_not_shown() {
        assert_eq!(
            refused(r#"{"type":"job.ack","messageId":"m","runId":"r","timestamp":1}"#),
            "invalid job.ack message: missing field `jobId` at line 1 column 60"
        );
        let text = r#"{"type":"job.dispatch","runId":"r","jobId":"j","messageId":"m","repoUrl":"u",
            "ref":"","sha":"","lockFileUrl":"","timestamp":1,"jobConfig":{},"secrets":"hunter2"}"#;
        match ToAgent::parse(text) {
            Err(ParseError::Invalid { kind, job, problem }) => {
                assert_eq!(kind, "job.dispatch");
                assert_eq!(job, Some(JobRef { run_id: "r".into(), job_id: "j".into() }));
                assert!(problem.starts_with("secrets: invalid type: string \"…\""), "{problem}");
                assert!(!problem.contains("hunter2"));
            }
            other => panic!("{other:?}"),
        }
    }
}
