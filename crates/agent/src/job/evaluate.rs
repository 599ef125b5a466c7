//! Jobs that only compute something for their run: what their dispatch asks for, and how their end is told.

use kici_exec::spec::Evaluate;
use kici_protocol::agent::{DynamicSource, FromAgent, JobConfig, JobSource, JobState};
use serde_json::{Map, Value};

use super::dispatch::UnfitDispatch;

/// For one function, if the dispatch says nothing.
const FUNCTION_MS: u64 = 60_000;
/// For a generator, if the dispatch says nothing.
const GENERATOR_MS: u64 = 120_000;

/// An evaluation and the names that it goes by.
#[derive(Debug, PartialEq)]
pub(super) struct Evaluation {
    pub(super) what: Evaluate,
    /// The job's own name.
    pub(super) name: String,
    /// The job that it is about; its own name for a generator.
    pub(super) about: String,
    /// Where the generator is and what it sees.
    pub(super) source: Option<Value>,
}

/// What a dispatch wants to be evaluated; `None` for an ordinary job.
pub(super) fn of(config: &JobConfig) -> Result<Option<Evaluation>, UnfitDispatch> {
    let workflow = config.workflow_name.as_deref().unwrap_or_default();
    let flag = |key: &str| config.rest.get(key).and_then(Value::as_bool).unwrap_or(false);
    match config.special_kind() {
        None => Ok(None),
        Some("init") => {
            let about = config
                .rest
                .get("targetJobName")
                .and_then(Value::as_str)
                .ok_or(UnfitDispatch::Missing { field: "jobConfig.targetJobName" })?;
            let name = config.name.clone().unwrap_or(format!("__init__{workflow}__{about}"));
            let what = Evaluate::Fields {
                environment: flag("dynamicEnvironment"),
                env: flag("dynamicEnv"),
                concurrency_group: flag("dynamicConcurrencyGroup"),
                matrix: flag("dynamicMatrix"),
                limit_ms: config.timeout_ms.unwrap_or(FUNCTION_MS),
            };
            Ok(Some(Evaluation { what, name, about: about.to_owned(), source: None }))
        }
        Some("dynamic") => {
            let index = match &config.source {
                Some(JobSource::Entry { index: Some(index), .. }) => *index,
                _ => return Err(UnfitDispatch::Missing { field: "jobConfig.source.index" }),
            };
            let name = config.name.clone().unwrap_or(format!("__dynamic__{workflow}__{index}"));
            let given = config.dynamic_source.clone().unwrap_or_default();
            let top = |key: &str| config.rest.get(key).cloned();
            let source = DynamicSource {
                index,
                upstream_snapshot: given.upstream_snapshot.or_else(|| top("upstreamSnapshot")),
                declared_needs: given.declared_needs.or_else(|| top("declaredNeeds")),
                ..DynamicSource::default()
            };
            Ok(Some(Evaluation {
                what: Evaluate::Jobs { limit_ms: config.timeout_ms.unwrap_or(GENERATOR_MS) },
                about: name.clone(),
                name,
                source: Some(serde_json::to_value(source).expect("a source is plain data")),
            }))
        }
        Some(kind) => Err(UnfitDispatch::Special { kind }),
    }
}

/// What was computed, in the words of the terminal status.
pub(super) fn told(evaluated: &Value) -> [(&'static str, Value); 2] {
    match evaluated {
        Value::Array(_) => [("dynamicComplete", true.into()), ("dynamicJobs", evaluated.clone())],
        _ => [("initComplete", true.into()), ("initResult", evaluated.clone())],
    }
}

/// Marks the end of a special job that failed.
pub(super) fn mark(config: &JobConfig, mut status: FromAgent) -> FromAgent {
    let marker = match config.special_kind() {
        Some("init") => "initFailed",
        Some("dynamic") => "dynamicFailed",
        Some("build") => "buildFailed",
        _ => return status,
    };
    if let FromAgent::JobStatus(end) = &mut status
        && end.state == JobState::Failed
    {
        end.data.get_or_insert_with(Map::new).insert(marker.to_owned(), true.into());
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(config: Value) -> JobConfig {
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn an_init_job_as_the_typescript_orchestrator_sends_it() {
        let evaluation = of(&config(json!({
            "initOnly": true, "targetJobName": "dynenv", "workflowName": "wf-dyn",
            "source": ".kici/workflows/dyn.ts", "dynamicEnvironment": false, "dynamicEnv": true,
            "dynamicConcurrencyGroup": false, "dynamicMatrix": false, "timeoutMs": 60000,
        })))
        .unwrap()
        .unwrap();
        assert_eq!(
            (evaluation.name.as_str(), evaluation.about.as_str()),
            ("__init__wf-dyn__dynenv", "dynenv")
        );
        assert_eq!(
            evaluation.what,
            Evaluate::Fields {
                environment: false,
                env: true,
                concurrency_group: false,
                matrix: false,
                limit_ms: 60_000
            }
        );
    }

    #[test]
    fn a_generator_as_the_typescript_orchestrator_sends_it() {
        let snapshot = json!({"jobs": {"a": {}}, "groups": {}, "statuses": {"a": "success"}});
        let evaluation = of(&config(json!({
            "dynamicJobFn": true, "workflowName": "wf-dyn", "timeoutMs": 5000,
            "source": {"file": ".kici/workflows/dyn.ts", "index": 3}, "upstreamSnapshot": snapshot,
        })))
        .unwrap()
        .unwrap();
        assert_eq!(evaluation.name, "__dynamic__wf-dyn__3");
        assert_eq!(evaluation.what, Evaluate::Jobs { limit_ms: 5000 });
        let source = evaluation.source.unwrap();
        assert_eq!((&source["index"], &source["upstreamSnapshot"]), (&json!(3), &snapshot));
    }

    #[test]
    fn other_special_jobs_are_refused() {
        assert_eq!(of(&config(json!({}))), Ok(None));
        let refused = of(&config(json!({"buildOnly": true}))).unwrap_err();
        assert_eq!(refused.to_string(), "this agent does not run build jobs");
    }
}
