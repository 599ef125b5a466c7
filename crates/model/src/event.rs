//! The normalised event: what a forge delivery, a schedule or an internal event looks like to
//! triggers, rules and dynamic values.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The event envelope. Field order and names are those that jobs receive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `push`, `pull_request`, `tag`, …; an unmapped webhook keeps its own name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The forge's action, e.g. `opened`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The branch (or tag name) that the event is about.
    pub target_branch: String,
    /// Head branch of a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_branch: Option<String>,
    /// `github`, `generic`, `local`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The pull request comes from another repository.
    #[serde(rename = "isForkPR", default, skip_serializing_if = "Option::is_none")]
    pub is_fork_pr: Option<bool>,
    /// Base branch of a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
    /// Who caused it, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_username: Option<String>,
    /// Who caused it, by the forge's immutable id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_user_id: Option<String>,
    /// The repository that the event came from, `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_repo: Option<String>,
    /// Changed files, if somebody asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_files: Option<Vec<String>>,
    /// The list of changed files could not be had or was cut: path filters then match, because a run
    /// too many is better than one that is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changed_files_incomplete: bool,
    /// The raw body.
    #[serde(default)]
    pub payload: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_envelope_keeps_its_wire_names() {
        let event = Event {
            kind: "push".into(),
            target_branch: "main".into(),
            sender_username: Some("bob".into()),
            sender_user_id: Some("7".into()),
            is_fork_pr: Some(false),
            payload: json!({"ref": "refs/heads/main"}),
            ..Event::default()
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"type":"push","targetBranch":"main","isForkPR":false,"senderUsername":"bob","senderUserId":"7","payload":{"ref":"refs/heads/main"}}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
