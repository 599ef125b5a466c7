//! A workflow's triggers, compiled, and the decision about an event.

use super::decision::{Check, Decision, Outcome};
use super::git::GitMatcher;
use super::internal::InternalMatcher;
use super::pattern::WithExclusions;
use crate::event::Event;
use crate::lock::{Trigger, Workflow};

/// The compiled triggers of one workflow. Keep it as long as the lock file.
#[derive(Debug)]
pub struct TriggerSet {
    workflow_name: String,
    triggers: Vec<Compiled>,
    needs_changed_files: bool,
}

#[derive(Debug)]
struct Compiled {
    kind: String,
    matcher: Matcher,
    repos: WithExclusions,
}

#[derive(Debug)]
enum Matcher {
    Git(GitMatcher),
    Internal(InternalMatcher),
    Unknown,
}

/// Goes on if a filter passed, else says which one did not.
pub(super) enum Filtered {
    Passed,
    Refused(String),
}

/// What a filter gives: an answer, or why a pattern cannot be used.
pub(super) type Answer = Result<Filtered, String>;

/// Turns a filter's yes or no into an [`Answer`].
pub(super) fn filter(passed: bool, refusal: impl FnOnce() -> String) -> Filtered {
    if passed { Filtered::Passed } else { Filtered::Refused(refusal()) }
}

impl TriggerSet {
    /// Compiles a workflow's triggers. Bad patterns are remembered, not refused.
    pub fn new(workflow: &Workflow) -> Self {
        Self {
            workflow_name: workflow.name.clone(),
            needs_changed_files: workflow.triggers.iter().any(Trigger::has_paths),
            triggers: workflow.triggers.iter().map(Compiled::new).collect(),
        }
    }

    /// Whether the changed files have to be fetched before deciding.
    pub fn needs_changed_files(&self) -> bool {
        self.needs_changed_files
    }

    /// Asks the triggers in order until one matches.
    pub fn decide(&self, event: &Event) -> Decision {
        let mut checks = Vec::new();
        for (index, trigger) in self.triggers.iter().enumerate() {
            let outcome = trigger.evaluate(event);
            let matched = outcome.is_match();
            checks.push(Check { trigger: index, kind: trigger.kind.clone(), outcome });
            if matched {
                break;
            }
        }
        Decision::new(&self.workflow_name, checks)
    }
}

impl Compiled {
    fn new(trigger: &Trigger) -> Self {
        let matcher = match (GitMatcher::new(trigger), InternalMatcher::new(trigger)) {
            (Some(git), _) => Matcher::Git(git),
            (None, Some(internal)) => Matcher::Internal(internal),
            (None, None) => Matcher::Unknown,
        };
        Self {
            kind: trigger.type_name().to_owned(),
            matcher,
            repos: WithExclusions::new(trigger.repos().unwrap_or_default()),
        }
    }

    fn evaluate(&self, event: &Event) -> Outcome {
        let mut note = None;
        let answer = match &self.matcher {
            Matcher::Git(git) => git.matches(event, &mut note),
            Matcher::Internal(internal) => internal.matches(event),
            Matcher::Unknown => {
                Ok(Filtered::Refused("this version does not know the trigger".to_owned()))
            }
        };
        let answer = match answer {
            Ok(Filtered::Passed) => self.repos_accept(event),
            other => other,
        };
        match answer {
            Ok(Filtered::Passed) => Outcome::Matched { note },
            Ok(Filtered::Refused(because)) => Outcome::NotMatched { because },
            Err(because) => Outcome::Unusable { because },
        }
    }

    fn repos_accept(&self, event: &Event) -> Answer {
        if self.repos.is_empty() {
            return Ok(Filtered::Passed);
        }
        let Some(repo) = &event.source_repo else {
            return Ok(Filtered::Refused("the event names no source repository".to_owned()));
        };
        let passed = self.repos.accepts_any([repo.as_str()])?;
        Ok(filter(passed, || format!("repository {repo} is not in `repos`")))
    }
}
