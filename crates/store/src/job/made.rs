//! Making jobs and what they need. Plain jobs are written with fewer columns than those with a matrix, values or gates.

use kici_model::state::JobKind;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A job to be made.
#[derive(Debug, Clone, Default)]
pub struct JobRow {
    /// Its id.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Place in the run.
    pub position: i32,
    /// Expanded name.
    pub name: String,
    /// Name in the workflow.
    pub base_name: String,
    /// Index in the workflow's `jobs`.
    pub lock_index: Option<i32>,
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
    /// Waits for its turn; counted in `open_needs`.
    pub gated: bool,
    /// Which agents it may run on.
    pub selector: Uuid,
    /// First resolved environment.
    pub environment: Option<String>,
    /// Evaluated variables, JSON.
    pub env: Option<String>,
    /// `pending` (needs), `queued`, or a final state.
    pub state: String,
    /// Edges that are not met yet, and its turn.
    pub open_needs: i32,
    /// Why it waits, JSON.
    pub wait_reason: Option<String>,
    /// Why it ended, JSON.
    pub end_reason: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
    /// Why it could not start, JSON.
    pub init_failure: Option<String>,
    /// Somebody has to approve it before it may run.
    pub hold: bool,
    /// Its concurrency groups must have room before it may run.
    pub slot: bool,
    /// What it is for.
    pub kind: JobKind,
    /// The job as its generator gave it, JSON; none for a job that the definition has.
    pub body: Option<String>,
    /// How much of a head start it has in the queue: 0, or 1 (released from a hold) or 2 (a re-run).
    pub priority: i16,
    /// Its own limit, ms.
    pub timeout_ms: Option<i64>,
}

/// An edge: the job starts only when the upstream ends in one of `run_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedRow {
    /// The job that waits.
    pub job_id: Uuid,
    /// The job waited for.
    pub upstream: Uuid,
    /// Final states that are good, separated by commas.
    pub run_on: String,
}

impl JobRow {
    /// Whether it is nothing but a job that waits: no child of a fan-out, no values, no gate, no end. Written out, so
    /// that a new field has to answer here.
    pub fn is_plain(&self) -> bool {
        let JobRow {
            id: _,
            run_id: _,
            position: _,
            name: _,
            base_name: _,
            lock_index: _,
            matrix: None,
            variant_kind: None,
            variant_label: None,
            fanout_index: None,
            fanout_total: None,
            max_parallel: None,
            fail_fast: false,
            gated: false,
            selector: _,
            environment: None,
            env: None,
            state,
            open_needs: _,
            wait_reason: _,
            end_reason: None,
            error_message: None,
            init_failure: None,
            hold: false,
            slot: false,
            kind: JobKind::Job,
            body: None,
            priority: 0,
            timeout_ms: None,
        } = self
        else {
            return false;
        };
        matches!(state.as_str(), "pending" | "queued")
    }
}

/// Makes plain jobs of runs, which come with the shares that they count against. Most jobs are plain, and most of what
/// making one costs is reading columns that are empty: this takes two thirds of the time of [`job_insert`].
pub async fn job_insert_plain(
    conn: &mut PgConnection,
    rows: &[(&JobRow, i64)],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = rows.iter().map(|(r, _)| r.id).collect();
    let run: Vec<Uuid> = rows.iter().map(|(r, _)| r.run_id).collect();
    let position: Vec<i32> = rows.iter().map(|(r, _)| r.position).collect();
    let name: Vec<&str> = rows.iter().map(|(r, _)| r.name.as_str()).collect();
    let base_name: Vec<&str> = rows.iter().map(|(r, _)| r.base_name.as_str()).collect();
    let lock_index: Vec<Option<i32>> = rows.iter().map(|(r, _)| r.lock_index).collect();
    let selector: Vec<Uuid> = rows.iter().map(|(r, _)| r.selector).collect();
    let state: Vec<&str> = rows.iter().map(|(r, _)| r.state.as_str()).collect();
    let open_needs: Vec<i32> = rows.iter().map(|(r, _)| r.open_needs).collect();
    let wait: Vec<Option<&str>> = rows.iter().map(|(r, _)| r.wait_reason.as_deref()).collect();
    let share: Vec<i64> = rows.iter().map(|(_, share)| *share).collect();
    // The rest is as the table has it by default; a place in the queue without priority is now.
    sqlx::query!(
        "INSERT INTO job (id, run_id, position, name, base_name, lock_index, selector, state, open_needs, wait_reason, share,
                ready_at)
         SELECT id, run, position, name, base_name, lock_index, selector, state, open_needs, wait::json, share,
                CASE WHEN state = 'queued' THEN now() END
           FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::text[], $5::text[], $6::int4[], $7::uuid[], $8::text[],
                $9::int4[], $10::text[], $11::int8[])
             AS t (id, run, position, name, base_name, lock_index, selector, state, open_needs, wait, share)",
        &id,
        &run,
        &position,
        &name as _,
        &base_name as _,
        &lock_index as _,
        &selector,
        &state as _,
        &open_needs,
        &wait as _,
        &share,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_insert_plain"))?;
    Ok(())
}

