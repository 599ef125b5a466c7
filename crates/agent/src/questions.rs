//! Questions of the running job to the orchestrator, and where the answers go.
//!
//! A question is out as long as no answer came; the job itself limits how long it waits. When the link
//! breaks, short questions fail at once; those that may take hours (a concurrency slot, an approval)
//! stay open and are asked again with the same `messageId`.

use std::collections::HashMap;

use kici_protocol::agent::{
    AgentApiRequest, ApprovalClause, ConcurrencyAction, ConcurrencyReport, EventEmit, EventTarget,
    FromAgent, JobRef, StepApprovalRequest, ToAgent, limits,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// An answer on its way to the job.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// Id of the job's request.
    pub(crate) id: u64,
    /// Result, or the error's text.
    pub(crate) result: Result<Value, String>,
}

/// The open questions of one job.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: HashMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    id: u64,
    message: FromAgent,
}

impl Open {
    fn survives_disconnect(&self) -> bool {
        matches!(self.message, FromAgent::ConcurrencyReport(_) | FromAgent::StepApprovalRequest(_))
    }
}

impl Questions {
    /// Notes a question of the job; the message is to be sent. An error is the answer at once.
    pub(crate) fn ask(
        &mut self,
        job: &JobRef,
        id: u64,
        method: &str,
        params: Value,
    ) -> Result<&FromAgent, String> {
        let key = uuid::Uuid::new_v4().to_string();
        let message = question(job, &key, method, params)?;
        let bytes = message.to_text().len();
        if bytes > limits::AGENT_MAX_FRAME {
            return Err(format!(
                "{method}: {bytes} bytes are too much, at most {} can be sent",
                limits::AGENT_MAX_FRAME
            ));
        }
        Ok(&self.open.entry(key).or_insert(Open { id, message }).message)
    }

    /// The job's request that a message answers, with the answer.
    pub(crate) fn answer(&mut self, message: ToAgent) -> Option<Answer> {
        match message {
            ToAgent::EventEmitResponse(response) => {
                let result = match (response.delivery_id, response.error) {
                    (Some(delivery), _) => Ok(json!({ "deliveryId": delivery })),
                    (None, error) => Err(error.unwrap_or_else(|| "no reason given".to_owned())),
                };
                self.close(&response.request_id, result)
            }
            ToAgent::ApiResponse(response) => {
                let result = match response.error {
                    Some(error) => Err(error),
                    None => Ok(response.result.unwrap_or(Value::Null)),
                };
                self.close(&response.request_id, result)
            }
            ToAgent::StepApprovalResolved(resolved) => {
                let result = json!({ "outcome": resolved.outcome, "reason": resolved.reason });
                self.close(&resolved.request_id, Ok(result))
            }
            ToAgent::ConcurrencyAck(ack) => {
                // After a `wait` the go-ahead comes with a new id; there is one group per job.
                let key = if self.open.contains_key(&ack.request_id) {
                    ack.request_id
                } else {
                    self.concurrency_report(ack.job_id.as_deref()?)?
                };
                let result = json!({ "action": ack.action, "reason": ack.reason });
                if ack.action == ConcurrencyAction::Wait {
                    let id = self.open.get(&key)?.id;
                    return Some(Answer { id, result: Ok(result) });
                }
                self.close(&key, Ok(result))
            }
            _ => None,
        }
    }

    /// The link is gone: what fails at once.
    pub(crate) fn disconnected(&mut self) -> Vec<Answer> {
        self.open
            .extract_if(|_, open| !open.survives_disconnect())
            .map(|(_, open)| Answer {
                id: open.id,
                result: Err("the connection to the orchestrator was lost".to_owned()),
            })
            .collect()
    }

    /// What has to be asked again after a reconnect.
    pub(crate) fn repeat(&self) -> impl Iterator<Item = &FromAgent> {
        self.open.values().map(|open| &open.message)
    }

    /// The job is over.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    fn close(&mut self, key: &str, result: Result<Value, String>) -> Option<Answer> {
        self.open.remove(key).map(|open| Answer { id: open.id, result })
    }

    fn concurrency_report(&self, job_id: &str) -> Option<String> {
        let of_job = |open: &Open| match &open.message {
            FromAgent::ConcurrencyReport(report) => report.job_id == job_id,
            _ => false,
        };
        self.open.iter().find(|(_, open)| of_job(open)).map(|(key, _)| key.clone())
    }
}

#[derive(Deserialize)]
struct EmitParams {
    name: String,
    #[serde(default)]
    payload: Map<String, Value>,
    #[serde(default)]
    target: Option<EventTarget>,
}

