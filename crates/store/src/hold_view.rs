//! Holds for whoever decides about them. Newest first, never without a bound.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// A hold with what it keeps.
#[derive(Debug, Clone)]
pub struct HoldView {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// Routing key of the run.
    pub routing_key: String,
    /// The run.
    pub run_id: Uuid,
    /// Workflow of the run.
    pub workflow_name: String,
    /// Repository of the run.
    pub repo: String,
    /// Branch or tag of the run.
    pub git_ref: String,
    /// Who wrote the change.
    pub contributor: Option<String>,
    /// Who asked for the run.
    pub triggered_by: Option<String>,
    /// The job.
    pub job_id: Option<Uuid>,
    /// Its name.
    pub job_name: Option<String>,
    /// Its agent.
    pub agent_id: Option<String>,
    /// `workflow`, `job` or `step`.
    pub scope: String,
    /// `approval`, …
    pub kind: String,
    /// `environment` or `security`.
    pub queue: String,
    /// `environment` or `explicit`.
    pub source: String,
    /// The author's words.
    pub reason: Option<String>,
    /// Who has to approve, JSON.
    pub clauses: String,
    /// Its state; `cancelled` as soon as what it keeps has ended.
    pub state: String,
    /// The step.
    pub step_index: Option<i32>,
    /// Its name.
    pub step_name: Option<String>,
    /// What is shown to whoever decides, JSON.
    pub payload: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// Since when somebody is asked.
    pub opened_at: Option<Time>,
    /// When it gives up.
    pub expires_at: Option<Time>,
    /// When it was decided.
    pub resolved_at: Option<Time>,
    /// Who decided.
    pub resolved_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
}

/// Holds by id, newest first.
pub async fn hold_get(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<HoldView>, StoreError> {
    sqlx::query_as!(
        HoldView,
        r#"SELECT h.id, r.org_id, r.routing_key, h.run_id, r.workflow_name, r.repo, r.git_ref, r.contributor,
                  r.triggered_by, h.job_id, j.name AS "job_name?", j.agent_id AS "agent_id?", h.scope, h.kind, h.queue,
                  h.source, h.reason, h.clauses::text AS "clauses!",
                  CASE WHEN h.state IN ('planned', 'pending')
                            AND (r.finished_at IS NOT NULL OR r.stop IS NOT NULL OR j.finished_at IS NOT NULL
                                 OR (h.scope = 'step' AND j.attempt <> h.attempt))
                       THEN 'cancelled' ELSE h.state END AS "state!",
                  h.step_index, h.step_name, h.payload::text, h.created_at AS "created_at: Time",
                  h.opened_at AS "opened_at: Time", h.expires_at AS "expires_at: Time",
                  h.resolved_at AS "resolved_at: Time", h.resolved_by, h.comment
             FROM hold h JOIN run r ON r.id = h.run_id LEFT JOIN job j ON j.id = h.job_id
            WHERE h.id = ANY($1) ORDER BY h.id DESC"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_get"))
}

/// Which holds are wanted.
#[derive(Debug, Clone, Default)]
pub struct HoldFilter {
    /// Only of this organisation.
    pub org_id: Option<String>,
    /// Only of this routing key.
    pub routing_key: Option<String>,
    /// Only of this state.
    pub state: Option<String>,
    /// Only those before this one.
    pub before: Option<Uuid>,
}

/// Holds that somebody is asked about, newest first.
pub async fn hold_pending_page(
    conn: &mut PgConnection,
    filter: &HoldFilter,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT h.id FROM hold h JOIN run r ON r.id = h.run_id LEFT JOIN job j ON j.id = h.job_id
          WHERE h.state = 'pending' AND r.finished_at IS NULL AND r.stop IS NULL AND j.finished_at IS NULL
            AND (h.scope <> 'step' OR j.attempt = h.attempt)
            AND ($1::text IS NULL OR r.org_id = $1) AND ($2::text IS NULL OR r.routing_key = $2)
            AND ($3::uuid IS NULL OR h.id < $3)
          ORDER BY h.id DESC LIMIT $4",
        filter.org_id.as_deref(),
        filter.routing_key.as_deref(),
        filter.before,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_pending_page"))
}

/// Holds of any stored state, newest first, without those that nobody has been asked about.
pub async fn hold_page(
    conn: &mut PgConnection,
    filter: &HoldFilter,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT h.id FROM hold h JOIN run r ON r.id = h.run_id
          WHERE h.opened_at IS NOT NULL AND ($1::text IS NULL OR h.state = $1)
            AND ($2::text IS NULL OR r.org_id = $2) AND ($3::text IS NULL OR r.routing_key = $3)
            AND ($4::uuid IS NULL OR h.id < $4)
          ORDER BY h.id DESC LIMIT $5",
        filter.state.as_deref(),
        filter.org_id.as_deref(),
        filter.routing_key.as_deref(),
        filter.before,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_page"))
}

/// The holds of a run, newest first, also those that nobody has been asked about yet.
pub async fn hold_of_run(
    conn: &mut PgConnection,
    run: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT id FROM hold WHERE run_id = $1 ORDER BY id DESC LIMIT $2",
        run,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_of_run"))
}

/// What somebody decided about a hold.
#[derive(Debug, Clone)]
pub struct DecisionView {
    /// The hold.
    pub hold_id: Uuid,
    /// Who.
    pub who: String,
    /// Their teams at that moment.
    pub teams: Vec<String>,
    /// Yes or no.
    pub approves: bool,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub decided_at: Time,
}

/// The decisions about holds, oldest first.
pub async fn hold_decisions(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<DecisionView>, StoreError> {
    sqlx::query_as!(
        DecisionView,
        r#"SELECT hold_id, who, teams, approves, comment, decided_at AS "decided_at: Time" FROM hold_decision
            WHERE hold_id = ANY($1) ORDER BY decided_at, who"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_decisions"))
}
