//! Recorded conversations of the TypeScript implementation, with their agent's side played against our orchestrator.
//!
//! Every message of the recorded orchestrator has to come from ours, on the same connection, in the same order, with
//! the same fields and the ids of the request. What is different on purpose is listed with each scenario; a
//! recording that is not played is listed with the reason. Build jobs, which archive sources for later jobs, are left
//! out of all recordings: our agents check out by themselves.

mod replay;

use std::path::{Path, PathBuf};

use replay::Replay;

/// A recording and what is different with us.
struct Scenario {
    name: &'static str,
    /// The labels of the token; any without.
    scope: &'static [&'static str],
    /// Types of messages (or `close`) that ours does not send, and why.
    without: &'static [(&'static str, &'static str)],
    /// Request ids whose answer is another, and why.
    answered: &'static [(&'static str, &'static str)],
    /// What jobs are in the end, by name, where the recorded agent does not say it or it is said in vain, and why.
    ends: &'static [(&'static str, &'static str, &'static str)],
}

const fn same(name: &'static str) -> Scenario {
    Scenario { name, scope: &[], without: &[], answered: &[], ends: &[] }
}

const PLAYED: &[Scenario] = &[
    same("connect-register"),
    same("heartbeat-and-metrics"),
    same("auth-bad-token"),
    same("auth-first-message-wrong"),
    same("auth-timeout"),
    same("register-timeout"),
    same("register-privileged-root-violation"),
    Scenario { scope: &["linux", "x64"], ..same("register-label-scope-violation") },
    same("re-register"),
    same("token-revoked"),
    same("ownership-violation"),
    Scenario {
        without: &[("close", "an unknown type is answered, and the connection stays open")],
        ..same("invalid-message")
    },
    Scenario {
        answered: &[("r3", "hosts cannot be rebooted yet: an unknown method")],
        ..same("agent-api")
    },
    same("success"),
    same("failure"),
    same("job-heartbeat"),
    same("cancel-graceful"),
    same("cancel-force"),
    same("agent-drain"),
    same("network-cut-reconnect"),
    Scenario {
        without: &[("rate.limit.warning", "nothing is dropped: the socket is read more slowly")],
        ..same("log-flood-rate-limit")
    },
    same("fleet-logs"),
    same("orchestrator-restart-idle"),
    same("needs-cold-source-cache"),
    Scenario {
        ends: &[("slow", "failed", "at once when its agent is back without it, not 120 s later")],
        ..same("agent-kill9-midjob")
    },
    Scenario {
        ends: &[(
            "slow",
            "failed",
            "the recorded agent comes back without it and does not say why",
        )],
        ..same("agent-sigterm-midjob")
    },
    Scenario {
        ends: &[("slow", "failed", "the recorded agent does not say its end again; ours does")],
        ..same("job-finishes-while-offline")
    },
    Scenario {
        ends: &[("build", "queued", "it waits for another agent")],
        ..same("dispatch-ack-timeout")
    },
    Scenario {
        without: &[
            ("job.cancel", "the job was acknowledged"),
            ("close", "the job was acknowledged"),
        ],
        ends: &[("slow", "running", "it was acknowledged and goes on")],
        ..same("false-ack-timeout-of-acked-job")
    },
    Scenario {
        without: &[("close", "the agent goes on with its own job")],
        ends: &[("slow", "failed", "the recorded agent does not say its end; ours does")],
        ..same("orchestrator-graceful-restart-midjob")
    },
    Scenario {
        without: &[("close", "the agent goes on with its own job")],
        ..same("orchestrator-kill9-midjob")
    },
    Scenario {
        answered: &[(
            "b45c02e9-1207-4575-a283-f6e02b6ce59a",
            "has the id of the question, which the agent waits for, not a new one",
        )],
        ..same("concurrency-wait")
    },
    Scenario {
        without: &[("secrets", "secret outputs are not carried yet")],
        ..same("needs-outputs-and-secret-outputs")
    },
    Scenario {
        answered: &[("fbbca524-14e5-46ac-b85b-5e60ff91369f", NO_EVENTS)],
        ..same("hooks-parallel-emit-api")
    },
    Scenario {
        answered: &[
            ("ca9435ab-9e31-4c31-985f-4fa651af97ec", NO_CACHES),
            ("414e09fb-7fc9-4756-9bae-3a8c4187e214", NO_EVENTS),
        ],
        ..same("cache-restore-hit")
    },
    Scenario {
        answered: &[
            ("c1bffae2-afa1-4093-befe-81d16d611e79", NO_CACHES),
            ("b6a9a437-6df0-46a8-820a-4b16b76ce5c2", NO_EVENTS),
        ],
        ..same("cache-build-upload-and-save")
    },
];

