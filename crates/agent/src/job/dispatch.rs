//! Turns a dispatch into what `exec` needs, or into the reason why this agent cannot run it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kici_exec::spec::{Checkout, GitAuth, JobSpec};
use kici_protocol::agent::{GitCredential, JobConfig, JobDispatch};
use serde_json::{Value, json};

use super::evaluate;
use super::workdir::Folders;
use crate::config::JobDefaults;

/// Why a dispatch cannot be run here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnfitDispatch {
    /// Something that every job has is not there.
    #[error("the dispatch has no {field}")]
    Missing {
        /// Its name on the wire.
        field: &'static str,
    },
    /// A kind of job that this version cannot run.
    #[error("this agent does not run {kind} jobs")]
    Special {
        /// `build`, `init`, …
        kind: &'static str,
    },
    /// Something that would silently change what the job does if it were ignored.
    #[error("this agent does not support {what}")]
    Unsupported {
        /// What the dispatch asks for.
        what: &'static str,
    },
}

/// Maps a dispatch to a spec.
pub(crate) fn to_spec(
    dispatch: &JobDispatch,
    defaults: &JobDefaults,
    folders: &Folders,
) -> Result<JobSpec, UnfitDispatch> {
    let config = &dispatch.job_config;
    let evaluation = evaluate::of(config)?;
    refuse_unsupported(config)?;
    let missing = |field| UnfitDispatch::Missing { field };
    let workflow_name = config.workflow_name.clone().ok_or(missing("jobConfig.workflowName"))?;
    let source = config.source.as_ref().ok_or(missing("jobConfig.source"))?;
    let (job_name, base_job_name) = match &evaluation {
        Some(evaluation) => (evaluation.name.clone(), evaluation.about.clone()),
        None => {
            let name = config.name.clone().ok_or(missing("jobConfig.name"))?;
            let base_name = config.base_job_name.clone().unwrap_or_else(|| name.clone());
            (name, base_name)
        }
    };
    let generated = || serde_json::to_value(config.dynamic_source.as_ref()?).ok();

    Ok(JobSpec {
        run_id: dispatch.run_id.clone(),
        job_id: dispatch.job_id.clone(),
        base_job_name,
        job_name,
        workflow_name,
        source_file: source.file().to_owned(),
        source_export: source.export().unwrap_or("#default").to_owned(),
        content_hash: config.content_hash.clone(),
        resolved_hash_files: config.resolved_hash_files.clone().unwrap_or_default(),
        checkout: checkout(dispatch, defaults),
        workspace: folders.work.clone(),
        temp: Some(folders.temp.clone()),
        mirrors: Some(defaults.data_dir.join("mirrors")),
        engine: defaults.engine,
        installed_sdk: defaults.installed_sdk,
        env: env(config),
        secrets: dispatch
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.expose().to_owned()))
            .collect(),
        event: config.event.clone().unwrap_or(Value::Null),
        provider: config.provider.clone(),
        environment: environment_name(config.environment.as_ref()),
        matrix: config.matrix_values.clone(),
        host: config.host.as_ref().and_then(host_name),
        agent: config.agent.clone().filter(Value::is_object),
        fanout: fanout(config),
        dispatch_inputs: config.dispatch_inputs.clone().unwrap_or(Value::Null),
        needs: config.needs.clone().filter(|needs| !needs.as_array().is_some_and(Vec::is_empty)),
        upstream_outputs: dispatch.upstream_job_outputs.clone(),
        upstream_statuses: dispatch
            .upstream_job_statuses
            .iter()
            .filter_map(|(name, state)| Some((name.clone(), word(state)?)))
            .collect(),
        upstream_groups: dispatch.upstream_job_groups.clone(),
        dynamic_source: match &evaluation {
            Some(evaluation) => evaluation.source.clone(),
            None => generated(),
        },
        evaluate: evaluation.map(|evaluation| evaluation.what),
        check_mode: config.check_mode.clone(),
        is_test_run: config.is_test_run.unwrap_or(false),
        timeout_ms: config.timeout,
        step_timeout_ms: Some(defaults.step_timeout_ms),
        concurrency_wait_ms: Some(defaults.concurrency_wait_ms),
        grace_ms: config.grace_period.map(|seconds| seconds.saturating_mul(1000)),
        max_log_bytes: Some(dispatch.max_log_size_bytes.unwrap_or(defaults.max_log_bytes)),
    })
}

