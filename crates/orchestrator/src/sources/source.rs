//! One source, made ready for its deliveries.

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use axum::http::HeaderName;
use jiff::Timestamp;
use kici_model::ids::SourceId;
use kici_protocol::http::sources::{LocalConfig, VerificationConfig, VerificationMethod};
use kici_store::Time;
use kici_store::source::SourceRow;
use secrecy::SecretString;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::check::{Check, Opened};
use crate::secrets::Sealer;

/// A source in memory.
pub(crate) struct Source {
    pub(crate) id: SourceId,
    pub(crate) org_id: String,
    pub(crate) name: String,
    pub(crate) routing_key: String,
    pub(crate) enabled: bool,
    pub(crate) kind: Kind,
    pub(crate) check: Check,
    pub(crate) event_type_header: Option<HeaderName>,
    pub(crate) event_type_path: Option<ValuePath>,
    pub(crate) idempotency_key_header: Option<HeaderName>,
    pub(crate) idempotency_key_path: Option<ValuePath>,
    pub(crate) dedup_window: Duration,
    pub(crate) max_payload: usize,
    /// Empty: all.
    pub(crate) allowed_events: HashSet<String>,
    /// Deliveries in a minute.
    pub(crate) rate_limit: usize,
}

/// What sends the deliveries.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Anything that can post.
    Generic,
    /// Git repositories on this machine.
    Local {
        /// A repository, or a folder of `<owner>/<name>` repositories.
        base: PathBuf,
        /// What agents clone from instead of `file://<base>`.
        clone_url_base: Option<String>,
    },
}

impl Kind {
    /// The provider's name in events and on runs.
    pub(crate) fn provider(&self) -> &'static str {
        match self {
            Kind::Generic => "generic",
            Kind::Local { .. } => "local",
        }
    }
}

impl Source {
    /// Makes a stored row ready. Mistakes that the API refuses now but that a row may still have turn
    /// the source's check into [`Check::Misconfigured`].
    pub(super) fn from_row(row: SourceRow, sealer: &Sealer) -> Source {
        let mut problems: Vec<String> = Vec::new();
        let mut header = |what: &str, name: Option<String>| {
            let name = name.filter(|name| !name.is_empty())?;
            let parsed = HeaderName::from_str(&name).ok();
            if parsed.is_none() {
                problems.push(format!("its {what} {name:?} is no header name"));
            }
            parsed
        };
        let event_type_header = header("event type header", row.event_type_header.clone());
        let idempotency_key_header =
            header("idempotency key header", row.idempotency_key_header.clone());
        let mut path = |what: &str, text: Option<String>| {
            let text = text.filter(|text| !text.is_empty())?;
            ValuePath::parse(&text)
                .map_err(|error| problems.push(format!("its {what}: {error}")))
                .ok()
        };
        let event_type_path = path("event type path", row.event_type_path.clone());
        let idempotency_key_path = path("idempotency key path", row.idempotency_key_path.clone());
        let kind = match local_config(&row) {
            None => Kind::Generic,
            Some(Ok(local)) => Kind::Local {
                base: PathBuf::from(local.repo_base_path),
                clone_url_base: local.clone_url_base,
            },
            Some(Err(error)) => {
                problems.push(format!("its local configuration is damaged: {error}"));
                Kind::Generic
            }
        };
        let check = match problems.is_empty() {
            true => check(&row, sealer),
            false => Check::Misconfigured(problems.join("; ")),
        };
        Source {
            id: SourceId(row.id),
            org_id: row.org_id,
            name: row.name,
            routing_key: row.routing_key,
            enabled: row.enabled,
            kind,
            check,
            event_type_header,
            event_type_path,
            idempotency_key_header,
            idempotency_key_path,
            dedup_window: Duration::from_secs(row.dedup_window_seconds.max(1) as u64),
            max_payload: row.max_payload_bytes.max(0) as usize,
            allowed_events: row.allowed_events.unwrap_or_default().into_iter().collect(),
            rate_limit: row.rate_limit_rpm.max(1) as usize,
        }
    }
}

