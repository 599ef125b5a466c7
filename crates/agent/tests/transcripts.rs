//! Recorded conversations of the TypeScript implementation, replayed against our agent: the test plays the
//! orchestrator's side word by word and compares what our agent says with what the recorded one said.
//!
//! Same types, same order, same fields with the same types of values, and the same values where they mean
//! something. Log lines are compared per step when the job ends. The job process is a script that says
//! what the recorded one said, because the recorded repositories are not there. What differs on purpose
//! is in [`SCENARIOS`], with the reason.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;
mod replay;

use replay::{Differs, play};

/// What is done with each recording.
enum Use {
    /// Compared message by message, except for these differences.
    Replay(&'static [Differs]),
    /// Only one connection of it, which is one agent.
    Connection(u64, &'static [Differs]),
    /// Not a matter of the agent, or shown elsewhere.
    Elsewhere(&'static str),
}

use Differs::{Cut, NoCaches, NoSpecialJobs, SaysCancelling};
use Use::{Connection, Elsewhere, Replay};

const PROBE: &str = "a probe stands in for the agent: shows the orchestrator alone";

/// Every recording.
const SCENARIOS: &[(&str, Use)] = &[
    ("agent-api", Elsewhere(PROBE)),
    (
        "agent-drain",
        Elsewhere(
            "tests/leaving.rs: ours is gone when the job has ended, so that no dispatch comes late",
        ),
    ),
    ("agent-kill9-midjob", Elsewhere("tests/crash.rs: ours reports the job that it lost")),
    (
        "agent-sigterm-midjob",
        Elsewhere("tests/leaving.rs: ours sends a terminal status and a close"),
    ),
    ("auth-bad-token", Elsewhere("tests/greeting.rs, and the recording is of a probe")),
    ("auth-first-message-wrong", Elsewhere(PROBE)),
    ("auth-timeout", Elsewhere(PROBE)),
    ("cache-build-upload-and-save", Replay(&[NoSpecialJobs, NoCaches])),
    ("cache-restore-hit", Replay(&[NoCaches])),
    ("cancel-force", Replay(&[])),
    ("cancel-graceful", Replay(&[SaysCancelling])),
    (
        "cancel-while-agent-offline",
        Elsewhere("begins within a job; the same as network-cut-reconnect"),
    ),
    ("concurrency-wait", Connection(1, &[])),
    // Ours is woken, and goes on: the recording ends where the recorded agent does not.
    ("concurrency-wait", Connection(2, &[])),
    ("connect-register", Replay(&[])),
    ("dispatch-ack-timeout", Elsewhere(PROBE)),
    ("dynamic-init-build-and-reject-busy", Replay(&[NoSpecialJobs])),
    ("failure", Replay(&[])),
    ("false-ack-timeout-of-acked-job", Replay(&[])),
    ("fleet-logs", Replay(&[])),
    ("heartbeat-and-metrics", Replay(&[])),
    ("hooks-parallel-emit-api", Replay(&[NoCaches])),
    ("invalid-message", Elsewhere(PROBE)),
    // Ours tells the statuses that the recorded agent lost.
    ("job-finishes-while-offline", Replay(&[Cut])),
    ("job-heartbeat", Replay(&[NoSpecialJobs])),
    ("log-flood-rate-limit", Elsewhere("shortened; pace::tests keep our agent below the limit")),
    ("needs-cold-source-cache", Replay(&[NoSpecialJobs])),
    ("needs-outputs-and-secret-outputs", Replay(&[])),
    ("network-cut-reconnect", Replay(&[NoSpecialJobs, Cut])),
    (
        "orchestrator-graceful-restart-midjob",
        Elsewhere("shows ownership kicks; tests/acks.rs cuts links"),
    ),
    ("orchestrator-kill9-midjob", Elsewhere("shows ownership kicks; tests/acks.rs cuts links")),
    ("orchestrator-restart-idle", Replay(&[Cut])),
    ("ownership-violation", Elsewhere(PROBE)),
    ("re-register", Elsewhere(PROBE)),
    ("register-label-scope-violation", Elsewhere(PROBE)),
    ("register-privileged-root-violation", Elsewhere(PROBE)),
    ("register-timeout", Elsewhere(PROBE)),
    ("reject-exhausts-attempts", Elsewhere(PROBE)),
    ("step-approval-unavailable", Replay(&[NoSpecialJobs])),
    ("success", Replay(&[])),
    ("token-revoked", Elsewhere(PROBE)),
];

#[tokio::test]
async fn our_agent_says_what_the_recorded_one_said() {
    let mut plays = Vec::new();
    for (name, what) in SCENARIOS {
        let (connection, differs) = match what {
            Elsewhere(reason) => {
                println!("{name}: not replayed, {reason}");
                continue;
            }
            Replay(differs) => (None, differs),
            Connection(number, differs) => (Some(*number), differs),
        };
        plays.push((name, tokio::spawn(play(name, connection, differs))));
    }
    let mut replayed = 0;
    let mut deviating = Vec::new();
    for (name, played) in plays {
        match played.await {
            Ok(messages) => replayed += messages,
            // What it is was printed by the panic.
            Err(_) => deviating.push(name),
        }
    }
    assert!(deviating.is_empty(), "our agent deviates in {deviating:?}");
    // So that a mistake in the player cannot make it compare nothing.
    assert!(replayed > 290, "only {replayed} messages were compared");
}

#[test]
fn every_recording_has_its_place() {
    let folder = replay::folder();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(SCENARIOS.iter().any(|(known, _)| *known == name), "{name} has no place");
        }
    }
}

#[tokio::test]
#[should_panic(expected = "instead of")]
async fn a_deviation_is_found() {
    // The player expects a step that the recorded script never gets to say.
    replay::play_changed("success", |line| {
        if line["msg"]["type"] == "step.status" && line["msg"]["state"] == "success" {
            line["msg"]["type"] = "job.reject".into();
        }
    })
    .await;
}
