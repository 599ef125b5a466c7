//! An agent that is killed in a step and started again.

mod common;

use common::real::{Setup, are_gone, start_endless};
use common::{SOON, job_states, lines_of, terminal};
use nix::sys::signal::Signal;
use serde_json::json;

#[tokio::test]
async fn a_killed_agent_reports_the_job_that_it_lost() {
    for features in [json!([]), json!(["reconciled", "no-rate-limit", "ack"])] {
        let mut setup = Setup::start(&[]).await;
        let mut link = setup.orchestrator.accept().await;
        link.greet_with(json!({ "features": features })).await;
        let pids = start_endless(&setup, &mut link).await;
        // Stopped processes cannot notice that the agent is gone.
        for pid in &pids {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGSTOP);
        }
        setup.agent.kill();
        drop(link);
        setup.restart();

        let mut link = setup.orchestrator.accept().await;
        let registration = link.greet_with(json!({ "features": features })).await;
        let job = json!([{ "jobId": "id-of-endless", "runId": "run-1", "fate": "lost" }]);
        assert_eq!(registration["inFlightJobs"], job);
        assert_eq!(registration["agentId"], "a1");
        let said = link.until(|message| message["state"] == "failed").await;
        let end = terminal(&said);
        let error = end["data"]["error"].as_str().unwrap();
        assert!(error.starts_with("agent restarted while the job ran"), "{end}");
        assert_eq!(end["data"]["cause"], json!({ "kind": "agent-restarted" }));
        let log = lines_of(&said, -1);
        assert!(log.last().is_some_and(|line| line.contains("agent was restarted")), "{log:?}");
        are_gone(&pids).await;
        setup.no_folder_is_left().await;

        // It is as good as new, and settled jobs are not mentioned again.
        link.send(json!({ "type": "ack", "messageIds": [end["messageId"]],
                          "logs": [{ "jobId": "id-of-endless", "seq": 1000 }] }))
            .await;
        link.send(setup.dispatch("build")).await;
        let said = link.whole_job().await;
        assert_eq!(job_states(&said), ["running", "success"]);
        link.send(json!({ "type": "ack", "messageIds": [terminal(&said)["messageId"]] })).await;
        link.close(1001, "Server shutting down").await;
        let (_link, registration) = setup.orchestrator.accept_registered().await;
        assert_eq!(registration.get("inFlightJobs"), None);
    }
}

#[tokio::test]
async fn a_second_agent_with_the_same_state_folder_refuses_to_start() {
    let setup = Setup::start(&[]).await;
    let (_link, _) = setup.orchestrator.accept_registered().await;
    let mut second = setup.another();
    assert_eq!(second.wait(SOON).code(), Some(1));
    second.wait_for_line("give this one its own KICI_AGENT_ID", SOON);
}
