//! Jobs from dispatch to end, with a shell script in place of the job process.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;

use common::script::{ended, log, prints, result, says, started, success, waits};
use common::{Agent, Orchestrator, dispatch, job_states, lines_of, terminal};
use kici_protocol::agent::secret_outputs::{Envelope, RunKey};
use serde_json::{Value, json};

/// The events of a job process that made a recorded agent say what it said.
fn events_behind(recording: &[Value]) -> Vec<Value> {
    let mut events = Vec::new();
    for message in recording {
        let data = &message["data"];
        let (step, name) = (&message["stepIndex"], &message["stepName"]);
        let kind = data["step_type"].as_str().unwrap_or("step");
        match (message["type"].as_str(), message["state"].as_str()) {
            (Some("log.chunk"), _) => {
                events.push(json!({ "type": "log", "step": step, "lines": message["lines"] }));
            }
            (Some("step.status"), Some("running")) => events.push(json!({
                "type": "stepStarted", "step": step, "name": name, "stepType": "step",
            })),
            (Some("step.status"), Some(state)) => events.push(json!({
                "type": "stepEnded", "step": step, "name": name, "stepType": kind, "status": state,
                "durationMs": data["durationMs"], "error": data["error"],
                "logBytes": message["logBytesStreamed"],
            })),
            (Some("job.status"), Some(state)) if state != "running" => {
                let mut data = data.clone();
                data["steps"] = data["stepResults"].take();
                events.push(result(state, data));
            }
            _ => {}
        }
    }
    events
}

/// Types and states in order; log chunks are compared by content elsewhere.
fn outline(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .filter(|message| {
            let kind = message["type"].as_str().unwrap_or_default();
            !["log.chunk", "agent.log", "agent.metrics", "heartbeat", "config.ack"].contains(&kind)
        })
        .map(|message| {
            ["type", "eventType", "stepIndex", "stepName", "state"]
                .iter()
                .filter(|field| !message[**field].is_null())
                .map(|field| message[*field].to_string())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

async fn replay(name: &str) {
    let path = format!(
        "{}/../protocol/tests/fixtures/agent-protocol/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("the recording is there");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |side: &str| -> Vec<Value> {
        let side = lines.iter().filter(|line| line["dir"] == side);
        side.filter_map(|line| line.get("msg")).cloned().collect()
    };
    let recorded = of("agent->orch");

    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &says(&events_behind(&recorded))).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.next_of("config.ack").await;
    link.send(of("orch->agent")[0].clone()).await;
    let said = link.whole_job().await;

    assert_eq!(outline(&said), outline(&recorded));
    for step in -1..6 {
        assert_eq!(lines_of(&said, step), lines_of(&recorded, step), "log of step {step}");
    }
    let place = |wanted: &dyn Fn(&Value) -> bool| said.iter().rposition(wanted).unwrap();
    let last_log = place(&|message| message["type"] == "log.chunk");
    assert!(last_log < place(&|message| message["type"] == "job.status"), "logs before the end");
    let mut expected = terminal(&recorded)["data"].clone();
    let mut got = terminal(&said)["data"].clone();
    for data in [&mut expected, &mut got] {
        data.as_object_mut().unwrap().remove("error");
    }
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_successful_job_is_told_as_recorded() {
    replay("success").await;
}

#[tokio::test]
async fn a_failed_job_is_told_as_recorded() {
    replay("failure").await;
}

#[tokio::test]
async fn a_second_job_is_rejected_and_the_same_one_acknowledged_again() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &waits()).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    link.next_of("job.ack").await;
    link.send(dispatch("two")).await;
    let reject = link.next_of("job.reject").await;
    assert_eq!((&reject["jobId"], &reject["reason"]), (&json!("two"), &json!("busy")));
    assert_eq!(link.next_of("agent.status").await["activeJobs"], 1);
    link.send(dispatch("one")).await;
    assert_eq!(link.next_of("job.ack").await["jobId"], "one");
    link.send(json!({ "type": "job.cancel", "messageId": "c", "runId": "run-1", "jobId": "one",
                      "reason": "run cancelled via API" }))
        .await;
    let said = link.whole_job().await;
    assert_eq!(job_states(&said), ["cancelling", "cancelled"]);
}

#[tokio::test]
async fn a_cancel_reaches_the_job_and_a_second_one_too() {
    // Answers a graceful cancel with a hook and ends at a forced one.
    let script = format!(
        "{}read -r order\n{}read -r order\ncase \"$order\" in *'\"force\":true'*) {} esac",
        says(&[started(0, "s")]),
        prints(&[log(-1, &["[kici] Running onCancel hook..."])]),
        format_args!("{} ;;", prints(&[result("cancelled", json!({}))]))
    );
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    link.next_of("step.status").await;
    let cancel = json!({ "type": "job.cancel", "messageId": "c", "runId": "run-1", "jobId": "one",
                         "reason": "r" });
    link.send(cancel.clone()).await;
    assert_eq!(link.next_of("job.status").await["state"], "cancelling");
    link.next_of("log.chunk").await;
    let mut force = cancel;
    force["force"] = json!(true);
    link.send(force).await;
    assert_eq!(terminal(&link.whole_job().await)["state"], "cancelled");
}

#[tokio::test]
async fn a_cancel_of_an_unknown_job_is_answered() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, "true").await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(json!({ "type": "job.cancel", "messageId": "c", "runId": "r", "jobId": "elsewhere",
                      "reason": "r" }))
        .await;
    let status = link.next_of("job.status").await;
    assert_eq!((&status["jobId"], &status["state"]), (&json!("elsewhere"), &json!("cancelled")));
}

