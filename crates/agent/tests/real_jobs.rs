//! The real program with the real job process: repositories, workflows, signals.

mod common;

use std::process::Command;
use std::time::Duration;

use common::real::{Setup, are_gone, start_endless};
use common::{SOON, job_states, lines_of, terminal};
use kici_testkit::Process;
use nix::sys::signal::Signal;
use serde_json::json;

#[tokio::test]
async fn a_real_workflow_runs() {
    for warm in ["true", "false"] {
        let setup = Setup::start(&[("KICI_AGENT_WARM_PROCESS", warm)]).await;
        let (mut link, _) = setup.orchestrator.accept_registered().await;
        link.next_of("config.ack").await;
        // The second one proves that the agent is as good as new.
        for _ in 0..2 {
            link.send(setup.dispatch("build")).await;
            let said = link.whole_job().await;
            let end = terminal(&said);
            assert_eq!(job_states(&said), ["running", "success"], "{end}");
            assert_eq!(end["data"]["outputs"], json!({ "hello": { "v": "1" } }));
            // Standard input of a step is empty: it is not the agent's pipe.
            assert_eq!(lines_of(&said, 0), ["[hello] hello", "from-shell", "end-of-input"]);
        }
        setup.no_folder_is_left().await;
        assert!(!setup.agent.printed().contains("kat_very-secret"));
    }
}

#[tokio::test]
async fn a_cancelled_job_leaves_no_process() {
    let setup = Setup::start(&[]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let pids = start_endless(&setup, &mut link).await;
    link.send(json!({ "type": "job.cancel", "messageId": "c", "runId": "run-1",
                      "jobId": "id-of-endless", "reason": "run cancelled via API", "force": true }))
        .await;
    assert_eq!(terminal(&link.whole_job().await)["state"], "cancelled");
    are_gone(&pids).await;
    setup.no_folder_is_left().await;
}

#[tokio::test]
async fn a_killed_job_process_leaves_no_process() {
    let setup = Setup::start(&[("KICI_AGENT_WARM_PROCESS", "false")]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let pids = start_endless(&setup, &mut link).await;
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", setup.agent.pid()));
    let job_process: i32 = children.unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(job_process), Signal::SIGKILL).unwrap();
    let said = link.whole_job().await;
    let error = terminal(&said)["data"]["error"].to_string();
    assert!(error.contains("killed by SIGKILL (signal 9)"), "{error}");
    are_gone(&pids).await;
}

#[tokio::test]
async fn a_killed_agent_takes_its_job_along() {
    let mut setup = Setup::start(&[]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let pids = start_endless(&setup, &mut link).await;
    setup.agent.kill();
    are_gone(&pids).await;
}

#[tokio::test]
async fn sigterm_cuts_the_job_off_after_the_grace_time() {
    let mut setup = Setup::start(&[("KICI_AGENT_SHUTDOWN_GRACE_MS", "100")]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let pids = start_endless(&setup, &mut link).await;
    setup.agent.signal(Signal::SIGTERM);
    let (said, closed) = link.until_close().await;
    assert_eq!(terminal(&said)["data"]["error"], "Agent shut down during execution");
    assert_eq!(closed.code, 1000);
    drop(link);
    assert_eq!(setup.agent.wait(SOON).code(), Some(1));
    are_gone(&pids).await;
    setup.no_folder_is_left().await;
}

#[tokio::test]
async fn sigusr1_drains() {
    let mut setup = Setup::start(&[]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    link.next_of("config.ack").await;
    setup.agent.signal(Signal::SIGUSR1);
    assert_eq!(link.until_close().await.1.code, 1000);
    drop(link);
    assert_eq!(setup.agent.wait(SOON).code(), Some(0));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_every_mistake() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici-agent"));
    command.env_clear().env("KICI_LABELS", "kici:gpu").env("KICI_LABLES", "x");
    let mut agent = Process::spawn(command);
    assert_eq!(agent.wait(Duration::from_secs(20)).code(), Some(1));
    for line in
        ["KICI_ORCHESTRATOR_URL: is required", "reserved prefix", "did you mean KICI_LABELS?"]
    {
        agent.wait_for_line(line, SOON);
    }
}