#[derive(Deserialize)]
struct ApiParams {
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

#[derive(Deserialize)]
struct ConcurrencyParams {
    group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalParams {
    step_index: i64,
    step_name: String,
    #[serde(default)]
    approvers: Option<Vec<ApprovalClause>>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    timeout_seconds: Option<u64>,
    #[serde(default)]
    drift: Option<Value>,
}

/// Optional fields are left out on this link, not null.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

fn question(job: &JobRef, key: &str, method: &str, params: Value) -> Result<FromAgent, String> {
    fn read<T: for<'de> Deserialize<'de>>(method: &str, params: Value) -> Result<T, String> {
        serde_json::from_value(params).map_err(|error| format!("{method}: {error}"))
    }
    let JobRef { run_id, job_id } = job.clone();
    Ok(match method {
        "emit" => {
            let emit: EmitParams = read(method, params)?;
            FromAgent::EventEmit(EventEmit {
                job_id,
                request_id: key.to_owned(),
                event_name: emit.name,
                payload: emit.payload,
                target: emit.target,
            })
        }
        "api" => {
            let api: ApiParams = read(method, params)?;
            FromAgent::ApiRequest(AgentApiRequest {
                request_id: key.to_owned(),
                method: api.method,
                params: Some(api.params.unwrap_or_else(|| json!({}))),
            })
        }
        "concurrency.report" => {
            let report: ConcurrencyParams = read(method, params)?;
            let message_id = key.to_owned();
            FromAgent::ConcurrencyReport(ConcurrencyReport {
                message_id,
                run_id,
                job_id,
                group: report.group,
            })
        }
        "approval" => {
            let request: ApprovalParams = read(method, params)?;
            FromAgent::StepApprovalRequest(StepApprovalRequest {
                message_id: key.to_owned(),
                run_id,
                job_id,
                step_index: request.step_index,
                step_name: request.step_name,
                clauses: request.approvers.unwrap_or_default(),
                reason: request.reason.unwrap_or_default(),
                timeout_seconds: request.timeout_seconds,
                payload: request.drift.map(without_nulls),
            })
        }
        "cache.restore" | "cache.save" => {
            return Err("this agent has no cache storage".to_owned());
        }
        other => return Err(format!("this agent does not know the request {other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use kici_protocol::agent::Parsed;

    use super::*;

    fn job() -> JobRef {
        JobRef { run_id: "r".into(), job_id: "j".into() }
    }

    fn told(text: String) -> ToAgent {
        match ToAgent::parse(&text).unwrap() {
            Parsed::Known(message) => message,
            Parsed::Unknown { kind } => panic!("{kind}"),
        }
    }

    #[test]
    fn an_answer_finds_its_question() {
        let mut questions = Questions::default();
        let params = json!({ "name": "deployed", "payload": { "env": "prod" } });
        let FromAgent::EventEmit(emit) = questions.ask(&job(), 7, "emit", params).unwrap().clone()
        else {
            panic!("not an emit")
        };
        assert_eq!((emit.job_id.as_str(), emit.event_name.as_str()), ("j", "deployed"));
        let id = &emit.request_id;
        let answer = told(format!(
            r#"{{"type":"event.emit.response","requestId":"{id}","error":"Unknown job context"}}"#
        ));
        let refused = Answer { id: 7, result: Err("Unknown job context".into()) };
        assert_eq!(questions.answer(answer.clone()), Some(refused));
        assert_eq!(questions.answer(answer), None, "answered once");
    }

    #[test]
    fn a_waiting_slot_is_woken_by_job_and_survives_a_disconnect() {
        let mut questions = Questions::default();
        let params = json!({ "group": "g" });
        let FromAgent::ConcurrencyReport(report) =
            questions.ask(&job(), 1, "concurrency.report", params).unwrap().clone()
        else {
            panic!("not a report")
        };
        questions.ask(&job(), 2, "api", json!({ "method": "inventory.query" })).unwrap();
        let id = &report.message_id;
        let wait =
            told(format!(r#"{{"type":"job.concurrency.ack","requestId":"{id}","action":"wait"}}"#));
        assert_eq!(questions.answer(wait).unwrap().result.unwrap()["action"], "wait");

        let lost = questions.disconnected();
        assert_eq!(lost.iter().map(|answer| answer.id).collect::<Vec<_>>(), [2]);
        assert_eq!(questions.repeat().count(), 1);

        let go =
            r#"{"type":"job.concurrency.ack","requestId":"new","action":"proceed","jobId":"j"}"#;
        let answer = questions.answer(told(go.to_owned())).unwrap();
        assert_eq!((answer.id, answer.result.unwrap()["action"].as_str()), (1, Some("proceed")));
        assert_eq!(questions.repeat().count(), 0);
    }

    #[test]
    fn an_approval_carries_the_drift_as_it_is_and_keeps_its_id() {
        let mut questions = Questions::default();
        let params = json!({ "stepIndex": 1, "stepName": "apply", "approvers": [{ "user": "cto" }],
            "drift": { "summaryMarkdown": "one file", "drift": { "files": 1 } } });
        let asked = questions.ask(&job(), 1, "approval", params).unwrap().clone();
        let FromAgent::StepApprovalRequest(request) = &asked else { panic!("{asked:?}") };
        let payload = json!({ "summaryMarkdown": "one file", "drift": { "files": 1 } });
        assert_eq!(request.payload, Some(payload));
        assert_eq!(questions.disconnected(), []);
        assert_eq!(questions.repeat().collect::<Vec<_>>(), [&asked], "the same message again");
        let params = json!({ "stepIndex": 1, "stepName": "s",
            "drift": { "summaryMarkdown": null, "drift": 1 } });
        let FromAgent::StepApprovalRequest(request) =
            questions.ask(&job(), 2, "approval", params).unwrap()
        else {
            panic!("not a request")
        };
        assert_eq!(request.payload, Some(json!({ "drift": 1 })));
    }

    #[test]
    fn what_cannot_be_asked_is_an_answer() {
        let mut questions = Questions::default();
        let problem = questions.ask(&job(), 1, "teleport", Value::Null).unwrap_err();
        assert_eq!(problem, "this agent does not know the request \"teleport\"");
        assert!(questions.ask(&job(), 1, "emit", json!({})).unwrap_err().contains("name"));
    }
}
