//! Runs that change while they run: reading a run's graph, adding jobs and edges, and writing values that were
//! computed on an agent. The caller holds the lock of the run.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A job of a run, as far as its graph is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphJob {
    /// Its id.
    pub id: Uuid,
    /// Place in the run.
    pub position: i32,
    /// Expanded name.
    pub name: String,
    /// Name in the workflow.
    pub base_name: String,
    /// What it is for.
    pub kind: String,
    /// Index in the workflow's `jobs`: its own, or that of what it evaluates or comes from.
    pub lock_index: Option<i32>,
    /// It comes from a generator.
    pub generated: bool,
    /// The job as its generator gave it, JSON; only while it waits.
    pub body: Option<String>,
    /// First environment; only while it waits.
    pub environment: Option<String>,
    /// Variables, JSON; only while it waits.
    pub env: Option<String>,
    /// Its state.
    pub state: String,
    /// Fencing number.
    pub attempt: i32,
    /// Its head start in the queue.
    pub priority: i16,
    /// Edges that are not met yet, and other things that it waits for.
    pub open_needs: i32,
}

/// An edge of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphEdge {
    /// The job that waits.
    pub job_id: Uuid,
    /// The job waited for.
    pub upstream: Uuid,
    /// Final states that are good.
    pub run_on: Vec<String>,
}

/// All jobs of a run, in order.
pub async fn graph_jobs(conn: &mut PgConnection, run: Uuid) -> Result<Vec<GraphJob>, StoreError> {
    sqlx::query_as!(
        GraphJob,
        r#"SELECT id, position, name, base_name, kind, lock_index, (body IS NOT NULL) AS "generated!", state, attempt,
                  priority, open_needs, CASE WHEN state = 'pending' THEN body::text END AS body,
                  CASE WHEN state = 'pending' THEN environment END AS environment,
                  CASE WHEN state = 'pending' THEN env::text END AS env
             FROM job WHERE run_id = $1 ORDER BY position"#,
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("graph_jobs"))
}

/// The edges of a run's waiting jobs, and of those jobs whatever their state.
pub async fn graph_edges(
    conn: &mut PgConnection,
    run: Uuid,
    also: &[Uuid],
) -> Result<Vec<GraphEdge>, StoreError> {
    sqlx::query_as!(
        GraphEdge,
        "SELECT n.job_id, n.upstream, n.run_on FROM job j JOIN job_need n ON n.job_id = j.id
          WHERE j.run_id = $1 AND (j.state = 'pending' OR j.id = ANY($2)) ORDER BY j.position, n.upstream",
        run,
        also,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("graph_edges"))
}

/// The workflow that a run was made from, JSON, and the run's routing key.
pub async fn run_workflow(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Option<(String, String)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT d.body::text AS "body!", r.routing_key FROM run r JOIN definition d ON d.id = r.definition
            WHERE r.id = $1"#,
        run,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("run_workflow"))?;
    Ok(row.map(|row| (row.body, row.routing_key)))
}

/// A waiting job that has to wait for more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitsForMore {
    /// The job.
    pub id: Uuid,
    /// How much more; less below zero.
    pub more: i32,
    /// What it waits for now, JSON.
    pub wait_reason: String,
}

/// Lets waiting jobs wait for more.
pub async fn job_waits_for_more(
    conn: &mut PgConnection,
    waits: &[WaitsForMore],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = waits.iter().map(|wait| wait.id).collect();
    let more: Vec<i32> = waits.iter().map(|wait| wait.more).collect();
    let reason: Vec<&str> = waits.iter().map(|wait| wait.wait_reason.as_str()).collect();
    sqlx::query!(
        "UPDATE job j SET open_needs = j.open_needs + t.more, wait_reason = t.reason::json
           FROM unnest($1::uuid[], $2::int4[], $3::text[]) AS t (id, more, reason)
          WHERE j.id = t.id AND j.state = 'pending'",
        &id,
        &more,
        &reason as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_waits_for_more"))?;
    Ok(())
}

/// Takes waiting jobs out of their run, with all edges from and to them: others have taken their place.
pub async fn job_replaced(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM job_need WHERE upstream = ANY($1)", ids)
        .execute(&mut *conn)
        .await
        .map_err(StoreError::in_call("job_replaced"))?;
    sqlx::query!("DELETE FROM job WHERE id = ANY($1) AND state = 'pending' AND attempt = 0", ids)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("job_replaced"))?;
    Ok(())
}

/// Values of a job that were computed on an agent; absent ones stay as they are.
#[derive(Debug, Clone, Default)]
pub struct JobValues {
    /// The job.
    pub id: Uuid,
    /// First environment.
    pub environment: Option<String>,
    /// Variables, JSON.
    pub env: Option<String>,
    /// It needs a place in a concurrency group.
    pub slot: bool,
}

/// Writes computed values of waiting jobs.
pub async fn job_values(conn: &mut PgConnection, values: &[JobValues]) -> Result<(), StoreError> {
    let id: Vec<Uuid> = values.iter().map(|v| v.id).collect();
    let environment: Vec<Option<&str>> = values.iter().map(|v| v.environment.as_deref()).collect();
    let env: Vec<Option<&str>> = values.iter().map(|v| v.env.as_deref()).collect();
    sqlx::query!(
        "UPDATE job j SET environment = coalesce(t.environment, j.environment), env = coalesce(t.env::json, j.env),
                slot = j.slot OR t.slot
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[]) AS t (id, environment, env, slot)
          WHERE j.id = t.id AND j.state = 'pending'",
        &id,
        &environment as _,
        &env as _,
        &values.iter().map(|v| v.slot).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("job_values"))?;
    // A run shows the first environment of its jobs.
    sqlx::query!(
        "UPDATE run r SET environment = j.environment FROM job j
          WHERE j.id = ANY($1) AND r.id = j.run_id AND r.environment IS NULL AND j.environment IS NOT NULL",
        &id,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_values"))?;
    Ok(())
}

/// Records why jobs could not start, JSON.
pub async fn job_init_failed(
    conn: &mut PgConnection,
    failures: &[(Uuid, String)],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = failures.iter().map(|(id, _)| *id).collect();
    let why: Vec<&str> = failures.iter().map(|(_, why)| why.as_str()).collect();
    sqlx::query!(
        "UPDATE job j SET init_failure = t.why::json
           FROM unnest($1::uuid[], $2::text[]) AS t (id, why) WHERE j.id = t.id",
        &id,
        &why as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_init_failed"))?;
    Ok(())
}

/// The siblings of generated jobs: for each of these jobs its generator's row and the names that were generated.
pub async fn generation(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Generation>, StoreError> {
    sqlx::query_as!(
        Generation,
        r#"SELECT j.id AS job_id, g.id AS generator,
                  (SELECT array_agg(s.base_name ORDER BY s.position) FROM job s
                    WHERE s.run_id = j.run_id AND s.lock_index = j.lock_index AND s.body IS NOT NULL) AS "names!"
             FROM job j JOIN job g ON g.run_id = j.run_id AND g.lock_index = j.lock_index AND g.kind = 'dynamic'
            WHERE j.id = ANY($1) AND j.body IS NOT NULL"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("generation"))
}

/// Where a generated job comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The generated job.
    pub job_id: Uuid,
    /// The job that ran the generator.
    pub generator: Uuid,
    /// Names of all jobs that came from it; one that became a fan-out is there once for each child.
    pub names: Vec<String>,
}
