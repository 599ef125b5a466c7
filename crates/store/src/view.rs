//! Runs, jobs and steps for people: the reads behind the API. Newest first, never without a bound.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// A run.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// The delivery's id as shown.
    pub delivery_id: String,
    /// Routing key.
    pub routing_key: String,
    /// Workflow.
    pub workflow_name: String,
    /// State.
    pub state: String,
    /// Provider.
    pub provider: String,
    /// Repository.
    pub repo: String,
    /// Branch or tag.
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Why it could not start, JSON.
    pub init_failure: Option<String>,
    /// First environment.
    pub environment: Option<String>,
    /// Trust tier.
    pub trust_tier: Option<String>,
    /// `head` or `base`.
    pub lock_file_source: Option<String>,
    /// Who caused it.
    pub contributor: Option<String>,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// The run that this one repeats.
    pub parent_run_id: Option<Uuid>,
    /// The first of the chain.
    pub original_run_id: Option<Uuid>,
    /// Which part of it: `all`, `failed` or `job:<name>`.
    pub rerun_scope: Option<String>,
    /// An uncommitted tree.
    pub is_test: bool,
    /// When it was made; also when it counts as started.
    pub created_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only these states; empty = all.
    pub states: Vec<String>,
    /// Only this workflow.
    pub workflow_name: Option<String>,
    /// Only this repository.
    pub repo: Option<String>,
    /// Only this routing key.
    pub routing_key: Option<String>,
    /// Only those made after this time.
    pub since: Option<Time>,
}

/// A page of runs, newest first.
pub async fn run_page(
    conn: &mut PgConnection,
    filter: &RunFilter,
    limit: i64,
    offset: i64,
) -> Result<Vec<RunView>, StoreError> {
    sqlx::query_as!(
        RunView,
        r#"SELECT id, org_id, delivery_id, routing_key, workflow_name, state, provider, repo, git_ref, sha,
                  failure_reason, init_failure::text, environment, trust_tier, lock_file_source, contributor,
                  triggered_by, cancelled_by, parent_run_id, original_run_id, rerun_scope, is_test,
                  created_at AS "created_at: Time", finished_at AS "finished_at: Time"
             FROM run
            WHERE (cardinality($1::text[]) = 0 OR state = ANY($1))
              AND ($2::text IS NULL OR workflow_name = $2) AND ($3::text IS NULL OR repo = $3)
              AND ($4::text IS NULL OR routing_key = $4) AND ($5::timestamptz IS NULL OR created_at > $5)
            ORDER BY id DESC LIMIT $6 OFFSET $7"#,
        &filter.states,
        filter.workflow_name.as_deref(),
        filter.repo.as_deref(),
        filter.routing_key.as_deref(),
        filter.since as _,
        limit,
        offset,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_page"))
}

/// How many runs a filter finds.
pub async fn run_count(conn: &mut PgConnection, filter: &RunFilter) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM run
            WHERE (cardinality($1::text[]) = 0 OR state = ANY($1))
              AND ($2::text IS NULL OR workflow_name = $2) AND ($3::text IS NULL OR repo = $3)
              AND ($4::text IS NULL OR routing_key = $4) AND ($5::timestamptz IS NULL OR created_at > $5)"#,
        &filter.states,
        filter.workflow_name.as_deref(),
        filter.repo.as_deref(),
        filter.routing_key.as_deref(),
        filter.since as _,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("run_count"))
}

/// One run.
pub async fn run_get(conn: &mut PgConnection, id: Uuid) -> Result<Option<RunView>, StoreError> {
    sqlx::query_as!(
        RunView,
        r#"SELECT id, org_id, delivery_id, routing_key, workflow_name, state, provider, repo, git_ref, sha,
                  failure_reason, init_failure::text, environment, trust_tier, lock_file_source, contributor,
                  triggered_by, cancelled_by, parent_run_id, original_run_id, rerun_scope, is_test,
                  created_at AS "created_at: Time", finished_at AS "finished_at: Time"
             FROM run WHERE id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("run_get"))
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Expanded name.
    pub name: String,
    /// Name in the workflow.
    pub base_name: String,
    /// What it is for.
    pub kind: String,
    /// State.
    pub state: String,
    /// Matrix combination, JSON.
    pub matrix: Option<String>,
    /// The agent that holds or held it.
    pub agent_id: Option<String>,
    /// Fencing number, also the attempt whose steps and logs count.
    pub attempt: i32,
    /// The orchestrator that its agent is or was connected to.
    pub owner: i32,
    /// What it wants of an agent, JSON.
    pub selector: String,
    /// Why it waits, JSON.
    pub wait_reason: Option<String>,
    /// Why it ended, JSON.
    pub end_reason: Option<String>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Why it could not start, JSON.
    pub init_failure: Option<String>,
    /// Step name → outputs, JSON.
    pub outputs: Option<String>,
    /// The job whose result this one has without having run.
    pub reused_from: Option<Uuid>,
    /// When it was made.
    pub created_at: Time,
    /// When its needs were met.
    pub ready_at: Option<Time>,
    /// When it first ran.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// Places of jobs in their run: from the first, before the second.
pub type Places = (i32, i32);

/// All jobs of a run.
pub const ALL: Places = (0, i32::MAX);

/// The jobs of a run, in order.
pub async fn job_of_run(conn: &mut PgConnection, run: Uuid) -> Result<Vec<JobView>, StoreError> {
    job_part(conn, run, ALL).await
}

/// The place of the last job of a run.
pub async fn job_last_place(conn: &mut PgConnection, run: Uuid) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!("SELECT max(position) FROM job WHERE run_id = $1", run)
        .fetch_one(conn)
        .await
        .map_err(StoreError::in_call("job_last_place"))
}

