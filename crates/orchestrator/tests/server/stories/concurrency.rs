//! Groups of runs and of jobs: who waits, who has to go, and in which order.

use serde_json::{Value, json};

use super::{Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/concurrency.ts");

with_both_engines!(groups);

async fn groups(engine: &'static str) {
    let mut stage = Stage::set(engine, 3, WORKFLOW).await;
    queue(&stage).await;
    asked(&stage).await;
    newest(&mut stage).await;
    jobs(&stage).await;
}

/// Waits until the only job of a run shows this reason.
async fn waits(stage: &Stage, run: (&str, usize), what: &str, kind: &str) -> Value {
    stage
        .until(run, what, |seen| {
            let (status, reason) = (&seen.jobs[0]["status"], &seen.jobs[0]["waitReason"]);
            (status == what && reason["kind"] == kind).then(|| reason.clone())
        })
        .await
}

async fn queue(stage: &Stage) {
    for message in ["one", "two", "three"] {
        stage.push("queue", message);
    }
    stage.until_noted("start queue one").await;
    let reason = waits(stage, ("queue", 2), "waiting", "concurrency_limit").await;
    let first = stage.runs("queue").await[0]["runId"].clone();
    assert_eq!((&reason["group"], &reason["max"]), (&json!("queue-queue"), &json!(1)));
    let second = waits(stage, ("queue", 1), "waiting", "concurrency_limit").await;
    assert_eq!(second["behind"], first);
    let runs = stage.runs("queue").await;
    let shown = stage.admin_says(&["runs", "show", runs[1]["runId"].as_str().unwrap()]);
    let words = "Queued in concurrency group 'queue-queue' behind run";
    assert!(shown.contains(words), "{shown}");
    for message in ["one", "two", "three"] {
        stage.until_noted(&format!("start queue {message}")).await;
        stage.go(&format!("go queue {message}"));
    }
    for number in 0..3 {
        stage.ends("queue", number, "success").await;
    }
    let order = ["start queue one", "end queue one", "start queue two", "end queue two"];
    assert_eq!(stage.journal()[..4], order);
}

async fn asked(stage: &Stage) {
    stage.push("asked", "one");
    stage.until_noted("start asked one").await;
    stage.push("asked", "two");
    // It runs as far as its agent is concerned, and waits.
    waits(stage, ("asked", 1), "running", "concurrency_limit").await;
    stage.go("go asked one");
    stage.until_noted("start asked two").await;
    stage.go("go asked two");
    stage.ends("asked", 0, "success").await;
    let played = stage.ends("asked", 1, "success").await;
    let journal = stage.journal();
    let order = ["start asked one", "end asked one", "start asked two", "end asked two"];
    assert_eq!(journal[journal.len() - 4..], order);
    let lines = stage.env.log(&played.run, played.job("work"), -1).await;
    for words in [
        "Concurrency group: computed-asked",
        "Concurrency: queued (Queued in concurrency group 'computed-asked'",
        "Concurrency: proceeding",
    ] {
        assert!(lines.iter().any(|line| line.contains(words)), "{words} is not in {lines:?}");
    }
}

async fn newest(stage: &mut Stage) {
    stage.push("newest", "one");
    stage.until_noted("start newest one").await;
    stage.push("newest", "two");
    stage.until_noted("start newest two").await;
    stage.go("go newest two");
    let old = stage.ends("newest", 0, "cancelled").await;
    let reason = "Superseded by run in concurrency group 'newest-newest'";
    assert_eq!(old.run["failureReason"], reason);
    assert!(old.shown().iter().all(|job| job.contains(" cancelled")), "{:?}", old.shown());
    let new = stage.ends("newest", 1, "success").await;
    assert_eq!(
        stage.journal().iter().filter(|line| line.contains("newest")).collect::<Vec<_>>(),
        [
            "start newest one",
            "cancelled newest one",
            "start newest two",
            "end newest two",
            "after newest"
        ]
    );
    stage.is_well(&new, "work").await;
}

async fn jobs(stage: &Stage) {
    stage.push("jobs", "jobs");
    let first = stage.ends("migrations", 0, "success").await;
    stage.ends("reports", 0, "success").await;
    assert_eq!(
        first.shown(),
        ["__init__migrations__c success", "a success", "b success", "c success"]
    );
    let noted = stage.noted("alone");
    assert_eq!(noted.len(), 10, "{noted:?}");
    for turn in noted.chunks(2) {
        assert_eq!(turn[0].replace("start", "end"), turn[1], "{noted:?}");
    }
}
