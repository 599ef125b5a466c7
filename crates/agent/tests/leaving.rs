//! Draining and shutting down.

mod common;

use common::script::{prints, says, started, success, waits};
use common::{Agent, Closed, Orchestrator, dispatch, terminal};
use kici_agent::{Exit, Signal};
use serde_json::json;

fn goodbye() -> Closed {
    Closed { code: 1000, reason: "Agent disconnect".into() }
}

#[tokio::test]
async fn an_idle_agent_goes_at_once() {
    for signal in [Signal::Drain, Signal::Terminate] {
        let orchestrator = Orchestrator::start().await;
        let mut agent = Agent::start(&orchestrator, "true").await;
        let (mut link, _) = orchestrator.accept_registered().await;
        link.next_of("config.ack").await;
        agent.signal(signal).await;
        assert_eq!(link.until_close().await.1, goodbye());
        drop(link);
        assert_eq!(agent.exit().await, Exit::Clean);
    }
}

#[tokio::test]
async fn an_agent_without_a_link_goes_at_once_too() {
    let orchestrator = Orchestrator::start().await;
    let mut agent = Agent::start(&orchestrator, "true").await;
    let link = orchestrator.accept().await;
    drop(orchestrator);
    drop(link);
    agent.signal(Signal::Terminate).await;
    assert_eq!(agent.exit().await, Exit::Clean);
}

#[tokio::test]
async fn draining_ends_the_job_first_and_rejects_others() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "{}while [ ! -e '{}' ]; do sleep 0.01; done\n{}",
        says(&[started(0, "s")]),
        go.display(),
        prints(&[success()])
    );
    let orchestrator = Orchestrator::start().await;
    let mut agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    link.next_of("step.status").await;
    agent.signal(Signal::Drain).await;
    assert_eq!(link.next_of("agent.status").await["draining"], true);
    link.send(dispatch("two")).await;
    assert_eq!(link.next_of("job.reject").await["reason"], "draining");
    std::fs::write(&go, "").unwrap();
    let (said, closed) = link.until_close().await;
    assert_eq!(terminal(&said)["state"], "success");
    assert_eq!(closed, goodbye());
    drop(link);
    assert_eq!(agent.exit().await, Exit::Clean);
}

#[tokio::test]
async fn a_job_that_outlives_the_grace_time_is_cut_off_and_told() {
    for script in [waits(), format!("{}exec sleep 60", says(&[started(0, "s")]))] {
        let orchestrator = Orchestrator::start().await;
        let vars = [("KICI_AGENT_SHUTDOWN_GRACE_MS", "50")];
        let mut agent = Agent::start_with(&orchestrator, &script, &vars).await;
        let (mut link, _) = orchestrator.accept_registered().await;
        link.send(dispatch("one")).await;
        link.next_of("step.status").await;
        agent.signal(Signal::Terminate).await;
        let (said, closed) = link.until_close().await;
        let end = terminal(&said);
        assert_eq!(end["state"], "failed");
        assert_eq!(end["data"]["error"], "Agent shut down during execution");
        assert_eq!(closed, goodbye());
        drop(link);
        assert_eq!(agent.exit().await, Exit::CutOff);
    }
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_grace_time() {
    let orchestrator = Orchestrator::start().await;
    let vars = [("KICI_AGENT_SHUTDOWN_GRACE_MS", "3600000")];
    let mut agent = Agent::start_with(&orchestrator, &waits(), &vars).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    link.next_of("step.status").await;
    agent.signal(Signal::Terminate).await;
    agent.signal(Signal::Terminate).await;
    assert_eq!(terminal(&link.until_close().await.0)["state"], "failed");
    drop(link);
    assert_eq!(agent.exit().await, Exit::CutOff);
}

#[tokio::test]
async fn a_scaler_managed_agent_leaves_when_idle() {
    let orchestrator = Orchestrator::start().await;
    let vars = [("KICI_SCALER_MANAGED", "1"), ("KICI_SCALER_IDLE_TIMEOUT", "100")];
    let mut agent = Agent::start_with(&orchestrator, &says(&[success()]), &vars).await;
    let mut link = orchestrator.accept().await;
    // A bound job is announced: the short time does not count yet.
    link.greet_with(json!({ "scalerManaged": true, "pendingDispatch": true })).await;
    link.send(dispatch("one")).await;
    let (said, closed) = link.until_close().await;
    assert_eq!(terminal(&said)["state"], "success");
    assert_eq!(closed, goodbye());
    drop(link);
    assert_eq!(agent.exit().await, Exit::Clean);
}