const NO_EVENTS: &str = "refused with another text: there are no internal events yet";
const NO_CACHES: &str =
    "there is no storage for caches yet: nothing is found, nothing is to be saved";

/// Recordings that are not played, why, and the test of what is done instead.
const NOT_PLAYED: &[(&str, &str, &str)] = &[
    (
        "cancel-while-agent-offline",
        "begins in the middle of a job, and shows a cancel that is forgotten; ours is told when the agent registers",
        "lost::a_cancel_of_an_absent_agents_job_is_kept_for_its_return_across_a_kill",
    ),
    (
        "dynamic-init-build-and-reject-busy",
        "shows two dispatches for one place, which a claim rules out",
        "agents::a_refused_job_goes_to_another_agent",
    ),
    (
        "reject-exhausts-attempts",
        "shows five dispatches in 30 ms; ours pause longer each time",
        "agents::a_job_that_is_refused_again_and_again_waits_longer_each_time",
    ),
    (
        "step-approval-unavailable",
        "approvals are available here",
        "holds::a_step_is_told_what_was_decided_also_when_it_asks_again",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/fixtures/agent-protocol")
}

#[test]
fn every_recording_is_played_or_says_why_not() {
    let mut known: Vec<&str> = PLAYED.iter().map(|scenario| scenario.name).collect();
    known.extend(NOT_PLAYED.iter().map(|(name, ..)| *name));
    for (name, _, test) in NOT_PLAYED {
        let (file, test) = test.split_once("::").unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/server/{file}.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{name}: there is no test {file}::{test}");
    }
    known.sort_unstable();
    let mut tests: Vec<String> = TESTS.iter().map(|name| name.replace('_', "-")).collect();
    let mut played: Vec<&str> = PLAYED.iter().map(|scenario| scenario.name).collect();
    tests.sort_unstable();
    played.sort_unstable();
    assert_eq!(tests, played);
    let mut there: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|file| {
            Some(file.unwrap().file_name().to_str()?.strip_suffix(".jsonl")?.to_owned())
        })
        .collect();
    there.sort_unstable();
    assert_eq!(known, there);
}

macro_rules! played {
    ($($name:ident)*) => {
        /// One test for each, named as the recording.
        const TESTS: &[&str] = &[$(stringify!($name)),*];

        $(#[tokio::test]
        async fn $name() {
            let name = stringify!($name).replace('_', "-");
            let scenario = PLAYED.iter().find(|scenario| scenario.name == name).unwrap();
            Replay::new(scenario).await.play().await;
        })*
    };
}

played! {
    agent_api agent_drain agent_kill9_midjob agent_sigterm_midjob auth_bad_token auth_first_message_wrong auth_timeout
    cache_build_upload_and_save cache_restore_hit cancel_force cancel_graceful concurrency_wait connect_register
    dispatch_ack_timeout failure false_ack_timeout_of_acked_job fleet_logs heartbeat_and_metrics
    hooks_parallel_emit_api invalid_message job_finishes_while_offline job_heartbeat log_flood_rate_limit
    needs_cold_source_cache needs_outputs_and_secret_outputs network_cut_reconnect
    orchestrator_graceful_restart_midjob orchestrator_kill9_midjob orchestrator_restart_idle ownership_violation
    re_register register_label_scope_violation register_privileged_root_violation register_timeout success
    token_revoked
}
