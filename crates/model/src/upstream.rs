//! What a job sees of the outputs of a fan-out that it needs: all children under one name.

use serde_json::{Map, Value, json};

use crate::state::JobState;

/// A finished child of a fan-out, as its downstream sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// The text in parentheses of its name: matrix values, or a host name.
    pub label: String,
    /// How it ended.
    pub status: JobState,
    /// Step name → outputs.
    pub outputs: Map<String, Value>,
}

/// Outputs of the children of a matrix: `{byMatrix: {label: outputs}, merged}`. In `merged` the last
/// child in the order of names wins.
pub fn matrix_outputs(children: &[Child]) -> Value {
    let mut merged = Map::new();
    let mut by_matrix = Map::new();
    for child in in_order(children) {
        for (step, outputs) in &child.outputs {
            merge(merged.entry(step.clone()).or_insert_with(|| json!({})), outputs);
        }
        by_matrix.insert(child.label.clone(), Value::Object(child.outputs.clone()));
    }
    json!({"byMatrix": by_matrix, "merged": merged})
}

/// Outputs of the children on hosts: `{byHost, summary: {succeededHosts, failedHosts, outputs}}`, where
/// `summary.outputs` lists the values of every key over all hosts.
pub fn host_outputs(children: &[Child]) -> Value {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    let mut by_host = Map::new();
    let mut lists: Map<String, Value> = Map::new();
    for child in in_order(children) {
        let side = if child.status == JobState::Success { &mut succeeded } else { &mut failed };
        side.push(child.label.clone());
        for (key, value) in child.outputs.values().filter_map(Value::as_object).flatten() {
            let list = lists.entry(key.clone()).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(value.clone());
            }
        }
        by_host.insert(child.label.clone(), Value::Object(child.outputs.clone()));
    }
    let summary = json!({"succeededHosts": succeeded, "failedHosts": failed, "outputs": lists});
    json!({"byHost": by_host, "summary": summary})
}

fn in_order(children: &[Child]) -> Vec<&Child> {
    let mut children: Vec<&Child> = children.iter().collect();
    children.sort_by(|a, b| a.label.cmp(&b.label));
    children
}

/// Lays the fields of one output over those of earlier children; anything but an object replaces.
fn merge(into: &mut Value, outputs: &Value) {
    match (into, outputs) {
        (Value::Object(into), Value::Object(fields)) => {
            into.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        (into, outputs) => *into = outputs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(label: &str, status: JobState, outputs: Value) -> Child {
        let Value::Object(outputs) = outputs else { panic!("outputs are an object") };
        Child { label: label.into(), status, outputs }
    }

    #[test]
    fn the_last_child_by_name_wins_in_merged() {
        let children = [
            child("2, l", JobState::Success, json!({"s": {"v": 2, "only": true}})),
            child("1, l", JobState::Success, json!({"s": {"v": 1}})),
        ];
        assert_eq!(
            matrix_outputs(&children),
            json!({"byMatrix": {"1, l": {"s": {"v": 1}}, "2, l": {"s": {"v": 2, "only": true}}},
                   "merged": {"s": {"v": 2, "only": true}}})
        );
    }

    #[test]
    fn hosts_are_summed_up() {
        let children = [
            child("b", JobState::Failed, json!({})),
            child("a", JobState::Success, json!({"s": {"disk": 3}})),
        ];
        assert_eq!(
            host_outputs(&children),
            json!({"byHost": {"a": {"s": {"disk": 3}}, "b": {}},
                   "summary": {"succeededHosts": ["a"], "failedHosts": ["b"], "outputs": {"disk": [3]}}})
        );
    }
}
