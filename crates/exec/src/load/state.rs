//! What the guest is told when the module is loaded.

use serde_json::{Value, json};

use crate::context::Context;

/// `docs/design/engine-data.md`, "`state` of `load`".
pub(super) fn of(context: &Context) -> Value {
    let spec = &context.spec;
    let snapshot = spec.dynamic_source.as_ref().and_then(|source| source.get("upstreamSnapshot"));
    let from_snapshot = |key: &str| {
        snapshot.and_then(|s| s.get(key)).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut outputs = from_snapshot("jobs");
    outputs.extend(spec.upstream_outputs.clone());
    let mut statuses = from_snapshot("statuses");
    statuses.extend(spec.upstream_statuses.iter().map(|(k, v)| (k.clone(), json!(v))));
    let mut upstream = json!({ "outputs": outputs, "statuses": statuses });
    let mut groups = from_snapshot("groups");
    groups.extend(spec.upstream_groups.iter().map(|(k, v)| (k.clone(), json!(v))));
    if !groups.is_empty() {
        upstream["groups"] = Value::Object(groups);
    }
    // A generator's own needs are in the module's description.
    if let Some(needs) = spec.needs.as_ref().and_then(Value::as_array) {
        upstream["needs"] = needs.iter().filter_map(need_name).collect();
    }
    let mut defaults = json!({
        "workflow": { "name": spec.workflow_name },
        "job": { "name": spec.base_job_name },
        "event": event(context),
        "dispatchInputs": if spec.dispatch_inputs.is_null() { json!({}) } else { spec.dispatch_inputs.clone() },
        "isTestRun": spec.is_test_run,
    });
    let optional = [
        ("provider", spec.provider.clone().map(Value::from)),
        ("environment", spec.environment.clone().map(Value::from)),
        ("matrix", spec.matrix.clone()),
        ("fanout", spec.fanout.clone()),
        ("host", spec.host.clone().map(Value::from)),
        ("agent", spec.agent.clone()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            defaults[key] = value;
        }
    }
    json!({
        "context": defaults,
        "upstream": upstream,
        "secretKeys": spec.secrets.keys().collect::<Vec<_>>(),
    })
}

/// The job's event; generated jobs may have theirs beside the generator.
pub(crate) fn event(context: &Context) -> Value {
    match (&context.spec.event, &context.spec.dynamic_source) {
        (Value::Null, Some(source)) => source.get("event").cloned().unwrap_or_default(),
        (event, _) => event.clone(),
    }
}

fn need_name(need: &Value) -> Option<Value> {
    let name = need.as_str().or_else(|| {
        ["name", "job", "group"].iter().find_map(|key| need.get(key).and_then(Value::as_str))
    });
    name.map(Value::from)
}