/// Makes jobs of any kind.
pub async fn job_insert(conn: &mut PgConnection, rows: &[JobRow]) -> Result<(), StoreError> {
    let id: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
    let run: Vec<Uuid> = rows.iter().map(|r| r.run_id).collect();
    let selector: Vec<Uuid> = rows.iter().map(|r| r.selector).collect();
    let position: Vec<i32> = rows.iter().map(|r| r.position).collect();
    let open_needs: Vec<i32> = rows.iter().map(|r| r.open_needs).collect();
    let number =
        |of: fn(&JobRow) -> Option<i32>| -> Vec<Option<i32>> { rows.iter().map(of).collect() };
    let text = |of: fn(&JobRow) -> &str| -> Vec<&str> { rows.iter().map(of).collect() };
    let maybe =
        |of: fn(&JobRow) -> Option<&str>| -> Vec<Option<&str>> { rows.iter().map(of).collect() };
    sqlx::query!(
        "INSERT INTO job (id, run_id, position, name, base_name, lock_index, matrix, variant_kind, variant_label,
                fanout_index, fanout_total, selector, environment, env, state, open_needs, wait_reason, end_reason,
                error_message, init_failure, hold, slot, kind, body, priority, timeout_ms, share, max_parallel, fail_fast,
                gated, not_before, ready_at, finished_at)
         SELECT t.id, run, position, name, base_name, lock_index, matrix::json, t.kind, label, fan_index, fan_total,
                selector, t.environment, env::json, t.state, open_needs, wait::json, reason::json, error, init::json, hold, slot,
                kind_of, body::json, priority, timeout, hashtextextended(r.org_id || '/' || r.repo, 0), max_parallel,
                fail_fast, gated, queue_place(priority), CASE WHEN t.state IN ('queued', 'waiting') THEN now() END,
                CASE WHEN t.state IN ('success', 'failed', 'cancelled', 'skipped', 'timed_out_stale', 'drift_dropped')
                     THEN now() END
           FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::text[], $5::text[], $6::int4[], $7::text[],
                $8::text[], $9::text[], $10::int4[], $11::int4[], $12::uuid[], $13::text[], $14::text[],
                $15::text[], $16::int4[], $17::text[], $18::text[], $19::text[], $20::text[], $21::bool[], $22::bool[],
                $23::text[], $24::text[], $25::int2[], $26::int8[], $27::int4[], $28::bool[], $29::bool[])
             AS t (id, run, position, name, base_name, lock_index, matrix, kind, label, fan_index, fan_total,
                selector, environment, env, state, open_needs, wait, reason, error, init, hold, slot, kind_of, body,
                priority, timeout, max_parallel, fail_fast, gated)
           JOIN run r ON r.id = t.run",
        &id,
        &run,
        &position,
        &text(|r| &r.name) as _,
        &text(|r| &r.base_name) as _,
        &number(|r| r.lock_index) as _,
        &maybe(|r| r.matrix.as_deref()) as _,
        &maybe(|r| r.variant_kind.as_deref()) as _,
        &maybe(|r| r.variant_label.as_deref()) as _,
        &number(|r| r.fanout_index) as _,
        &number(|r| r.fanout_total) as _,
        &selector,
        &maybe(|r| r.environment.as_deref()) as _,
        &maybe(|r| r.env.as_deref()) as _,
        &text(|r| &r.state) as _,
        &open_needs,
        &maybe(|r| r.wait_reason.as_deref()) as _,
        &maybe(|r| r.end_reason.as_deref()) as _,
        &maybe(|r| r.error_message.as_deref()) as _,
        &maybe(|r| r.init_failure.as_deref()) as _,
        &rows.iter().map(|r| r.hold).collect::<Vec<_>>(),
        &rows.iter().map(|r| r.slot).collect::<Vec<_>>(),
        &text(|r| r.kind.as_str()) as _,
        &maybe(|r| r.body.as_deref()) as _,
        &rows.iter().map(|r| r.priority).collect::<Vec<_>>(),
        &rows.iter().map(|r| r.timeout_ms).collect::<Vec<_>>() as _,
        &number(|r| r.max_parallel) as _,
        &rows.iter().map(|r| r.fail_fast).collect::<Vec<_>>(),
        &rows.iter().map(|r| r.gated).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_insert"))?;
    Ok(())
}

/// Makes edges.
pub async fn need_insert(conn: &mut PgConnection, rows: &[NeedRow]) -> Result<(), StoreError> {
    let job: Vec<Uuid> = rows.iter().map(|r| r.job_id).collect();
    let upstream: Vec<Uuid> = rows.iter().map(|r| r.upstream).collect();
    let run_on: Vec<&str> = rows.iter().map(|r| r.run_on.as_str()).collect();
    sqlx::query!(
        "INSERT INTO job_need (job_id, upstream, run_on)
         SELECT job, upstream, string_to_array(run_on, ',')
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (job, upstream, run_on)",
        &job,
        &upstream,
        &run_on as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("need_insert"))?;
    Ok(())
}
