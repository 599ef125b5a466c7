//! Plans played without running anything.

use serde_json::{Value, json};

use super::*;

fn workflow(jobs: Value) -> Workflow {
    serde_json::from_value(json!({
        "name": "ci", "contentHash": "", "compileSchemaVersion": 0, "triggers": [], "jobs": jobs,
    }))
    .unwrap()
}

fn job(name: &str, needs: Value) -> Value {
    json!({"_type": "static", "name": name, "needs": needs, "steps": []})
}

fn with(mut job: Value, more: Value) -> Value {
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}

fn generator(index: usize, group: &str, needs: Value) -> Value {
    json!({"_type": "dynamic", "source": {"file": "ci.ts", "index": index}, "group": group, "needs": needs})
}

fn group(name: &str) -> Value {
    json!({ "group": name })
}

/// Plays the plan; `bad` jobs fail, evaluations give what is listed.
fn played(plan: &mut Plan<'_>, bad: &[&str], given: &[(&str, Value)]) -> Vec<String> {
    let mut story = Vec::new();
    loop {
        match plan.next() {
            Next::Run(at) => {
                let name = plan.jobs[at].name.clone();
                let of = given.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
                let mut state = JobState::Success;
                if bad.contains(&name.as_str()) {
                    state = JobState::Failed;
                    plan.lacks_values(at, "no values");
                } else if let Some(of) = of
                    && let Err(why) = plan.grow(at, Some(of))
                {
                    state = JobState::Failed;
                    story.push(why);
                }
                plan.end(at, state, None);
                story.push(format!("{name} {state}"));
            }
            Next::End(at, state, why) => {
                story.push(format!("{} {state}: {why}", plan.jobs[at].name));
                plan.end(at, state, None);
            }
            Next::Over => {
                let open = plan.jobs.iter().filter(|job| !plan.ended.contains_key(&job.name));
                assert_eq!(open.count(), 0, "every job ends: {:?}", plan.jobs);
                return story;
            }
        }
    }
}

#[test]
fn jobs_run_after_what_they_need_and_failures_skip_the_rest() {
    let workflow = workflow(json!([
        job("last", json!(["test"])),
        job("test", json!(["build"])),
        job("build", json!([])),
        job("report", json!([{"name": "build", "runOn": ["success", "failed"]}])),
    ]));
    let mut plan = Plan::new(&workflow, None).unwrap();
    assert_eq!(
        played(&mut plan, &["build"], &[]),
        [
            "build failed",
            "test skipped: upstream_unmet: build (failed)",
            "last skipped: upstream_unmet: test (skipped)",
            "report success"
        ]
    );
    assert_eq!(plan.failed(), ["build"]);
}

#[test]
fn one_job_or_group_takes_what_it_needs_along() {
    let workflow = workflow(json!([
        job("build", json!([])),
        job("lint", json!([])),
        job("test", json!(["build", group("g")])),
        generator(3, "g", json!([])),
        generator(4, "h", json!(["lint", group("g")])),
    ]));
    let mut plan = Plan::new(&workflow, Some("test")).unwrap();
    let given = [("__dynamic__ci__3", json!([job("made", json!([]))]))];
    assert_eq!(
        played(&mut plan, &[], &given),
        ["build success", "__dynamic__ci__3 success", "made success", "test success"]
    );
    let plan = Plan::new(&workflow, Some("h")).unwrap();
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["lint", "__dynamic__ci__3", "__dynamic__ci__4"]);
    let error = Plan::new(&workflow, Some("tset")).err().unwrap().to_string();
    assert_eq!(
        error,
        "there is no job 'tset'; there are: build, lint, test, g (a group), h (a group)"
    );
}

