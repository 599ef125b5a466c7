//! Generators that see the event or results, that change their minds, and limits of fan-outs that join a run.

use serde_json::{Value, json};

use super::{Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/generators.ts");

with_both_engines!(jobs_that_are_generated);

async fn jobs_that_are_generated(engine: &'static str) {
    let mut stage = Stage::set(engine, 2, WORKFLOW).await;
    groups(&mut stage).await;
    drift(&stage).await;
    waves(&stage).await;
    mistakes(&stage).await;
}

async fn groups(stage: &mut Stage) {
    let played = stage.play("generators", "success").await;
    assert_eq!(
        played.shown(),
        [
            "__dynamic__generators__1 success",
            "__dynamic__generators__2 success",
            "fin success",
            "gen-x success",
            "gen-y success",
            "shard-1 success",
            "shard-2 success",
            "src success",
        ]
    );
    let journal = stage.journal();
    assert_eq!((journal.len(), journal.last().unwrap().as_str()), (5, "fin start"), "{journal:?}");
    let shard = |name: &str| {
        let result = json!({"name": name, "branch": "generators push"});
        let result = json!({"name": name, "branch": "generators push", "step-1": result});
        json!({"name": name, "result": result, "status": "success"})
    };
    let gene = |dir: &str| {
        let work = json!({"dir": dir, "seen": ["shard-1 success", "shard-2 success"]});
        json!({"name": format!("gen-{dir}"), "result": {"work": work}, "status": "success"})
    };
    assert_eq!(
        stage.said(&played, "fin").await,
        json!({"shards": [shard("shard-1"), shard("shard-2")], "aware": [gene("x"), gene("y")]})
    );
    for job in ["shard-1", "gen-x", "__dynamic__generators__2"] {
        stage.is_well(&played, job).await;
    }
}

async fn drift(stage: &Stage) {
    let played = stage.play("drift", "failed").await;
    assert_eq!(played.run["failureReason"], "Failed jobs: second");
    assert_eq!(
        played.shown(),
        [
            "__dynamic__drift__0 success",
            "fin success",
            "first success",
            "second drift_dropped (determinism drift: job dropped by re-evaluation on executing agent)",
            "strict skipped (upstream_unmet: second (drift_dropped))",
        ]
    );
    let said = stage.said(&played, "fin").await;
    let seen: Vec<&Value> = said["whimsical"].as_array().unwrap().iter().collect();
    assert_eq!((&seen[0]["name"], &seen[0]["status"]), (&json!("first"), &json!("success")));
    assert_eq!((&seen[1]["name"], &seen[1]["status"]), (&json!("second"), &json!("drift_dropped")));
}

async fn waves(stage: &Stage) {
    let played = stage.play("waves", "failed").await;
    let reason = played.run["failureReason"].as_str().unwrap();
    assert!(reason.contains("halting (b)") && reason.contains("computed (b)"), "{reason}");
    assert_eq!(
        played.shown(),
        [
            "__dynamic__waves__0 success",
            "__init__waves__computed success",
            "after-wide success",
            "computed (a) success",
            "computed (b) failed (Step 'step-1' failed: not this one)",
            "computed (d) skipped (fan-out halted by failFast)",
            "fin success",
            "halting (a) success",
            "halting (b) failed (Step 'turn' failed: not this one)",
            "halting (c) skipped (fan-out halted by failFast)",
            "wide (a) success",
            "wide (b) success",
            "wide (c) success",
        ]
    );
    let turns = ["start a", "end a", "start b", "end b", "start c", "end c"];
    assert_eq!(stage.noted("wide"), turns);
    assert_eq!(stage.noted("halting"), turns[..4]);
    assert_eq!(stage.noted("computed"), turns[..4]);
    let turn = |v: &str| json!({"turn": {"v": v}});
    let said = stage.said(&played, "after-wide").await;
    assert_eq!(
        said["outputs"],
        json!({"byMatrix": {"a": turn("a"), "b": turn("b"), "c": turn("c")}, "merged": turn("c")})
    );
    let said = stage.said(&played, "fin").await;
    let states = |list: &Value| -> Vec<String> {
        let one = |of: &Value| {
            format!("{} {}", of["name"].as_str().unwrap(), of["status"].as_str().unwrap())
        };
        list.as_array().unwrap().iter().map(one).collect()
    };
    assert_eq!(
        states(&said["group"]),
        [
            "after-wide success",
            "halting (a) success",
            "halting (b) failed",
            "halting (c) skipped",
            "wide (a) success",
            "wide (b) success",
            "wide (c) success",
        ]
    );
    assert_eq!(
        states(&said["computed"]),
        ["computed (a) success", "computed (b) failed", "computed (d) skipped"]
    );
    // What the group's members gave is there under their names.
    assert_eq!(said["group"][4]["result"], turn("a"));

    // Run again in part, they follow each other as before.
    let before = stage.journal().len();
    stage.admin(&["runs", "rerun", played.id(), "--failed-only"]);
    let again = stage.ends("waves", 1, "failed").await;
    assert_eq!(again.shown(), played.shown());
    let noted = stage.journal()[before..].to_vec();
    for name in ["halting", "computed"] {
        let own: Vec<&String> = noted.iter().filter(|line| line.starts_with(name)).collect();
        assert_eq!(own, [&format!("{name} start b"), &format!("{name} end b")], "{noted:?}");
    }
    assert_eq!(noted.len(), 4, "{noted:?}");
}

async fn mistakes(stage: &Stage) {
    let played = stage.play("mistakes", "failed").await;
    assert_eq!(
        played.shown(),
        [
            "__dynamic__mistakes__0 failed (the job generator failed: no list today)",
            "__dynamic__mistakes__1 failed (the job generator gave two jobs named 'same'; give each its own name)",
            "__dynamic__mistakes__2 failed (the job generator gave 101 jobs, at most 100 are allowed)",
            "__dynamic__mistakes__3 success",
            "after-none success",
            "after-throws skipped (upstream_unmet: __dynamic__mistakes__0 (failed))",
        ]
    );
}
