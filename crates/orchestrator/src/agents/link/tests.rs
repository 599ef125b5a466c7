use kici_model::ids::TokenId;
use serde_json::{Value, json};

use super::*;

fn shown(effects: &[Effect]) -> Vec<String> {
    let shown = |effect: &Effect| match effect {
        Effect::Send(message) => format!("send {}", message.kind()),
        Effect::Close(close) => format!("close {} {}", close.code as u16, close.reason),
        Effect::Verify(_) => "verify".into(),
        Effect::Register(register) => format!("register {}", register.agent_id),
        Effect::Report { fact, message } => {
            format!("report {} {message}", format!("{fact:?}").split([' ', '(']).next().unwrap())
        }
        Effect::Log { place, .. } => format!("log {place:?}"),
        Effect::End { end, message } => {
            format!("end {:?} attempt {:?} {message}", end.ending, end.attempt)
        }
        Effect::Done { message } => format!("done {message}"),
        Effect::LogsDone { seq, .. } => format!("logs done {seq}"),
        Effect::Load { active, .. } => format!("load {active}"),
        Effect::Pause { draining } => format!("pause draining={draining}"),
        Effect::Foreign { kind, .. } => format!("foreign {kind}"),
        Effect::Group { group, .. } => format!("group {group}"),
        Effect::Approval { .. } => "approval".into(),
        Effect::Clock(_) => "clock".into(),
        Effect::AgentLog(lines) => format!("agent log {}", lines.len()),
        Effect::Metrics(metrics) => format!("metrics {}", metrics.len()),
        Effect::Api(request) => format!("api {}", request.method),
        Effect::Note(_) => "note".into(),
        Effect::Bundle(_) => "bundle".into(),
    };
    effects.iter().map(shown).collect()
}

fn ready() -> (Link, Uuid) {
    let mut link = Link::new(AgentAuth::None, "c".into());
    link.on_registered(HashMap::new(), Vec::new());
    let job = Uuid::now_v7();
    link.offer(job, Uuid::now_v7(), 3);
    (link, job)
}

fn message(kind: &str, job: Uuid, more: Value) -> String {
    let mut message = json!({"type": kind, "messageId": "m", "runId": "r", "jobId": job.to_string(), "timestamp": 1});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message.to_string()
}

fn on(link: &mut Link, text: &str) -> Vec<String> {
    shown(&link.on_text(text))
}

