//! Triggers for events of KiCI itself, of other programs and of the clock.

use serde_json::Value;

use super::jsonpath::Conditions;
use super::set::{Answer, Filtered, filter};
use crate::event::Event;
use crate::lock::Trigger;

/// Compiled filters of such a trigger.
#[derive(Debug)]
pub(super) struct InternalMatcher {
    kind: &'static str,
    /// A text of the payload has to equal this.
    equal: Vec<(&'static str, String)>,
    /// A text of the payload has to be one of these, if there are any.
    one_of: Vec<(&'static str, Vec<String>)>,
    /// `payload.eventType`, else the action, has to be one of these, if there are any.
    events: Vec<String>,
    /// Part of the payload that the conditions look at.
    root: &'static str,
    matches: Conditions,
    not: Conditions,
}

impl InternalMatcher {
    /// The matcher of an internal trigger; `None` for forge triggers and unknown ones.
    pub(super) fn new(trigger: &Trigger) -> Option<Self> {
        let mut matcher = Self {
            kind: "",
            equal: Vec::new(),
            one_of: Vec::new(),
            events: Vec::new(),
            root: "",
            matches: Conditions::new(None),
            not: Conditions::new(None),
        };
        match trigger {
            Trigger::KiciEvent(t) => {
                matcher.kind = "kici_event";
                matcher.equal.push(("eventName", t.event_name.clone()));
                matcher.equals("sourceRepo", t.source.as_ref());
                matcher.root = "payload";
                matcher.matches = Conditions::new(t.matches.as_ref());
                matcher.not = Conditions::new(t.not.as_ref());
            }
            Trigger::WorkflowComplete(t) => {
                matcher.kind = "workflow_complete";
                matcher.equals("workflowName", t.name.as_ref());
                matcher.listed("status", t.status.as_ref());
                matcher.equals("sourceRepo", t.source.as_ref());
            }
            Trigger::JobComplete(t) => {
                matcher.kind = "job_complete";
                matcher.equals("workflowName", t.workflow.as_ref());
                matcher.equals("jobName", t.job.as_ref());
                matcher.listed("status", t.status.as_ref());
                matcher.equals("sourceRepo", t.source.as_ref());
            }
            Trigger::GenericWebhook(t) => {
                matcher.kind = "generic_webhook";
                matcher.equal.push(("source", t.source.clone()));
                matcher.events = t.events.clone().unwrap_or_default();
                matcher.matches = Conditions::new(t.matches.as_ref());
                matcher.not = Conditions::new(t.not.as_ref());
            }
            Trigger::Schedule(t) => {
                matcher.kind = "schedule";
                matcher.equal.push(("cronExpression", t.cron_expression.clone()));
            }
            Trigger::Lifecycle(t) => {
                matcher.kind = "lifecycle";
                matcher.one_of.push(("lifecycleEvent", t.events.clone()));
                matcher.listed("sourceRepo", t.sources.as_ref());
            }
            _ => return None,
        }
        Some(matcher)
    }

    fn equals(&mut self, field: &'static str, value: Option<&String>) {
        self.equal.extend(value.map(|value| (field, value.clone())));
    }

    fn listed(&mut self, field: &'static str, values: Option<&Vec<String>>) {
        self.one_of.extend(values.map(|values| (field, values.clone())));
    }

    /// Whether the event passes all filters.
    pub(super) fn matches(&self, event: &Event) -> Answer {
        let refuse = |because: String| Ok(Filtered::Refused(because));
        if event.kind != self.kind {
            return refuse(format!("event is `{}`, not {}", event.kind, self.kind));
        }
        for (field, wanted) in &self.equal {
            if text(event, field) != Some(wanted) {
                return refuse(format!("`{field}` is not `{wanted}`"));
            }
        }
        for (field, wanted) in &self.one_of {
            let value = text(event, field).unwrap_or("");
            if !wanted.is_empty() && !wanted.iter().any(|item| item == value) {
                return refuse(format!("`{field}` `{value}` is not listed"));
            }
        }
        if !self.events.is_empty() {
            let name = text(event, "eventType").or(event.action.as_deref()).unwrap_or("");
            if !self.events.iter().any(|item| item == name) {
                return refuse(format!("event type `{name}` is not listed"));
            }
        }
        self.conditions(event)
    }

    fn conditions(&self, event: &Event) -> Answer {
        let payload = match self.root {
            "" => &event.payload,
            root => event.payload.get(root).unwrap_or(&Value::Null),
        };
        if let Some(key) = self.matches.first_unmet(payload)? {
            return Ok(Filtered::Refused(format!("`match` {key} is not met")));
        }
        let met = self.not.first_met(payload)?;
        Ok(filter(met.is_none(), || format!("`not` {} is met", met.unwrap_or(""))))
    }
}

fn text<'a>(event: &'a Event, field: &str) -> Option<&'a str> {
    event.payload.get(field).and_then(Value::as_str)
}