/// Names the place of a source's secret for the cipher.
pub(super) fn secret_place(org_id: &str, id: uuid::Uuid) -> String {
    format!("{org_id}:__source__/{id}:verification")
}

fn local_config(row: &SourceRow) -> Option<Result<LocalConfig, serde_json::Error>> {
    row.local_config.clone().map(serde_json::from_value)
}

fn check(row: &SourceRow, sealer: &Sealer) -> Check {
    let Some(method) = VerificationMethod::from_name(&row.verification_method) else {
        return Check::Misconfigured(format!("unknown method {:?}", row.verification_method));
    };
    let config: VerificationConfig = match serde_json::from_value(row.verification.clone()) {
        Ok(config) => config,
        Err(error) => {
            return Check::Misconfigured(format!("its configuration is damaged: {error}"));
        }
    };
    let place = secret_place(&row.org_id, row.id);
    let open = |stored: &Option<String>| -> Result<Option<SecretString>, String> {
        let opened = stored.as_ref().map(|stored| sealer.open(&place, stored)).transpose();
        opened.map_err(|error| error.to_string())
    };
    let opened = match (open(&row.secret), open(&row.previous_secret)) {
        (Ok(current), previous) => Opened {
            current,
            // A previous secret that does not open any more is only missed by late senders.
            previous: previous.ok().flatten().zip(row.previous_until.map(timestamp)),
        },
        (Err(error), _) => return Check::Misconfigured(error),
    };
    Check::new(method, &config, opened)
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_microsecond(time.micros()).unwrap_or(Timestamp::MIN)
}

/// Where in a JSON body a value is: JSONPath, or plain dotted keys.
pub(crate) enum ValuePath {
    /// Keys from the outside in; also keys that JSONPath would want quoted, such as `x-kind`.
    Keys(Vec<String>),
    /// Everything else.
    Path(Box<JsonPath>),
}

impl ValuePath {
    /// Reads a path; `$.` in front is optional.
    pub(crate) fn parse(text: &str) -> Result<ValuePath, String> {
        let bare = text.strip_prefix("$.").unwrap_or(text);
        let dotted = !bare.is_empty()
            && !bare.starts_with('$')
            && bare
                .split('.')
                .all(|key| !key.is_empty() && !key.contains(['[', ']', '*', '@', '?']));
        if dotted {
            return Ok(ValuePath::Keys(bare.split('.').map(str::to_owned).collect()));
        }
        let full = match text.starts_with('$') {
            true => text.to_owned(),
            false if text.starts_with('[') => format!("${text}"),
            false => format!("$.{text}"),
        };
        JsonPath::parse(&full)
            .map(|path| ValuePath::Path(Box::new(path)))
            .map_err(|error| format!("{text:?} is no JSONPath: {error}"))
    }

    /// The first text that the path leads to.
    pub(crate) fn text<'a>(&self, body: &'a Value) -> Option<&'a str> {
        match self {
            ValuePath::Keys(keys) => {
                keys.iter().try_fold(body, |value, key| value.get(key.as_str()))?.as_str()
            }
            ValuePath::Path(path) => path.query(body).all().into_iter().find_map(Value::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_dotted_keys_or_json_path() {
        let body = json!({"a": {"b": "x", "n": 7}, "l": [{"k": "first"}], "x-kind": "push"});
        let text = |path: &str| ValuePath::parse(path).unwrap().text(&body).map(str::to_owned);
        assert_eq!(text("$.a.b").as_deref(), Some("x"));
        assert_eq!(text("a.b").as_deref(), Some("x"));
        assert_eq!(text("$.x-kind").as_deref(), Some("push"));
        assert_eq!(text("$.l[0].k").as_deref(), Some("first"));
        assert_eq!(text("l[0].k").as_deref(), Some("first"));
        assert_eq!(text("$..k").as_deref(), Some("first"));
        assert_eq!(text("a.n"), None);
        assert_eq!(text("a.zz.b"), None);
        assert!(ValuePath::parse("$.a[").is_err());
    }
}
