//! What one job of a workflow becomes: itself, or the children of its fan-out.
//!
//! Used for jobs of a lock file ([`super::plan`]) and for those that are known only later: a matrix that a function
//! computes, jobs that a generator makes. Names and order are those of [`kici_model::matrix`].

use std::num::NonZeroU32;

use kici_model::lock::{Matrix, MatrixValues, StaticJob};
use kici_model::matrix;
use kici_model::state::{EndReason, InitCategory};
use kici_store::definition::Content;

use super::content::SelectorBody;
use super::plan::PlannedJob;

/// A job, expanded.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// What its children want of agents; each child names one of these.
    pub(crate) selectors: Vec<Content>,
    /// One for each child, in the order of the matrix; without edges.
    pub(crate) jobs: Vec<PlannedJob>,
}

/// How the children of a fan-out follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// How many may be under way at once.
    pub(crate) max_parallel: Option<NonZeroU32>,
    /// A child that does not succeed stops those that wait for their turn.
    pub(crate) fail_fast: bool,
}

impl Window {
    /// As it is stored with a job.
    pub(crate) fn of(max_parallel: Option<i32>, fail_fast: bool) -> Window {
        let at_once = max_parallel.and_then(|limit| u32::try_from(limit).ok());
        Window { max_parallel: at_once.and_then(NonZeroU32::new), fail_fast }
    }
}

/// Expands a job. `lock_index` is its place in the workflow, if it has one; `values` is its matrix when a function
/// computed it, and takes the place of what is written down.
pub(crate) fn expand(
    job: &StaticJob,
    lock_index: Option<usize>,
    values: Option<&MatrixValues>,
) -> Result<Expanded, EndReason> {
    // Without its hosts it would run once, wherever there is room.
    if job.runs_on_all.is_some() {
        return Err(EndReason::Init {
            category: InitCategory::NoAgent,
            message: format!(
                "job '{}' runs on all matching hosts (runsOnAll): this is not supported yet",
                job.name
            ),
        });
    }
    let body = SelectorBody::of(job);
    body.compile().map_err(|error| EndReason::Init {
        category: InitCategory::NoAgent,
        message: format!("runsOn of job '{}': {error}", job.name),
    })?;
    let selector = body.content();
    let base = PlannedJob {
        name: job.name.clone(),
        base_name: job.name.clone(),
        lock_index,
        selector: selector.id,
        environments: job
            .environments
            .iter()
            .flatten()
            .map(|environment| environment.value.clone())
            .collect(),
        env: job.env.clone(),
        group: job.concurrency_group.clone(),
        approval: job.approval.clone(),
        timeout_ms: job.timeout.map(|limit| limit.as_millis()).filter(|limit| *limit > 0),
        ..PlannedJob::default()
    };
    let jobs = match (values, &job.matrix) {
        (Some(values), _) | (None, Some(Matrix::Static { values })) => {
            combinations(job, values, &base)?
        }
        (None, _) => vec![base],
    };
    Ok(Expanded { selectors: vec![selector], jobs })
}

fn combinations(
    job: &StaticJob,
    values: &MatrixValues,
    base: &PlannedJob,
) -> Result<Vec<PlannedJob>, EndReason> {
    let (include, exclude) =
        (job.include.as_deref().unwrap_or_default(), job.exclude.as_deref().unwrap_or_default());
    let combinations = matrix::expand(&job.name, values, include, exclude).map_err(|error| {
        EndReason::Init { category: InitCategory::MatrixExpansion, message: error.to_string() }
    })?;
    let total = combinations.len();
    let mut by_label: Vec<usize> = (0..total).collect();
    by_label.sort_by_key(|at| combinations[*at].label());
    let mut rank = vec![0; total];
    for (place, at) in by_label.into_iter().enumerate() {
        rank[at] = place;
    }
    let children = combinations.iter().zip(rank).map(|(combination, rank)| PlannedJob {
        name: combination.child_name(&job.name),
        matrix: Some(serde_json::to_string(&combination.values).expect("a map of texts")),
        label: Some(combination.label()),
        fanout: (total > 1).then_some((rank, total)),
        window: window(job, total),
        ..base.clone()
    });
    Ok(children.collect())
}

/// How the children of a job follow each other; nothing to say about a single one.
fn window(job: &StaticJob, children: usize) -> Window {
    if children < 2 {
        return Window::default();
    }
    let at_once = job.max_parallel.map(|limit| limit.0.floor().max(1.0));
    Window {
        // A limit that all children fit into limits nothing.
        max_parallel: at_once
            .filter(|limit| *limit < children as f64)
            .and_then(|limit| NonZeroU32::new(limit as u32)),
        fail_fast: job.fail_fast.unwrap_or(false),
    }
}
