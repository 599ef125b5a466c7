//! Shell scripts that stand in for the job process: they read a spec line and print events.

use serde_json::{Value, json};

/// Reads the spec, then prints these events.
pub fn says(events: &[Value]) -> String {
    format!("read -r spec\n{}", prints(events))
}

/// Prints these events.
pub fn prints(events: &[Value]) -> String {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    format!("cat <<'EVENTS'\n{}\nEVENTS\n", lines.join("\n"))
}

pub fn log(step: i64, lines: &[&str]) -> Value {
    json!({ "type": "log", "step": step, "lines": lines })
}

pub fn started(step: i64, name: &str) -> Value {
    json!({ "type": "stepStarted", "step": step, "name": name, "stepType": "step" })
}

pub fn ended(step: i64, name: &str) -> Value {
    json!({ "type": "stepEnded", "step": step, "name": name, "stepType": "step",
            "status": "success", "durationMs": 3, "logBytes": 5 })
}

pub fn success() -> Value {
    result("success", json!({}))
}

pub fn result(status: &str, more: Value) -> Value {
    let mut event = json!({ "type": "ended", "status": status, "durationMs": 9 });
    for (key, value) in more.as_object().expect("fields of a result") {
        event[key] = value.clone();
    }
    event
}

/// A job that waits until it is cancelled and then says so.
pub fn waits() -> String {
    let cancelled = prints(&[result("cancelled", json!({}))]);
    format!("{}read -r order\n{cancelled}", says(&[started(0, "s"), log(0, &["waiting"])]))
}
