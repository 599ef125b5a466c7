use kici_model::hosts::Host;
use kici_model::labels::AgentLabels;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A run of `before` static jobs (each may need earlier ones), a generator and a job that needs its group.
fn graph(before: &[(bool, Vec<usize>)]) -> Graph {
    let mut entries: Vec<Value> = before
        .iter()
        .enumerate()
        .map(|(at, (_, needs))| {
            let needs: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
            json!({"_type": "static", "name": format!("s{at}"), "needs": needs, "steps": []})
        })
        .collect();
    let index = entries.len();
    entries.push(
        json!({"_type": "dynamic", "source": {"file": "x.ts", "index": index}, "group": "g"}),
    );
    entries.push(json!({"_type": "static", "name": "fin", "steps": [],
                        "needs": [{"group": "g", "runOn": ["success"]}]}));
    let workflow: Workflow = serde_json::from_value(json!({
        "name": "ci", "contentHash": "", "compileSchemaVersion": 5, "triggers": [], "jobs": entries,
    }))
    .unwrap();
    let row = |at: usize, name: &str, kind: &str, state: &str| GraphJob {
        id: Uuid::now_v7(),
        position: i32::try_from(at).unwrap(),
        name: name.into(),
        base_name: name.into(),
        kind: kind.into(),
        lock_index: i32::try_from(at).ok(),
        state: state.into(),
        ..GraphJob::default()
    };
    let mut jobs: Vec<GraphJob> = before
        .iter()
        .enumerate()
        .map(|(at, (ended, _))| {
            row(at, &format!("s{at}"), "job", if *ended { "success" } else { "queued" })
        })
        .collect();
    jobs.push(row(index, "__dynamic__ci__x", "dynamic", "running"));
    jobs.push(GraphJob { open_needs: 1, ..row(index + 1, "fin", "job", "pending") });
    let edges = vec![GraphEdge {
        job_id: jobs[index + 1].id,
        upstream: jobs[index].id,
        run_on: vec!["success".into()],
    }];
    let run = Uuid::now_v7();
    Graph { run, routing_key: "k".into(), workflow, jobs, edges, hosts: None, priority: 0 }
}

fn static_job(name: &str, needs: &[String], children: usize) -> StaticJob {
    let mut job = json!({"name": name, "needs": needs, "steps": []});
    if children > 0 {
        let values: Vec<String> = (0..children).map(|n| n.to_string()).collect();
        job["matrix"] = json!({"_type": "static", "values": values});
    }
    serde_json::from_value(job).unwrap()
}

proptest! {
    /// Needs of new jobs point backwards (to siblings before them) or to jobs of the run: no circles.
    #[test]
    fn every_new_job_waits_for_exactly_what_is_open(
        before in prop::collection::vec(any::<bool>(), 0..6),
        made in prop::collection::vec((0usize..4, prop::collection::vec(0usize..12, 0..4)), 0..8),
    ) {
        let before: Vec<(bool, Vec<usize>)> = before.into_iter().map(|ended| (ended, Vec::new())).collect();
        let graph = graph(&before);
        let mut jobs = Vec::new();
        for (at, (children, needs)) in made.iter().enumerate() {
            let mut names: Vec<String> = needs
                .iter()
                .filter_map(|need| match need {
                    need if *need < before.len() => Some(format!("s{need}")),
                    need if *need - before.len() < at => Some(format!("n{}", need - before.len())),
                    _ => None,
                })
                .collect();
            names.dedup();
            jobs.push(static_job(&format!("n{at}"), &names, *children));
        }
        let generator = &graph.jobs[before.len()];
        let growth = generated(&graph, generator, &jobs).unwrap();

        let expanded: usize = made.iter().map(|(children, _)| (*children).max(1)).sum();
        prop_assert_eq!(growth.jobs.len(), expanded);
        prop_assert_eq!(growth.opened(), i32::try_from(expanded).unwrap());
        let mut states: HashMap<Uuid, JobState> =
            graph.jobs.iter().map(|job| (job.id, job.state.parse().unwrap())).collect();
        states.extend(growth.jobs.iter().map(|job| (job.id, job.state.parse().unwrap())));
        for job in &growth.jobs {
            let edges: Vec<&NeedRow> = growth.needs.iter().filter(|need| need.job_id == job.id).collect();
            let open = edges.iter().filter(|need| !states[&need.upstream].is_final()).count();
            prop_assert_eq!(job.open_needs, i32::try_from(open).unwrap());
            prop_assert_eq!(job.state == "queued", open == 0);
            prop_assert!(job.body.is_some() && job.lock_index == generator.lock_index);
        }
        let positions: HashSet<i32> = growth.jobs.iter().map(|job| job.position).collect();
        prop_assert_eq!(positions.len(), growth.jobs.len());
        // Who needs the group waits for each of them, and nobody ends.
        let fin = &graph.jobs[before.len() + 1];
        let own = growth.needs.iter().filter(|need| need.job_id == fin.id).count();
        prop_assert_eq!(own, expanded);
        let more: i32 = growth.waits.iter().filter(|wait| wait.id == fin.id).map(|wait| wait.more).sum();
        prop_assert_eq!(more, i32::try_from(expanded).unwrap());
        prop_assert!(growth.ends.is_empty());
    }
}

