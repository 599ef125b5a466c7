//! What a dispatch is made of, read for a whole batch of claimed jobs.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A claimed job with what its run knows.
#[derive(Debug, Clone)]
pub struct ToSend {
    /// The job.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Fencing number.
    pub attempt: i32,
    /// Expanded name.
    pub name: String,
    /// Name in the workflow.
    pub base_name: String,
    /// What it is for.
    pub kind: String,
    /// Index in the workflow's `jobs`: its own, or that of what it evaluates or comes from.
    pub lock_index: Option<i32>,
    /// The job as its generator gave it, JSON.
    pub body: Option<String>,
    /// Matrix combination, JSON.
    pub matrix: Option<String>,
    /// `matrix` or `host`.
    pub variant_kind: Option<String>,
    /// Place in the fan-out.
    pub fanout_index: Option<i32>,
    /// Size of the fan-out.
    pub fanout_total: Option<i32>,
    /// First resolved environment.
    pub environment: Option<String>,
    /// Evaluated variables, JSON.
    pub env: Option<String>,
    /// Organisation.
    pub org_id: String,
    /// The delivery's row.
    pub delivery: Option<Uuid>,
    /// Routing key.
    pub routing_key: String,
    /// Provider.
    pub provider: String,
    /// Repository.
    pub repo: String,
    /// Branch or tag.
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// Workflow.
    pub workflow_name: String,
    /// The workflow's row.
    pub definition: Option<Uuid>,
    /// Event envelope without payload, JSON.
    pub event: String,
    /// Trust in whoever caused the run.
    pub trust_tier: Option<String>,
    /// An uncommitted tree.
    pub is_test: bool,
}

/// Claimed jobs by id.
pub async fn job_to_send(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<ToSend>, StoreError> {
    sqlx::query_as!(
        ToSend,
        r#"SELECT j.id, j.run_id, j.attempt, j.name, j.base_name, j.kind, j.lock_index, j.body::text, j.matrix::text, j.variant_kind,
                  j.fanout_index, j.fanout_total, j.environment, j.env::text, r.org_id, r.delivery, r.routing_key, r.provider, r.repo,
                  r.git_ref, r.sha, r.workflow_name, r.definition, r.event::text AS "event!", r.trust_tier, r.is_test
             FROM job j JOIN run r ON r.id = j.run_id WHERE j.id = ANY($1)"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_to_send"))
}

/// An upstream job of a claimed one.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The claimed job.
    pub job_id: Uuid,
    /// The upstream's expanded name.
    pub name: String,
    /// Its name in the workflow.
    pub base_name: String,
    /// What it is for.
    pub kind: String,
    /// Index in the workflow's `jobs`.
    pub lock_index: Option<i32>,
    /// `matrix` or `host`.
    pub variant_kind: Option<String>,
    /// What sets it apart from its siblings.
    pub variant_label: Option<String>,
    /// How it ended.
    pub state: String,
    /// Its outputs, JSON.
    pub outputs: Option<String>,
}

/// What claimed jobs get from the jobs that they need, ordered by name.
pub async fn job_upstreams(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Upstream>, StoreError> {
    sqlx::query_as!(
        Upstream,
        "SELECT n.job_id, u.name, u.base_name, u.kind, u.lock_index, u.variant_kind, u.variant_label, u.state, u.outputs::text
           FROM job_need n JOIN job u ON u.id = n.upstream WHERE n.job_id = ANY($1) ORDER BY n.job_id, u.name",
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_upstreams"))
}
