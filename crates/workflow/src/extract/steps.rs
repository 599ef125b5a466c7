//! Steps and rules of a job.

use kici_model::js::JsNumber;
use kici_model::lock::{
    CacheSpec, DynamicMark, ParallelGroup, ParallelMark, Retry, Rule, RuleSource,
    SourceLocation as LockLocation, Step, StepEntry as LockStep,
};
use serde_json::Value;

use super::approval::{self, Place};
use super::problem::{self, Problem, Report};
use crate::describe::{JobDef, ParallelDef, RuleDef, SourceLocation, StepDef, StepEntry};

/// The steps of a job, groups with their children.
pub(super) fn steps(file: &str, job: &JobDef, report: &mut Report) -> Vec<LockStep> {
    let mut groups = 0;
    let mut steps = Vec::new();
    for entry in &job.steps {
        steps.push(match entry {
            StepEntry::Step(def) => LockStep::Step(Box::new(step(file, def, report))),
            StepEntry::Parallel(def) => {
                let group = parallel(file, job, def, groups, report);
                groups += 1;
                LockStep::Parallel(group)
            }
        });
    }
    steps
}

fn parallel(
    file: &str,
    job: &JobDef,
    def: &ParallelDef,
    ordinal: usize,
    report: &mut Report,
) -> ParallelGroup {
    let location =
        def.steps.first().and_then(|step| step.location.as_ref()).or(job.location.as_ref());
    let name = def.name.clone().unwrap_or_else(|| format!("parallel-{ordinal}"));
    match def.steps.as_slice() {
        [] => report.error(
            Problem::error(
                file,
                location,
                format!("parallel group '{name}' of job '{}' has no steps", job.name),
            )
            .suggest("give it steps, or remove it"),
        ),
        [_] => report.warn(Problem::warning(
            file,
            location,
            format!("parallel group '{name}' of job '{}' has a single step", job.name),
        )),
        steps => {
            for (index, step) in steps.iter().enumerate() {
                if steps[..index].iter().any(|earlier| earlier.name == step.name) {
                    report.error(
                        Problem::error(
                            file,
                            step.location.as_ref().or(location),
                            format!(
                                "two steps of parallel group '{name}' are called '{}'",
                                step.name
                            ),
                        )
                        .suggest("rename one: outputs are kept by step name"),
                    );
                }
            }
        }
    }
    ParallelGroup {
        kind: ParallelMark::Parallel,
        name,
        fail_fast: def.fail_fast,
        max_parallel: def.max_parallel.map(JsNumber::from),
        children: def.steps.iter().map(|child| step(file, child, report)).collect(),
    }
}

fn step(file: &str, def: &StepDef, report: &mut Report) -> Step {
    let location = def.location.as_ref();
    let own_file = location.map_or(file, |location| &location.file);
    let rules = def.rules.as_deref().filter(|rules| !rules.is_empty());
    Step {
        name: def.name.clone(),
        has_outputs: def.has_outputs,
        continue_on_error: def.continue_on_error,
        timeout: def.timeout.map(JsNumber),
        retry: def.retry.as_ref().map(|retry| Retry {
            max_attempts: JsNumber::from(retry.max_attempts),
            delay_ms: JsNumber(retry.delay_ms),
            backoff: retry.backoff.clone(),
            max_delay_ms: JsNumber(retry.max_delay_ms),
        }),
        cache: def
            .cache
            .as_ref()
            .map(|list| caches(&Value::Array(list.clone()), file, location, report)),
        source_location: location.filter(|_| !def.bare).map(|location| LockLocation {
            file: location.file.clone(),
            line: location.line,
            column: location.column,
        }),
        has_rules: rules.is_some(),
        rules: rules.map(|list| self::rules(own_file, list, 0)),
        has_on_cancel: def.hooks.on_cancel.is_some(),
        has_cleanup: def.hooks.cleanup.is_some(),
        has_check: def.check.is_some(),
        has_when_in_sync: def.when_in_sync.is_some(),
        approval: approval::approval(def.approval.as_ref(), file, location, Place::Step, report),
    }
}

/// Rules with their positions, counted from `base`.
pub(super) fn rules(file: &str, rules: &[RuleDef], base: u32) -> Vec<Rule> {
    (base..)
        .zip(rules)
        .map(|(index, rule)| Rule {
            mark: DynamicMark::default(),
            label: rule.label.clone(),
            source: RuleSource { file: file.to_owned(), index },
        })
        .collect()
}

/// One cache or several, always as a list.
pub(super) fn caches(
    value: &Value,
    file: &str,
    location: Option<&SourceLocation>,
    report: &mut Report,
) -> Vec<CacheSpec> {
    let list = if value.is_array() { value.clone() } else { Value::Array(vec![value.clone()]) };
    problem::read(Some(&list), file, location, "cache", report)
}
