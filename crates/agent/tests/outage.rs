//! What is told after the link was gone for a while.

mod common;

use common::script::{ended, log, prints, says, started, success};
use common::{Agent, Orchestrator, dispatch, job_states, lines_of, terminal};
use serde_json::{Value, json};

#[tokio::test]
async fn a_job_goes_on_without_the_link_and_is_told_afterwards() {
    // The second half comes when the test makes the file.
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "{}while [ ! -e '{}' ]; do sleep 0.01; done\n{}",
        says(&[started(0, "s"), log(0, &["before"])]),
        go.display(),
        prints(&[log(0, &["during"]), ended(0, "s"), started(1, "t"), ended(1, "t"), success()])
    );
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    let before = link.until(|message| message["type"] == "log.chunk").await;
    drop(link);
    std::fs::write(&go, "").unwrap();

    let (mut link, registration) = orchestrator.accept_registered().await;
    assert_eq!(registration["inFlightJobs"], json!([{ "jobId": "one", "runId": "run-1" }]));
    let after = link.whole_job().await;

    assert_eq!(lines_of(&before, 0), ["before"]);
    assert_eq!(lines_of(&after, 0), ["during"]);
    let steps: Vec<String> = before
        .iter()
        .chain(&after)
        .filter(|message| message["type"] == "step.status")
        .map(|message| format!("{} {}", message["stepName"], message["state"]))
        .collect();
    assert_eq!(
        steps,
        ["\"s\" \"running\"", "\"s\" \"success\"", "\"t\" \"running\"", "\"t\" \"success\""]
    );
    assert_eq!(job_states(&after), ["success"]);
    let gap = after.iter().find(|message| message["type"] == "agent.log");
    assert!(gap.is_some(), "the gap is told: {after:?}");
}

#[tokio::test]
async fn a_terminal_status_waits_until_an_old_orchestrator_has_reconciled() {
    for (features, at_least_ms) in [(json!([]), 450), (json!(["reconciled"]), 0)] {
        let orchestrator = Orchestrator::start().await;
        let script = says(&[started(0, "s"), ended(0, "s"), success()]);
        let _agent = Agent::start(&orchestrator, &script).await;
        let (mut link, _) = orchestrator.accept_registered().await;
        link.next_of("config.ack").await;
        // Read nothing after this, so that the end stays untold.
        link.send(dispatch("one")).await;
        link.next_of("job.ack").await;
        drop(link);

        let mut link = orchestrator.accept().await;
        let registration = link.greet_with(json!({ "features": features })).await;
        let registered = std::time::Instant::now();
        if registration.get("inFlightJobs").is_none() {
            // The end got into the socket's buffer before it was cut: told, as far as an agent can know.
            continue;
        }
        let said = link.whole_job().await;
        assert_eq!(terminal(&said)["state"], "success");
        assert!(registered.elapsed().as_millis() >= at_least_ms);
    }
}

#[tokio::test]
async fn an_order_finds_the_job_after_a_reconnect() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &common::script::waits()).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    link.next_of("job.ack").await;
    drop(link);
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(json!({ "type": "job.cancel", "messageId": "c", "runId": "run-1", "jobId": "one",
                      "reason": "run cancelled via API" }))
        .await;
    let said: Vec<Value> = link.whole_job().await;
    assert_eq!(terminal(&said)["state"], "cancelled");
}
