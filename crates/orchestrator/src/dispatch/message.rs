//! The dispatch message of one job. Pure.

use std::borrow::Cow;

use kici_model::lock::{JobEntry, StaticJob, Workflow};
use kici_model::state::JobKind;
use kici_protocol::agent::{DynamicSource, JobConfig, JobDispatch, JobSource, Secret};
use kici_store::grow::Generation;
use kici_store::send::{ToSend, Upstream};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::evaluation;
use super::upstream::{groups, results, snapshot};
use crate::agents::Connected;
use crate::forge::CloneSource;

/// What a message is made from besides the job.
pub(super) struct Sources<'a> {
    pub(super) workflow: &'a Workflow,
    /// The jobs that it needs.
    pub(super) upstreams: Vec<&'a Upstream>,
    /// For a generated job.
    pub(super) generation: Option<Generated<'a>>,
    /// The event's raw body.
    pub(super) payload: Value,
    pub(super) clone: CloneSource,
    /// Who gets it.
    pub(super) agent: &'a Connected,
}

/// Where a generated job comes from.
pub(super) struct Generated<'a> {
    pub(super) siblings: &'a Generation,
    /// The jobs that its generator needed.
    pub(super) seen: Vec<&'a Upstream>,
}

/// Builds the message.
pub(super) fn build(job: &ToSend, sources: Sources<'_>) -> Result<JobDispatch, String> {
    let Sources { workflow, upstreams, generation, payload, clone: source, agent } = sources;
    let event = event(job, payload)?;
    let (outputs, statuses) = results(workflow, &upstreams)?;
    if job.kind != JobKind::Job.as_str() {
        let config = evaluation::config(job, workflow, &upstreams, event)?;
        let mut message = envelope(job, config, source)?;
        message.upstream_job_outputs = outputs;
        message.upstream_job_statuses = statuses;
        return Ok(message);
    }
    let lock = lock_job(job, workflow)?;
    let upstream_job_groups = groups(workflow, &lock.needs, &upstreams);
    let dynamic_source = match generation {
        Some(generated) => Some(dynamic_source(job, workflow, generated, &event)?),
        None => None,
    };
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
    let on_host = job.variant_kind.as_deref() == Some("host");
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
        host: on_host.then(|| agent.host().name.clone().into()),
        agent: on_host.then(|| facts(agent)),
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
        cache_ref_scope: Some(scope(job).to_owned()),
        dynamic_source,
        ..JobConfig::default()
    };
    let mut message = envelope(job, config, source)?;
    message.upstream_job_outputs = outputs;
    message.upstream_job_statuses = statuses;
    message.upstream_job_groups = upstream_job_groups;
    Ok(message)
}

/// What every message has.
fn envelope(job: &ToSend, config: JobConfig, source: CloneSource) -> Result<JobDispatch, String> {
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
        org_id: Some(job.org_id.clone()),
        repo_id: Some(job.repo.clone()),
        cache_ref_scope: Some(scope(job).to_owned()),
        ..JobDispatch::default()
    })
}

/// Whose cache entries it sees.
fn scope(job: &ToSend) -> &'static str {
    match job.trust_tier.as_deref() {
        Some("trusted") => "shared",
        _ => "isolated",
    }
}

fn lock_job<'a>(job: &ToSend, workflow: &'a Workflow) -> Result<Cow<'a, StaticJob>, String> {
    if let Some(body) = &job.body {
        return serde_json::from_str(body)
            .map(Cow::Owned)
            .map_err(|error| format!("the generated job '{}' cannot be read: {error}", job.name));
    }
    match entry(job, workflow) {
        Some(JobEntry::Static(lock)) => Ok(Cow::Borrowed(lock)),
        _ => Err(format!("job '{}' is not in the stored workflow", job.name)),
    }
}

/// The workflow's entry that a job is, evaluates or comes from.
pub(super) fn entry<'a>(job: &ToSend, workflow: &'a Workflow) -> Option<&'a JobEntry> {
    workflow.jobs.get(usize::try_from(job.lock_index?).ok()?)
}

/// What the agent needs to call the generator once more.
fn dynamic_source(
    job: &ToSend,
    workflow: &Workflow,
    generated: Generated<'_>,
    event: &Value,
) -> Result<DynamicSource, String> {
    let Some(JobEntry::Dynamic(generator)) = entry(job, workflow) else {
        return Err(format!("the generator of job '{}' is not in the stored workflow", job.name));
    };
    let mut names = generated.siblings.names.clone();
    // Children of a fan-out have one name and follow each other.
    names.dedup();
    Ok(DynamicSource {
        index: u64::from(generator.source.index),
        event: Some(event.clone()),
        expected_job_names: Some(names),
        upstream_snapshot: snapshot(workflow, generator, &generated.seen)?,
        declared_needs: generator.needs.as_ref().map(plain),
        ..DynamicSource::default()
    })
}

/// `ctx.agent` of a child of a host fan-out.
fn facts(agent: &Connected) -> Value {
    let host = agent.host();
    json!({
        "host": host.name, "labels": agent.labels().labels, "platform": host.platform, "arch": host.arch,
    })
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

pub(super) fn plain<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("a lock file is plain data")
}