fn refuse_unsupported(config: &JobConfig) -> Result<(), UnfitDispatch> {
    let what = if config.container.as_ref().is_some_and(|container| !container.is_null()) {
        "jobs in containers"
    } else if config.is_global_workflow == Some(true) {
        "workflows of another repository"
    } else if config.tarball_url.is_some() {
        "runs of uncommitted files"
    } else {
        return Ok(());
    };
    Err(UnfitDispatch::Unsupported { what })
}

fn checkout(dispatch: &JobDispatch, defaults: &JobDefaults) -> Checkout {
    let url = dispatch.repo_url.clone();
    let sha = dispatch.sha.clone();
    let auth = auth(dispatch, defaults);
    if dispatch.job_config.checkout == Some(false) {
        Checkout::None { url, sha, auth }
    } else {
        Checkout::Git { url, reference: dispatch.reference.clone(), sha, auth }
    }
}

fn auth(dispatch: &JobDispatch, defaults: &JobDefaults) -> Option<GitAuth> {
    let basic = |secret: &str| GitAuth {
        kind: "basic".to_owned(),
        user: None,
        secret: secret.to_owned(),
        ssh_host_key_policy: None,
        ssh_known_hosts_pem: None,
    };
    let given = dispatch.source_auth.as_ref().map(|credential: &GitCredential| GitAuth {
        kind: credential.kind.clone(),
        user: credential.user.clone(),
        secret: credential.secret.expose().to_owned(),
        ssh_host_key_policy: credential.ssh_host_key_policy.clone(),
        ssh_known_hosts_pem: credential.ssh_known_hosts_pem.clone(),
    });
    let own = || {
        let token = defaults.github_token.as_ref()?;
        dispatch.repo_url.starts_with("https://github.com/").then(|| basic(token.expose()))
    };
    given.or_else(|| dispatch.token.as_ref().map(|token| basic(token.expose()))).or_else(own)
}

