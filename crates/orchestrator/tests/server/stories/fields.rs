//! Values that are functions: evaluated by the orchestrator where the lock file has them, by an agent otherwise.

use serde_json::json;

use super::{Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/fields.ts");

with_both_engines!(values_that_are_computed);

async fn values_that_are_computed(engine: &'static str) {
    let mut stage = Stage::set(engine, 2, WORKFLOW).await;
    good(&mut stage).await;
    wrong(&stage).await;
}

async fn good(stage: &mut Stage) {
    let played = stage.play("fields", "success").await;
    assert_eq!(
        played.shown(),
        [
            "__init__fields__all success",
            "__init__fields__asked success",
            "__init__fields__pure success",
            "after success",
            "all (all) success",
            "all (readme) success",
            "asked success",
            "inline success",
            "pure (18, lin) success",
            "pure (20, lin) success",
            "pure (20, mac) success",
            "pure (win, 22) success",
        ]
    );
    assert_eq!(
        stage.said(&played, "inline").await,
        json!({"branch": "fields", "kind": "push", "environment": "env-fields"})
    );
    assert_eq!(
        stage.said(&played, "asked").await,
        json!({"branch": "computed-fields", "n": "2", "environment": "computed-fields"})
    );
    let said = stage.said(&played, "after").await;
    let child = |label: &str, of: serde_json::Value, index: usize| {
        let flat = json!({"of": of, "index": index});
        let mut result = flat.clone();
        result["step-1"] = flat;
        json!({"name": format!("pure ({label})"), "result": result, "status": "success"})
    };
    assert_eq!(
        said["pure"],
        json!([
            child("18, lin", json!({"node": "18", "os": "lin"}), 0),
            child("20, lin", json!({"node": "20", "os": "lin"}), 1),
            child("20, mac", json!({"node": "20", "os": "mac"}), 2),
            child("win, 22", json!({"os": "win", "node": "22"}), 3),
        ])
    );
    for label in ["all", "readme"] {
        assert_eq!(
            said["all"]["byMatrix"][label]["step-1"],
            json!({"v": label, "who": "computed-all", "environment": "computed-place"}),
            "{said}"
        );
    }
    stage.is_well(&played, "__init__fields__all").await;
    stage.is_well(&played, "asked").await;
}

async fn wrong(stage: &Stage) {
    let played = stage.play("wrong", "failed").await;
    let number = "(concurrencyGroup of job 'number' gave 7, expected a name)";
    let text = "(matrix of job 'text' gave \"a\", expected a list or an object of lists)";
    let throws = "(env of job 'throws' failed: no values today)";
    assert_eq!(
        played.shown(),
        [
            "__init__wrong__empty success",
            &format!("__init__wrong__number failed {number}"),
            &format!("__init__wrong__text failed {text}"),
            &format!("__init__wrong__throws failed {throws}"),
            "after skipped (upstream_unmet: throws (failed))",
            "anyway success",
            "empty failed (matrix for job 'empty' expands to zero combinations)",
            "fine success",
            "inline-throws failed (env of job 'inline-throws': the inline expression threw SyntaxError: unexpected \
             token: 'no')",
            &format!("number failed {number}"),
            &format!("text failed {text}"),
            &format!("throws failed {throws}"),
        ]
    );
    for (job, category) in [("throws", "dynamic_eval"), ("empty", "matrix_expansion")] {
        assert_eq!(played.job(job)["endReason"]["category"], category);
    }
    let failed = json!({"result": {}, "status": "failed"});
    assert_eq!(stage.said(&played, "anyway").await, json!({"throws": failed, "empty": failed}));
}