#[test]
fn jobs_of_another_generator_are_needed_by_their_group_only() {
    let mut graph = graph(&[]);
    let stranger = GraphJob {
        id: Uuid::now_v7(),
        name: "other".into(),
        base_name: "other".into(),
        kind: "job".into(),
        lock_index: Some(7),
        generated: true,
        state: "queued".into(),
        position: 9,
        ..GraphJob::default()
    };
    graph.jobs.push(stranger);
    let made = [static_job("mine", &["other".to_owned()], 0)];
    let growth = generated(&graph, &graph.jobs[0], &made).unwrap();
    let error = growth.jobs[0].error_message.clone().unwrap();
    assert!(error.contains("needs 'other', which another generator makes"), "{error}");
    let taken = [static_job("other", &[], 0)];
    let error = generated(&graph, &graph.jobs[0], &taken).unwrap_err();
    assert!(error.contains("which the run has already"), "{error}");
}

#[test]
fn a_value_that_was_not_evaluated_is_refused() {
    let graph = graph(&[]);
    let mut job = static_job("a", &[], 0);
    job.dynamic_env = true;
    let error = generated(&graph, &graph.jobs[0], &[job]).unwrap_err();
    assert_eq!(error, "generated job 'a' has a value that was not evaluated");
}

#[test]
fn a_generated_job_for_all_hosts_becomes_a_job_for_each() {
    let mut graph = graph(&[]);
    let host = |agent: &str| Host {
        agent: agent.into(),
        name: format!("host-{agent}"),
        labels: AgentLabels { labels: [String::from("web")].into(), ..AgentLabels::default() },
        live: true,
        durable: true,
    };
    graph.hosts = Some(Hosts::of(vec![host("b"), host("a")]));
    let mut job = static_job("everywhere", &[], 0);
    job.runs_on_all = Some(
        serde_json::from_value(
            json!({"include": [[{"kind": "exact", "value": "web"}]], "exclude": []}),
        )
        .unwrap(),
    );
    let growth = generated(&graph, &graph.jobs[0], &[job.clone()]).unwrap();
    let names: Vec<&str> = growth.jobs.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["everywhere (host-a)", "everywhere (host-b)"]);
    assert!(growth.jobs.iter().all(|row| row.variant_kind.as_deref() == Some("host")));
    assert_eq!(growth.waits[0].more, 2, "who needs the group waits for both");
    job.include_uninitialized = Some(true);
    let growth = generated(&graph, &graph.jobs[0], &[job]).unwrap();
    let [row] = growth.jobs.as_slice() else { panic!("{:?}", growth.jobs) };
    assert_eq!(row.state, "failed");
    assert!(row.error_message.as_deref().unwrap().contains("not supported yet"), "{row:?}");
}
