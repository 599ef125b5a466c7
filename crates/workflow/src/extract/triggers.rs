//! Triggers: from what the SDK's factories built to what the orchestrator matches.

use indexmap::IndexMap;
use kici_model::lock::{
    BranchPattern, CommentTrigger, DispatchTrigger, ForkTrigger, GenericWebhookTrigger,
    InputDescriptor, JobCompleteTrigger, KiciEventTrigger, LifecycleTrigger, PatternType,
    PrTrigger, PushTrigger, RefTrigger, ReviewTrigger, ScheduleTrigger, SimpleActionTrigger,
    StatusTrigger, TagTrigger, Trigger, WebhookTrigger, WorkflowCompleteTrigger,
    WorkflowRunTrigger,
};
use serde_json::{Map, Value};

use super::problem::{Problem, Report};
use super::selector::regex;
use crate::describe::WorkflowDef;

/// All triggers of a workflow; `push({tags})` becomes two.
pub(super) fn triggers(file: &str, def: &WorkflowDef, report: &mut Report) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    for (index, value) in def.on.iter().enumerate() {
        match lower(&Fields(value), &mut triggers) {
            Ok(()) => {}
            Err(message) => report.error(Problem::error(
                file,
                def.location.as_ref(),
                format!("trigger {} of workflow '{}': {message}", index + 1, def.name),
            )),
        }
    }
    triggers
}

fn lower(trigger: &Fields<'_>, out: &mut Vec<Trigger>) -> Result<(), String> {
    let actions = || -> Result<_, String> {
        Ok(SimpleActionTrigger { actions: trigger.strings("actions")?, repos: trigger.repos()? })
    };
    let reference = || -> Result<_, String> {
        Ok(RefTrigger {
            ref_types: trigger.strings("refTypes")?,
            patterns: trigger.patterns("patterns")?,
            repos: trigger.repos()?,
        })
    };
    let tag = trigger.text("_tag").unwrap_or_default();
    let lowered = match tag.as_str() {
        "PrTrigger" => Trigger::Pr(PrTrigger {
            events: trigger.strings("events")?,
            target_branches: trigger.patterns("target")?,
            source_branches: trigger.patterns("source")?,
            paths: trigger.globs("paths")?,
            repos: trigger.repos()?,
        }),
        "PushTrigger" => {
            out.push(Trigger::Push(PushTrigger {
                branches: trigger.patterns("branches")?,
                paths: trigger.globs("paths")?,
                repos: trigger.repos()?,
            }));
            let patterns = trigger.patterns("tags")?;
            if patterns.is_empty() {
                return Ok(());
            }
            Trigger::Tag(TagTrigger { patterns, repos: None })
        }
        "TagTrigger" => Trigger::Tag(TagTrigger {
            patterns: trigger.patterns("patterns")?,
            repos: trigger.repos()?,
        }),
        "CommentTrigger" => Trigger::Comment(CommentTrigger {
            actions: trigger.strings("actions")?,
            source: trigger.text("source"),
            body_match: trigger.0.get("bodyMatch").map(pattern).transpose()?,
            repos: trigger.repos()?,
        }),
        "ReviewTrigger" => Trigger::Review(ReviewTrigger {
            actions: trigger.strings("actions")?,
            states: trigger.strings("states")?,
            repos: trigger.repos()?,
        }),
        "ReviewCommentTrigger" => Trigger::ReviewComment(actions()?),
        "ReleaseTrigger" => Trigger::Release(actions()?),
        "StarTrigger" => Trigger::Star(actions()?),
        "WatchTrigger" => Trigger::Watch(actions()?),
        "DispatchTrigger" => Trigger::Dispatch(DispatchTrigger {
            types: trigger.strings("types")?,
            repos: trigger.repos()?,
            inputs: trigger.inputs()?,
        }),
        "CreateTrigger" => Trigger::Create(reference()?),
        "DeleteTrigger" => Trigger::Delete(reference()?),
        "StatusTrigger" => Trigger::Status(StatusTrigger {
            contexts: trigger.strings("contexts")?,
            states: trigger.strings("states")?,
            repos: trigger.repos()?,
        }),
        "WorkflowRunTrigger" => Trigger::WorkflowRun(WorkflowRunTrigger {
            actions: trigger.strings("actions")?,
            workflows: trigger.strings("workflows")?,
            conclusions: trigger.strings("conclusions")?,
            repos: trigger.repos()?,
        }),
        "ForkTrigger" => Trigger::Fork(ForkTrigger { repos: trigger.repos()? }),
        "WebhookTrigger" => Trigger::Webhook(WebhookTrigger {
            events: trigger.strings("events")?,
            actions: trigger.strings("actions")?,
            repos: trigger.repos()?,
        }),
        "KiciEventTrigger" => Trigger::KiciEvent(KiciEventTrigger {
            event_name: trigger.text("name").unwrap_or_default(),
            matches: trigger.expectations("match"),
            not: trigger.expectations("not"),
            source: trigger.text("source"),
        }),
        "WorkflowCompleteTrigger" => Trigger::WorkflowComplete(WorkflowCompleteTrigger {
            name: trigger.text("name"),
            status: trigger.some_strings("status")?,
            source: trigger.text("source"),
        }),
        "JobCompleteTrigger" => Trigger::JobComplete(JobCompleteTrigger {
            workflow: trigger.text("workflow"),
            job: trigger.text("job"),
            status: trigger.some_strings("status")?,
            source: trigger.text("source"),
        }),
        "GenericWebhookTrigger" => Trigger::GenericWebhook(GenericWebhookTrigger {
            source: trigger.text("source").unwrap_or_default(),
            events: trigger.some_strings("events")?,
            matches: trigger.expectations("match"),
            not: trigger.expectations("not"),
            auth: trigger
                .0
                .get("auth")
                .map(|auth| serde_json::from_value(auth.clone()))
                .transpose()
                .map_err(|error| format!("`auth` has a wrong value: {error}"))?,
            path: trigger.text("path"),
        }),
        "ScheduleTrigger" => Trigger::Schedule(ScheduleTrigger {
            cron_expression: trigger.text("cron").unwrap_or_default(),
            timezone: trigger.text("timezone").unwrap_or_else(|| "UTC".to_owned()),
            description: trigger.text("description").filter(|text| !text.is_empty()),
            inputs: trigger.inputs()?,
        }),
        "LifecycleTrigger" => Trigger::Lifecycle(LifecycleTrigger {
            events: trigger.strings("events")?,
            sources: trigger.some_strings("sources")?,
            description: trigger.text("description").filter(|text| !text.is_empty()),
        }),
        _ => {
            return Err("this is no trigger; write push(), pr(), … from '@kici-dev/sdk'".to_owned());
        }
    };
    out.push(lowered);
    Ok(())
}

