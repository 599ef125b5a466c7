//! Host fan-outs: the hosts of one moment, and the children that a job gets from them.
//!
//! A plan is made once for a lock file, but which hosts there are is known only when a run is made, or when jobs join
//! it: workflows that ask for hosts are planned again with those of that moment.

use std::sync::Arc;
use std::time::Duration;

use kici_model::hosts::{self, Host, HostSelector, HostsError, Reach};
use kici_model::labels::AgentLabels;
use kici_model::lock::{Matrix, RunsOnAll, StaticJob};
use kici_model::state::{EndReason, InitCategory};
use kici_store::roster::host_list;
use kici_store::{PgConnection, StoreError};

use super::content::SelectorBody;
use super::expand::{Expanded, Variant, window};
use super::plan::PlannedJob;

/// Hosts that one read takes.
const PAGE: i64 = 5000;

/// What the operator says about hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostRules {
    /// How long a host counts as there after it was last heard of.
    pub(crate) grace: Duration,
    /// Most children of one fan-out.
    pub(crate) max: usize,
}

/// The hosts of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    list: Vec<Host>,
    max: usize,
}

impl Hosts {
    /// Those of this moment.
    pub(crate) async fn read(
        conn: &mut PgConnection,
        rules: HostRules,
    ) -> Result<Arc<Hosts>, StoreError> {
        let mut list: Vec<Host> = Vec::new();
        loop {
            let after = list.last().map_or("", |host| host.agent.as_str());
            let page = host_list(conn, after, rules.grace, PAGE).await?;
            let more = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
            list.extend(page.into_iter().map(|row| Host {
                agent: row.agent_id,
                name: row.host,
                labels: AgentLabels {
                    labels: row.labels.into_iter().collect(),
                    mandatory: row.mandatory_labels.into_iter().collect(),
                },
                live: row.live,
                durable: row.durable,
            }));
            if !more {
                return Ok(Arc::new(Hosts { list, max: rules.max }));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn of(list: Vec<Host>) -> Arc<Hosts> {
        Arc::new(Hosts { list, max: hosts::MAX_HOSTS })
    }
}

/// The children of a job for all hosts of a kind; `variants` are those of its matrix, or one. Without `hosts` it is a
/// job of a plan that is made again when they are known, and fails if that were forgotten.
pub(super) fn expand(
    job: &StaticJob,
    predicate: &RunsOnAll,
    hosts: Option<&Hosts>,
    base: &PlannedJob,
    variants: Vec<Variant>,
) -> Result<Expanded, EndReason> {
    let no_agent = |message: String| EndReason::Init { category: InitCategory::NoAgent, message };
    if job.include_uninitialized == Some(true) {
        return Err(no_agent(format!(
            "job '{}' asks for hosts without an agent (includeUninitialized): bringing up hosts over SSH is not supported yet",
            job.name
        )));
    }
    let selector = HostSelector::new(predicate)
        .map_err(|error| no_agent(format!("runsOnAll of job '{}': {error}", job.name)))?;
    let Some(known) = hosts else {
        let message = format!("the hosts for job '{}' were not looked up", job.name);
        let fails = Some(EndReason::SchedulerInvariant { message });
        return Ok(Expanded {
            selectors: Vec::new(),
            jobs: vec![PlannedJob { fails, ..base.clone() }],
        });
    };
    let limits = (variants.len(), known.max);
    let on_unreachable = job.on_unreachable.unwrap_or_default();
    let children = hosts::children(&job.name, &selector, on_unreachable, &known.list, limits)
        .map_err(|error| match error {
            HostsError::TooMany { .. } => EndReason::Init {
                category: InitCategory::MatrixExpansion,
                message: error.to_string(),
            },
            HostsError::NoMatch { .. } | HostsError::AllAway { .. } => no_agent(error.to_string()),
        })?;
    let total = children.len() * variants.len();
    let mut expanded = Expanded { selectors: Vec::new(), jobs: Vec::with_capacity(total) };
    for (at, child) in children.iter().enumerate() {
        let pinned = SelectorBody::pinned(&child.host.agent, &child.host.name).content();
        let unreachable = || EndReason::HostUnreachable {
            host: child.host.name.clone(),
            agent: child.host.agent.clone(),
        };
        for variant in &variants {
            let label = match &variant.label {
                Some(values) => format!("{}, {values}", child.label),
                None => child.label.clone(),
            };
            expanded.jobs.push(PlannedJob {
                name: format!("{} ({label})", job.name),
                label: Some(label),
                matrix: variant.matrix.clone(),
                fanout: (total > 1).then_some((at * variants.len() + variant.rank, total)),
                on_host: true,
                window: window(job, total),
                selector: pinned.id,
                fails: (child.reach == Reach::Unreachable).then(unreachable),
                ..base.clone()
            });
        }
        expanded.selectors.push(pinned);
    }
    Ok(expanded)
}

/// Whether what a job becomes depends on the hosts there are.
pub(crate) fn asks_for_hosts(job: &StaticJob) -> bool {
    job.runs_on_all.is_some()
}

/// Whether the children of a job are made when an agent has computed its matrix.
pub(super) fn waits_for_matrix(job: &StaticJob) -> bool {
    matches!(job.matrix, Some(Matrix::Dynamic { .. }))
}