#[test]
fn a_token_comes_first_and_a_bad_one_ends_it() {
    let mut link = Link::new(AgentAuth::Token, "c".into());
    assert_eq!(
        on(&mut link, r#"{"type":"auth.request","token":"kat_x","protocolVersion":99}"#),
        ["verify"]
    );
    assert_eq!(
        shown(&link.on_verified(None)),
        ["send auth.failure", "close 4010 Authentication failed"]
    );
    for text in [
        r#"{"type":"agent.register","messageId":"m","agentId":"a","labels":[]}"#,
        r#"{"type":"auth.request","token":"","protocolVersion":1}"#,
        r#"{"type":"auth.request","token":"kat_x"}"#,
        "null",
    ] {
        let mut link = Link::new(AgentAuth::Token, "c".into());
        assert_eq!(
            on(&mut link, text),
            ["send auth.failure", "close 4010 Invalid auth message"],
            "{text}"
        );
    }
    let mut link = Link::new(AgentAuth::Token, "c".into());
    assert_eq!(
        on(&mut link, r#"{"type":"auth.request","token":"kat_x","protocolVersion":0}"#),
        ["send auth.failure", "close 4005 Unsupported protocol version"]
    );
}

#[test]
fn registration_is_the_only_thing_after_a_token() {
    let mut link = Link::new(AgentAuth::Token, "c".into());
    let identity = AgentIdentity {
        token: TokenId::generate(),
        scope: None,
        mandatory: vec![],
        bound_to: None,
    };
    assert_eq!(shown(&link.on_verified(Some(identity))), ["send auth.success"]);
    let register = r#"{"type":"agent.register","messageId":"m","agentId":"a","labels":["linux"]}"#;
    assert_eq!(on(&mut link, register), ["register a"]);
    assert_eq!(
        on(&mut link, r#"{"type":"heartbeat","timestamp":1}"#),
        ["close 4003 First message must be agent.register"]
    );
}

#[test]
fn without_tokens_an_auth_request_is_answered_all_the_same() {
    let mut link = Link::new(AgentAuth::None, "c".into());
    assert_eq!(
        on(&mut link, r#"{"type":"auth.request","token":"kat_x","protocolVersion":1}"#),
        ["send auth.success"]
    );
}

#[test]
fn odd_frames_close_or_are_answered_but_never_break_it() {
    for text in ["null", "[]", "1", "\"x\"", "{}"] {
        let (mut link, _) = ready();
        assert_eq!(
            on(&mut link, text),
            ["note", "send error", "close 4003 Invalid message"],
            "{text}"
        );
    }
    let (mut link, _) = ready();
    assert_eq!(on(&mut link, "{nope"), ["close 4003 Malformed JSON"]);
    assert_eq!(on(&mut link, r#"{"type":"from.the.future"}"#), ["note", "send error"]);
}

#[test]
fn a_job_goes_its_way_and_its_end_is_told_once() {
    let (mut link, job) = ready();
    assert_eq!(on(&mut link, &message("job.ack", job, json!({}))), ["report Acked m"]);
    let running = message("job.status", job, json!({"state": "running"}));
    assert_eq!(on(&mut link, &running), ["report Started m"]);
    assert_eq!(on(&mut link, &running), ["done m"], "a repeat says nothing new");
    let lines = json!({"stepIndex": 0, "lines": ["x"]});
    let chunk = message("log.chunk", job, lines);
    assert_eq!(on(&mut link, &chunk), ["log First"]);
    assert_eq!(on(&mut link, &chunk), ["log Next"]);
    let success = message("job.status", job, json!({"state": "success"}));
    assert_eq!(on(&mut link, &success), ["end Success attempt Some(3) m"]);
    let failed = message("job.status", job, json!({"state": "failed"}));
    assert_eq!(on(&mut link, &failed), ["done m"], "the agent need not keep it");
    assert_eq!(on(&mut link, &chunk), ["log Late"]);
    assert_eq!(link.load(), 0);
}

#[test]
fn a_refused_job_leaves_the_connection() {
    let (mut link, job) = ready();
    let reject = message("job.reject", job, json!({"reason": "draining"}));
    assert_eq!(on(&mut link, &reject), ["pause draining=true", "report Refused m"]);
    assert_eq!(link.load(), 0);
}

#[test]
fn what_an_agent_brings_along_about_lost_jobs_is_taken_from_it() {
    let mut link = Link::new(AgentAuth::None, "c".into());
    let (elsewhere, ended) = (Uuid::now_v7(), Uuid::now_v7());
    link.on_registered(HashMap::new(), vec![(elsewhere, None), (ended, Some(2))]);
    let chunk = json!({"stepIndex": 0, "lines": ["x"], "seq": 4});
    assert_eq!(on(&mut link, &message("log.chunk", elsewhere, chunk.clone())), ["logs done 4"]);
    assert_eq!(on(&mut link, &message("log.chunk", ended, chunk.clone())), ["log Late"]);
    for job in [elsewhere, ended] {
        let end = message("job.status", job, json!({"state": "success"}));
        assert_eq!(on(&mut link, &end), ["done m"]);
    }
    let unknown = message("log.chunk", Uuid::now_v7(), chunk);
    assert_eq!(on(&mut link, &unknown), ["foreign log.chunk", "logs done 4"]);
}

#[test]
fn points_on_a_timeline_need_not_be_kept() {
    let (mut link, job) = ready();
    let event = json!({"eventType": "agent.teardown", "timestampMs": 1, "sourceService": "agent", "durationMs": null});
    assert_eq!(on(&mut link, &message("run.event", job, event)), ["note", "done m"]);
}

#[test]
fn foreign_jobs_are_looked_up_and_too_many_close() {
    let (mut link, _) = ready();
    let foreign = message("job.status", Uuid::now_v7(), json!({"state": "success"}));
    assert_eq!(on(&mut link, &foreign), ["foreign job.status"]);
    let start = Instant::now();
    for second in 0..4 {
        assert_eq!(link.on_foreign(start + Duration::from_secs(second * 20)), None);
    }
    assert_eq!(link.on_foreign(start + Duration::from_secs(61)).map(|c| c.reason), None);
    assert!(link.on_foreign(start + Duration::from_secs(62)).is_some());
}