#[test]
fn who_needs_a_group_waits_for_its_generator_and_its_jobs() {
    let workflow = workflow(json!([
        job("fin", json!([group("g"), {"group": "bad", "runOn": ["failed"]}])),
        generator(1, "g", json!(["src"])),
        job("src", json!([])),
        generator(3, "bad", json!([])),
    ]));
    let mut plan = Plan::new(&workflow, None).unwrap();
    let made = json!([
        job("b", json!(["a"])),
        with(job("a", json!([])), json!({"matrix": {"_type": "static", "values": ["x", "y"]}})),
        job("c", json!(["nobody"])),
        job("d", json!(["e"])),
        job("e", json!(["d"])),
    ]);
    assert_eq!(
        played(&mut plan, &["__dynamic__ci__3"], &[("__dynamic__ci__1", made)]),
        [
            "src success",
            "__dynamic__ci__1 success",
            "a (x) success",
            "a (y) success",
            "b success",
            "c failed: job 'c' needs 'nobody', which the workflow does not have",
            "fin skipped: upstream_unmet: c (failed)",
            "d failed: cycle detected: d -> e -> d",
            "e failed: cycle detected: d -> e -> d",
            "__dynamic__ci__3 failed",
        ]
    );
}

#[test]
fn computed_values_take_the_place_of_functions() {
    let matrix = json!({"_type": "dynamic", "source": {"file": "ci.ts", "jobName": "m"}});
    let workflow = workflow(json!([
        job("fin", json!(["m"])),
        with(
            job("m", json!([])),
            json!({"matrix": matrix, "exclude": [{"value": "b"}], "dynamicEnv": true})
        ),
        with(job("bad", json!([])), json!({"dynamicEnv": true})),
        job("after", json!([{"name": "bad", "runOn": ["failed"]}])),
    ]));
    let mut plan = Plan::new(&workflow, None).unwrap();
    let given = json!({"matrixValues": ["b", "c", "a"], "env": {"A": "1"}});
    assert_eq!(
        played(&mut plan, &["__init__ci__bad"], &[("__init__ci__m", given)]),
        [
            "__init__ci__m success",
            "m (c) success",
            "m (a) success",
            "fin success",
            "__init__ci__bad failed",
            "bad failed: no values",
            "after success"
        ]
    );
}

#[test]
fn a_fan_out_with_turns_stops_where_its_author_wants_it() {
    let matrix = json!({"_type": "static", "values": ["c", "b", "a"]});
    let workflow = workflow(json!([
        with(job("m", json!([])), json!({"matrix": matrix, "maxParallel": 1, "failFast": true})),
        with(job("all", json!([])), json!({"matrix": matrix, "failFast": true})),
    ]));
    let mut plan = Plan::new(&workflow, None).unwrap();
    assert_eq!(
        played(&mut plan, &["m (b)", "all (c)"], &[]),
        [
            "m (a) success",
            "m (b) failed",
            "m (c) skipped: fan-out halted by failFast",
            // All of them would be under way.
            "all (c) failed",
            "all (b) success",
            "all (a) success",
        ]
    );
}

#[test]
fn a_job_for_all_hosts_runs_here_and_is_seen_by_host() {
    let all = json!({"runsOnAll": {"include": [], "exclude": []}});
    let both = json!({"matrix": {"_type": "static", "values": ["x", "y"]}});
    let workflow = workflow(json!([
        with(job("all", json!([])), all.clone()),
        with(with(job("both", json!([])), all), both),
        job("after", json!(["all", "both"])),
    ]));
    let mut plan = Plan::new(&workflow, None).unwrap();
    let here = super::super::host::name();
    assert_eq!(
        played(&mut plan, &[], &[]),
        [
            format!("all ({here}) success"),
            format!("both ({here}, x) success"),
            format!("both ({here}, y) success"),
            "after success".to_owned(),
        ]
    );
    let seen = plan.upstreams(&plan.jobs[3]).outputs;
    assert_eq!(seen["all"]["summary"]["succeededHosts"], json!([here]));
    assert_eq!(seen["both"]["byHost"][format!("{here}, y")], json!({}));
}
