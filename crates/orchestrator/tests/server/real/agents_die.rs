//! An agent that is killed or frozen while a step runs.

use std::time::Duration;

use kici_testkit::wait_until;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Fleet, LONG, TICKS, attempts};

/// An agent that is away for a second is gone.
const SHORT: (&str, &str) = ("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500");
const RETRY: (&str, &str) = ("KICI_AGENT_LOST_RETRIES", "1");

#[tokio::test]
async fn the_job_of_a_killed_agent_ends_with_the_reason() {
    let fleet = Fleet::start(TICKS, &[SHORT]).await;
    let mut agent = fleet.ready_agent("a");
    fleet.count().await;
    agent.kill();
    let job = fleet.ends("failed").await;
    assert_eq!(attempts(&job), ["1 a agent a was lost"]);
    assert_eq!(fleet.story(), ["start"], "the step died with its agent");
    // What it had said is still there.
    let lines = fleet.lines().await;
    let wanted: Vec<String> = (1..=lines.len()).map(|tick| format!("tick {tick}")).collect();
    assert!(lines.len() >= 20 && lines == wanted, "{lines:?}");
}

#[tokio::test]
async fn the_next_attempt_runs_elsewhere_and_the_killed_agent_changes_nothing_when_it_is_back() {
    let fleet = Fleet::start(TICKS, &[SHORT, RETRY]).await;
    let mut first = fleet.ready_agent("a");
    fleet.count().await;
    let mut second = fleet.ready_agent("b");
    first.kill();
    fleet.journal_has("start", 2).await;
    // It reports the job that it lost, and the end of its log.
    let mut back = fleet.agent("a");
    back.wait_for_line("was killed while this job ran", LONG);
    back.wait_for_line("registered with", LONG);
    let job = fleet.ends("success").await;
    assert_eq!(job["agentId"], json!("b"));
    assert_eq!(attempts(&job), ["1 a agent a was lost"]);
    assert_eq!(fleet.story(), ["start", "start", "end"]);
    fleet.log_is_whole().await;
    assert!(back.is_running() && second.is_running());
}

#[tokio::test]
async fn a_frozen_agent_that_finished_its_job_changes_nothing_either() {
    let mut fleet = Fleet::start(TICKS, &[SHORT, RETRY]).await;
    let mut first = fleet.ready_agent("a");
    fleet.count().await;
    let mut second = fleet.ready_agent("b");
    // Its job goes on: only the agent stands still. A new orchestrator does not wait for its pings.
    first.signal(Signal::SIGSTOP);
    fleet.stop(Signal::SIGKILL);
    fleet.boot();
    fleet.journal_has("start", 2).await;
    first.signal(Signal::SIGCONT);
    let job = fleet.ends("success").await;
    assert_eq!(job["agentId"], json!("b"));
    assert_eq!(attempts(&job), ["1 a agent a was lost"]);
    fleet.log_is_whole().await;
    // The one that came back late was stopped, or had ended: either way it says so to nobody's harm.
    wait_until(LONG, "the first agent to be idle", async || {
        let printed = first.printed();
        if printed.contains("job ended") { Ok(()) } else { Err(printed) }
    })
    .await;
    assert_eq!(fleet.ends("success").await["agentId"], json!("b"));
    fleet.log_is_whole().await;
    assert!(second.is_running());
}

#[tokio::test]
async fn an_agent_that_is_killed_and_back_at_once_has_lost_its_job_too() {
    for (retry, state) in [(("KICI_AGENT_LOST_RETRIES", "0"), "failed"), (RETRY, "success")] {
        let fleet = Fleet::start(80, &[retry]).await;
        let mut agent = fleet.ready_agent("a");
        fleet.count().await;
        agent.kill();
        let mut agent = fleet.agent("a");
        let job = fleet.ends(state).await;
        assert_eq!(attempts(&job), ["1 a agent a was restarted and lost the job"]);
        if state == "success" {
            assert_eq!(fleet.story(), ["start", "start", "end"]);
            fleet.log_is_whole().await;
        } else {
            assert_eq!(fleet.story(), ["start"], "nothing runs twice unasked");
        }
        agent.signal(Signal::SIGTERM);
        agent.wait(Duration::from_secs(30));
    }
}

#[tokio::test]
async fn a_dispatch_that_was_taken_back_does_not_end_its_job_as_cancelled() {
    let fleet = Fleet::start(40, &[("KICI_DISPATCH_ACK_TIMEOUT_MS", "1000")]).await;
    let mut agent = fleet.ready_agent("a");
    agent.signal(Signal::SIGSTOP);
    fleet.push("counting", "count").await;
    wait_until(LONG, "the dispatch to be taken back", async || {
        let Some(run) = fleet.env.runs().await.into_iter().next() else {
            return Err("no run".to_owned());
        };
        let attempts = attempts(&fleet.env.jobs(&run).await[0]);
        if attempts == ["1 a dispatch ack timeout"] { Ok(()) } else { Err(format!("{attempts:?}")) }
    })
    .await;
    // It finds the job, its cancel and the close in its socket, in this order.
    agent.signal(Signal::SIGCONT);
    let job = fleet.ends("success").await;
    assert_eq!(attempts(&job)[0], "1 a dispatch ack timeout");
    assert_eq!(fleet.story().iter().filter(|word| *word == "end").count(), 1);
    fleet.log_is_whole().await;
}
