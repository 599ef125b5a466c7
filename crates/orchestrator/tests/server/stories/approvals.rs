//! People decide before a run, a job or a step, or do not in time.

use kici_testkit::wait_until;
use serde_json::{Value, json};

use super::{LONG, Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/approvals.ts");

with_both_engines!(people_decide);

async fn people_decide(engine: &'static str) {
    let mut stage = Stage::set(engine, 2, WORKFLOW).await;
    runs(&stage).await;
    jobs(&stage).await;
    steps(&mut stage).await;
    too_late(&stage).await;
}

/// Waits for so many holds that somebody is asked about.
async fn asked(stage: &Stage, count: usize) -> Vec<Value> {
    wait_until(LONG, &format!("{count} pending holds"), async || {
        let list = stage.env.admin_get("/api/v1/admin/held-runs").await["heldRuns"].clone();
        match list.as_array() {
            Some(holds) if holds.len() == count => Ok(holds.clone()),
            _ => Err(format!("{list}; {}", stage.what_is().await)),
        }
    })
    .await
}

fn id(hold: &Value) -> &str {
    hold["id"].as_str().unwrap()
}

async fn runs(stage: &Stage) {
    stage.push("gate", "one");
    let hold = asked(stage, 1).await.remove(0);
    assert_eq!(
        (&hold["hold_scope"], &hold["reason"]),
        (&json!("workflow"), &json!("to all customers"))
    );
    let run = stage.until(("gate", 0), "held", |seen| {
        (seen.run["status"] == "held").then(|| seen.id().to_owned())
    });
    let run = run.await;
    assert_eq!(stage.journal(), Vec::<String>::new());
    stage.admin(&["runs", "approve", "--run", &run]);
    stage.ends("gate", 0, "success").await;
    assert_eq!(stage.journal(), ["shipped"]);

    stage.push("gate", "two");
    let hold = asked(stage, 1).await.remove(0);
    stage.admin(&["runs", "reject", id(&hold), "--reason", "not on a Friday"]);
    let played = stage.ends("gate", 1, "failed").await;
    let reason = "Approval rejected for workflow hold by bootstrap: not on a Friday";
    assert_eq!(played.run["failureReason"], reason);
    assert_eq!(
        played.shown(),
        [format!("after cancelled ({reason})"), format!("ship cancelled ({reason})")]
    );
    assert_eq!(stage.journal(), ["shipped"]);
}

async fn jobs(stage: &Stage) {
    stage.push("gates", "gates");
    let mut holds = asked(stage, 2).await;
    holds.sort_by_key(|hold| hold["job_name"].to_string());
    assert_eq!(holds[0]["job_name"], "deploy (eu)");
    assert_eq!(holds[0]["approval_requirement"], json!([{"user": "ada"}]));
    let token = stage.admin(&["token", "create", "ada", "--role", "admin"]);
    let ada = token["token"].as_str().unwrap();
    stage.admin(&["runs", "approve", id(&holds[0]), "--token", ada]);
    stage.until_noted("deployed eu 1.2").await;
    stage.admin(&["runs", "reject", id(&holds[1]), "--token", ada]);
    let played = stage.ends("gates", 0, "failed").await;
    let reason = "Approval rejected for job hold by ada";
    assert_eq!(played.run["failureReason"], reason);
    assert_eq!(
        played.shown(),
        [
            "after success",
            "build success",
            "deploy (eu) success",
            &format!("deploy (us) cancelled ({reason})"),
        ]
    );
    let said = stage.said(&played, "after").await;
    assert_eq!((&said[0]["status"], &said[1]["status"]), (&json!("success"), &json!("cancelled")));
}

async fn steps(stage: &mut Stage) {
    stage.push("steps", "steps");
    let hold = asked(stage, 1).await.remove(0);
    assert_eq!(
        (&hold["hold_scope"], &hold["step_name"], &hold["reason"]),
        (&json!("step"), &json!("migrate"), &json!("rewrites the orders table"))
    );
    stage.admin(&["runs", "approve", id(&hold)]);
    stage.until_noted("migrated").await;
    let hold = asked(stage, 1).await.remove(0);
    assert_eq!(hold["step_name"], "apply");
    let shown = stage.admin_says(&["runs", "held", id(&hold)]);
    assert!(shown.contains("3 changes"), "{shown}");
    stage.admin(&["runs", "approve", id(&hold)]);
    stage.until_noted("applied 3").await;
    let hold = asked(stage, 1).await.remove(0);
    assert_eq!(hold["step_name"], "drop");
    stage.admin(&["runs", "reject", id(&hold), "--reason", "no"]);
    let played = stage.ends("steps", 0, "failed").await;
    assert_eq!(
        played.shown(),
        ["change success", "refused failed (Step 'drop' approval rejected: no (bootstrap))"]
    );
    let journal = stage.journal();
    assert!(["never", "dropped", "later"].iter().all(|word| !journal.iter().any(|n| n == word)));
    let state = |of: &Value| (of["stepName"].to_string(), of["status"].to_string());
    let calm = state(&played.job("change")["steps"][3]);
    assert_eq!(calm, ("\"calm\"".into(), "\"skipped\"".into()));
    stage.is_well(&played, "change").await;
}

async fn too_late(stage: &Stage) {
    let played = stage.play("late", "failed").await;
    assert_eq!(played.run["failureReason"], "Approval expired for job hold");
    assert_eq!(played.shown(), ["held cancelled (Approval expired for job hold)"]);
    let played = stage.play("late-step", "failed").await;
    assert_eq!(
        played.shown(),
        ["asks failed (Step 'ask' approval rejected: Approval expired for step hold)"]
    );
    let journal = stage.journal();
    assert!(!journal.iter().any(|line| line.ends_with(" ran")), "{journal:?}");
}
