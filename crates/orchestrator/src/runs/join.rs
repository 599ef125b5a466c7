//! Plans jobs that join a run that exists: the planner begins with the jobs that are there.

use std::collections::HashMap;
use std::sync::Arc;

use kici_model::lock::{JobEntry, MatrixValues, StaticJob, Workflow};
use kici_model::state::{EndReason, JobKind};
use kici_store::definition::Content;
use kici_store::grow::{GraphEdge, GraphJob};
use uuid::Uuid;

use super::expand::{Known, expand};
use super::hosts::Hosts;
use super::plan::{PlannedJob, Planner};

impl Planner {
    /// Begins with the jobs of a run, in their order and without edges. They only stand for their rows.
    pub(super) fn of_run(
        workflow: &Workflow,
        jobs: &[GraphJob],
        hosts: Option<&Arc<Hosts>>,
    ) -> Planner {
        let mut planner = Planner::new(&workflow.name, hosts.cloned());
        for job in jobs {
            let kind: JobKind = job.kind.parse().unwrap_or_default();
            let lock_index = job.lock_index.and_then(|index| usize::try_from(index).ok());
            let entry = lock_index.and_then(|index| workflow.jobs.get(index));
            if let Some(JobEntry::Dynamic(generator)) = entry
                && let Some(group) = &generator.group
            {
                planner.groups.entry(group.clone()).or_default().push(job.name.clone());
            }
            if kind == JobKind::Job {
                let children = planner.children.entry(job.base_name.clone()).or_default();
                children.push(job.name.clone());
            }
            planner.names.insert(job.name.clone());
            planner.jobs.push(PlannedJob {
                name: job.name.clone(),
                base_name: job.base_name.clone(),
                kind,
                lock_index,
                ..PlannedJob::default()
            });
        }
        planner
    }

    /// Takes over edges of the run's jobs.
    pub(super) fn take_edges(&mut self, edges: &[GraphEdge], at: &HashMap<Uuid, usize>) {
        for edge in edges {
            if let (Some(job), Some(upstream)) = (at.get(&edge.job_id), at.get(&edge.upstream)) {
                self.jobs[*job].needs.push((*upstream, edge.run_on.clone()));
            }
        }
    }

    /// A job that the generator at `index` gave, expanded; one that cannot be expanded fails.
    pub(super) fn generated(&mut self, index: usize, group: Option<&str>, job: &StaticJob) {
        let body = serde_json::to_string(job).expect("a job is plain data");
        let hosts = self.hosts.clone();
        let known = Known { lock_index: Some(index), values: None, hosts: hosts.as_deref() };
        let made = match expand(job, known) {
            Ok(expanded) => {
                for selector in expanded.selectors {
                    self.selector(selector);
                }
                expanded.jobs
            }
            Err(reason) => {
                let name = job.name.clone();
                vec![PlannedJob::failing(name.clone(), name, index, reason)]
            }
        };
        let first = self.jobs.len();
        for child in made {
            self.add(PlannedJob { body: Some(body.clone()), ..child });
        }
        let names: Vec<String> = self.jobs[first..].iter().map(|job| job.name.clone()).collect();
        if let Some(group) = group {
            self.groups.entry(group.to_owned()).or_default().extend(names.iter().cloned());
        }
        self.children.insert(job.name.clone(), names);
    }

    /// The children of a job whose matrix was computed.
    pub(super) fn children_of(
        &mut self,
        index: Option<usize>,
        job: &StaticJob,
        values: &MatrixValues,
    ) -> Result<(), EndReason> {
        let hosts = self.hosts.clone();
        let known = Known { lock_index: index, values: Some(values), hosts: hosts.as_deref() };
        let expanded = expand(job, known)?;
        for selector in expanded.selectors {
            self.selector(selector);
        }
        for child in expanded.jobs {
            self.add(child);
        }
        Ok(())
    }

    /// All jobs, those of the run first, and the selectors of the new ones.
    pub(super) fn into_parts(self) -> (Vec<PlannedJob>, Vec<Content>) {
        (self.jobs, self.selectors)
    }
}
