//! Plain webhooks: an event without a repository.

use kici_model::event::Event;
use serde_json::Value;

use super::Change;
use crate::sources::Source;

/// What no event type is configured or sent for.
const DEFAULT_EVENT: &str = "default";

/// `source` and `eventType` are put beside the body for `genericWebhook()` triggers; what the body
/// itself says under these names stays.
pub(super) fn normalise(source: &Source, event: &str, mut payload: Value) -> Change {
    if let Value::Object(body) = &mut payload {
        body.entry("source").or_insert_with(|| source.name.clone().into());
        body.entry("eventType").or_insert_with(|| event.into());
    }
    Change {
        event: Event {
            kind: "generic_webhook".into(),
            action: (event != DEFAULT_EVENT).then(|| event.to_owned()),
            target_branch: "__generic__".into(),
            provider: Some(source.kind.provider().into()),
            payload,
            ..Event::default()
        },
        repo: None,
        git_ref: String::new(),
        sha: "HEAD".into(),
        lock_ref: "HEAD".into(),
        trust_tier: None,
        lock_file_source: None,
    }
}
