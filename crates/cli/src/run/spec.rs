//! What the executor is told about one job of a local run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use kici_exec::spec::{Checkout, EngineWish, Evaluate, JobSpec};
use kici_model::event::Event;
use kici_model::lock::{EnvValue, LockFile, StaticJob, TextValue};
use kici_workflow::inline;
use serde_json::{Value, json};
use uuid::Uuid;

use super::host;
use super::plan::{Plan, Work};

/// For one function of a job, as on the server.
const FUNCTION_MS: u64 = 60_000;
/// For a generator.
const GENERATOR_MS: u64 = 120_000;

/// What all jobs have in common.
pub(super) struct Common<'a> {
    pub(super) lock: &'a LockFile,
    pub(super) event: &'a Event,
    pub(super) run_id: Uuid,
}

/// Values of a job that its event decides.
#[derive(Debug, Default)]
pub(super) struct Values {
    env: BTreeMap<String, String>,
    /// The first one.
    environment: Option<String>,
}

impl Values {
    /// Evaluates what the lock file has. An error is why the job fails.
    pub(super) fn of(job: &StaticJob, event: &Event) -> Result<Values, String> {
        let failed = |what: &str, error: inline::InlineError| {
            format!("{what} of job '{}': {error}", job.name)
        };
        let mut environments = Vec::new();
        for environment in job.environments.iter().flatten() {
            environments.push(match &environment.value {
                TextValue::Text(name) => name.clone(),
                TextValue::Inline(of) => inline::text(&of.expression, event)
                    .map_err(|error| failed("environment", error))?,
            });
        }
        let env = match &job.env {
            None => BTreeMap::new(),
            Some(EnvValue::Map(map)) => {
                map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            Some(EnvValue::Inline(of)) => inline::env(&of.expression, event)
                .map_err(|error| failed("env", error))?
                .into_iter()
                .collect(),
        };
        Ok(Values { env, environment: environments.into_iter().find(|name| !name.is_empty()) })
    }
}

impl Common<'_> {
    /// The order for one job of a plan.
    pub(super) fn spec(
        &self,
        plan: &Plan<'_>,
        at: usize,
        values: Values,
        (dir, workspace): (PathBuf, &Path),
    ) -> anyhow::Result<JobSpec> {
        let planned = &plan.jobs[at];
        let upstreams = plan.upstreams(planned);
        let source = self.lock.source_of(plan.workflow);
        let needs = plan.needs_of(planned);
        let mut spec = JobSpec {
            run_id: self.run_id.to_string(),
            job_id: Uuid::new_v4().to_string(),
            job_name: planned.name.clone(),
            base_job_name: planned.base_name().to_owned(),
            workflow_name: plan.workflow.name.clone(),
            source_file: source.file.clone(),
            source_export: source.export.clone(),
            content_hash: None,
            resolved_hash_files: Vec::new(),
            checkout: Checkout::InPlace { dir },
            workspace: workspace.to_owned(),
            temp: None,
            mirrors: None,
            engine: engine_wish()?,
            installed_sdk: std::env::var("KICI_SDK").is_ok_and(|sdk| sdk == "installed"),
            env: values.env,
            secrets: Default::default(),
            event: serde_json::to_value(self.event)
                .context("the event cannot be written as JSON")?,
            provider: Some("local".to_owned()),
            environment: values.environment,
            matrix: None,
            fanout: None,
            host: None,
            agent: None,
            dispatch_inputs: json!({}),
            needs: (!needs.is_empty()).then(|| json!(needs)),
            upstream_outputs: Default::default(),
            upstream_statuses: Default::default(),
            upstream_groups: Default::default(),
            dynamic_source: None,
            evaluate: None,
            check_mode: None,
            is_test_run: true,
            timeout_ms: None,
            step_timeout_ms: None,
            concurrency_wait_ms: None,
            grace_ms: None,
            max_log_bytes: None,
        };
        match &planned.work {
            Work::Steps(child) => {
                spec.matrix = child.combination.as_ref().map(|of| json!(of.values));
                spec.fanout.clone_from(&child.fanout);
                spec.host.clone_from(&child.host);
                spec.agent = child.host.as_deref().map(host::agent);
                spec.timeout_ms = child.job.timeout.map(|limit| limit.as_millis());
                spec.grace_ms = child.job.grace_period.map(|seconds| seconds.as_millis() * 1000);
                spec.upstream_outputs = upstreams.outputs;
                spec.upstream_statuses = upstreams.statuses;
                spec.upstream_groups = upstreams.groups;
                spec.dynamic_source = child.generated.then(|| generation(plan, planned.place));
            }
            Work::Init(job, fields) => {
                spec.base_job_name.clone_from(&job.name);
                spec.evaluate = Some(Evaluate::Fields {
                    environment: fields.environment,
                    env: fields.env,
                    concurrency_group: fields.concurrency_group,
                    matrix: fields.matrix,
                    limit_ms: FUNCTION_MS,
                });
            }
            Work::Generator => {
                spec.needs = None;
                spec.dynamic_source =
                    Some(json!({"index": planned.place, "upstreamSnapshot": upstreams.snapshot()}));
                spec.evaluate = Some(Evaluate::Jobs { limit_ms: GENERATOR_MS });
            }
        }
        Ok(spec)
    }
}

/// Where a generated job comes from: its generator is called again, with what it saw the first time.
fn generation(plan: &Plan<'_>, place: usize) -> Value {
    let mut names: Vec<&str> = Vec::new();
    let mut snapshot = Value::Null;
    for job in plan.jobs.iter().filter(|job| job.place == place) {
        match &job.work {
            Work::Generator => snapshot = plan.upstreams(job).snapshot(),
            Work::Steps(_) if !names.contains(&job.base_name()) => names.push(job.base_name()),
            Work::Steps(_) | Work::Init(..) => {}
        }
    }
    json!({"index": place, "expectedJobNames": names, "upstreamSnapshot": snapshot})
}

fn engine_wish() -> anyhow::Result<EngineWish> {
    match std::env::var("KICI_JS_ENGINE").as_deref() {
        Err(_) | Ok("" | "auto") => Ok(EngineWish::Auto),
        Ok("embedded") => Ok(EngineWish::Embedded),
        Ok("node") => Ok(EngineWish::Node),
        Ok(other) => bail!("KICI_JS_ENGINE is '{other}'; write auto, embedded or node"),
    }
}
