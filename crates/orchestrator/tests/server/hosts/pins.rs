//! Jobs whose only label is the id of an agent.

use kici_testkit::wait_until;
use serde_json::{Value, json};

use super::{exact, is_away};
use crate::env::{Env, LIMIT, job};

/// A job for the agents with a label.
fn on(name: &str, label: &str) -> Value {
    job(name, json!({"runsOn": [exact(label)]}))
}

#[tokio::test]
async fn a_label_that_is_an_agents_id_means_that_agent_and_it_takes_those_jobs_first() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([on("any", "linux"), on("own", "box-1"), on("own2", "box-1")]));
    // Known from before; away when the run is made.
    env.agent("box-1", &["linux"]).await.vanish();
    is_away(&env, "box-1").await;
    env.push("d1", &sha).await;
    let run = env.run_is("pending").await;
    wait_until(LIMIT, "a reason", async || {
        let reason = env.jobs(&run).await[1]["waitReason"].clone();
        match reason["kind"] == "pinned_agent_away" && reason["agent"] == "box-1" {
            true => Ok(()),
            false => Err(reason),
        }
    })
    .await;
    // Has the label, but is not meant.
    let _other = env.agent("box-2", &["box-1"]).await;
    let mut own = env.agent("box-1", &["linux"]).await;
    own.run("own", "success", json!({})).await;
    own.run("own2", "success", json!({})).await;
    own.run("any", "success", json!({})).await;
    env.run_is("success").await;
}