/// Jobs of a run, in order.
pub async fn job_part(
    conn: &mut PgConnection,
    run: Uuid,
    (from, before): Places,
) -> Result<Vec<JobView>, StoreError> {
    sqlx::query_as!(
        JobView,
        r#"SELECT j.id, j.run_id, j.name, j.base_name, j.kind, j.state, j.matrix::text, j.agent_id, j.attempt, j.owner,
                  coalesce(s.body::text, 'null') AS "selector!",
                  CASE WHEN j.state = 'queued' AND j.agent_id IS NULL
                       THEN coalesce(CASE WHEN j.not_before > now() THEN j.wait_reason::text END, s.wait_reason::text)
                       ELSE j.wait_reason::text END AS wait_reason,
                  j.end_reason::text, j.error_message, j.init_failure::text, j.outputs::text, j.reused_from,
                  j.created_at AS "created_at: Time", j.ready_at AS "ready_at: Time",
                  j.started_at AS "started_at: Time", j.finished_at AS "finished_at: Time"
             FROM job j LEFT JOIN selector s ON s.id = j.selector
            WHERE j.run_id = $1 AND j.position >= $2 AND j.position < $3 ORDER BY j.position"#,
        run,
        from,
        before,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_part"))
}

/// A job that another one needs.
#[derive(Debug, Clone)]
pub struct NeedView {
    /// The one that needs it.
    pub job_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// The ends of it that are good.
    pub run_on: Vec<String>,
}

/// The edges of jobs of a run.
pub async fn need_part(
    conn: &mut PgConnection,
    run: Uuid,
    (from, before): Places,
) -> Result<Vec<NeedView>, StoreError> {
    sqlx::query_as!(
        NeedView,
        "SELECT n.job_id, u.name, u.state, n.run_on FROM job j JOIN job_need n ON n.job_id = j.id JOIN job u ON u.id = n.upstream
          WHERE j.run_id = $1 AND j.position >= $2 AND j.position < $3 ORDER BY j.position, u.position",
        run,
        from,
        before,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("need_part"))
}

/// A step.
#[derive(Debug, Clone)]
pub struct StepView {
    /// Its job.
    pub job_id: Uuid,
    /// The job's attempt.
    pub attempt: i32,
    /// Its index.
    pub index: i32,
    /// Its name.
    pub name: String,
    /// `step`, `hook:cleanup`, …
    pub step_type: String,
    /// State.
    pub state: String,
    /// Exit code of the failed command.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, as the agent measured it.
    pub duration_ms: Option<i64>,
    /// Parallel group.
    pub group_id: Option<String>,
    /// Names of secrets that it read.
    pub secrets: Vec<String>,
    /// Further fields, JSON.
    pub data: Option<String>,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// The steps of a run's jobs: those of each job's present attempt, in order; a reused job has those of the job that ran.
pub async fn step_of_run(conn: &mut PgConnection, run: Uuid) -> Result<Vec<StepView>, StoreError> {
    step_part(conn, run, ALL).await
}

/// The same for some jobs of a run.
pub async fn step_part(
    conn: &mut PgConnection,
    run: Uuid,
    (from, before): Places,
) -> Result<Vec<StepView>, StoreError> {
    sqlx::query_as!(
        StepView,
        r#"SELECT j.id AS job_id, s.attempt, s.idx AS "index", s.name, s.step_type, s.state, s.exit_code, s.signal, s.error,
                  s.duration_ms, s.group_id, s.secrets, s.data::text, s.started_at AS "started_at: Time",
                  s.finished_at AS "finished_at: Time"
             FROM job j JOIN step s ON s.job_id = coalesce(j.reused_from, j.id) AND s.attempt = j.attempt
            WHERE j.run_id = $1 AND j.position >= $2 AND j.position < $3
            ORDER BY j.position, s.idx, s.started_at, s.name"#,
        run,
        from,
        before,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("step_part"))
}

/// The steps of earlier attempts of a run's jobs.
pub async fn step_earlier(conn: &mut PgConnection, run: Uuid) -> Result<Vec<StepView>, StoreError> {
    sqlx::query_as!(
        StepView,
        r#"SELECT j.id AS job_id, s.attempt, s.idx AS "index", s.name, s.step_type, s.state, s.exit_code, s.signal,
                  s.error, s.duration_ms, s.group_id, s.secrets, s.data::text, s.started_at AS "started_at: Time",
                  s.finished_at AS "finished_at: Time"
             FROM job j JOIN step s ON s.job_id = j.id AND s.attempt < j.attempt
            WHERE j.run_id = $1 AND j.attempt > 1
            ORDER BY j.position, s.attempt, s.idx, s.started_at, s.name"#,
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("step_earlier"))
}
