//! Triggers as they are written. Matching them against events is in `crate::triggers`.

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::InputDescriptor;

/// Reads a value and, when that fails, says at which path inside it.
pub(super) fn described<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if path == "." { inner.to_string() } else { format!("{path}: {inner}") }
    })
}

macro_rules! triggers {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $tag:literal,)*) => {
        /// A trigger.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Trigger {
            $($(#[$doc])* $variant($body),)*
            /// A kind of a later schema; never matches, kept for writing.
            Unknown(Value),
        }

        impl Trigger {
            /// The trigger's `_type`.
            pub fn type_name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $tag,)*
                    Self::Unknown(value) => {
                        value.get("_type").and_then(Value::as_str).unwrap_or("unknown")
                    }
                }
            }
        }

        impl Serialize for Trigger {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(body) => {
                        Tagged { tag: $tag, body }.serialize(serializer)
                    })*
                    Self::Unknown(value) => value.serialize(serializer),
                }
            }
        }

        impl<'de> Deserialize<'de> for Trigger {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let tag = value.get("_type").and_then(Value::as_str).unwrap_or_default();
                match tag {
                    $($tag => described(value).map(Self::$variant).map_err(|error| {
                        serde::de::Error::custom(format!("{} trigger: {error}", $tag))
                    }),)*
                    "" => Err(serde::de::Error::custom("trigger without a `_type`")),
                    _ => Ok(Self::Unknown(value)),
                }
            }
        }
    };
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(rename = "_type")]
    tag: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

triggers! {
    /// A pull request.
    Pr(PrTrigger) = "pr",
    /// A push to a branch.
    Push(PushTrigger) = "push",
    /// A pushed tag.
    Tag(TagTrigger) = "tag",
    /// A comment on an issue or pull request.
    Comment(CommentTrigger) = "comment",
    /// A review of a pull request.
    Review(ReviewTrigger) = "review",
    /// A comment of a review.
    ReviewComment(SimpleActionTrigger) = "review_comment",
    /// A release.
    Release(SimpleActionTrigger) = "release",
    /// A call by hand or by API.
    Dispatch(DispatchTrigger) = "dispatch",
    /// A created branch or tag.
    Create(RefTrigger) = "create",
    /// A deleted branch or tag.
    Delete(RefTrigger) = "delete",
    /// A commit status.
    Status(StatusTrigger) = "status",
    /// A run of a GitHub workflow.
    WorkflowRun(WorkflowRunTrigger) = "workflow_run",
    /// A fork.
    Fork(ForkTrigger) = "fork",
    /// A star given or taken.
    Star(SimpleActionTrigger) = "star",
    /// Somebody watches.
    Watch(SimpleActionTrigger) = "watch",
    /// Any other webhook of the forge.
    Webhook(WebhookTrigger) = "webhook",
    /// An event that a workflow emitted.
    KiciEvent(KiciEventTrigger) = "kici_event",
    /// A run ended.
    WorkflowComplete(WorkflowCompleteTrigger) = "workflow_complete",
    /// A job ended.
    JobComplete(JobCompleteTrigger) = "job_complete",
    /// A webhook of some other program.
    GenericWebhook(GenericWebhookTrigger) = "generic_webhook",
    /// A time.
    Schedule(ScheduleTrigger) = "schedule",
    /// Something happened inside KiCI.
    Lifecycle(LifecycleTrigger) = "lifecycle",
}

impl Trigger {
    /// The repositories that a global workflow listens to; absent for triggers without `repos`.
    pub fn repos(&self) -> Option<&[BranchPattern]> {
        let repos = match self {
            Self::Pr(t) => &t.repos,
            Self::Push(t) => &t.repos,
            Self::Tag(t) => &t.repos,
            Self::Comment(t) => &t.repos,
            Self::Review(t) => &t.repos,
            Self::ReviewComment(t) | Self::Release(t) | Self::Star(t) | Self::Watch(t) => &t.repos,
            Self::Dispatch(t) => &t.repos,
            Self::Create(t) | Self::Delete(t) => &t.repos,
            Self::Status(t) => &t.repos,
            Self::WorkflowRun(t) => &t.repos,
            Self::Fork(t) => &t.repos,
            Self::Webhook(t) => &t.repos,
            Self::KiciEvent(_)
            | Self::WorkflowComplete(_)
            | Self::JobComplete(_)
            | Self::GenericWebhook(_)
            | Self::Schedule(_)
            | Self::Lifecycle(_)
            | Self::Unknown(_) => return None,
        };
        repos.as_deref()
    }

    /// Whether matching needs the list of changed files.
    pub fn has_paths(&self) -> bool {
        match self {
            Self::Pr(t) => !t.paths.is_empty(),
            Self::Push(t) => !t.paths.is_empty(),
            _ => false,
        }
    }
}