#[tokio::test]
async fn a_killed_job_process_fails_the_job_and_says_how() {
    let script =
        format!("{}echo 'cannot allocate s3cret' >&2\nkill -9 $$", says(&[started(0, "s")]));
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    let mut job = dispatch("one");
    job["secrets"] = json!({ "TOKEN": "s3cret" });
    link.send(job).await;
    let said = link.whole_job().await;
    let end = terminal(&said);
    assert_eq!(end["state"], "failed");
    assert_eq!(
        end["data"]["error"],
        "Workflow runner crashed: killed by SIGKILL (signal 9)\ncannot \
         allocate ***"
    );
    // The agent goes on.
    link.send(dispatch("two")).await;
    assert_eq!(terminal(&link.whole_job().await)["jobId"], "two");
}

#[tokio::test]
async fn a_job_process_that_exits_or_babbles_fails_the_job() {
    for (script, why) in [
        ("read -r spec; exit 7", "it exited with code 7 without a result"),
        ("read -r spec; echo hello", "(the job process wrote a line that is no event"),
    ] {
        let orchestrator = Orchestrator::start().await;
        let _agent = Agent::start(&orchestrator, script).await;
        let (mut link, _) = orchestrator.accept_registered().await;
        link.send(dispatch("one")).await;
        let error = terminal(&link.whole_job().await)["data"]["error"].to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_dispatch_that_cannot_be_run_is_answered() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, "true").await;
    let (mut link, _) = orchestrator.accept_registered().await;

    let mut invalid = dispatch("invalid");
    invalid["secrets"] = json!("hunter2");
    link.send(invalid).await;
    assert_eq!(link.next_of("job.ack").await["jobId"], "invalid");
    let error = link.next_of("job.status").await["data"]["error"].to_string();
    assert!(error.contains("secrets: invalid type") && !error.contains("hunter2"), "{error}");

    let mut container = dispatch("container");
    container["jobConfig"]["container"] = json!("node:24");
    link.send(container).await;
    let said = link.whole_job().await;
    assert_eq!(job_states(&said), ["running", "failed"]);
    assert_eq!(terminal(&said)["data"]["error"], "this agent does not support jobs in containers");
}

#[tokio::test]
async fn secret_outputs_travel_sealed() {
    let outputs = json!({ "secretOutputs": { "API_TOKEN": "hello-secret" } });
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &says(&[result("success", outputs)])).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    let run = RunKey::generate();
    let mut job = dispatch("one");
    job["runPublicKey"] = json!(run.public_key());
    link.send(job).await;
    let said = link.whole_job().await;
    assert!(!format!("{said:?}").contains("hello-secret"));
    let envelope: Envelope =
        serde_json::from_value(terminal(&said)["secretOutputs"]["API_TOKEN"].clone()).unwrap();
    assert_eq!(run.open(&envelope).unwrap().expose(), "hello-secret");

    link.send(dispatch("without-key")).await;
    let said = link.whole_job().await;
    assert_eq!(terminal(&said)["state"], "success");
    assert_eq!(
        lines_of(&said, -1),
        ["[kici] Secret outputs dropped, the dispatch brought no key for them: API_TOKEN"]
    );
}

#[tokio::test]
async fn the_job_gets_answers_to_its_questions() {
    let script = format!(
        "{}read -r answer\nprintf '{{\"type\":\"log\",\"step\":0,\"lines\":[\"%s\"]}}\\n' \
         \"$(printf %s \"$answer\" | tr -d '\"')\"\n{}",
        says(&[json!({ "type": "request", "id": 5, "method": "emit",
                       "params": { "name": "deployed", "payload": { "env": "prod" } } })]),
        prints(&[success()])
    );
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = orchestrator.accept_registered().await;
    link.send(dispatch("one")).await;
    let emit = link.next_of("event.emit").await;
    assert_eq!((&emit["eventName"], &emit["payload"]["env"]), (&json!("deployed"), &json!("prod")));
    link.send(json!({ "type": "event.emit.response", "requestId": emit["requestId"],
                      "deliveryId": "d-1" }))
        .await;
    let lines = lines_of(&link.whole_job().await, 0);
    assert_eq!(lines, ["{type:answer,id:5,result:{Ok:{deliveryId:d-1}}}"]);
}

#[tokio::test]
async fn steps_that_print_much_lose_nothing_and_hold_nothing_up() {
    // 60,000 lines of 80 bytes, then the end: more than an old orchestrator's rate limit allows at once.
    let script = format!(
        "{}seq -f '%079.0f' 60000 | sed 's/.*/{{\"type\":\"log\",\"step\":0,\"lines\":[\"&\"]}}/'\n{}",
        says(&[started(0, "s")]),
        prints(&[ended(0, "s"), success()])
    );
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, &script).await;
    let mut link = orchestrator.accept().await;
    link.greet_with(json!({ "features": ["no-rate-limit"] })).await;
    link.send(dispatch("one")).await;
    let said = link.whole_job().await;
    let lines = lines_of(&said, 0);
    assert_eq!(lines.len(), 60_000);
    assert!(lines.iter().zip(1..).all(|(line, number)| *line == format!("{number:079}")));
    let frames = said.iter().filter(|message| message["type"] == "log.chunk");
    assert!(frames.clone().count() < 5_000, "lines that wait travel together");
    assert!(frames.map(|frame| frame.to_string().len()).max() < Some(1024 * 1024));
}
