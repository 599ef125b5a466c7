//! The dispatch message of one job. Pure.

use std::collections::{BTreeMap, HashMap};

use kici_model::lock::{JobEntry, StaticJob, Workflow};
use kici_model::upstream::{Child, host_outputs, matrix_outputs};
use kici_protocol::agent::{JobConfig, JobDispatch, JobSource, Secret};
use kici_store::send::{ToSend, Upstream};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::forge::CloneSource;

/// Builds the message; `payload` is the event's raw body.
pub(super) fn build(
    job: &ToSend,
    workflow: &Workflow,
    upstreams: &[&Upstream],
    payload: Value,
    source: CloneSource,
) -> Result<JobDispatch, String> {
    let lock = lock_job(job, workflow)?;
    let event = event(job, payload)?;
    let parse = |text: &Option<String>| -> Result<Option<Value>, String> {
        text.as_deref()
            .map(|text| serde_json::from_str(text).map_err(|error| error.to_string()))
            .transpose()
    };
    let lock_source = workflow.source.as_ref().map(|source| JobSource::Entry {
        file: source.file.clone(),
        export: Some(source.export.clone()),
        index: None,
    });
    let scope = match job.trust_tier.as_deref() {
        Some("trusted") => "shared",
        _ => "isolated",
    };
    let config = JobConfig {
        workflow_name: Some(job.workflow_name.clone()),
        name: Some(job.name.clone()),
        base_job_name: Some(job.base_name.clone()),
        source: lock_source,
        // Without a hash the agent does not check for drift: right for an uncommitted tree only.
        content_hash: (!job.is_test && !workflow.content_hash.is_empty())
            .then(|| workflow.content_hash.clone()),
        resolved_hash_files: workflow.resolved_hash_files.clone(),
        steps: Some(lock.steps.iter().map(plain).collect()),
        needs: (!lock.needs.is_empty()).then(|| plain(&lock.needs)),
        rules: lock.rules.as_ref().map(plain),
        event: Some(event),
        provider: Some(job.provider.clone()),
        runs_on_pick: lock
            .runs_on_pick
            .as_ref()
            .and_then(|pick| plain(pick).as_str().map(str::to_owned)),
        timeout: lock.timeout.map(|limit| limit.as_millis()),
        grace_period: lock.grace_period.map(|seconds| seconds.0.max(0.0).ceil() as u64),
        container: lock.container.as_ref().map(plain),
        matrix_values: parse(&job.matrix)?,
        fanout_index: job.fanout_index.and_then(|index| u64::try_from(index).ok()),
        fanout_total: job.fanout_total.and_then(|total| u64::try_from(total).ok()),
        job_env: match parse(&job.env)? {
            Some(Value::Object(map)) => Some(map.into_iter().collect()),
            _ => None,
        },
        environment: job.environment.clone().map(Value::String),
        checkout: lock.checkout,
        init: lock.init.clone(),
        cache: lock.cache.as_ref().map(plain),
        is_test_run: job.is_test.then_some(true),
        has_concurrency_group: workflow
            .concurrency
            .as_ref()
            .filter(|concurrency| concurrency.has_group)
            .map(|_| true),
        resources: lock.resources.as_ref().map(plain),
        cache_org_id: Some(job.org_id.clone()),
        cache_repo_id: Some(job.repo.clone()),
        cache_ref_scope: Some(scope.to_owned()),
        ..JobConfig::default()
    };
    let (outputs, statuses) = upstream(upstreams)?;
    Ok(JobDispatch {
        message_id: Uuid::new_v4().to_string(),
        run_id: job.run_id.to_string(),
        job_id: job.id.to_string(),
        repo_url: source.url,
        reference: job.git_ref.clone(),
        sha: job.sha.clone(),
        lock_file_url: String::new(),
        job_config: config,
        timestamp: jiff::Timestamp::now().as_millisecond(),
        request_id: Some(job.run_id.to_string()),
        token: source.token.map(Secret::from),
        source_auth: source
            .auth
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| format!("the clone credential is not usable: {error}"))?,
        upstream_job_outputs: outputs,
        upstream_job_statuses: statuses,
        org_id: Some(job.org_id.clone()),
        repo_id: Some(job.repo.clone()),
        cache_ref_scope: Some(scope.to_owned()),
        ..JobDispatch::default()
    })
}

fn lock_job<'a>(job: &ToSend, workflow: &'a Workflow) -> Result<&'a StaticJob, String> {
    let index = job.lock_index.and_then(|index| usize::try_from(index).ok());
    match index.and_then(|index| workflow.jobs.get(index)) {
        Some(JobEntry::Static(lock)) => Ok(lock),
        _ => Err(format!("job '{}' is not in the stored workflow", job.name)),
    }
}

/// The envelope with its payload in its place.
fn event(job: &ToSend, payload: Value) -> Result<Value, String> {
    let mut event: Value = serde_json::from_str(&job.event)
        .map_err(|error| format!("the stored event cannot be read: {error}"))?;
    if let Some(map) = event.as_object_mut() {
        map.insert("payload".into(), payload);
    }
    Ok(event)
}

type Outputs = BTreeMap<String, Value>;
type Statuses = BTreeMap<String, kici_protocol::agent::JobState>;

/// What the job sees of the jobs that it needs: children of a fan-out under their base name.
fn upstream(upstreams: &[&Upstream]) -> Result<(Outputs, Statuses), String> {
    let mut outputs = Outputs::new();
    let mut statuses = Statuses::new();
    let mut fan_outs: HashMap<(&str, &str), Vec<Child>> = HashMap::new();
    for upstream in upstreams {
        let state = serde_json::from_value(Value::String(upstream.state.clone()))
            .map_err(|error| error.to_string())?;
        statuses.insert(upstream.name.clone(), state);
        let own: Map<String, Value> = match &upstream.outputs {
            None => Map::new(),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                format!("the outputs of '{}' cannot be read: {error}", upstream.name)
            })?,
        };
        match upstream.variant_kind.as_deref() {
            None => {
                outputs.insert(upstream.name.clone(), Value::Object(own));
            }
            Some(kind) => {
                let status = upstream.state.parse().map_err(|error| format!("{error}"))?;
                let label = upstream.variant_label.clone().unwrap_or_default();
                fan_outs.entry((&upstream.base_name, kind)).or_default().push(Child {
                    label,
                    status,
                    outputs: own,
                });
            }
        }
    }
    for ((base, kind), children) in fan_outs {
        let combined =
            if kind == "host" { host_outputs(&children) } else { matrix_outputs(&children) };
        outputs.insert(base.to_owned(), combined);
    }
    Ok((outputs, statuses))
}

fn plain<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("a lock file is plain data")
}
