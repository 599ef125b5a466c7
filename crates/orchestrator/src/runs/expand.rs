//! What one job of a workflow becomes: itself, or the children of its fan-out.
//!
//! Used for jobs of a lock file ([`super::plan`]) and for those that are known only later: a matrix that a function
//! computes, jobs that a generator makes. Names and order are those of [`kici_model::matrix`]; children on hosts are
//! made by [`super::hosts`].

use std::num::NonZeroU32;

use kici_model::lock::{Matrix, MatrixValues, StaticJob};
use kici_model::matrix;
use kici_model::state::{EndReason, InitCategory};
use kici_store::definition::Content;

use super::content::SelectorBody;
use super::hosts::{self, Hosts};
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

/// One combination of a job's matrix; a job without has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Variant {
    /// Its values, JSON.
    pub(super) matrix: Option<String>,
    /// The values as they are shown.
    pub(super) label: Option<String>,
    /// Its place among the others, by label.
    pub(super) rank: usize,
}

/// What a job is expanded with besides what its author wrote.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// Its place in the workflow, if it has one.
    pub(crate) lock_index: Option<usize>,
    /// Its matrix when a function computed it; takes the place of what is written down.
    pub(crate) values: Option<&'a MatrixValues>,
    /// The hosts there are.
    pub(crate) hosts: Option<&'a Hosts>,
}

/// Expands a job.
pub(crate) fn expand(job: &StaticJob, known: Known<'_>) -> Result<Expanded, EndReason> {
    let body = SelectorBody::of(job);
    body.compile().map_err(|error| EndReason::Init {
        category: InitCategory::NoAgent,
        message: format!("runsOn of job '{}': {error}", job.name),
    })?;
    let selector = body.content();
    let base = PlannedJob {
        name: job.name.clone(),
        base_name: job.name.clone(),
        lock_index: known.lock_index,
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
    let variants = match (known.values, &job.matrix) {
        (Some(values), _) | (None, Some(Matrix::Static { values })) => variants(job, values)?,
        (None, _) => vec![Variant::default()],
    };
    let waits = known.values.is_none() && hosts::waits_for_matrix(job);
    match &job.runs_on_all {
        // One that waits for its matrix gets its hosts together with it.
        Some(predicate) if !waits => hosts::expand(job, predicate, known.hosts, &base, variants),
        _ => Ok(Expanded { selectors: vec![selector], jobs: of_matrix(job, variants, &base) }),
    }
}

/// The combinations of a matrix, in its order.
fn variants(job: &StaticJob, values: &MatrixValues) -> Result<Vec<Variant>, EndReason> {
    let (include, exclude) =
        (job.include.as_deref().unwrap_or_default(), job.exclude.as_deref().unwrap_or_default());
    let combinations = matrix::expand(&job.name, values, include, exclude).map_err(|error| {
        EndReason::Init { category: InitCategory::MatrixExpansion, message: error.to_string() }
    })?;
    let mut by_label: Vec<usize> = (0..combinations.len()).collect();
    by_label.sort_by_key(|at| combinations[*at].label());
    let mut rank = vec![0; combinations.len()];
    for (place, at) in by_label.into_iter().enumerate() {
        rank[at] = place;
    }
    let variants = combinations.iter().zip(rank).map(|(combination, rank)| Variant {
        matrix: Some(serde_json::to_string(&combination.values).expect("a map of texts")),
        label: Some(combination.label()),
        rank,
    });
    Ok(variants.collect())
}

/// A child for each combination; a job without a matrix is its own only child.
fn of_matrix(job: &StaticJob, variants: Vec<Variant>, base: &PlannedJob) -> Vec<PlannedJob> {
    let total = variants.len();
    let children = variants.into_iter().map(|variant| PlannedJob {
        name: match &variant.label {
            Some(label) => format!("{} ({label})", job.name),
            None => job.name.clone(),
        },
        matrix: variant.matrix,
        label: variant.label,
        fanout: (total > 1).then_some((variant.rank, total)),
        window: window(job, total),
        ..base.clone()
    });
    children.collect()
}

/// How the children of a job follow each other; nothing to say about a single one.
pub(super) fn window(job: &StaticJob, children: usize) -> Window {
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