/// Variables of the environment store, then those of the job.
fn env(config: &JobConfig) -> BTreeMap<String, String> {
    let of = |vars: &Option<IndexMap<String, Value>>| -> Vec<(String, String)> {
        let vars = vars.iter().flatten();
        vars.filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect()
    };
    of(&config.environment_vars).into_iter().chain(of(&config.job_env)).collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

/// The first of one name, several names, or an object with a name.
fn environment_name(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(name) => Some(name.clone()),
        Value::Array(names) => environment_name(names.first()),
        Value::Object(object) => environment_name(object.get("name")),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A name, or an object with one.
fn host_name(host: &Value) -> Option<String> {
    let named = ["host", "hostname", "name"].iter().find_map(|key| host.get(key)?.as_str());
    host.as_str().or(named).map(str::to_owned)
}

fn fanout(config: &JobConfig) -> Option<Value> {
    let (index, total) = (config.fanout_index?, config.fanout_total?);
    (total > 1).then(|| {
        json!({ "index": index, "total": total, "first": index == 0, "last": index + 1 == total })
    })
}

fn word(state: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(state).ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use kici_exec::spec::EngineWish;
    use kici_protocol::agent::{Parsed, Secret, ToAgent};

    use std::path::Path;

    use super::*;

    fn defaults() -> JobDefaults {
        JobDefaults {
            data_dir: "/data".into(),
            max_log_bytes: 10,
            step_timeout_ms: 20,
            concurrency_wait_ms: 30_000,
            engine: EngineWish::Auto,
            installed_sdk: false,
            node: None,
            github_token: Some(Secret::from("own-token")),
        }
    }

    fn dispatch(config: Value, more: Value) -> JobDispatch {
        let mut message = json!({
            "type": "job.dispatch", "messageId": "m", "runId": "r", "jobId": "j",
            "repoUrl": "https://github.com/a/b.git", "ref": "main", "sha": "abc", "lockFileUrl": "",
            "timestamp": 1, "jobConfig": config,
        });
        for (key, value) in more.as_object().unwrap() {
            message[key] = value.clone();
        }
        match ToAgent::parse(&message.to_string()).unwrap() {
            Parsed::Known(ToAgent::JobDispatch(dispatch)) => *dispatch,
            other => panic!("{other:?}"),
        }
    }

    fn usual() -> Value {
        json!({ "workflowName": "w", "name": "test (1)", "baseJobName": "test",
                "source": { "file": ".kici/workflows/w.ts", "export": "#default" } })
    }

    fn spec(config: Value, more: Value) -> Result<JobSpec, UnfitDispatch> {
        let folders = Folders { work: "/w".into(), temp: "/t".into() };
        to_spec(&dispatch(config, more), &defaults(), &folders)
    }

    fn merged(extra: Value) -> Value {
        let mut config = usual();
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    }

    #[test]
    fn a_usual_job() {
        let config = merged(json!({
            "environmentVars": { "A": "1", "B": "2" }, "jobEnv": { "B": 3, "C": true, "D": null },
            "needs": [], "timeout": 2500.4, "gracePeriod": 5, "fanoutIndex": 1, "fanoutTotal": 2,
            "host": "web-1", "agent": {"host": "web-1", "labels": ["web"], "platform": "linux"},
            "environment": ["prod"],
        }));
        let more = json!({
            "upstreamJobStatuses": { "build": "timed_out_stale" }, "secrets": { "S": "x" },
            "maxLogSizeBytes": 99,
        });
        let spec = spec(config, more).unwrap();
        assert_eq!((spec.job_name.as_str(), spec.base_job_name.as_str()), ("test (1)", "test"));
        assert_eq!(
            spec.env,
            BTreeMap::from([
                ("A".into(), "1".into()),
                ("B".into(), "3".into()),
                ("C".into(), "true".into()),
            ])
        );
        assert_eq!((spec.timeout_ms, spec.grace_ms), (Some(2500), Some(5000)));
        assert_eq!((spec.max_log_bytes, spec.step_timeout_ms), (Some(99), Some(20)));
        assert_eq!(spec.concurrency_wait_ms, Some(30_000));
        assert_eq!(spec.needs, None);
        assert_eq!(spec.environment.as_deref(), Some("prod"));
        assert_eq!(spec.upstream_statuses["build"], "timed_out_stale");
        assert_eq!(spec.fanout.unwrap()["last"], true);
        assert_eq!(spec.host.as_deref(), Some("web-1"));
        assert_eq!(spec.agent.unwrap()["labels"], json!(["web"]));
        assert_eq!(spec.mirrors.unwrap(), Path::new("/data/mirrors"));
    }

    #[test]
    fn the_dispatch_credential_comes_before_our_own() {
        let secret = |more| match spec(usual(), more).unwrap().checkout {
            Checkout::Git { auth, .. } => auth.map(|auth| auth.secret),
            other => panic!("{other:?}"),
        };
        let auth = json!({ "sourceAuth": { "kind": "ssh", "secret": "key" }, "token": "t" });
        assert_eq!(secret(auth).as_deref(), Some("key"));
        assert_eq!(secret(json!({ "token": "t" })).as_deref(), Some("t"));
        assert_eq!(secret(json!({})).as_deref(), Some("own-token"));
        assert_eq!(secret(json!({ "repoUrl": "https://evil.example/a" })), None);
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        for (config, why) in [
            (json!({}), "the dispatch has no jobConfig.workflowName"),
            (merged(json!({ "buildOnly": true })), "this agent does not run build jobs"),
            (merged(json!({ "initOnly": true })), "the dispatch has no jobConfig.targetJobName"),
            (
                merged(json!({ "container": "node:24" })),
                "this agent does not support jobs in containers",
            ),
        ] {
            assert_eq!(spec(config, json!({})).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn without_a_checkout_only_the_workflow_is_read() {
        let spec = spec(merged(json!({ "checkout": false })), json!({})).unwrap();
        assert!(matches!(spec.checkout, Checkout::None { .. }));
    }
}
