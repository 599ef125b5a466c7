//! What a local run consists of: the jobs of one workflow, expanded, in an order that respects their needs.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, bail};
use kici_exec::spec::JobResult;
use kici_model::graph::{self, Edge, Readiness};
use kici_model::lock::{JobEntry, Matrix, Need, StaticJob, Workflow};
use kici_model::matrix::{self, Combination};
use kici_model::state::JobState;
use kici_model::upstream;
use serde_json::{Map, Value, json};

/// One job to run.
pub(super) struct Planned<'a> {
    /// Expanded name.
    pub(super) name: String,
    /// As the author wrote it.
    pub(super) job: &'a StaticJob,
    pub(super) combination: Option<Combination>,
    /// `{index, total, first, last}` in a fan-out with more than one child.
    pub(super) fanout: Option<Value>,
    edges: Vec<Edge>,
}

/// The jobs of a run and what became of them.
pub(super) struct Plan<'a> {
    pub(super) jobs: Vec<Planned<'a>>,
    states: HashMap<String, JobState>,
    outputs: HashMap<String, Map<String, Value>>,
}

/// What may happen next.
pub(super) enum Next {
    /// This job can run.
    Run(usize),
    /// This job can never run.
    Skip(usize, String),
    /// All is done.
    Over,
}

impl<'a> Plan<'a> {
    /// Expands a workflow. `only` keeps one job and what it needs.
    pub(super) fn new(workflow: &'a Workflow, only: Option<&str>) -> anyhow::Result<Plan<'a>> {
        let mut wanted = static_jobs(workflow)?;
        if let Some(only) = only {
            let keep = with_upstreams(&wanted, only)?;
            wanted.retain(|job| keep.contains(&job.name));
        }
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        let mut jobs = Vec::new();
        for job in wanted {
            let expanded = expand(job)?;
            children.insert(
                job.name.clone(),
                expanded.iter().map(|child| child.name.clone()).collect(),
            );
            jobs.extend(expanded);
        }
        for planned in &mut jobs {
            planned.edges = graph::edges(&planned.job.needs, &children, &HashMap::new());
        }
        Ok(Plan { jobs, states: HashMap::new(), outputs: HashMap::new() })
    }

    /// The next job that can run or has to be skipped, in the author's order.
    pub(super) fn next(&self) -> Next {
        for (index, planned) in self.jobs.iter().enumerate() {
            if self.states.contains_key(&planned.name) {
                continue;
            }
            match graph::evaluate(&planned.edges, |name| self.states.get(name).copied()) {
                Readiness::Ready => return Next::Run(index),
                Readiness::Skip { reason } => return Next::Skip(index, reason.to_string()),
                Readiness::Wait { .. } => {}
            }
        }
        Next::Over
    }

    /// Records the end of a job.
    pub(super) fn ended(&mut self, index: usize, state: JobState, result: Option<&JobResult>) {
        let name = self.jobs[index].name.clone();
        if let Some(result) = result {
            self.outputs.insert(name.clone(), result.outputs.clone());
        }
        self.states.insert(name, state);
    }

    /// Final states of the jobs that this one needs, by expanded name.
    pub(super) fn upstream_statuses(&self, index: usize) -> BTreeMap<String, String> {
        let edges = self.jobs[index].edges.iter();
        edges
            .filter_map(|edge| {
                Some((edge.upstream.clone(), self.states.get(&edge.upstream)?.to_string()))
            })
            .collect()
    }

    /// Outputs of the jobs that this one needs, by the name that the author needs them under.
    pub(super) fn upstream_outputs(&self, index: usize) -> BTreeMap<String, Value> {
        let names = self.jobs[index].job.needs.iter().filter_map(|need| match need {
            Need::Job(name) | Need::JobWhen { name, .. } => Some(name),
            Need::Group { .. } => None,
        });
        names.map(|name| (name.clone(), self.outputs_of(name))).collect()
    }

    fn outputs_of(&self, base: &str) -> Value {
        let children: Vec<&Planned<'_>> =
            self.jobs.iter().filter(|planned| planned.job.name == base).collect();
        let outputs =
            |planned: &Planned<'_>| self.outputs.get(&planned.name).cloned().unwrap_or_default();
        let child = |planned: &&Planned<'_>| {
            let combination = planned.combination.as_ref()?;
            let status = self.states.get(&planned.name).copied()?;
            Some(upstream::Child { label: combination.label(), status, outputs: outputs(planned) })
        };
        match children.as_slice() {
            [single] if single.combination.is_none() => Value::Object(outputs(single)),
            many => upstream::matrix_outputs(&many.iter().filter_map(child).collect::<Vec<_>>()),
        }
    }

