//! Whether two messages of the same type mean the same.

use serde_json::Value;

/// Their values have to be equal; of all others only the type.
const EQUAL: &[&str] = &[
    "type",
    "runId",
    "jobId",
    "state",
    "stepIndex",
    "stepName",
    "reason",
    "eventType",
    "sourceService",
    "group",
    "eventName",
    "payload",
    "method",
    "params",
    "concurrencyKind",
    "groupId",
    "step_type",
    "clauses",
    "timeoutSeconds",
    "isLast",
    "seq",
    "requestId",
    "secretsAccessed",
    "name",
    "status",
    "outputs",
    "platform",
    "arch",
    "protocolVersion",
    "exitCode",
    "signal",
];
/// Their content is the machine's.
const OPAQUE: &[&str] = &["context", "labels", "properties", "dataB64", "secretOutputs"];
/// Not sent by ours, on purpose or because it does not know: `nodeVersion` has none to name.
const MISSING_IS_RIGHT: &[&str] = &["nodeVersion", "properties"];

/// What is wrong with `ours`.
pub(super) fn compare(recorded: &Value, ours: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    same("", recorded, ours, &mut problems);
    problems
}

fn same(path: &str, recorded: &Value, ours: &Value, problems: &mut Vec<String>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    // Ids of requests are made up by each side.
    let is_request_id = name == "requestId";
    if EQUAL.contains(&name) && !is_request_id {
        if recorded != ours {
            problems.push(format!("{path} is {ours} instead of {recorded}"));
        }
        return;
    }
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) if !OPAQUE.contains(&name) => {
            for (key, value) in recorded {
                let path = format!("{path}.{key}");
                match ours.get(key) {
                    Some(our) => same(&path, value, our, problems),
                    None if MISSING_IS_RIGHT.contains(&key.as_str()) => {}
                    None => problems.push(format!("{path} is missing")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if name == "stepResults" => {
            if recorded.len() != ours.len() {
                problems.push(format!("{path} has {} entries", ours.len()));
            }
            for (index, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                same(&format!("{path}.{index}"), recorded, ours, problems);
            }
        }
        (Value::Null, _) => {}
        _ if std::mem::discriminant(recorded) != std::mem::discriminant(ours) => {
            problems.push(format!("{path} is {ours}, another type than {recorded}"));
        }
        _ => {}
    }
}
