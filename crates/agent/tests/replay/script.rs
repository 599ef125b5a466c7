//! Turns what a recorded agent said about its jobs into scripts that stand in for the job process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::common::script::prints;

/// Files that a script waits for, so that it does not run ahead of a recorded cut of the link.
pub(super) struct Gates {
    folder: tempfile::TempDir,
}

impl Gates {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn open_all(&self) {
        std::fs::write(self.path(), "").unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("open")
    }
}

/// One script for all jobs of a recording.
pub(super) fn of(lines: &[Value], gates: &Gates) -> String {
    let mut scripts: BTreeMap<String, String> = BTreeMap::new();
    let mut ended = std::collections::HashSet::new();
    let mut question = 0;
    let wait = format!("while [ ! -e '{}' ]; do sleep 0.01; done\n", gates.path().display());
    for line in lines {
        let message = &line["msg"];
        let is_cut = line["event"] == "close"
            || line["note"].as_str().is_some_and(|note| note.contains("goes down"));
        if is_cut {
            for (job, script) in &mut scripts {
                if !ended.contains(job) {
                    script.push_str(&wait);
                }
            }
        }
        let Some(job) = message["jobId"].as_str() else {
            // The answer to a request without a job goes to the one that runs.
            if message["type"] == "agent.api.request"
                && let Some((_, script)) = scripts.iter_mut().find(|(job, _)| !ended.contains(*job))
            {
                question += 1;
                script.push_str(&asks(
                    question,
                    "api",
                    json!({ "method": message["method"],
                    "params": message["params"] }),
                ));
            }
            continue;
        };
        let script = scripts.entry(job.to_owned()).or_default();
        let (text, end) = say(line, &mut question);
        script.push_str(&text);
        if end {
            ended.insert(job.to_owned());
        }
    }
    let cases: Vec<String> = scripts
        .iter()
        .map(|(job, script)| format!("*'\"jobId\":\"{job}\"'*)\n{script}\n;;\n"))
        .collect();
    format!("read -r spec\ncase \"$spec\" in\n{}esac\n", cases.concat())
}

/// The part of a script that one recorded message stands for, and whether it is the last.
fn say(line: &Value, question: &mut u64) -> (String, bool) {
    let message = &line["msg"];
    let text = match message["type"].as_str().unwrap_or_default() {
        "log.chunk" => prints(&[json!({ "type": "log", "step": message["stepIndex"],
            "lines": message["lines"] })]),
        "step.status" => prints(&[step(message)]),
        "job.cancel" => "read -r order\n".to_owned(),
        "job.status" if message["state"] != "running" && message["state"] != "cancelling" => {
            return (prints(&[end(message)]), true);
        }
        "event.emit" => {
            *question += 1;
            let params = json!({ "name": message["eventName"], "payload": message["payload"],
                "target": message["target"] });
            asks(*question, "emit", params)
        }
        "job.concurrency.report" => {
            *question += 1;
            asks(*question, "concurrency.report", json!({ "group": message["group"] }))
        }
        "step.approval-request" => {
            *question += 1;
            let params = json!({ "stepIndex": message["stepIndex"], "stepName": message["stepName"],
                "approvers": message["clauses"], "reason": message["reason"],
                "timeoutSeconds": message["timeoutSeconds"] });
            asks(*question, "approval", params)
        }
        _ => String::new(),
    };
    (text, false)
}

fn asks(id: u64, method: &str, params: Value) -> String {
    let request = json!({ "type": "request", "id": id, "method": method, "params": params });
    format!("{}read -r answer\n", prints(&[request]))
}

fn step(message: &Value) -> Value {
    let mut data = message["data"].as_object().cloned().unwrap_or_default();
    let kind = data.remove("step_type").unwrap_or_else(|| "step".into());
    let state = message["state"].as_str().unwrap();
    let mut event = json!({ "step": message["stepIndex"], "name": message["stepName"],
        "stepType": kind, "groupId": message["groupId"] });
    if state == "running" || state == "pending" {
        event["type"] = "stepStarted".into();
        event["pending"] = (state == "pending").into();
        return event;
    }
    event["type"] = "stepEnded".into();
    event["status"] = state.into();
    event["durationMs"] = data.remove("durationMs").unwrap_or_else(|| 1.into());
    if let Some(error) = data.remove("error") {
        event["error"] = error;
    }
    event["secretsAccessed"] = message.get("secretsAccessed").cloned().unwrap_or_else(|| json!([]));
    event["logBytes"] = message.get("logBytesStreamed").cloned().unwrap_or_else(|| 0.into());
    event["data"] = Value::Object(data);
    event
}

fn end(message: &Value) -> Value {
    let data = &message["data"];
    let secrets: Map<String, Value> = message["secretOutputs"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(|name| (name.clone(), "a secret".into()))
        .collect();
    let mut event = json!({ "type": "ended", "status": message["state"], "durationMs": 9,
        "steps": data.get("stepResults").cloned().unwrap_or_else(|| json!([])),
        "secretOutputs": secrets });
    for (ours, theirs) in [("outputs", "outputs"), ("error", "error")] {
        if let Some(value) = data.get(theirs) {
            event[ours] = value.clone();
        }
    }
    event
}
