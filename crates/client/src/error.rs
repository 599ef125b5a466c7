//! What can go wrong between a program and the orchestrator.

use kici_protocol::http::error::ErrorBody;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is no URL.
    #[error(
        "{url:?} is no address of an orchestrator: expected something like http://localhost:4000"
    )]
    Address {
        /// What was given.
        url: String,
    },
    /// The token cannot be sent.
    #[error("the token has characters that cannot be in a header")]
    Token,
    /// No answer came.
    #[error("could not reach the orchestrator at {url}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke in the middle of an answer.
    #[error("the connection to the orchestrator broke")]
    Broken {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The orchestrator refused.
    #[error("HTTP {status}: {}", body.error)]
    Refused {
        /// The status code.
        status: u16,
        /// What it said. Of an answer that is no JSON, `error` is its text.
        body: ErrorBody,
    },
    /// The answer is not of the form that this version knows.
    #[error("the orchestrator's answer to {what} is not understood: is it of another version?")]
    Unreadable {
        /// The request.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The status code, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(*status),
            ClientError::Address { .. }
            | ClientError::Token
            | ClientError::Unreachable { .. }
            | ClientError::Broken { .. }
            | ClientError::Unreadable { .. } => None,
        }
    }

    /// One line for each wrong field of the request.
    pub fn details(&self) -> Vec<String> {
        match self {
            ClientError::Refused { body, .. } => body
                .details
                .iter()
                .map(|detail| match detail.place() {
                    place if place.is_empty() => detail.message.clone(),
                    place => format!("{place}: {}", detail.message),
                })
                .collect(),
            ClientError::Address { .. }
            | ClientError::Token
            | ClientError::Unreachable { .. }
            | ClientError::Broken { .. }
            | ClientError::Unreadable { .. } => Vec::new(),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
            ClientError::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            ClientError::Address { .. } | ClientError::Token | ClientError::Unreadable { .. } => {
                false
            }
        }
    }
}