/// A pattern for a branch, tag, ref or repository name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchPattern {
    /// Dialect.
    #[serde(rename = "type")]
    pub kind: PatternType,
    /// Glob, or source of the expression.
    pub pattern: String,
    /// Flags of the expression, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
}

/// Same shape, matched against a comment's body.
pub type BodyMatch = BranchPattern;

/// Dialect of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatternType {
    /// `crate::glob`.
    Glob,
    /// `crate::regex`.
    Regex,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* } repos)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
            /// Repositories of a global workflow.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub repos: Option<Vec<BranchPattern>>,
        })*
    };
}

bodies! {
    /// `pr`.
    PrTrigger {
        /// Accepted actions.
        events: Vec<String>,
        /// Patterns for the target branch.
        target_branches: Vec<BranchPattern>,
        /// Patterns for the source branch.
        source_branches: Vec<BranchPattern>,
        /// Globs for changed files, `!` excludes.
        paths: Vec<String>,
    } repos
    /// `push`.
    PushTrigger {
        /// Patterns for the branch.
        branches: Vec<BranchPattern>,
        /// Globs for changed files, `!` excludes.
        paths: Vec<String>,
    } repos
    /// `tag`.
    TagTrigger {
        /// Patterns for the tag.
        patterns: Vec<BranchPattern>,
    } repos
    /// `comment`.
    CommentTrigger {
        /// Accepted actions.
        actions: Vec<String>,
        /// `issue` or `pr`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// Pattern for the body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body_match: Option<BodyMatch>,
    } repos
    /// `review`.
    ReviewTrigger {
        /// Accepted actions.
        actions: Vec<String>,
        /// Accepted states.
        states: Vec<String>,
    } repos
    /// `review_comment`, `release`, `star`, `watch`.
    SimpleActionTrigger {
        /// Accepted actions.
        actions: Vec<String>,
    } repos
    /// `create`, `delete`.
    RefTrigger {
        /// `branch`, `tag`.
        ref_types: Vec<String>,
        /// Patterns for the ref.
        patterns: Vec<BranchPattern>,
    } repos
    /// `status`.
    StatusTrigger {
        /// Globs for the context.
        contexts: Vec<String>,
        /// Accepted states.
        states: Vec<String>,
    } repos
    /// `workflow_run`.
    WorkflowRunTrigger {
        /// Accepted actions.
        actions: Vec<String>,
        /// Accepted workflow names.
        workflows: Vec<String>,
        /// Accepted conclusions.
        conclusions: Vec<String>,
    } repos
    /// `fork`.
    ForkTrigger {} repos
    /// `webhook`.
    WebhookTrigger {
        /// Accepted event types.
        events: Vec<String>,
        /// Accepted actions.
        actions: Vec<String>,
    } repos
}

/// `dispatch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DispatchTrigger {
    /// Accepted types.
    pub types: Vec<String>,
    /// Repositories of a global workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repos: Option<Vec<BranchPattern>>,
    /// Inputs by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<IndexMap<String, InputDescriptor>>,
}

/// `kici_event`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KiciEventTrigger {
    /// The event's name.
    pub event_name: String,
    /// JSONPath → expected; all must match.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Map<String, Value>>,
    /// JSONPath → expected; none may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Map<String, Value>>,
    /// Only from this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// `workflow_complete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowCompleteTrigger {
    /// Only this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only these final states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
    /// Only from this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// `job_complete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCompleteTrigger {
    /// Only of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Only this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Only these final states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
    /// Only from this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// `generic_webhook`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GenericWebhookTrigger {
    /// The source's name.
    pub source: String,
    /// Accepted event types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// JSONPath → expected; all must match.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Map<String, Value>>,
    /// JSONPath → expected; none may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Map<String, Value>>,
    /// How deliveries are authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<WebhookAuth>,
    /// Path of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How deliveries of a generic webhook are authenticated. Secrets are names, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method")]
pub enum WebhookAuth {
    /// A signature over the body.
    #[serde(rename = "hmac-sha256", rename_all = "camelCase")]
    HmacSha256 {
        /// Name of the secret.
        secret: String,
        /// Header that holds the signature.
        signature_header: String,
    },
    /// A fixed key.
    #[serde(rename = "api-key", rename_all = "camelCase")]
    ApiKey {
        /// Name of the secret.
        secret: String,
        /// Header that holds the key (default `authorization`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        header: Option<String>,
    },
}

/// `schedule`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleTrigger {
    /// Five fields.
    pub cron_expression: String,
    /// IANA name.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The author's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Inputs by name, all with defaults or optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<IndexMap<String, InputDescriptor>>,
}

/// `lifecycle`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleTrigger {
    /// Accepted lifecycle events.
    pub events: Vec<String>,
    /// Only from these repositories (exact names).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// The author's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}
