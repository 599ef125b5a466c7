//! Jobs and generators of a workflow.

use indexmap::IndexMap;
use kici_model::js::JsNumber;
use kici_model::lock::{
    Container, DynamicJob, DynamicSource, JobEntry as LockEntry, LabelMatcher, Matrix,
    MatrixSource, MatrixValues, Need, RunsOnAll, RunsOnPick, StaticJob, Unreachable,
};
use serde_json::Value;

use super::approval::{self, Place};
use super::problem::{self, Problem, Report};
use super::{checks, dynamic, needs, resources, selector, steps};
use crate::describe::{DynamicDef, Field, JobDef, JobEntry, WorkflowDef};

/// All jobs, in the author's order.
pub(super) fn jobs(file: &str, def: &WorkflowDef, report: &mut Report) -> Vec<LockEntry> {
    (0..)
        .zip(&def.jobs)
        .map(|(index, entry)| match entry {
            JobEntry::Static(job) => {
                LockEntry::Static(Box::new(static_job(file, job, index, report)))
            }
            JobEntry::Dynamic(generator) => {
                LockEntry::Dynamic(generated(file, def, generator, index, report))
            }
        })
        .collect()
}

fn generated(
    file: &str,
    def: &WorkflowDef,
    generator: &DynamicDef,
    index: u32,
    report: &mut Report,
) -> DynamicJob {
    DynamicJob {
        source: DynamicSource { file: file.to_owned(), index },
        group: generator.group.clone(),
        needs: generator
            .needs
            .as_ref()
            .map(|list| needs::needs(list, file, def.location.as_ref(), report)),
        result_aware: generator.needs.is_some(),
    }
}

/// One job.
pub(super) fn static_job(file: &str, job: &JobDef, index: u32, report: &mut Report) -> StaticJob {
    let options = Options { file, job };
    let placement = placement(&options, report);
    let fan_out = job.matrix.is_some() || placement.all.is_some();
    let needs = needs::needs(&job.needs, file, job.location.as_ref(), report);
    let groups: Vec<String> = needs
        .iter()
        .filter_map(|need| match need {
            Need::Group { group, .. } => Some(group.clone()),
            Need::Job(_) | Need::JobWhen { .. } => None,
        })
        .collect();
    let (dynamic_env, env) = dynamic::env(file, job, report);
    let (dynamic_concurrency_group, concurrency_group) =
        dynamic::concurrency_group(file, job, report);
    let lock = StaticJob {
        name: job.name.clone(),
        runs_on: placement.one,
        exclude_labels: Some(placement.exclude).filter(|list| !list.is_empty()),
        runs_on_pick: placement.pick,
        runs_on_all: placement.all,
        on_unreachable: options.read::<Option<Unreachable>>("onUnreachable", report),
        include_uninitialized: options.read("includeUninitialized", report),
        max_parallel: options.number("maxParallel"),
        fail_fast: options.read("failFast", report),
        needs,
        depends_on_groups: (!groups.is_empty()).then_some(groups),
        steps: steps::steps(file, job, report),
        matrix: matrix(file, job, report),
        include: options.read::<Option<Vec<IndexMap<String, Value>>>>("include", report),
        exclude: options.read::<Option<Vec<IndexMap<String, Value>>>>("exclude", report),
        rules: job.rules.as_ref().map(|rules| steps::rules(file, rules, index * 100)),
        description: options.read("description", report),
        checkout: options.read("checkout", report),
        cache: options
            .get("cache")
            .map(|value| steps::caches(value, file, job.location.as_ref(), report)),
        container: options.read::<Option<Container>>("container", report),
        environments: dynamic::environments(file, job, report),
        dynamic_env,
        env,
        dynamic_concurrency_group,
        concurrency_group,
        has_on_cancel: job.hooks.on_cancel.is_some(),
        has_cleanup: job.hooks.cleanup.is_some(),
        has_on_success: job.hooks.on_success.is_some(),
        has_on_failure: job.hooks.on_failure.is_some(),
        has_before_step: job.hooks.before_step.is_some(),
        has_after_step: job.hooks.after_step.is_some(),
        grace_period: options.number("gracePeriod"),
        timeout: options.number("timeout"),
        resources: options.get("resources").and_then(|value| match resources::resources(value) {
            Ok(resources) => Some(resources),
            Err(message) => {
                report.error(options.error(format!("`resources` of job '{}' {message}", job.name)));
                None
            }
        }),
        init: options.get("init").cloned(),
        approval: approval::approval(
            options.get("approval"),
            file,
            job.location.as_ref(),
            Place::Gate,
            report,
        ),
    };
    checks::job(file, job, &lock, fan_out, report);
    lock
}

/// The options of a job that the description keeps as they were written.
struct Options<'a> {
    file: &'a str,
    job: &'a JobDef,
}

impl Options<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.job.options.get(key).filter(|value| !value.is_null())
    }

    fn read<T: serde::de::DeserializeOwned + Default>(&self, key: &str, report: &mut Report) -> T {
        problem::read(self.get(key), self.file, self.job.location.as_ref(), key, report)
    }

    fn number(&self, key: &str) -> Option<JsNumber> {
        self.get(key).and_then(Value::as_f64).map(JsNumber)
    }

    fn error(&self, message: String) -> Problem {
        Problem::error(self.file, self.job.location.as_ref(), message)
    }
}

/// Where a job runs.
#[derive(Default)]
struct Placement {
    one: Option<Vec<LabelMatcher>>,
    exclude: Vec<LabelMatcher>,
    pick: Option<RunsOnPick>,
    all: Option<RunsOnAll>,
}

fn placement(options: &Options<'_>, report: &mut Report) -> Placement {
    let mut placement = Placement::default();
    let mut wrong = |key: &str, message: String| {
        report.error(options.error(format!("`{key}` of job '{}': {message}", options.job.name)));
    };
    if let Some(value) = options.get("runsOn") {
        match selector::one_agent(value) {
            Ok(selector) => {
                placement.one = Some(selector.labels);
                placement.exclude = selector.exclude;
                placement.pick = Some(selector.pick);
            }
            Err(message) => wrong("runsOn", message),
        }
    } else if let Some(value) = options.get("runsOnAll") {
        match selector::all_hosts(value) {
            Ok(all) => placement.all = Some(all),
            Err(message) => wrong("runsOnAll", message),
        }
    }
    placement
}

fn matrix(file: &str, job: &JobDef, report: &mut Report) -> Option<Matrix> {
    match job.matrix.as_ref()? {
        Field::Function(_) => Some(Matrix::Dynamic {
            source: MatrixSource { file: file.to_owned(), job_name: job.name.clone() },
        }),
        Field::Value(value) => match serde_json::from_value::<MatrixValues>(value.clone()) {
            Ok(values) => Some(Matrix::Static { values }),
            Err(error) => {
                report.error(
                    Problem::error(
                        file,
                        job.location.as_ref(),
                        format!("`matrix` of job '{}' has a wrong value: {error}", job.name),
                    )
                    .suggest("write matrix: ['a', 'b'] or matrix: { os: ['linux', 'mac'], node: ['22', '24'] }"),
                );
                None
            }
        },
    }
}