    /// Names and states of all jobs that did not end well.
    pub(super) fn failed(&self) -> Vec<&str> {
        let bad = |planned: &&Planned<'_>| {
            self.states
                .get(&planned.name)
                .is_some_and(|state| state.is_failure() || *state == JobState::Cancelled)
        };
        self.jobs.iter().filter(bad).map(|planned| planned.name.as_str()).collect()
    }
}

fn static_jobs(workflow: &Workflow) -> anyhow::Result<Vec<&StaticJob>> {
    let mut jobs = Vec::new();
    for entry in &workflow.jobs {
        match entry {
            JobEntry::Static(job) => jobs.push(&**job),
            JobEntry::Dynamic(_) => bail!(
                "workflow '{}' has a job generator, which `kici run local` cannot run yet; run one of its static jobs with --job",
                workflow.name
            ),
            JobEntry::Unknown(_) => {}
        }
    }
    Ok(jobs)
}

fn with_upstreams(jobs: &[&StaticJob], only: &str) -> anyhow::Result<Vec<String>> {
    let mut keep = vec![only.to_owned()];
    let mut next = 0;
    while let Some(name) = keep.get(next).cloned() {
        next += 1;
        let Some(job) = jobs.iter().find(|job| job.name == name) else {
            let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
            bail!("there is no job '{only}'; there are: {}", names.join(", "));
        };
        for need in &job.needs {
            let upstream = match need {
                Need::Job(name) | Need::JobWhen { name, .. } => name,
                Need::Group { .. } => continue,
            };
            if !keep.contains(upstream) {
                keep.push(upstream.clone());
            }
        }
    }
    Ok(keep)
}

fn expand(job: &StaticJob) -> anyhow::Result<Vec<Planned<'_>>> {
    let planned = |name: String, combination, fanout| Planned {
        name,
        job,
        combination,
        fanout,
        edges: Vec::new(),
    };
    match &job.matrix {
        None => Ok(vec![planned(job.name.clone(), None, None)]),
        Some(Matrix::Dynamic { .. }) => bail!(
            "the matrix of job '{}' is computed by a function, which `kici run local` cannot run yet; pick another job with --job",
            job.name
        ),
        Some(Matrix::Static { values }) => {
            let list = matrix::expand(
                &job.name,
                values,
                job.include.as_deref().unwrap_or_default(),
                job.exclude.as_deref().unwrap_or_default(),
            )
            .context("could not expand the matrix")?;
            let total = list.len();
            // A child's index is the rank of its label, whatever order the children were written in.
            let mut labels: Vec<String> = list.iter().map(Combination::label).collect();
            labels.sort();
            Ok(list
                .into_iter()
                .map(|combination| {
                    let label = combination.label();
                    let index = labels.iter().position(|other| *other == label).expect("it is one of them");
                    let fanout = (total > 1).then(
                        || json!({"index": index, "total": total, "first": index == 0, "last": index + 1 == total}),
                    );
                    planned(combination.child_name(&job.name), Some(combination), fanout)
                })
                .collect())
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// Plays the plan; `bad` jobs fail.
    fn played(plan: &mut Plan<'_>, bad: &[&str]) -> Vec<String> {
        let mut story = Vec::new();
        loop {
            match plan.next() {
                Next::Run(index) => {
                    let name = plan.jobs[index].name.clone();
                    let state = if bad.contains(&name.as_str()) {
                        JobState::Failed
                    } else {
                        JobState::Success
                    };
                    plan.ended(index, state, None);
                    story.push(format!("{name} {state}"));
                }
                Next::Skip(index, why) => {
                    story.push(format!("{} {why}", plan.jobs[index].name));
                    plan.ended(index, JobState::Skipped, None);
                }
                Next::Over => return story,
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
            played(&mut plan, &["build"]),
            [
                "build failed",
                "test upstream_unmet: build (failed)",
                "last upstream_unmet: test (skipped)",
                "report success"
            ]
        );
        assert_eq!(plan.failed(), ["build"]);
    }

    #[test]
    fn one_job_takes_what_it_needs_along() {
        let workflow = workflow(json!([
            job("build", json!([])),
            job("lint", json!([])),
            job("test", json!(["build"])),
        ]));
        let mut plan = Plan::new(&workflow, Some("test")).unwrap();
        assert_eq!(played(&mut plan, &[]), ["build success", "test success"]);
        let error = Plan::new(&workflow, Some("tset")).err().unwrap().to_string();
        assert_eq!(error, "there is no job 'tset'; there are: build, lint, test");
    }
}
