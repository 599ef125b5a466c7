//! An orchestrator that stops or dies while a step runs: the step does not notice.

use nix::sys::signal::Signal;

use super::{Fleet, LONG, TICKS, attempts};

/// The step of a minute.
const MINUTE: usize = 1200;

async fn survives(signal: Signal, ticks: usize) {
    let mut fleet = Fleet::start(ticks, &[]).await;
    let _agent = fleet.ready_agent("a");
    fleet.count().await;
    fleet.stop(signal);
    fleet.boot();
    if ticks > TICKS {
        // Once more, in the middle of it.
        fleet.ticked(ticks / 2).await;
        fleet.stop(signal);
        fleet.boot();
    }
    let job = fleet.ends("success").await;
    assert_eq!(fleet.story(), ["start", "end"], "one process, from its start to its end");
    assert_eq!(attempts(&job), Vec::<String>::new());
    fleet.log_is_whole().await;
}

#[tokio::test]
async fn a_step_survives_an_orchestrator_that_is_asked_to_stop() {
    survives(Signal::SIGTERM, TICKS).await;
}

#[tokio::test]
async fn a_step_survives_an_orchestrator_that_is_killed() {
    survives(Signal::SIGKILL, TICKS).await;
}

#[tokio::test]
#[ignore = "takes more than a minute"]
async fn a_step_of_a_minute_survives_two_orchestrators_that_are_asked_to_stop() {
    survives(Signal::SIGTERM, MINUTE).await;
}

#[tokio::test]
#[ignore = "takes more than a minute"]
async fn a_step_of_a_minute_survives_two_orchestrators_that_are_killed() {
    survives(Signal::SIGKILL, MINUTE).await;
}

#[tokio::test]
async fn a_job_that_ends_while_the_orchestrator_is_down_is_told_later() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut fleet = Fleet::start(60, &[]).await;
        let mut agent = fleet.ready_agent("a");
        fleet.count().await;
        fleet.stop(signal);
        fleet.journal_has("end", 1).await;
        agent.wait_for_line("connecting again in", LONG);
        fleet.boot();
        fleet.ends("success").await;
        assert_eq!(fleet.story(), ["start", "end"]);
        fleet.log_is_whole().await;
    }
}
