//! The roster of agents, over all orchestrators.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use kici_model::ids::{JobId, RunId};
use kici_protocol::http::agents::{AgentJobView, AgentList, AgentState, AgentView};
use kici_store::roster::{AgentJob, RosterRow, roster_jobs, roster_list};
use serde::Deserialize;
use serde_json::Value;

use super::input::Query;
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

/// Agents of one page.
const PAGE: i64 = 200;

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v1/admin/agents", Access::Permission(Permission::RunRead), list)
}

#[derive(Deserialize)]
struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<AgentList>, ApiError> {
    caller.require_unscoped()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let mut conn = app.store.connection().await?;
    let rows = roster_list(&mut conn, query.cursor.as_deref().unwrap_or(""), limit).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.agent_id.clone());
    let ids: Vec<String> = rows.iter().map(|row| row.agent_id.clone()).collect();
    let mut jobs: HashMap<String, Vec<AgentJobView>> = HashMap::new();
    for AgentJob { agent_id, job_id, run_id, name, state } in roster_jobs(&mut conn, &ids).await? {
        let view = AgentJobView {
            job_id: JobId(job_id),
            run_id: RunId(run_id),
            job_name: name,
            status: state,
        };
        jobs.entry(agent_id).or_default().push(view);
    }
    let agents = rows.into_iter().map(|row| {
        let jobs = jobs.remove(&row.agent_id).unwrap_or_default();
        view(row, jobs)
    });
    Ok(Json(AgentList { agents: agents.collect(), next_cursor }))
}

fn view(row: RosterRow, jobs: Vec<AgentJobView>) -> AgentView {
    AgentView {
        state: state(row.disconnected_at.is_none(), row.draining, !jobs.is_empty()),
        agent_id: row.agent_id,
        hostname: row.hostname,
        version: row.version,
        platform: row.platform,
        arch: row.arch,
        labels: row.labels,
        mandatory_labels: row.mandatory_labels,
        properties: json(&row.properties),
        facts: json(&row.facts),
        max_concurrency: u32::try_from(row.max_concurrency).unwrap_or(1),
        jobs,
        scaler_managed: row.scaler_managed,
        remote_address: row.remote_address,
        orchestrator: row.owner,
        clock_skew_ms: row.clock_skew_ms,
        first_seen_at: timestamp(row.first_seen_at),
        connected_at: timestamp(row.connected_at),
        last_seen_at: timestamp(row.last_seen_at),
        disconnected_at: row.disconnected_at.map(timestamp),
        disconnect_reason: row.disconnect_reason,
    }
}

fn state(connected: bool, draining: bool, has_job: bool) -> AgentState {
    match (connected, draining, has_job) {
        (true, true, _) => AgentState::Draining,
        (true, false, true) => AgentState::Busy,
        (true, false, false) => AgentState::Idle,
        (false, _, true) => AgentState::Lost,
        (false, _, false) => AgentState::Disconnected,
    }
}

/// Stored as JSON by this program.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_away_is_lost_only_while_a_job_waits_for_it() {
        let shown = |connected, draining, job| state(connected, draining, job).as_str();
        assert_eq!(shown(true, false, false), "idle");
        assert_eq!(shown(true, false, true), "busy");
        assert_eq!(shown(true, true, true), "draining");
        assert_eq!(shown(false, true, true), "lost");
        assert_eq!(shown(false, false, false), "disconnected");
    }
}
