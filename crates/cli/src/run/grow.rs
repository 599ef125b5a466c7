//! What evaluations add to a local run: generated jobs, computed values and their matrices, siblings that are gone.

use std::rc::Rc;

use kici_model::generated::check_generated;
use kici_model::lock::{
    EnvValue, EnvironmentRef, JobEntry, Matrix, MatrixValues, StaticJob, TextValue,
};
use kici_model::state::{EndReason, JobState};
use serde_json::Value;

use super::expand::expand;
use super::plan::{Plan, Work};

impl Plan<'_> {
    /// Applies what an evaluation has given. An error is why it failed after all.
    pub(super) fn grow(&mut self, at: usize, given: Option<Value>) -> Result<(), String> {
        let given = given.ok_or("it ended without a result")?;
        match &self.jobs[at].work {
            Work::Steps(_) => Ok(()),
            Work::Init(job, _) => {
                let job = computed(job, &given)?;
                self.computed(at, Rc::new(job));
                Ok(())
            }
            Work::Generator => self.generated(at, given),
        }
    }

    /// An evaluation failed: so do the jobs whose values it would have computed.
    pub(super) fn lacks_values(&mut self, at: usize, why: &str) {
        let place = self.jobs[at].place;
        if !matches!(self.jobs[at].work, Work::Init(..)) {
            return;
        }
        for (other, job) in self.jobs.iter_mut().enumerate() {
            if other != at && job.place == place {
                job.edges.clear();
                job.fails = Some(why.to_owned());
            }
        }
    }

    /// Siblings of a generated job that its generator does not give any more end, as far as they have not begun.
    pub(super) fn dropped(
        &mut self,
        at: usize,
        names: &[String],
    ) -> Vec<(usize, JobState, String)> {
        let place = self.jobs[at].place;
        let gone = self.jobs.iter().enumerate().filter(|(_, job)| {
            let is_gone = names.iter().any(|name| name == job.base_name());
            job.place == place && is_gone && !self.ended.contains_key(&job.name)
        });
        gone.map(|(at, _)| (at, JobState::DriftDropped, EndReason::Drift.to_string())).collect()
    }

    fn generated(&mut self, at: usize, given: Value) -> Result<(), String> {
        let entries: Vec<JobEntry> = serde_json::from_value(given)
            .map_err(|error| format!("the generator gave jobs that make no sense: {error}"))?;
        let made: Vec<StaticJob> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                JobEntry::Static(job) => Some(*job),
                JobEntry::Dynamic(_) | JobEntry::Unknown(_) => None,
            })
            .collect();
        let is_there =
            |name: &str| self.jobs.iter().any(|job| job.name == name || job.base_name() == name);
        check_generated(made.iter().map(|job| job.name.as_str()), is_there)
            .map_err(|error| error.to_string())?;
        let place = self.jobs[at].place;
        let children = made.into_iter().flat_map(|job| expand(place, &Rc::new(job), true));
        let children: Vec<_> = children.collect();
        self.jobs.splice(at + 1..at + 1, children);
        self.connect();
        Ok(())
    }

    /// Puts the children of a job whose values are known now in the place of those that waited for them.
    fn computed(&mut self, at: usize, job: Rc<StaticJob>) {
        let place = self.jobs[at].place;
        let mut after = self.jobs.split_off(at + 1);
        after.retain(|job| job.place != place);
        self.jobs.extend(expand(place, &job, false));
        self.jobs.extend(after);
        self.connect();
    }
}

/// The job with values in place of functions.
fn computed(job: &StaticJob, given: &Value) -> Result<StaticJob, String> {
    let wrong = |what: &str| format!("{what} of job '{}' was not computed", job.name);
    let mut job = job.clone();
    if let Some(names) = given.get("environmentNames") {
        let names: Vec<String> =
            serde_json::from_value(names.clone()).map_err(|_| wrong("environment"))?;
        let named = |name| EnvironmentRef { value: TextValue::Text(name), dynamic: false };
        job.environments = Some(names.into_iter().map(named).collect());
    }
    if let Some(env) = given.get("env") {
        let env = serde_json::from_value(env.clone()).map_err(|_| wrong("env"))?;
        job.env = Some(EnvValue::Map(env));
        job.dynamic_env = false;
    }
    if matches!(job.matrix, Some(Matrix::Dynamic { .. })) {
        let values = given.get("matrixValues").cloned().unwrap_or_default();
        let values: MatrixValues = serde_json::from_value(values).map_err(|_| wrong("matrix"))?;
        job.matrix = Some(Matrix::Static { values });
    }
    // Nobody else is there to be alone from.
    job.dynamic_concurrency_group = false;
    job.concurrency_group = None;
    Ok(job)
}