/// The fields of one trigger.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    fn list(&self, key: &str) -> &[Value] {
        self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, String> {
        let string = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or(format!("`{key}` takes strings, not {value}"))
        };
        self.list(key).iter().map(string).collect()
    }

    /// A list that is left out when the author gave none.
    fn some_strings(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        self.0.get(key).map(|_| self.strings(key)).transpose()
    }

    fn patterns(&self, key: &str) -> Result<Vec<BranchPattern>, String> {
        self.list(key).iter().map(pattern).collect()
    }

    /// Paths, which the lock file keeps as globs only.
    fn globs(&self, key: &str) -> Result<Vec<String>, String> {
        let glob = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or_else(|| match regex(value) {
                Some((source, _)) => {
                    format!("`{key}` takes globs, not the regular expression /{source}/")
                }
                None => format!("`{key}` takes globs, not {value}"),
            })
        };
        self.list(key).iter().map(glob).collect()
    }

    fn repos(&self) -> Result<Option<Vec<BranchPattern>>, String> {
        Ok(Some(self.patterns("repos")?).filter(|list| !list.is_empty()))
    }

    fn inputs(&self) -> Result<Option<IndexMap<String, InputDescriptor>>, String> {
        let Some(inputs) = self.0.get("inputs") else { return Ok(None) };
        serde_json::from_value(inputs.clone())
            .map(Some)
            .map_err(|error| format!("`inputs` has a wrong value: {error}"))
    }

    /// `match` and `not`; a regular expression is written as text.
    fn expectations(&self, key: &str) -> Option<Map<String, Value>> {
        let map = self.0.get(key)?.as_object()?;
        Some(map.iter().map(|(path, value)| (path.clone(), expected(value))).collect())
    }
}

fn expected(value: &Value) -> Value {
    match (regex(value), value) {
        (Some((source, flags)), _) => Value::String(format!("/{source}/{flags}")),
        (None, Value::Array(list)) => Value::Array(list.iter().map(expected).collect()),
        (None, other) => other.clone(),
    }
}

fn pattern(value: &Value) -> Result<BranchPattern, String> {
    if let Some(glob) = value.as_str() {
        return Ok(BranchPattern {
            kind: PatternType::Glob,
            pattern: glob.to_owned(),
            flags: None,
        });
    }
    let (source, flags) = regex(value)
        .ok_or(format!("{value} is no pattern; write a glob or a regular expression"))?;
    Ok(BranchPattern {
        kind: PatternType::Regex,
        pattern: source,
        flags: Some(flags).filter(|flags| !flags.is_empty()),
    })
}
