//! Orchestrators and agents as one fleet: who is there, and one ZIP with the log bundles of those that are asked for.
//!
//! `select` finds agents of the roster by what an operator wrote, `pack` makes the ZIP. The bundles themselves come
//! from the agents' connections (`crate::agents`), and only from those to this orchestrator: of an agent that is
//! connected to another one, the ZIP says which.

mod pack;
mod select;

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kici_protocol::http::fleet::{
    FleetBundleRequest, FleetKind, FleetManifest, FleetNode, FleetStatus, FleetTopology,
};
use kici_protocol::http::service::Diagnosis;
use kici_protocol::http::time::Timestamp;
use kici_store::StoreError;
use kici_store::roster::{RosterRow, roster_list};
use tokio::sync::Semaphore;

use crate::agents::{BundleError, fetch_bundle};
use crate::app::App;
use pack::{Pack, PackError};
use select::Selectors;

/// Agents of one look at the table.
const PAGE: i64 = 500;

/// Agents that one ZIP may be asked for.
const MOST: usize = 100;

/// Agents that are asked at the same time. Each may have 50 MiB in memory.
const AT_ONCE: usize = 2;

const HOURS: u64 = 4;
const MOST_HOURS: u64 = 24 * 365;
const SECONDS: u64 = 60;
const MOST_SECONDS: u64 = 600;

/// Whether a ZIP is being made: each is held in memory until it is sent.
pub(crate) struct Fleet(Semaphore);

impl Fleet {
    pub(crate) fn new() -> Fleet {
        Fleet(Semaphore::new(1))
    }
}

/// Why there is no ZIP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// Another one is being made.
    #[error("another fleet bundle is being made; try again when it is done")]
    Busy,
    /// What was asked for makes no sense.
    #[error("{0}")]
    Request(String),
    /// The roster cannot be read.
    #[error("could not read the roster of agents")]
    Store(#[from] StoreError),
    /// Writing to memory failed.
    #[error("could not write the ZIP")]
    Pack(#[from] PackError),
}

/// Everything that is there: this orchestrator, others that have agents, and connected agents.
pub(crate) async fn topology(app: &App) -> Result<FleetTopology, StoreError> {
    let agents = connected(roster(app).await?);
    let mut numbers: Vec<i32> = agents.iter().map(|agent| agent.owner).collect();
    numbers.push(app.number);
    numbers.sort_unstable();
    numbers.dedup();
    let orchestrators = numbers.into_iter().map(|number| FleetNode {
        kind: FleetKind::Orchestrator,
        id: number.to_string(),
        role: (number == app.number).then(|| "self".to_owned()),
        hostname: None,
        labels: Default::default(),
        parent_id: None,
    });
    let agents = agents.into_iter().map(|agent| FleetNode {
        kind: FleetKind::Agent,
        labels: select::labels(&agent.labels),
        id: agent.agent_id,
        role: None,
        hostname: agent.hostname,
        parent_id: Some(agent.owner.to_string()),
    });
    Ok(FleetTopology { nodes: orchestrators.chain(agents).collect() })
}

/// Asks the agents for their bundles and packs what comes. A node that gives none is named with the reason.
pub(crate) async fn bundle(
    app: &App,
    request: FleetBundleRequest,
    diagnosis: &Diagnosis,
) -> Result<Vec<u8>, FleetError> {
    let _one = app.fleet.0.try_acquire().map_err(|_| FleetError::Busy)?;
    let hours = within("logWindowHours", request.log_window_hours, HOURS, MOST_HOURS)?;
    let seconds = within("timeoutSeconds", request.timeout_seconds, SECONDS, MOST_SECONDS)?;
    let agents = roster(app).await?;
    let agents = if request.selectors.is_empty() {
        connected(agents)
    } else {
        Selectors::read(&request.selectors)
            .and_then(|s| s.pick(agents))
            .map_err(FleetError::Request)?
    };
    if agents.len() > MOST {
        return Err(FleetError::Request(format!(
            "{} agents are asked for, at most {MOST} are possible; name fewer with selectors",
            agents.len()
        )));
    }
    let mut pack = Pack::new();
    let mut nodes = vec![pack.local(app, diagnosis)?];
    let asked = stream::iter(agents).map(|agent| async move {
        let fetched = fetch(app, &agent, hours, Duration::from_secs(seconds)).await;
        (agent.agent_id, fetched)
    });
    let mut fetched = std::pin::pin!(asked.buffered(AT_ONCE));
    while let Some((id, fetched)) = fetched.next().await {
        nodes.push(match fetched {
            Ok(bytes) => pack.agent(id, &bytes)?,
            Err((status, message)) => pack::failed(id, status, message),
        });
    }
    let manifest = FleetManifest {
        created_at: Timestamp::now(),
        log_window_hours: hours,
        timeout_seconds: seconds,
        selectors: request.selectors,
        nodes,
    };
    Ok(pack.finish(&manifest)?)
}

async fn fetch(
    app: &App,
    agent: &RosterRow,
    hours: u64,
    within: Duration,
) -> Result<Vec<u8>, (FleetStatus, String)> {
    let Some(connected) = app.agents.get(&agent.agent_id) else {
        let message = match (&agent.disconnected_at, agent.owner == app.number) {
            (None, false) => format!(
                "connected to orchestrator {}, which this one ({}) cannot ask; send the request there",
                agent.owner, app.number
            ),
            (None, true) => "not connected any more".to_owned(),
            (Some(_), _) => format!(
                "not connected: {}",
                agent.disconnect_reason.as_deref().unwrap_or("it went away")
            ),
        };
        return Err((FleetStatus::Unreachable, message));
    };
    fetch_bundle(&connected, hours, within).await.map_err(|error| {
        let status = match error {
            BundleError::Late(_) => FleetStatus::Timeout,
            BundleError::Gone => FleetStatus::Unreachable,
            _ => FleetStatus::Error,
        };
        (status, error.to_string())
    })
}

async fn roster(app: &App) -> Result<Vec<RosterRow>, StoreError> {
    let mut agents: Vec<RosterRow> = Vec::new();
    let mut conn = app.store.connection().await?;
    loop {
        let after = agents.last().map_or(String::new(), |agent| agent.agent_id.clone());
        let page = roster_list(&mut conn, &after, PAGE).await?;
        let more = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
        agents.extend(page);
        if !more {
            return Ok(agents);
        }
    }
}

fn connected(agents: Vec<RosterRow>) -> Vec<RosterRow> {
    agents.into_iter().filter(|agent| agent.disconnected_at.is_none()).collect()
}

fn within(name: &str, asked: Option<u64>, usual: u64, most: u64) -> Result<u64, FleetError> {
    match asked.unwrap_or(usual) {
        value if (1..=most).contains(&value) => Ok(value),
        value => {
            Err(FleetError::Request(format!("{name} is {value}, it must be from 1 to {most}")))
        }
    }
}
