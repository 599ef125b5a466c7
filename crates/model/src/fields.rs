//! Which values of a job only a run of its code can compute: functions that are not in the lock file as inline
//! expressions.

use crate::lock::{EnvValue, Matrix, StaticJob, TextValue};

/// The values of one job that an init job has to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InitFields {
    /// Its environments.
    pub environment: bool,
    /// Its variables.
    pub env: bool,
    /// Its concurrency group.
    pub concurrency_group: bool,
    /// Its matrix.
    pub matrix: bool,
}

impl InitFields {
    /// Those of a job of a lock file.
    pub fn of(job: &StaticJob) -> InitFields {
        let unknown = |value: &TextValue| matches!(value, TextValue::Text(name) if name.is_empty());
        InitFields {
            environment: job
                .environments
                .iter()
                .flatten()
                .any(|environment| environment.dynamic && unknown(&environment.value)),
            env: job.dynamic_env && !matches!(job.env, Some(EnvValue::Inline(_))),
            concurrency_group: job.dynamic_concurrency_group
                && !matches!(job.concurrency_group, Some(TextValue::Inline(_))),
            matrix: matches!(job.matrix, Some(Matrix::Dynamic { .. })),
        }
    }

    /// Whether there is one.
    pub fn any(self) -> bool {
        self != InitFields::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(more: Value) -> InitFields {
        let mut job = json!({"name": "j"});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        InitFields::of(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn what_is_written_down_or_inline_needs_no_agent() {
        let inline = json!({"_type": "inline", "expression": "(e) => e.type"});
        assert!(!fields(json!({})).any());
        assert!(
            !fields(json!({
                "environments": [{"value": "prod", "dynamic": false}, {"value": inline, "dynamic": true}],
                "dynamicEnv": true, "env": inline, "dynamicConcurrencyGroup": true, "concurrencyGroup": inline,
                "matrix": {"_type": "static", "values": ["a"]},
            }))
            .any()
        );
        let all = fields(json!({
            "environments": [{"value": "", "dynamic": true}], "dynamicEnv": true, "dynamicConcurrencyGroup": true,
            "matrix": {"_type": "dynamic", "source": {"file": "x.ts", "jobName": "j"}},
        }));
        assert_eq!(
            all,
            InitFields { environment: true, env: true, concurrency_group: true, matrix: true }
        );
    }
}
