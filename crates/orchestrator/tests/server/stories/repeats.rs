//! Runs that are run again, whole and in part, and one that takes too long.

use serde_json::{Value, json};

use super::{Played, Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/repeats.ts");

with_both_engines!(runs_again);

async fn runs_again(engine: &'static str) {
    let mut stage = Stage::set(engine, 2, WORKFLOW).await;
    again(&mut stage).await;
    ahead(&stage).await;
    endless(&stage).await;
}

/// The outputs of a job of one function.
fn flat(of: Value) -> Value {
    let mut result = of.clone();
    result["step-1"] = of;
    result
}

/// What the job `test` sees when its parts come from this build.
fn seen(serial: &str) -> Value {
    let part = |name: &str| {
        let result = flat(json!({ "of": serial }));
        json!({"name": name, "result": result, "status": "success"})
    };
    json!({"build": {"make": {"serial": serial}}, "parts": [part("part-p"), part("part-q")]})
}

fn kept(played: &Played) -> Vec<&str> {
    let kept = played.jobs.iter().filter(|job| job["reusedFrom"].is_string());
    kept.map(|job| job["jobName"].as_str().unwrap()).collect()
}

async fn again(stage: &mut Stage) {
    let first = stage.play("again", "failed").await;
    assert_eq!(first.run["failureReason"], "Failed jobs: test");
    assert_eq!(stage.said(&first, "test").await, seen("1"));
    let done = stage.journal().len();

    // What failed, with what needs it.
    stage.go("mended");
    let answer = stage.admin(&["runs", "rerun", first.id(), "--failed-only"]);
    assert_eq!(answer["originalRunId"], first.id());
    let second = stage.ends("again", 1, "success").await;
    assert_eq!(stage.said(&second, "test").await, seen("1"));
    let mut noted = stage.journal()[done..].to_vec();
    noted.sort();
    assert_eq!(noted, ["deploy", "report", "test"]);
    assert_eq!(kept(&second), ["build", "__dynamic__again__1", "part-p", "part-q"]);
    // The log of a kept job is that of the job that ran, also for those who follow.
    assert_eq!(stage.env.log(&second.run, second.job("build"), 0).await, ["[make] made it"]);
    let followed = stage.admin_says(&["runs", "logs", second.id(), "--follow"]);
    assert!(followed.contains("made it"), "{followed}");

    // One job, with what needs it.
    let done = stage.journal().len();
    stage.admin(&["runs", "rerun", second.id(), "--job", "deploy"]);
    let third = stage.ends("again", 2, "success").await;
    assert_eq!(stage.journal()[done..], ["deploy"]);
    let shown = stage.admin(&["runs", "show", third.id()]);
    assert_eq!(
        (&shown["run"]["parentRunId"], &shown["run"]["originalRunId"]),
        (&json!(second.id()), &json!(first.id()))
    );

    // Everything.
    let done = stage.journal().len();
    stage.admin(&["runs", "rerun", third.id()]);
    let fourth = stage.ends("again", 3, "success").await;
    assert_eq!(kept(&fourth), Vec::<&str>::new());
    assert_eq!(stage.said(&fourth, "test").await, seen("2"));
    let mut noted = stage.journal()[done..].to_vec();
    noted.sort();
    assert_eq!(noted, ["build", "deploy", "part-p", "part-q", "report", "test"]);
    stage.is_well(&fourth, "part-p").await;
}

async fn ahead(stage: &Stage) {
    let first = stage.play("ahead", "success").await;
    stage.admin(&["runs", "rerun", first.id()]);
    let waiting = stage
        .until(("ahead", 1), "waiting", |seen| {
            let made = seen.jobs.iter().find(|job| job["jobName"] == "made")?;
            (made["status"] == "queued").then(|| seen.clone())
        })
        .await;
    let queue = stage.admin(&["queue", "list"]);
    let row = queue["entries"].as_array().unwrap().iter().find(|row| row["job_name"] == "made");
    assert_eq!(row.unwrap_or_else(|| panic!("{queue}"))["priority"], 2, "{queue}");
    stage.admin(&["runs", "cancel", waiting.id()]);
    stage.ends("ahead", 1, "cancelled").await;
}

async fn endless(stage: &Stage) {
    let played = stage.play("endless", "cancelled").await;
    let reason = "workflow_timeout: run exceeded the workflow timeout of 3000ms";
    assert_eq!(played.run["failureReason"], reason);
    assert!(played.shown().iter().all(|job| job.contains(" cancelled")), "{:?}", played.shown());
    assert_eq!(stage.journal().last().unwrap(), "stopped");
}
