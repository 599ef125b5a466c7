//! Extraction from hand-made descriptions: what is written, what is refused, and where.

use serde_json::{Value, json};

use super::*;

fn entry(file: &str, workflows: Value) -> EntryFile {
    let description = serde_json::from_value(json!({"workflows": workflows})).unwrap();
    EntryFile { file: file.to_owned(), source: "// text\n".to_owned(), description }
}

fn job(name: &str, more: Value) -> Value {
    let mut job = json!({"kind": "static", "name": name, "steps": [], "options": {"runsOn": "linux"},
        "location": {"file": ".kici/workflows/a.ts", "line": 7, "column": 3}});
    for (key, value) in more.as_object().unwrap() {
        job[key] = value.clone();
    }
    job
}

fn workflow(jobs: Vec<Value>) -> Value {
    json!([{"name": "ci", "export": "#default", "jobs": jobs}])
}

fn problems(jobs: Vec<Value>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    match extract(dir.path(), &[entry(".kici/workflows/a.ts", workflow(jobs))]) {
        Ok(extracted) => extracted.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn needs_are_normalised_and_the_top_level_hash_holds() {
    let dir = tempfile::tempdir().unwrap();
    let needs = json!({"needs": [
        {"job": "build", "plain": true},
        {"job": "build"},
        {"job": "build", "when": "on-failure"},
        {"group": "shards", "when": ["skipped"]},
    ]});
    let generator = json!({"kind": "dynamic", "generate": {"$fn": 1}, "group": "shards"});
    let jobs = vec![job("build", json!({})), generator, job("test", needs)];
    let extracted = extract(dir.path(), &[entry(".kici/workflows/a.ts", workflow(jobs))]).unwrap();
    let lock = extracted.lock.to_value();
    assert_eq!(
        lock["workflows"][0]["jobs"][2]["needs"],
        json!([
            "build",
            {"name": "build", "runOn": ["success"]},
            {"name": "build", "runOn": ["failed", "timed_out_stale"]},
            {"group": "shards", "runOn": ["skipped"]},
        ])
    );
    assert_eq!(lock["workflows"][0]["jobs"][2]["dependsOnGroups"], json!(["shards"]));
    assert_eq!(
        hash::top_level_hash_of_text(&extracted.lock.to_json()).unwrap(),
        extracted.lock.content_hash
    );
}

#[test]
fn an_unknown_need_points_at_the_job_and_offers_a_name() {
    let jobs = vec![
        job("build", json!({})),
        job("test", json!({"needs": [{"job": "buidl", "plain": true}]})),
    ];
    let dir = tempfile::tempdir().unwrap();
    let found = extract(dir.path(), &[entry(".kici/workflows/a.ts", workflow(jobs))]).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        ".kici/workflows/a.ts:7:3 error [E101]: job 'test' needs the job 'buidl', which does not exist"
    );
    assert_eq!(found[0].suggestion.as_deref(), Some("did you mean 'build'?"));
}

#[test]
fn circles_duplicates_and_bounds_are_refused() {
    let need = |name: &str| json!({"needs": [{"job": name, "plain": true}]});
    let options = |options: Value| json!({"options": options});
    for (jobs, wanted) in [
        (
            vec![job("a", need("b")), job("b", need("a"))],
            "[E102]: these jobs wait for each other: a needs b needs a",
        ),
        (vec![job("a", need("a"))], "[E103]: job 'a' needs itself"),
        (
            vec![job("a", json!({})), job("a", json!({}))],
            "[E106]: workflow 'ci' has two jobs called 'a'",
        ),
        (
            vec![job("a", json!({"matrix": vec!["x"; 257]}))],
            "[E104]: matrix of job 'a' has 257 combinations",
        ),
        (
            vec![job("a", options(json!({"runsOn": {"$re": {"source": "(a+)+$", "flags": ""}}})))],
            "exponential time",
        ),
        (
            vec![job("a", options(json!({"runsOn": {"labels": ["x"], "exclude": ["x"]}})))],
            "both requires and excludes the label 'x'",
        ),
        (vec![job("a", options(json!({"runsOn": "x", "maxParallel": 0})))], "must be 1 or more"),
        (
            vec![job("a", options(json!({"runsOn": "x", "approval": {"when": "drift"}})))],
            "only a step with `check`",
        ),
        (
            vec![job("a", options(json!({"runsOn": "x", "resources": {"memory": "1g"}})))],
            "no field `memory`",
        ),
        (
            vec![job("a", json!({"steps": [{"kind": "parallel", "failFast": true, "steps": []}]}))],
            "has no steps",
        ),
        (
            vec![job("a", options(json!({"runsOn": "x", "failFast": true})))],
            "do nothing without a matrix",
        ),
    ] {
        let found = problems(jobs);
        assert!(
            found.iter().any(|problem| problem.contains(wanted)),
            "wanted {wanted:?} in {found:?}"
        );
    }
}

#[test]
fn two_files_with_one_workflow_name_are_refused_and_an_empty_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        entry(".kici/workflows/a.ts", workflow(vec![])),
        entry(".kici/workflows/b.ts", workflow(vec![])),
        entry(".kici/workflows/c.ts", json!([])),
    ];
    let found = extract(dir.path(), &entries).unwrap_err();
    let codes: Vec<_> = found.iter().filter_map(|problem| problem.code).collect();
    assert_eq!(codes, ["E004", "E107"]);
}

#[test]
fn a_function_that_needs_an_agent_is_flagged_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let function = |text: &str| json!({"$fn": 1, "text": text});
    let jobs = vec![job(
        "a",
        json!({"env": function("(e) => ({ B: e.targetBranch })"), "concurrencyGroup": function("() => process.env.A"),
               "environments": ["base", function("async () => 'x'")]}),
    )];
    let extracted = extract(dir.path(), &[entry(".kici/workflows/a.ts", workflow(jobs))]).unwrap();
    let lock = &extracted.lock.to_value()["workflows"][0]["jobs"][0];
    assert_eq!(lock["dynamicEnv"], json!(true));
    assert_eq!(lock["env"]["expression"], json!("(e) => ({ B: e.targetBranch })"));
    assert_eq!(lock["dynamicConcurrencyGroup"], json!(true));
    assert_eq!(lock.get("concurrencyGroup"), None);
    assert_eq!(
        lock["environments"],
        json!([{"value": "base", "dynamic": false}, {"value": "", "dynamic": true}])
    );
    let warnings: Vec<String> = extracted.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().any(|warning| warning.contains("it uses `process`")), "{warnings:?}");
}

#[test]
fn the_group_of_a_workflow_is_written_where_an_orchestrator_can_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let group = |group: serde_json::Value| {
        let mut module = workflow(vec![job("a", json!({}))]);
        module[0]["concurrency"] = json!({"group": group, "max": 2});
        let extracted = extract(dir.path(), &[entry(".kici/workflows/a.ts", module)]).unwrap();
        assert!(extracted.warnings.is_empty());
        extracted.lock.to_value()["workflows"][0]["concurrency"].clone()
    };
    let function = |text: &str| json!({"$fn": 1, "text": text});
    let pure = "({ branch }) => `deploy-${branch}`";
    assert_eq!(
        group(function(pure)),
        json!({"hasGroup": true, "max": 2, "group": {"_type": "inline", "expression": pure}})
    );
    let impure = group(function("() => process.env.GROUP"));
    assert_eq!(impure, json!({"hasGroup": true, "max": 2}), "an agent evaluates it");
}
