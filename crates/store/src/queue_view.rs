//! The queue as people read it, and picking what is to be taken out of it.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    /// `pending`, `dispatched` or `recovering`.
    pub status: Option<String>,
    /// None of these.
    pub status_not: Vec<String>,
    /// Expanded name of the job.
    pub job_name: Option<String>,
    /// What it begins with.
    pub job_name_prefix: Option<String>,
    /// What it is not like (`%` and `_` as in SQL).
    pub job_name_not_like: Option<String>,
    /// The workflow.
    pub workflow_name: Option<String>,
    /// The repository.
    pub repo: Option<String>,
    /// The source.
    pub routing_key: Option<String>,
    /// The run.
    pub run: Option<Uuid>,
    /// The job.
    pub job: Option<Uuid>,
    /// Made at this time or later.
    pub created_after: Option<Time>,
    /// Ready for longer than this.
    pub waited_secs: Option<f64>,
}

/// An open job that is ready: waiting for an agent, or with one.
#[derive(Debug, Clone)]
pub struct QueueEntry {
    /// The job.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// The workflow.
    pub workflow_name: String,
    /// Expanded name.
    pub name: String,
    /// `pending`, `dispatched` or `recovering`.
    pub status: String,
    /// The organisation.
    pub org_id: String,
    /// The source.
    pub routing_key: String,
    /// The kind of forge.
    pub provider: String,
    /// The repository.
    pub repo: String,
    /// Branch or tag.
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// The delivery, as shown.
    pub delivery_id: String,
    /// Its place among the jobs of its repository that want the same agents; none when it is with an agent.
    pub position: Option<i64>,
    /// Head start: 0, 1 or 2.
    pub priority: i16,
    /// Dispatches so far.
    pub attempt: i32,
    /// Those that failed.
    pub failures: i16,
    /// The agent that has it.
    pub agent_id: Option<String>,
    /// That agent has said that it runs.
    pub started: bool,
    /// What it wants of an agent, JSON.
    pub selector: String,
    /// Why it waits, JSON.
    pub reason: Option<String>,
    /// When its run was made.
    pub created_at: Time,
    /// Since when it is ready.
    pub ready_at: Option<Time>,
    /// Not offered before.
    pub not_before: Time,
}

/// Entries in the order of the queue: what is with agents first, then each line by its places.
pub async fn queue_page(
    conn: &mut PgConnection,
    filter: &QueueFilter,
    limit: i64,
) -> Result<Vec<QueueEntry>, StoreError> {
    sqlx::query_as!(
        QueueEntry,
        r#"SELECT j.id AS "id!", j.run_id AS "run_id!", r.workflow_name AS "workflow_name!", j.name AS "name!",
                  j.status AS "status!", r.org_id AS "org_id!", r.routing_key AS "routing_key!",
                  r.provider AS "provider!", r.repo AS "repo!", r.git_ref AS "git_ref!", r.sha AS "sha!",
                  r.delivery_id AS "delivery_id!", j.position, j.priority AS "priority!", j.attempt AS "attempt!",
                  j.failures AS "failures!", j.agent_id, j.started AS "started!", s.body::text AS "selector!",
                  (CASE WHEN j.position IS NULL THEN j.wait_reason
                        ELSE coalesce(CASE WHEN j.not_before > now() THEN j.wait_reason END, s.wait_reason) END)::text
                      AS reason,
                  j.created_at AS "created_at!: Time", j.ready_at AS "ready_at: Time",
                  j.not_before AS "not_before!: Time"
             FROM (SELECT w.id, w.run_id, w.name, 'pending' AS status, w.priority, w.attempt, w.failures, w.agent_id,
                          false AS started, w.selector, w.wait_reason, w.created_at, w.ready_at, w.not_before,
                          row_number() OVER (PARTITION BY w.selector, w.share ORDER BY w.not_before, w.id) AS position
                     FROM job w WHERE w.state = 'queued' AND w.agent_id IS NULL
                   UNION ALL
                   SELECT d.id, d.run_id, d.name,
                          CASE WHEN d.state = 'recovering' THEN 'recovering' ELSE 'dispatched' END,
                          d.priority, d.attempt, d.failures, d.agent_id, d.state <> 'queued', d.selector, d.wait_reason,
                          d.created_at, d.ready_at, d.not_before, NULL
                     FROM job d WHERE d.agent_id IS NOT NULL AND d.finished_at IS NULL) j
             JOIN run r ON r.id = j.run_id
             JOIN selector s ON s.id = j.selector
            WHERE ($1::text IS NULL OR j.status = $1) AND j.status <> ALL ($2::text[])
              AND ($3::text IS NULL OR j.name = $3) AND ($4::text IS NULL OR starts_with(j.name, $4))
              AND ($5::text IS NULL OR j.name NOT LIKE $5) AND ($6::text IS NULL OR r.workflow_name = $6)
              AND ($7::text IS NULL OR r.repo = $7) AND ($8::text IS NULL OR r.routing_key = $8)
              AND ($9::uuid IS NULL OR j.run_id = $9) AND ($10::uuid IS NULL OR j.id = $10)
              AND ($11::timestamptz IS NULL OR j.created_at >= $11)
              AND ($12::float8 IS NULL OR j.ready_at < now() - make_interval(secs => $12))
            ORDER BY j.position NULLS FIRST, j.not_before, j.id
            LIMIT $13"#,
        filter.status.as_deref(),
        &filter.status_not,
        filter.job_name.as_deref(),
        filter.job_name_prefix.as_deref(),
        filter.job_name_not_like.as_deref(),
        filter.workflow_name.as_deref(),
        filter.repo.as_deref(),
        filter.routing_key.as_deref(),
        filter.run,
        filter.job,
        filter.created_after as _,
        filter.waited_secs,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("queue_page"))
}
