//! What an agent says that it has computed, read with care: it comes from the author's code.

use indexmap::IndexMap;
use kici_model::lock::{JobEntry, MatrixValues, StaticJob};
use serde::Deserialize;
use serde_json::Value;

/// `initResult` of an init job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InitResult {
    environment_names: Option<Vec<String>>,
    env: Option<IndexMap<String, Value>>,
    concurrency_group: Option<String>,
    matrix_values: Option<Value>,
}

/// A matrix, and combinations that came ready-made.
type ComputedMatrix = (MatrixValues, Vec<IndexMap<String, Value>>);

impl InitResult {
    /// Reads one. An error is why the init job fails.
    pub(crate) fn read(value: &Value) -> Result<InitResult, String> {
        InitResult::deserialize(value)
            .map_err(|error| format!("the agent gave values that make no sense: {error}"))
    }

    /// The first environment.
    pub(crate) fn environment(&self) -> Option<String> {
        let names = self.environment_names.as_deref().unwrap_or_default();
        names.iter().find(|name| !name.is_empty()).map(|name| name.replace('\0', "\u{fffd}"))
    }

    /// The concurrency group. One that is named like an environment of the job stands for that environment's own limit.
    pub(crate) fn group(&self) -> Option<String> {
        let group = self.concurrency_group.as_ref().filter(|group| !group.is_empty())?;
        let environments = self.environment_names.as_deref().unwrap_or_default();
        (!environments.contains(group)).then(|| group.replace('\0', "\u{fffd}"))
    }

    /// The variables, JSON.
    pub(crate) fn env_json(&self) -> Option<String> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let map: IndexMap<&str, String> = self
            .env
            .as_ref()?
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
            .collect();
        Some(serde_json::to_string(&map).expect("a map of texts"))
    }

    /// The matrix of a job. A list of objects is one that was expanded already.
    pub(crate) fn matrix(&self, job: &str) -> Result<ComputedMatrix, String> {
        let Some(value) = &self.matrix_values else {
            return Err(format!("the agent gave no matrix for job '{job}'"));
        };
        if let Some(list) = value.as_array().filter(|list| list.iter().any(Value::is_object)) {
            let ready = list.iter().map(IndexMap::deserialize).collect::<Result<_, _>>();
            return ready
                .map(|ready| (MatrixValues::List(Vec::new()), ready))
                .map_err(|error| format!("the matrix of job '{job}' makes no sense: {error}"));
        }
        MatrixValues::deserialize(value)
            .map(|values| (values, Vec::new()))
            .map_err(|error| format!("the matrix of job '{job}' makes no sense: {error}"))
    }
}

/// `dynamicJobs` of a generator. An error is why the generator fails.
pub(crate) fn jobs(value: &Value) -> Result<Vec<StaticJob>, String> {
    let wrong = |what: &str| format!("the agent gave jobs that make no sense: {what}");
    let list = value.as_array().ok_or_else(|| wrong("no list"))?;
    let entries = list.iter().map(|entry| match JobEntry::deserialize(entry) {
        Ok(JobEntry::Static(job)) => Ok(*job),
        Ok(_) => Err(wrong("a job that is not static")),
        Err(error) => Err(wrong(&error.to_string())),
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_as_agents_send_them() {
        let result = InitResult::read(&json!({
            "environmentNames": ["", "prod"], "env": {"A": "x", "N": 2, "GONE": null}, "other": true,
        }))
        .unwrap();
        assert_eq!(result.environment().as_deref(), Some("prod"));
        assert_eq!(result.env_json().as_deref(), Some(r#"{"A":"x","N":"2"}"#));
        assert!(result.matrix("m").unwrap_err().contains("no matrix for job 'm'"));
        assert!(InitResult::read(&json!({"env": "x"})).unwrap_err().contains("make no sense"));
    }

    #[test]
    fn a_matrix_comes_in_any_form() {
        let of =
            |value: Value| InitResult::read(&json!({"matrixValues": value})).unwrap().matrix("m");
        assert_eq!(of(json!(["a"])).unwrap().0, MatrixValues::List(vec![json!("a")]));
        assert!(matches!(of(json!({"os": ["l"]})).unwrap().0, MatrixValues::Dimensions(_)));
        assert_eq!(of(json!([{"os": "l"}])).unwrap().1.len(), 1);
        assert!(of(json!("a")).unwrap_err().contains("matrix of job 'm'"));
    }

    #[test]
    fn jobs_are_static_jobs() {
        let made =
            jobs(&json!([{"_type": "static", "name": "a", "needs": [], "steps": []}])).unwrap();
        assert_eq!(made[0].name, "a");
        assert!(jobs(&json!({})).unwrap_err().contains("no list"));
        assert!(jobs(&json!([{"_type": "dynamic", "source": {"file": "x", "index": 0}}])).is_err());
        assert!(jobs(&json!([{"_type": "static"}])).unwrap_err().contains("name"));
    }
}
