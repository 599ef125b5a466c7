//! Triggers for what happens on a forge.

use serde_json::Value;

use super::pattern::{AnyOf, Pattern, WithExclusions};
use super::set::{Answer, Filtered, filter};
use crate::event::Event;
use crate::lock::Trigger;

/// Compiled filters of a forge trigger. The event's type comes first, then the filters in order.
#[derive(Debug)]
pub(super) struct GitMatcher {
    kinds: Vec<String>,
    filters: Vec<Filter>,
}

#[derive(Debug)]
enum Filter {
    Action(Vec<String>),
    TargetBranch(AnyOf),
    SourceBranch(AnyOf),
    Paths(WithExclusions),
    CommentSource(String),
    CommentBody(Pattern),
    /// A text of the payload has to be one of these.
    OneOf(&'static str, Vec<String>),
    /// `payload.ref` has to match.
    Ref(AnyOf),
    /// `payload.context` has to match.
    Context(AnyOf),
}

impl GitMatcher {
    /// The matcher of a forge trigger; `None` for other triggers.
    pub(super) fn new(trigger: &Trigger) -> Option<Self> {
        use Filter as F;
        let actions = |list: &Vec<String>| F::Action(list.clone());
        let (kind, filters) = match trigger {
            Trigger::Push(t) => (
                "push",
                vec![
                    F::TargetBranch(AnyOf::new(&t.branches)),
                    F::Paths(WithExclusions::globs(&t.paths)),
                ],
            ),
            Trigger::Pr(t) => (
                "pull_request",
                vec![
                    actions(&t.events),
                    F::TargetBranch(AnyOf::new(&t.target_branches)),
                    F::SourceBranch(AnyOf::new(&t.source_branches)),
                    F::Paths(WithExclusions::globs(&t.paths)),
                ],
            ),
            Trigger::Tag(t) => ("tag", vec![F::TargetBranch(AnyOf::new(&t.patterns))]),
            Trigger::Comment(t) => {
                let mut filters = vec![actions(&t.actions)];
                filters.extend(t.source.clone().map(F::CommentSource));
                filters
                    .extend(t.body_match.as_ref().map(|body| F::CommentBody(Pattern::new(body))));
                ("comment", filters)
            }
            Trigger::Review(t) => {
                ("review", vec![actions(&t.actions), F::OneOf("/review/state", t.states.clone())])
            }
            Trigger::ReviewComment(t) => ("review_comment", vec![actions(&t.actions)]),
            Trigger::Release(t) => ("release", vec![actions(&t.actions)]),
            Trigger::Star(t) => ("star", vec![actions(&t.actions)]),
            Trigger::Watch(t) => ("watch", vec![actions(&t.actions)]),
            Trigger::Dispatch(t) => ("dispatch", vec![actions(&t.types)]),
            Trigger::Create(t) => ("create", reference(t)),
            Trigger::Delete(t) => ("delete", reference(t)),
            Trigger::Status(t) => (
                "status",
                vec![F::Context(AnyOf::globs(&t.contexts)), F::OneOf("/state", t.states.clone())],
            ),
            Trigger::WorkflowRun(t) => (
                "workflow_run",
                vec![
                    actions(&t.actions),
                    F::OneOf("/workflow_run/name", t.workflows.clone()),
                    F::OneOf("/workflow_run/conclusion", t.conclusions.clone()),
                ],
            ),
            Trigger::Fork(_) => ("fork", Vec::new()),
            Trigger::Webhook(t) => {
                return Some(Self { kinds: t.events.clone(), filters: vec![actions(&t.actions)] });
            }
            Trigger::KiciEvent(_)
            | Trigger::WorkflowComplete(_)
            | Trigger::JobComplete(_)
            | Trigger::GenericWebhook(_)
            | Trigger::Schedule(_)
            | Trigger::Lifecycle(_)
            | Trigger::Unknown(_) => return None,
        };
        Some(Self { kinds: vec![kind.to_owned()], filters })
    }

