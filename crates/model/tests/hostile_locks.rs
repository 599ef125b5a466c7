//! Lock files that are broken, foreign or hostile: what is said about them.

use kici_model::event::Event;
use kici_model::lock::{self, LockFile, LockOrigin, MAX_LOCK_BYTES};
use kici_model::triggers::TriggerSet;
use serde_json::{Value, json};

const ORIGIN: LockOrigin<'_> = LockOrigin { repo: "acme/app", reference: "main" };

fn parse(value: &Value) -> Result<LockFile, String> {
    lock::parse(value.to_string().as_bytes(), ORIGIN).map_err(|error| error.to_string())
}

fn with_job(job: Value) -> Value {
    with_workflow(json!({"name": "w", "triggers": [], "jobs": [job]}))
}

fn with_workflow(workflow: Value) -> Value {
    json!({
        "schemaVersion": 29,
        "source": {"file": ".kici/workflows/a.ts", "export": "#default"},
        "contentHash": "",
        "workflows": [workflow],
    })
}

#[test]
fn what_is_no_lock_file_is_named() {
    let message = |text: &[u8]| lock::parse(text, ORIGIN).unwrap_err().to_string();
    for text in [&b""[..], b"{", b"\xef\xbb\xbf{}", b"\xff"] {
        let message = message(text);
        assert!(
            message.starts_with("Lock file at acme/app ref=main is not valid JSON: "),
            "{message}"
        );
    }
    for text in ["null", "[]", "{}", r#"{"schemaVersion":"29"}"#, r#"{"schemaVersion":null}"#] {
        assert_eq!(
            message(text.as_bytes()),
            "Invalid lock file at acme/app ref=main: missing or invalid schemaVersion"
        );
    }
    for version in ["28", "30", "29.5"] {
        let message = message(format!(r#"{{"schemaVersion":{version}}}"#).as_bytes());
        let start = format!(
            "Lock file schemaVersion {version} is incompatible with this orchestrator (engine \
             SCHEMA_VERSION 29). Recompile"
        );
        assert!(message.starts_with(&start), "{message}");
    }
    let message = message(r#"{"schemaVersion":29}"#.as_bytes());
    assert!(message.contains("missing field `source`"), "{message}");
}

#[test]
fn too_large_and_too_deep_files_are_refused() {
    let large = vec![b' '; MAX_LOCK_BYTES + 1];
    let message = lock::parse(&large, ORIGIN).unwrap_err().to_string();
    assert!(message.contains("too large: 5242881 bytes (max 5242880)"), "{message}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let message = lock::parse(deep.as_bytes(), ORIGIN).unwrap_err().to_string();
    assert!(message.contains("recursion limit"), "{message}");
    let many =
        with_workflow(json!({"name": "w", "triggers": vec![json!({"_type": "fork"}); 1001]}));
    let message = parse(&many).unwrap_err();
    assert!(message.contains("workflows[0].triggers: 1001 entries (max 1000)"), "{message}");
}

#[test]
fn malformed_label_matchers_name_workflow_and_job() {
    for (field, value) in [
        ("runsOn", json!({"runsOn": ["linux"]})),
        ("runsOn", json!({"runsOn": [{"kind": "regex", "source": "a"}]})),
        ("runsOn", json!({"runsOn": [{"kind": "glob", "value": "a"}]})),
        ("runsOn", json!({"runsOn": "linux"})),
        ("excludeLabels", json!({"excludeLabels": [7]})),
        ("runsOnAll.include", json!({"runsOnAll": {"include": [["a"]], "exclude": []}})),
        ("runsOnAll.exclude", json!({"runsOnAll": {"include": [], "exclude": ["a"]}})),
    ] {
        let mut job = json!({"_type": "static", "name": "j"});
        job.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let message = parse(&with_job(job)).unwrap_err();
        let start = format!("lock workflow 'w' job 'j' {field}: invalid label matcher");
        assert!(message.starts_with(&start) && message.contains("recompile"), "{message}");
    }
}

#[test]
fn exploding_label_expressions_are_refused_harmless_ones_are_not() {
    let job = |source: &str| {
        json!({"_type": "static", "name": "j", "needs": [], "steps": [], "runsOnAll": {
            "include": [], "exclude": [{"kind": "regex", "source": source, "flags": ""}]}})
    };
    assert_eq!(
        parse(&with_job(job("(a+)+$"))).unwrap_err(),
        "lock workflow 'w' job 'j' runsOnAll.exclude: regex /(a+)+$/ is ReDoS-prone — rejected"
    );
    assert!(parse(&with_job(job("("))).unwrap_err().contains("invalid regular expression /(/"));
    assert!(parse(&with_job(job("^box-"))).is_ok());
}

#[test]
fn one_malformed_trigger_is_found_by_its_path() {
    for (trigger, inside) in [
        (json!({"_type": "push"}), "push trigger: missing field `branches`"),
        (
            json!({"_type": "push", "branches": [{"type": "glob"}], "paths": []}),
            "branches[0]: missing field `pattern`",
        ),
        (json!({"_type": "push", "branches": ["main"], "paths": []}), "branches[0]: invalid type"),
        (json!({"branches": []}), "trigger without a `_type`"),
    ] {
        let workflow = json!({"name": "w", "triggers": [{"_type": "fork"}, trigger], "jobs": []});
        let message = parse(&with_workflow(workflow)).unwrap_err();
        assert!(message.contains("workflows[0].triggers[1]: "), "{message}");
        assert!(message.contains(inside), "{message}");
    }
}

#[test]
fn an_unknown_approver_does_not_open_a_gate() {
    let job = json!({"_type": "static", "name": "j",
        "approval": {"clauses": [{"robot": "x"}], "when": "always"}});
    let message = parse(&with_job(job)).unwrap_err();
    assert!(message.contains("an approval clause is {team: name} or {user: name}"), "{message}");
}

#[test]
fn what_a_later_schema_adds_is_ignored() {
    let lock = parse(&with_workflow(json!({
        "name": "w", "later": 1, "contexts": ["x"],
        "triggers": [
            {"_type": "telepathy", "x": 1},
            {"_type": "push", "branches": [], "paths": [], "later": {}},
        ],
        "jobs": [
            {"_type": "swarm", "size": 3},
            {"_type": "static", "name": "j", "later": [], "runsOn": [{"kind": "exact", "value": "a", "x": 1}],
             "needs": [{"name": "a", "later": 1}], "steps": [{"name": "s", "kind": "sequential", "later": 1}]},
        ],
    })))
    .unwrap();
    let event = Event { kind: "push".into(), target_branch: "main".into(), ..Event::default() };
    let decision = TriggerSet::new(&lock.workflows[0]).decide(&event);
    assert_eq!(decision.matched_trigger, Some(1));
    assert_eq!(decision.summary, "Matched trigger 2 (push)");
    assert_eq!(lock.to_value()["workflows"][0]["jobs"][0], json!({"_type": "swarm", "size": 3}));
}

#[test]
fn a_bad_pattern_spoils_one_trigger_and_says_why() {
    let pattern = |p: &str| json!({"_type": "push", "branches": [{"type": "regex", "pattern": p}], "paths": []});
    let lock = parse(&with_workflow(json!({
        "name": "w", "triggers": [pattern("("), pattern("^(a|a)*$"), pattern("main")], "jobs": [],
    })))
    .unwrap();
    let event = Event { kind: "push".into(), target_branch: "main".into(), ..Event::default() };
    let decision = TriggerSet::new(&lock.workflows[0]).decide(&event);
    assert_eq!(decision.matched_trigger, Some(2));
    let trace = serde_json::to_value(&decision.checks[0]).unwrap();
    assert_eq!(trace["outcome"], "unusable");
    assert!(trace["because"].as_str().unwrap().contains("invalid regular expression /(/"));
}

#[test]
fn integer_like_keys_are_written_first() {
    let job = json!({"_type": "static", "name": "j", "needs": [], "steps": [],
        "env": {"10": "a", "9": "b", "B": "c"}});
    let text = parse(&with_job(job)).unwrap().to_json();
    let at = |key: &str| text.find(&format!("\"{key}\": ")).unwrap();
    assert!(at("9") < at("10") && at("10") < at("B"));
}
