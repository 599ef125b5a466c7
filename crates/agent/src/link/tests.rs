//! The link's behaviour as tables: events in, effects out.

use kici_protocol::agent::ToAgent;

use super::*;

const ACK: &str = r#"{"type":"register.ack","agentId":"a","labels":[],"scalerManaged":false}"#;
const AUTH: &str = r#"{"type":"auth.success","connectionId":"c"}"#;

fn frame(text: &str) -> Event {
    Event::Frame(Box::new(ToAgent::parse(text)))
}

fn dispatch(job: &str) -> Event {
    frame(&format!(
        r#"{{"type":"job.dispatch","messageId":"m","runId":"r","jobId":"{job}","repoUrl":"u","ref":"",
            "sha":"","lockFileUrl":"","timestamp":1,"jobConfig":{{}}}}"#
    ))
}

fn cancel(job: &str) -> Event {
    frame(&format!(
        r#"{{"type":"job.cancel","messageId":"m","runId":"r","jobId":"{job}","reason":"why"}}"#
    ))
}

fn closed(code: u16, reason: &str) -> Event {
    Event::Closed { code: Some(code), reason: reason.to_owned() }
}

/// Short names of the effects of each event in turn.
fn play(token: bool, events: Vec<Event>) -> String {
    let mut link = AgentLink::new(token, vec![]);
    let lines: Vec<String> = events
        .into_iter()
        .map(|event| {
            let effects: Vec<String> = link.on(event).iter().map(name).collect();
            if effects.is_empty() { "-".to_owned() } else { effects.join(", ") }
        })
        .collect();
    lines.join("\n")
}

fn name(effect: &Effect) -> String {
    match effect {
        Effect::Authenticate => "authenticate".into(),
        Effect::Register(jobs) => {
            let names: Vec<&str> = jobs.iter().map(|job| job.job_id.as_str()).collect();
            format!("register [{}]", names.join(" "))
        }
        Effect::Registered(_) => "registered".into(),
        Effect::Accept(dispatch) => format!("accept {}", dispatch.job_id),
        Effect::AckAgain(job) => format!("ack {} again", job.job_id),
        Effect::Reject(job, reason) => format!("reject {} {reason:?}", job.job_id),
        Effect::Refuse(job, problem) => format!("refuse {}: {problem}", job.job_id),
        Effect::Cancel { force, .. } => format!("cancel force={force}"),
        Effect::NotHere(job) => format!("{} is not here", job.job_id),
        Effect::Answer(message) => format!("answer {}", message.kind()),
        Effect::Stored(ack) => format!("stored {:?} {}", ack.message_ids, ack.logs.len()),
        Effect::HoldLogs(ms) => format!("hold logs {ms}"),
        Effect::Close(close) => format!("close {} {}", close.code as u16, close.reason),
        Effect::Reconnect { slowly } => format!("reconnect slowly={slowly}"),
        Effect::GiveUp(reason) => format!("give up: {reason}"),
        Effect::Leave => "leave".into(),
        Effect::Note(note) => format!("note: {note}"),
    }
}

