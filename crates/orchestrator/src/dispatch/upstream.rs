//! What a job sees of the jobs that it needs: outputs, states, members of groups; and what a generator saw. Pure.

use std::collections::{BTreeMap, HashMap};

use kici_model::lock::{DynamicJob, JobEntry, Need, Workflow};
use kici_model::state::JobKind;
use kici_model::upstream::{Child, host_outputs, matrix_outputs};
use kici_protocol::agent::JobState;
use kici_store::send::Upstream;
use serde_json::{Map, Value, json};

/// Outputs by name: children of a fan-out together under their base name.
pub(super) type Outputs = BTreeMap<String, Value>;
/// States by expanded name.
pub(super) type Statuses = BTreeMap<String, JobState>;
/// Expanded names by group.
pub(super) type Groups = BTreeMap<String, Vec<String>>;

/// Outputs and states.
pub(super) fn results(
    workflow: &Workflow,
    upstreams: &[&Upstream],
) -> Result<(Outputs, Statuses), String> {
    let mut outputs = Outputs::new();
    let mut statuses = Statuses::new();
    let mut fan_outs: HashMap<(&str, &str), Vec<Child>> = HashMap::new();
    for upstream in upstreams.iter().filter(|upstream| is_authors(upstream)) {
        let state = serde_json::from_value(Value::String(upstream.state.clone()))
            .map_err(|error| error.to_string())?;
        statuses.insert(upstream.name.clone(), state);
        let own: Map<String, Value> = match &upstream.outputs {
            None => Map::new(),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                format!("the outputs of '{}' cannot be read: {error}", upstream.name)
            })?,
        };
        if upstream.variant_kind.is_none() || group_of(workflow, upstream).is_some() {
            // Members of groups are looked up by their own names, also those that are children of a fan-out.
            outputs.insert(upstream.name.clone(), Value::Object(own.clone()));
        }
        if let Some(kind) = upstream.variant_kind.as_deref() {
            let status = upstream.state.parse().map_err(|error| format!("{error}"))?;
            let label = upstream.variant_label.clone().unwrap_or_default();
            let child = Child { label, status, outputs: own };
            fan_outs.entry((&upstream.base_name, kind)).or_default().push(child);
        }
    }
    for ((base, kind), children) in fan_outs {
        let combined =
            if kind == "host" { host_outputs(&children) } else { matrix_outputs(&children) };
        outputs.insert(base.to_owned(), combined);
    }
    Ok((outputs, statuses))
}

/// The members of the groups among some needs; a group without jobs has none.
pub(super) fn groups(workflow: &Workflow, needs: &[Need], upstreams: &[&Upstream]) -> Groups {
    let named = needs.iter().filter_map(|need| match need {
        Need::Group { group, .. } => Some(group),
        Need::Job(_) | Need::JobWhen { .. } => None,
    });
    named
        .map(|group| {
            let members = upstreams
                .iter()
                .filter(|upstream| {
                    is_authors(upstream) && group_of(workflow, upstream) == Some(group)
                })
                .map(|upstream| upstream.name.clone());
            (group.clone(), members.collect())
        })
        .collect()
}

/// What a generator with needs sees: the same on every agent and in every attempt, because jobs that have ended do
/// not change.
pub(super) fn snapshot(
    workflow: &Workflow,
    generator: &DynamicJob,
    upstreams: &[&Upstream],
) -> Result<Option<Value>, String> {
    let Some(needs) = &generator.needs else { return Ok(None) };
    let (jobs, statuses) = results(workflow, upstreams)?;
    let groups = groups(workflow, needs, upstreams);
    Ok(Some(json!({"jobs": jobs, "groups": groups, "statuses": statuses})))
}

/// Jobs of the scheduler are nobody's upstream.
fn is_authors(upstream: &Upstream) -> bool {
    upstream.kind == JobKind::Job.as_str()
}

fn group_of<'a>(workflow: &'a Workflow, upstream: &Upstream) -> Option<&'a String> {
    match upstream.lock_index.and_then(|index| workflow.jobs.get(usize::try_from(index).ok()?)) {
        Some(JobEntry::Dynamic(generator)) => generator.group.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn workflow() -> Workflow {
        serde_json::from_value(json!({
            "name": "ci", "contentHash": "", "compileSchemaVersion": 5, "triggers": [],
            "jobs": [
                {"_type": "static", "name": "src", "needs": [], "steps": []},
                {"_type": "dynamic", "source": {"file": "x.ts", "index": 1}, "group": "g"},
                {"_type": "dynamic", "source": {"file": "x.ts", "index": 2}, "group": "h",
                 "needs": ["src", {"group": "g"}, {"group": "empty"}], "resultAware": true},
            ],
        }))
        .unwrap()
    }

    fn upstream(
        name: &str,
        kind: &str,
        index: i32,
        label: Option<&str>,
        outputs: &str,
    ) -> Upstream {
        Upstream {
            job_id: Uuid::nil(),
            name: name.into(),
            base_name: name.split(" (").next().unwrap().into(),
            kind: kind.into(),
            lock_index: Some(index),
            variant_kind: label.map(|_| "matrix".into()),
            variant_label: label.map(str::to_owned),
            state: "success".into(),
            outputs: Some(outputs.into()),
        }
    }

    #[test]
    fn a_generator_sees_jobs_groups_and_states_but_nothing_of_the_scheduler() {
        let all = [
            upstream("__dynamic__ci__1", "dynamic", 1, None, "{}"),
            upstream("src", "job", 0, None, r#"{"s":{"v":1}}"#),
            upstream("g1", "job", 1, None, r#"{"s":{"v":2}}"#),
            upstream("m (a)", "job", 1, Some("a"), r#"{"s":{"v":3}}"#),
        ];
        let all: Vec<&Upstream> = all.iter().collect();
        let workflow = workflow();
        let JobEntry::Dynamic(generator) = &workflow.jobs[2] else { panic!() };
        assert_eq!(
            snapshot(&workflow, generator, &all).unwrap().unwrap(),
            json!({
                "jobs": {
                    "src": {"s": {"v": 1}}, "g1": {"s": {"v": 2}}, "m (a)": {"s": {"v": 3}},
                    "m": {"byMatrix": {"a": {"s": {"v": 3}}}, "merged": {"s": {"v": 3}}},
                },
                "groups": {"g": ["g1", "m (a)"], "empty": []},
                "statuses": {"src": "success", "g1": "success", "m (a)": "success"},
            })
        );
        let JobEntry::Dynamic(generator) = &workflow.jobs[1] else { panic!() };
        assert_eq!(snapshot(&workflow, generator, &all).unwrap(), None);
    }
}
