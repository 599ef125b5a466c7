//! Every message of every recorded conversation parses and comes out as the same JSON.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;

use kici_protocol::agent::{FromAgent, Parsed, RegisterAck, ToAgent};
use serde_json::Value;

fn recordings() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agent-protocol");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Parses in the line's direction and serialises again; `None` for an unknown type.
fn there_and_back(direction: &str, text: &str) -> Result<Option<String>, String> {
    match direction {
        "agent->orch" => FromAgent::parse(text).map(|parsed| match parsed {
            Parsed::Known(message) => Some(message.to_text()),
            Parsed::Unknown { .. } => None,
        }),
        _ => ToAgent::parse(text).map(|parsed| match parsed {
            Parsed::Known(message) => Some(message.to_text()),
            Parsed::Unknown { .. } => None,
        }),
    }
    .map_err(|error| error.to_string())
}

#[test]
fn recorded_messages_survive_a_round_trip() {
    let mut messages = 0;
    let mut unknown = Vec::new();
    let mut broken = Vec::new();
    for (name, text) in recordings() {
        for (number, line) in text.lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(sent) = line.get("msg") else { continue };
            messages += 1;
            match there_and_back(line["dir"].as_str().unwrap(), &sent.to_string()) {
                Ok(Some(again)) => {
                    let again: Value = serde_json::from_str(&again).unwrap();
                    if again != *sent {
                        broken.push(format!("{name}:{}: {sent}\n  became {again}", number + 1));
                    }
                }
                Ok(None) => unknown.push(sent["type"].as_str().unwrap().to_owned()),
                Err(error) => broken.push(format!("{name}:{}: {error}", number + 1)),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(unknown, ["foo.bar"], "the recordings hold one deliberately unknown type");
    assert!(messages > 1000, "only {messages} messages were read");
}

#[test]
fn the_spelled_types_are_complete() {
    assert_eq!(FromAgent::TYPES.len(), 28);
    assert_eq!(ToAgent::TYPES.len(), 18);
}

#[test]
fn acknowledgements_survive_a_round_trip() {
    let texts = [
        r#"{"type":"ack","messageIds":["m-1","m-2"],"logs":[{"jobId":"j","seq":7}]}"#,
        r#"{"type":"ack","logs":[{"jobId":"j","seq":9007199254740991}]}"#,
        r#"{"type":"ack","messageIds":["m"]}"#,
        r#"{"type":"ack"}"#,
    ];
    for text in texts {
        let Parsed::Known(message) = ToAgent::parse(text).unwrap() else {
            panic!("unknown: {text}")
        };
        assert_eq!(message.to_text(), text);
    }
    let text = r#"{"type":"log.chunk","messageId":"m","runId":"r","jobId":"j","stepIndex":-1,"lines":[],"timestamp":1,"seq":3}"#;
    assert_eq!(there_and_back("agent->orch", text).unwrap().as_deref(), Some(text));
    let text = r#"{"type":"register.ack","agentId":"a","labels":[],"scalerManaged":false,"features":["ack"]}"#;
    match ToAgent::parse(text).unwrap() {
        Parsed::Known(ToAgent::RegisterAck(ack)) => assert!(ack.has(RegisterAck::ACK)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_of_a_dispatch_are_not_printed() {
    let text = r#"{"type":"job.dispatch","runId":"r","jobId":"j","messageId":"m","repoUrl":"u",
        "ref":"","sha":"","lockFileUrl":"","timestamp":1,"jobConfig":{},"token":"hunter2",
        "secrets":{"A":"hunter2"},"sourceAuth":{"kind":"basic","secret":"hunter2"},
        "maxLogSizeBytes":"1024"}"#;
    let Parsed::Known(ToAgent::JobDispatch(dispatch)) = ToAgent::parse(text).unwrap() else {
        panic!("not a dispatch")
    };
    assert!(!format!("{dispatch:?}").contains("hunter2"));
    assert_eq!(dispatch.secrets["A"].expose(), "hunter2");
    assert_eq!(dispatch.max_log_size_bytes, Some(1024));
}
