//! The children of a job: itself, or one for each combination of its matrix, named as on the server. Whatever labels or
//! hosts it asks for, it runs here: a job for all hosts has this machine as its only one.

use std::rc::Rc;

use kici_model::lock::{Matrix, StaticJob};
use kici_model::matrix::{self, Combination};
use serde_json::{Value, json};

use super::host;
use super::plan::{Planned, Work};

/// One of the jobs that a job of the workflow becomes.
#[derive(Debug, Clone)]
pub(super) struct Child {
    /// As the author wrote it, with computed values in place of functions.
    pub(super) job: Rc<StaticJob>,
    /// A generator gave it.
    pub(super) generated: bool,
    pub(super) combination: Option<Combination>,
    /// This machine, for a job for all hosts.
    pub(super) host: Option<String>,
    /// What stands in parentheses after the job's name.
    pub(super) label: Option<String>,
    /// `{index, total, first, last}` in a fan-out with more than one child.
    pub(super) fanout: Option<Value>,
    /// It does not start any more once a sibling has failed.
    pub(super) halts: bool,
}

/// Expands a job. One whose matrix has no combination, or too many, fails.
pub(super) fn expand(place: usize, job: &Rc<StaticJob>, generated: bool) -> Vec<Planned> {
    let planned = |name: String, child: Child, fails: Option<String>| Planned {
        name,
        place,
        work: Work::Steps(child),
        fails,
        edges: Vec::new(),
    };
    let single = Child {
        job: Rc::clone(job),
        generated,
        combination: None,
        host: None,
        label: None,
        fanout: None,
        halts: false,
    };
    let host = job.runs_on_all.as_ref().map(|_| host::name());
    let values = match (&job.matrix, &host) {
        (Some(Matrix::Static { values }), _) => values,
        (None, Some(here)) => {
            let child = Child { host: host.clone(), label: host.clone(), ..single };
            return vec![planned(format!("{} ({here})", job.name), child, None)];
        }
        // A matrix that is a function stands for itself until it is computed.
        (None, None) | (Some(Matrix::Dynamic { .. }), _) => {
            return vec![planned(job.name.clone(), single, None)];
        }
    };
    let include = job.include.as_deref().unwrap_or_default();
    let exclude = job.exclude.as_deref().unwrap_or_default();
    let list = match matrix::expand(&job.name, values, include, exclude) {
        Ok(list) => list,
        Err(error) => return vec![planned(job.name.clone(), single, Some(error.to_string()))],
    };
    let total = list.len();
    // A child's index is the rank of its label, whatever order the children were written in.
    let mut labels: Vec<String> = list.iter().map(Combination::label).collect();
    labels.sort();
    let rank = |of: &Combination| {
        let label = of.label();
        labels.iter().position(|other| *other == label).expect("it is one of them")
    };
    let limited = job.max_parallel.is_some_and(|limit| limit.0.floor().max(1.0) < total as f64);
    let mut children: Vec<(usize, Combination)> =
        list.into_iter().map(|of| (rank(&of), of)).collect();
    if limited {
        // They follow each other in this order.
        children.sort_by_key(|(index, _)| *index);
    }
    let child = |(index, of): (usize, Combination)| {
        let place = json!({"index": index, "total": total, "first": index == 0, "last": index + 1 == total});
        let label = match &host {
            Some(host) => format!("{host}, {}", of.label()),
            None => of.label(),
        };
        let name = format!("{} ({label})", job.name);
        let child = Child {
            combination: Some(of),
            host: host.clone(),
            label: Some(label),
            fanout: (total > 1).then_some(place),
            halts: limited && job.fail_fast.unwrap_or(false),
            ..single.clone()
        };
        planned(name, child, None)
    };
    children.into_iter().map(child).collect()
}
