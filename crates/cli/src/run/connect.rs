//! What the jobs of a local run wait for: edges, and what the server would refuse.

use std::collections::{HashMap, HashSet};

use kici_model::graph::{self, Accepts, Edge};
use kici_model::lock::Need;
use kici_model::state::{EndReason, JobState};

use super::plan::{Plan, Planned, Work, init_name};

impl Plan<'_> {
    /// Works out what the jobs that have not ended wait for. Done again whenever jobs are added.
    pub(super) fn connect(&mut self) {
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        let mut groups: HashMap<String, Vec<String>> = HashMap::new();
        for job in &self.jobs {
            if let Work::Steps(child) = &job.work {
                children.entry(child.job.name.clone()).or_default().push(job.name.clone());
            }
            if let Some(group) = self.group_of(job.place) {
                groups.entry(group.clone()).or_default().push(job.name.clone());
            }
        }
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            if self.ended.contains_key(&job.name) || job.fails.is_some() {
                continue;
            }
            match self.edges_of(job, &children, &groups) {
                Ok(edges) => self.jobs[at].edges = edges,
                Err(message) => self.jobs[at].fails = Some(message),
            }
        }
        self.break_cycles();
    }

    fn edges_of(
        &self,
        job: &Planned,
        children: &HashMap<String, Vec<String>>,
        groups: &HashMap<String, Vec<String>>,
    ) -> Result<Vec<Edge>, String> {
        let needs = self.needs_of(job);
        self.check(job, needs, children, groups)?;
        let mut edges = graph::edges(needs, children, groups);
        for edge in &mut edges {
            // Whatever the jobs of a group are needed for, they have to be known first.
            let upstream = self.jobs.iter().find(|job| job.name == edge.upstream);
            if upstream.is_some_and(|job| matches!(job.work, Work::Generator))
                && !edge.accepts.contains(JobState::Success)
            {
                let mut run_on = edge.accepts.to_run_on();
                run_on.push(JobState::Success.to_string());
                edge.accepts = Accepts::from_run_on(Some(&run_on));
            }
        }
        if let Work::Steps(child) = &job.work
            && !child.generated
        {
            let init = init_name(self.workflow, &child.job);
            if self.jobs.iter().any(|job| job.name == init) {
                edges.push(Edge { upstream: init, accepts: Accepts::SUCCESS });
            }
        }
        Ok(edges)
    }

    /// Refuses what the server refuses.
    fn check(
        &self,
        job: &Planned,
        needs: &[Need],
        children: &HashMap<String, Vec<String>>,
        groups: &HashMap<String, Vec<String>>,
    ) -> Result<(), String> {
        let base = job.base_name();
        let lacks = |what: String| {
            Err(format!("job '{base}' needs {what}, which the workflow does not have"))
        };
        for need in needs {
            match need {
                Need::Group { group, .. } if !groups.contains_key(group) => {
                    return lacks(format!("the group '{group}'"));
                }
                Need::Group { .. } => {}
                Need::Job(name) | Need::JobWhen { name, .. } => {
                    if !children.contains_key(name) {
                        return lacks(format!("'{name}'"));
                    }
                    if self.is_stranger(job, name) {
                        return Err(format!(
                            "job '{base}' needs '{name}', which another generator makes; need its group: dynamicGroup('…')"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a generated job names one of another generator, which its own generator has not seen.
    fn is_stranger(&self, job: &Planned, name: &str) -> bool {
        let is_generated =
            |job: &Planned| matches!(&job.work, Work::Steps(child) if child.generated);
        let own = self
            .jobs
            .iter()
            .find(|other| other.place == job.place && matches!(other.work, Work::Generator));
        let seen =
            |name: &str| own.is_some_and(|own| own.edges.iter().any(|edge| edge.upstream == name));
        is_generated(job)
            && self.jobs.iter().any(|other| {
                is_generated(other)
                    && other.place != job.place
                    && other.base_name() == name
                    && !seen(&other.name)
            })
    }

    /// Fails every job of every circle.
    fn break_cycles(&mut self) {
        let open = self.jobs.iter().filter(|job| !self.ended.contains_key(&job.name));
        let edges: Vec<(&str, Vec<&str>)> = open
            .map(|job| {
                let upstreams = job.edges.iter().map(|edge| edge.upstream.as_str());
                (job.name.as_str(), upstreams.collect())
            })
            .collect();
        let cycles: Vec<Vec<String>> = graph::find_cycles(&edges)
            .into_iter()
            .map(|cycle| cycle.into_iter().map(str::to_owned).collect())
            .collect();
        for path in cycles {
            let names: HashSet<String> = path.iter().cloned().collect();
            let reason = EndReason::Cycle { path }.to_string();
            for job in self.jobs.iter_mut().filter(|job| names.contains(&job.name)) {
                job.edges.clear();
                job.fails = Some(reason.clone());
            }
        }
    }
}
