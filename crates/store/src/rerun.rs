//! What a repeated run is made of, and what only repeated runs have.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A run that is to be repeated.
#[derive(Debug, Clone)]
pub struct Original {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
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
    /// The workflow's row; none for a run that never got so far.
    pub definition: Option<Uuid>,
    /// State.
    pub state: String,
    /// Event envelope without its payload, JSON.
    pub event: String,
    /// Why the workflow matched, JSON.
    pub decision: Option<String>,
    /// Trust in whoever caused it.
    pub trust_tier: Option<String>,
    /// `head` or `base`.
    pub lock_file_source: Option<String>,
    /// The first of the chain.
    pub original_run_id: Option<Uuid>,
    /// An uncommitted tree.
    pub is_test: bool,
}

/// A run that is to be repeated.
pub async fn rerun_original(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Option<Original>, StoreError> {
    sqlx::query_as!(
        Original,
        r#"SELECT id, org_id, delivery, routing_key, provider, repo, git_ref, sha, workflow_name, definition, state,
                  event::text AS "event!", decision::text, trust_tier, lock_file_source, original_run_id, is_test
             FROM run WHERE id = $1"#,
        run,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("rerun_original"))
}

/// A job of a run that is to be repeated.
#[derive(Debug, Clone, Default)]
pub struct OriginalJob {
    /// Its id.
    pub id: Uuid,
    /// Expanded name.
    pub name: String,
    /// Name in the workflow.
    pub base_name: String,
    /// What it is for.
    pub kind: String,
    /// Index in the workflow's `jobs`.
    pub lock_index: Option<i32>,
    /// The job as a generator gave it, JSON.
    pub body: Option<String>,
    /// Matrix combination, JSON.
    pub matrix: Option<String>,
    /// `matrix` or `host`.
    pub variant_kind: Option<String>,
    /// What sets it apart from its siblings.
    pub variant_label: Option<String>,
    /// Place in the fan-out.
    pub fanout_index: Option<i32>,
    /// Size of the fan-out.
    pub fanout_total: Option<i32>,
    /// How many of the fan-out may be under way at once, when not all.
    pub max_parallel: Option<i32>,
    /// A child that does not succeed stops those that wait for their turn.
    pub fail_fast: bool,
    /// Which agents it may run on.
    pub selector: Uuid,
    /// First resolved environment.
    pub environment: Option<String>,
    /// Evaluated variables, JSON.
    pub env: Option<String>,
    /// Limit of the job, ms.
    pub timeout_ms: Option<i64>,
    /// How it ended.
    pub state: String,
    /// Why it ended, JSON.
    pub end_reason: Option<String>,
    /// How often it was given to an agent.
    pub attempt: i32,
}

/// The jobs of a run, in order.
pub async fn rerun_jobs(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Vec<OriginalJob>, StoreError> {
    sqlx::query_as!(
        OriginalJob,
        "SELECT id, name, base_name, kind, lock_index, body::text, matrix::text, variant_kind, variant_label,
                fanout_index, fanout_total, max_parallel, fail_fast, selector, environment, env::text, timeout_ms, state, end_reason::text, attempt
           FROM job WHERE run_id = $1 ORDER BY position",
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("rerun_jobs"))
}

/// The edges of a run: (job, upstream, good states).
pub async fn rerun_edges(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Vec<(Uuid, Uuid, Vec<String>)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT n.job_id, n.upstream, n.run_on FROM job j JOIN job_need n ON n.job_id = j.id
          WHERE j.run_id = $1 ORDER BY j.position, n.upstream",
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("rerun_edges"))?;
    Ok(rows.into_iter().map(|row| (row.job_id, row.upstream, row.run_on)).collect())
}

/// What makes a run a repetition.
#[derive(Debug, Clone)]
pub struct Repeats<'a> {
    /// The run, just made.
    pub run: Uuid,
    /// The run that it repeats, locked by the caller.
    pub parent: Uuid,
    /// The first of the chain.
    pub original: Uuid,
    /// Who asked for it.
    pub by: &'a str,
    /// What they asked for.
    pub scope: &'a str,
    /// The key by which the same request is known again.
    pub key: Option<&'a str>,
}

/// Links a run to the one that it repeats.
pub async fn run_repeats(conn: &mut PgConnection, of: &Repeats<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run r SET parent_run_id = $2, original_run_id = $3, triggered_by = $4, rerun_scope = $5, rerun_key = $6,
                delivery = o.delivery
           FROM run o WHERE r.id = $1 AND o.id = $2",
        of.run,
        of.parent,
        of.original,
        of.by,
        of.scope,
        of.key,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("run_repeats"))?;
    Ok(())
}

/// The run that the same request has made before: one with the same key, or without a key one of the last seconds
/// that asked for the same. Answers it and what it was asked for.
pub async fn rerun_known(
    conn: &mut PgConnection,
    parent: Uuid,
    key: Option<&str>,
    scope: &str,
    by: &str,
) -> Result<Option<(Uuid, Option<String>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, rerun_scope FROM run
          WHERE parent_run_id = $1
            AND CASE WHEN $2::text IS NOT NULL THEN rerun_key = $2
                     ELSE rerun_scope = $3 AND triggered_by = $4 AND created_at > now() - interval '5 seconds' END
          ORDER BY id DESC LIMIT 1",
        parent,
        key,
        scope,
        by,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("rerun_known"))?;
    Ok(row.map(|row| (row.id, row.rerun_scope)))
}

/// Gives new jobs the results of old ones: (new, old). Both are in the same final state.
pub async fn job_reuse(conn: &mut PgConnection, pairs: &[(Uuid, Uuid)]) -> Result<(), StoreError> {
    let (new, old): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().copied().unzip();
    sqlx::query!(
        "UPDATE job n
            SET reused_from = coalesce(o.reused_from, o.id), outputs = o.outputs, agent_id = o.agent_id,
                attempt = o.attempt, ready_at = o.ready_at, started_at = o.started_at, finished_at = o.finished_at,
                end_reason = o.end_reason, error_message = o.error_message, wait_reason = NULL
           FROM unnest($1::uuid[], $2::uuid[]) AS t (new, old) JOIN job o ON o.id = t.old
          WHERE n.id = t.new AND n.state = o.state AND n.finished_at IS NOT NULL",
        &new,
        &old,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_reuse"))?;
    Ok(())
}