    /// Whether the event passes all filters.
    pub(super) fn matches(&self, event: &Event, note: &mut Option<String>) -> Answer {
        if !self.kinds.contains(&event.kind) {
            let wanted = self.kinds.join(", ");
            return Ok(Filtered::Refused(format!("event is `{}`, not {wanted}", event.kind)));
        }
        for filter in &self.filters {
            if let refused @ Filtered::Refused(_) = filter.accepts(event, note)? {
                return Ok(refused);
            }
        }
        Ok(Filtered::Passed)
    }
}

fn reference(trigger: &crate::lock::RefTrigger) -> Vec<Filter> {
    vec![
        Filter::OneOf("/ref_type", trigger.ref_types.clone()),
        Filter::Ref(AnyOf::new(&trigger.patterns)),
    ]
}

impl Filter {
    fn accepts(&self, event: &Event, note: &mut Option<String>) -> Answer {
        let payload = &event.payload;
        Ok(match self {
            Self::Action(list) => {
                let action = event.action.as_deref().unwrap_or("");
                filter(is_in(list, action), || format!("action `{action}` is not listed"))
            }
            Self::TargetBranch(patterns) => {
                let branch = &event.target_branch;
                filter(patterns.accepts(branch)?, || format!("`{branch}` matches no pattern"))
            }
            Self::SourceBranch(patterns) if patterns.is_empty() => Filtered::Passed,
            Self::SourceBranch(patterns) => match &event.source_branch {
                None => Filtered::Refused("the event names no source branch".to_owned()),
                Some(branch) => {
                    let passed = patterns.accepts(branch)?;
                    filter(passed, || format!("source `{branch}` matches no pattern"))
                }
            },
            Self::Paths(paths) => changed_files(paths, event, note)?,
            Self::CommentSource(wanted) => {
                let on_pr = payload
                    .get("issue")
                    .and_then(Value::as_object)
                    .is_some_and(|issue| issue.contains_key("pull_request"));
                let source = if on_pr { "pr" } else { "issue" };
                filter(wanted == source, || format!("the comment is on an {source}"))
            }
            Self::CommentBody(pattern) => {
                let passed = pattern.is_match(text(payload, "/comment/body"))?;
                filter(passed, || "the comment's text does not match".to_owned())
            }
            Self::OneOf(place, list) => {
                let value = text(payload, place);
                filter(is_in(list, value), || format!("`{value}` is not listed"))
            }
            Self::Ref(patterns) if patterns.is_empty() => Filtered::Passed,
            Self::Ref(patterns) => {
                let reference = payload.get("ref").and_then(Value::as_str);
                let reference = reference.ok_or("the payload has no text `ref` to match")?;
                let passed = patterns.accepts(reference)?;
                filter(passed, || format!("ref `{reference}` matches no pattern"))
            }
            Self::Context(patterns) => {
                let context = text(payload, "/context");
                let passed = patterns.accepts(context)?;
                filter(passed, || format!("context `{context}` matches no pattern"))
            }
        })
    }
}

fn changed_files(paths: &WithExclusions, event: &Event, note: &mut Option<String>) -> Answer {
    if paths.is_empty() {
        return Ok(Filtered::Passed);
    }
    let files = event.changed_files.as_deref().unwrap_or_default();
    if paths.accepts_any(files.iter().map(String::as_str))? {
        return Ok(Filtered::Passed);
    }
    if event.changed_files_incomplete {
        *note =
            Some("the list of changed files is incomplete, so `paths` counts as matched".into());
        return Ok(Filtered::Passed);
    }
    Ok(Filtered::Refused(match files.len() {
        0 => "no changed files are known".to_owned(),
        count => format!("none of {count} changed files matches `paths`"),
    }))
}

fn is_in(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == value)
}

fn text<'a>(payload: &'a Value, pointer: &str) -> &'a str {
    payload.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}
