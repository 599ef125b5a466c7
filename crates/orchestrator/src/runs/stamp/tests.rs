use kici_model::lock::{LockOrigin, parse};

use kici_model::state::JobKind;

use super::*;

fn run(jobs: Value) -> NewRun {
    let lock = json!({
        "schemaVersion": 29,
        "source": {"file": ".kici/workflows/ci.ts", "export": "#default"},
        "contentHash": "",
        "workflows": [{"name": "ci", "contentHash": "", "compileSchemaVersion": 5, "triggers": [], "jobs": jobs}],
    });
    let origin = LockOrigin { repo: "acme/app", reference: "main" };
    let lock = parse(lock.to_string().as_bytes(), origin).unwrap();
    let plan = WorkflowPlan::new(&lock, &lock.workflows[0]);
    let event = Event { kind: "push".into(), target_branch: "main".into(), ..Event::default() };
    stamp(
        &plan,
        Cause {
            org_id: "acme",
            delivery: None,
            delivery_id: "d",
            routing_key: "generic:acme:x",
            provider: "local",
            repo: "acme/app",
            git_ref: "main",
            sha: "HEAD",
            trust_tier: None,
            lock_file_source: None,
            event: &event,
            decision: None,
        },
    )
}

fn job(name: &str, more: Value) -> Value {
    let mut job = json!({"_type": "static", "name": name, "runsOn": [], "needs": [], "steps": []});
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}

fn shown(run: &NewRun) -> Vec<String> {
    let shown = |job: &JobRow| match &job.error_message {
        Some(error) => format!("{} {} ({error})", job.name, job.state),
        None => format!("{} {}", job.name, job.state),
    };
    run.jobs.iter().map(shown).collect()
}

#[test]
fn roots_are_queued_and_the_rest_waits_for_its_edges() {
    let run = run(json!([
        job(
            "build",
            json!({"matrix": {"_type": "static", "values": {"os": ["lin", "mac"], "node": ["18"]}}})
        ),
        job("test", json!({"needs": ["build"]})),
    ]));
    assert_eq!(shown(&run), ["build (18, lin) queued", "build (18, mac) queued", "test pending"]);
    assert_eq!((run.row.state.as_str(), run.row.open_jobs), ("pending", 3));
    assert_eq!(run.needs.len(), 2);
    assert_eq!(run.jobs[2].open_needs, 2);
    assert_eq!((run.jobs[1].fanout_index, run.jobs[1].fanout_total), (Some(1), Some(2)));
}

#[test]
fn what_fails_at_once_skips_what_needs_it_and_groups_wait_for_their_generator() {
    let run = run(json!([
        {"_type": "dynamic", "source": {"file": "x.ts", "index": 0}, "group": "shards"},
        job("empty", json!({"matrix": {"_type": "static", "values": []}})),
        job("merge", json!({"needs": [{"group": "shards", "runOn": ["success"]}]})),
        job("always", json!({"needs": [{"name": "empty", "runOn": ["failed"]}]})),
        job("fine", json!({})),
    ]));
    assert_eq!(
        shown(&run),
        [
            "__dynamic__ci__0 queued",
            "empty failed (matrix for job 'empty' expands to zero combinations)",
            "merge pending",
            "always queued",
            "fine queued",
        ]
    );
    assert_eq!(run.row.state, "pending");
    assert_eq!(run.row.open_jobs, 4);
    assert_eq!(run.jobs[0].kind, JobKind::Dynamic);
    assert_eq!((run.jobs[2].open_needs, run.needs[0].run_on.as_str()), (1, "success"));
}

#[test]
fn a_run_whose_jobs_all_end_at_once_is_final() {
    let run = run(json!([job("x", json!({"matrix": {"_type": "static", "values": []}}))]));
    assert_eq!(shown(&run), ["x failed (matrix for job 'x' expands to zero combinations)"]);
    assert_eq!(run.row.state, "failed");
    assert_eq!(run.row.failure_reason.as_deref(), Some("Failed jobs: x"));
    assert!(run.jobs[0].init_failure.as_ref().unwrap().contains("matrix_expansion"));
}

#[test]
fn files_written_by_hand_cannot_make_impossible_runs() {
    let run = run(json!([
        job("a", json!({"needs": ["b"]})),
        job("b", json!({"needs": ["a"]})),
        job("c", json!({"needs": ["nobody"]})),
        job("d", json!({})),
        job("d", json!({})),
    ]));
    let shown = shown(&run);
    assert!(shown[0].starts_with("a failed (cycle detected: a -> b -> a)"), "{shown:?}");
    assert!(shown[1].starts_with("b failed"), "{shown:?}");
    assert!(shown[2].contains("needs 'nobody', which the workflow does not have"), "{shown:?}");
    assert_eq!(shown[3], "d queued");
    assert!(shown[4].starts_with("d #2 failed"), "{shown:?}");
}
