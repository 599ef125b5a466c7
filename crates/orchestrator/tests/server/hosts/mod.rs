//! Jobs that belong to certain hosts: pinned ones, and fan-outs over all of them.

mod away;
mod fan_out;
mod made;
mod pins;

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, LIMIT, job};

fn exact(label: &str) -> Value {
    json!({"kind": "exact", "value": label})
}

/// A job for all hosts with a label.
fn on_all(name: &str, label: &str, more: Value) -> Value {
    let mut of_hosts =
        job(name, json!({"runsOnAll": {"include": [[exact(label)]], "exclude": []}}));
    let fields = of_hosts.as_object_mut().unwrap();
    fields.remove("runsOn");
    fields.extend(more.as_object().unwrap().clone());
    of_hosts
}

async fn take(agent: &mut FakeAgent, name: &str) -> Dispatched {
    let job = agent.take().await;
    assert_eq!(job.name(), name);
    agent.start(&job).await;
    job
}

/// Waits until an agent counts as away.
async fn is_away(env: &Env, id: &str) {
    wait_until(LIMIT, &format!("{id} to be away"), async || {
        let agents = env.admin_get("/api/v1/admin/agents").await["agents"].clone();
        let away = |agent: &Value| agent["agentId"] == id && agent["state"] == "disconnected";
        match agents.as_array().unwrap().iter().any(away) {
            true => Ok(()),
            false => Err(agents),
        }
    })
    .await;
}