#[test]
fn greeting_with_and_without_a_token() {
    insta::assert_snapshot!(play(true, vec![Event::Opened, frame(AUTH), frame(ACK)]), @r"
    authenticate
    register []
    registered
    ");
    insta::assert_snapshot!(play(false, vec![Event::Opened, frame(ACK)]), @r"
    register []
    registered
    ");
}

#[test]
fn an_orchestrator_without_tokens_is_met_without_one() {
    let events = vec![Event::Opened, closed(4003, Close::REGISTER_FIRST), Event::Opened];
    insta::assert_snapshot!(play(true, events), @r"
    authenticate
    note: the orchestrator takes no tokens; registering without one, reconnect slowly=false
    register []
    ");
}

#[test]
fn a_bad_token_ends_it_for_good() {
    let failure = r#"{"type":"auth.failure","reason":"Invalid or expired token"}"#;
    let events =
        vec![Event::Opened, frame(failure), closed(4010, "Authentication failed"), Event::Opened];
    insta::assert_snapshot!(play(true, events), @r"
    authenticate
    give up: Invalid or expired token, close 1000 Auth failed
    -
    -
    ");
}

#[test]
fn close_codes() {
    for (code, what) in [
        (4010, "give up: x"),
        (4001, "give up: x"),
        (4005, "reconnect slowly=true"),
        (1000, "reconnect slowly=false"),
        (1001, "reconnect slowly=false"),
        (1006, "reconnect slowly=false"),
        (1009, "reconnect slowly=false"),
        (4002, "reconnect slowly=false"),
        (4003, "reconnect slowly=false"),
        (4004, "reconnect slowly=false"),
        (4006, "reconnect slowly=false"),
        (4031, "reconnect slowly=false"),
    ] {
        let events = vec![Event::Opened, frame(ACK), closed(code, "x")];
        assert_eq!(play(false, events).lines().nth(2), Some(what), "{code}");
    }
}

#[test]
fn one_job_at_a_time() {
    let events = vec![
        Event::Opened,
        frame(ACK),
        dispatch("one"),
        dispatch("two"),
        dispatch("one"),
        Event::Settled,
        dispatch("two"),
    ];
    insta::assert_snapshot!(play(false, events), @r"
    register []
    registered
    accept one
    reject two Busy
    ack one again
    -
    accept two
    ");
}

#[test]
fn a_reconnect_brings_the_job_along() {
    let events = vec![
        Event::Opened,
        frame(ACK),
        dispatch("one"),
        closed(1006, ""),
        Event::Opened,
        frame(ACK),
        cancel("one"),
        Event::Settled,
        cancel("one"),
        closed(1001, Close::SERVER_SHUTTING_DOWN),
        Event::Opened,
        Event::Stored("one".into()),
        closed(1001, Close::SERVER_SHUTTING_DOWN),
        Event::Opened,
        frame(ACK),
        cancel("one"),
    ];
    insta::assert_snapshot!(play(false, events), @r"
    register []
    registered
    accept one
    reconnect slowly=false
    register [one]
    registered
    cancel force=false
    -
    note: ignored a cancel of a job that has ended
    reconnect slowly=false
    register [one]
    -
    reconnect slowly=false
    register []
    registered
    note: ignored a cancel of a job that has ended
    ");
}

#[test]
fn an_ended_job_is_listed_until_it_is_stored_and_holds_no_slot() {
    let events = vec![
        Event::Opened,
        frame(ACK),
        dispatch("one"),
        Event::Settled,
        dispatch("two"),
        closed(1006, ""),
        Event::Opened,
        frame(ACK),
        Event::Settled,
        dispatch("one"),
        Event::Stored("two".into()),
        closed(1006, ""),
        Event::Opened,
    ];
    insta::assert_snapshot!(play(false, events), @r"
    register []
    registered
    accept one
    -
    accept two
    reconnect slowly=false
    register [one two]
    registered
    -
    accept one
    -
    reconnect slowly=false
    register [one]
    ");
}

#[test]
fn draining_lets_the_job_end_and_leaves() {
    let events = vec![
        Event::Opened,
        frame(ACK),
        dispatch("one"),
        Event::Drain,
        dispatch("two"),
        Event::Settled,
    ];
    insta::assert_snapshot!(play(false, events), @r"
    register []
    registered
    accept one
    -
    reject two Draining
    leave
    ");
    assert_eq!(play(false, vec![Event::Drain]), "leave");
}

#[test]
fn what_cannot_be_understood_does_not_end_the_link() {
    let events = vec![
        Event::Opened,
        frame(ACK),
        frame("nonsense"),
        frame(r#"{"type":"brand.new"}"#),
        frame(r#"{"type":"job.dispatch","runId":"r","jobId":"j"}"#),
        frame(r#"{"type":"job.dispatch","jobId":"j"}"#),
        cancel("elsewhere"),
        frame(r#"{"type":"ack","messageIds":["m"],"logs":[{"jobId":"j","seq":2}]}"#),
        frame(r#"{"type":"rate.limit.warning","retryAfterMs":9}"#),
        frame(r#"{"type":"heartbeat"}"#),
        frame(r#"{"type":"error","code":"INVALID_MESSAGE","message":"Invalid message format"}"#),
        frame(r#"{"type":"agent.api.response","requestId":"q","error":"no"}"#),
    ];
    insta::assert_snapshot!(play(false, events), @r#"
    register []
    registered
    note: ignored a frame: the frame is not JSON
    note: ignored a message of the unknown type "brand.new"
    refuse j: invalid job.dispatch: missing field `messageId` at line 1 column 47
    note: ignored a frame: invalid job.dispatch message: missing field `messageId` at line 1 column 35
    elsewhere is not here
    stored ["m"] 1
    hold logs 9
    -
    note: the orchestrator refused a message: Invalid message format (INVALID_MESSAGE)
    answer agent.api.response
    "#);
}

#[test]
fn no_answer_in_time_closes_and_comes_back() {
    let events = vec![
        Event::Opened,
        Event::AckOverdue,
        Event::Closed { code: None, reason: String::new() },
        Event::AckOverdue,
    ];
    insta::assert_snapshot!(play(false, events), @r"
    register []
    note: no answer from the orchestrator within 10 s, close 1000 no answer from the orchestrator within 10 s
    reconnect slowly=false
    -
    ");
}

#[test]
fn nothing_is_taken_before_registration() {
    insta::assert_snapshot!(play(true, vec![Event::Opened, dispatch("one"), frame(ACK)]), @r"
    authenticate
    note: ignored job.dispatch while Authenticating
    note: ignored register.ack while Authenticating
    ");
}
