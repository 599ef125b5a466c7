//! The configuration of jobs that evaluate, as agents of every version understand it. Pure.

use kici_model::fields::InitFields;
use kici_model::lock::{JobEntry, Workflow};
use kici_model::state::JobKind;
use kici_protocol::agent::{JobConfig, JobSource};
use kici_store::send::{ToSend, Upstream};
use serde_json::{Map, Value};

use super::message::{entry, plain};
use super::upstream::snapshot;

/// For one function of a job, ms.
const FUNCTION_MS: u64 = 60_000;

/// For a generator, ms.
const GENERATOR_MS: u64 = 120_000;

/// What an init job or a generator gets.
pub(super) fn config(
    job: &ToSend,
    workflow: &Workflow,
    upstreams: &[&Upstream],
    event: Value,
) -> Result<JobConfig, String> {
    let common = JobConfig {
        workflow_name: Some(job.workflow_name.clone()),
        name: Some(job.name.clone()),
        content_hash: (!job.is_test && !workflow.content_hash.is_empty())
            .then(|| workflow.content_hash.clone()),
        resolved_hash_files: workflow.resolved_hash_files.clone(),
        event: Some(event),
        provider: Some(job.provider.clone()),
        is_test_run: job.is_test.then_some(true),
        ..JobConfig::default()
    };
    let file = || workflow.source.as_ref().map(|source| source.file.clone()).unwrap_or_default();
    let mut rest = Map::new();
    match (job.kind.parse(), entry(job, workflow)) {
        (Ok(JobKind::Init), Some(JobEntry::Static(target))) => {
            let fields = InitFields::of(target);
            rest.insert("targetJobName".into(), target.name.clone().into());
            rest.insert("dynamicEnvironment".into(), fields.environment.into());
            rest.insert("dynamicEnv".into(), fields.env.into());
            rest.insert("dynamicConcurrencyGroup".into(), fields.concurrency_group.into());
            rest.insert("dynamicMatrix".into(), fields.matrix.into());
            Ok(JobConfig {
                init_only: Some(true),
                source: Some(JobSource::File(file())),
                timeout_ms: Some(FUNCTION_MS),
                rest,
                ..common
            })
        }
        (Ok(JobKind::Dynamic), Some(JobEntry::Dynamic(generator))) => {
            if let Some(snapshot) = snapshot(workflow, generator, upstreams)? {
                rest.insert("upstreamSnapshot".into(), snapshot);
                rest.insert("declaredNeeds".into(), plain(&generator.needs));
            }
            let source = JobSource::Entry {
                file: generator.source.file.clone(),
                export: None,
                index: Some(u64::from(generator.source.index)),
            };
            Ok(JobConfig {
                dynamic_job_fn: Some(true),
                source: Some(source),
                timeout_ms: Some(GENERATOR_MS),
                rest,
                ..common
            })
        }
        _ => Err(format!("job '{}' has nothing to evaluate in the stored workflow", job.name)),
    }
}
