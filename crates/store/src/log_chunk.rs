//! The index of stored log lines. The lines themselves are in object storage.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Lines of one step in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunkRow {
    /// The job.
    pub job_id: Uuid,
    /// The attempt.
    pub attempt: i32,
    /// The step; −1 for the job's own log.
    pub step: i32,
    /// Number of the first line within the step, from 0.
    pub first_line: i64,
    /// How many lines.
    pub lines: i32,
    /// Number of the object within the attempt and writer.
    pub object: i32,
    /// Where the lines begin in the object.
    pub start_byte: i32,
    /// How long they are.
    pub bytes: i32,
    /// The log messages of the attempt up to this number are stored with it; 0 when they are not numbered.
    pub seq: i64,
    /// The orchestrator that stored the object.
    pub writer: i32,
}

/// How far the log of an attempt has been stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogExtent {
    /// (step, next line) for each step.
    pub steps: Vec<(i32, i64)>,
    /// The number of the next object.
    pub next_object: i32,
    /// The log messages up to this number are stored.
    pub seq: i64,
    /// Another one wrote the log before.
    pub taken_over: bool,
}

/// Adds entries to the logs that `writer` writes. One that is there already stays as it is. Earlier attempts may be
/// added to by everybody: whoever their agent tells what it still has to say. Answers the jobs of which some entry could
/// not be added, because another one writes their log now.
pub async fn log_chunk_insert(
    conn: &mut PgConnection,
    writer: i32,
    rows: &[LogChunkRow],
) -> Result<Vec<Uuid>, StoreError> {
    let job: Vec<Uuid> = rows.iter().map(|r| r.job_id).collect();
    let number = |of: fn(&LogChunkRow) -> i32| -> Vec<i32> { rows.iter().map(of).collect() };
    let first: Vec<i64> = rows.iter().map(|r| r.first_line).collect();
    let seq: Vec<i64> = rows.iter().map(|r| r.seq).collect();
    // The lock holds off `log_chunk_take_over` until the rows are there for it to see.
    let added = sqlx::query_scalar!(
        "INSERT INTO log_chunk (job_id, attempt, step, first_line, lines, object, start_byte, bytes, seq, writer)
         SELECT t.job, t.attempt, t.step, t.first_line, t.lines, t.object, t.start_byte, t.bytes, t.seq, $10
           FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int8[], $5::int4[], $6::int4[], $7::int4[], $8::int4[],
                $9::int8[]) AS t (job, attempt, step, first_line, lines, object, start_byte, bytes, seq)
          CROSS JOIN LATERAL (
                SELECT 1 FROM job j WHERE j.id = t.job AND (j.log_writer = $10 OR j.attempt > t.attempt) FOR SHARE) AS mine
         ON CONFLICT DO NOTHING
         RETURNING job_id",
        &job,
        &number(|r| r.attempt),
        &number(|r| r.step),
        &first,
        &number(|r| r.lines),
        &number(|r| r.object),
        &number(|r| r.start_byte),
        &number(|r| r.bytes),
        &seq,
        writer,
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::in_call("log_chunk_insert"))?;
    if added.len() == rows.len() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"SELECT DISTINCT t.job AS "job!"
             FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int8[]) AS t (job, attempt, step, first_line)
             JOIN job j ON j.id = t.job
            WHERE NOT EXISTS (
                SELECT 1 FROM log_chunk c
                 WHERE c.job_id = t.job AND c.attempt = t.attempt AND c.step = t.step AND c.first_line = t.first_line
                   AND c.writer = $5)"#,
        &job,
        &number(|r| r.attempt),
        &number(|r| r.step),
        &first,
        writer,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_insert"))
}

/// Makes `writer` the one that writes the log of an attempt, and answers how far the log goes. The next statement
/// sees all that the one before it wrote, and that one writes nothing more.
pub async fn log_chunk_take_over(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    writer: i32,
) -> Result<LogExtent, StoreError> {
    let taken = sqlx::query!(
        "UPDATE job SET log_writer = $3 WHERE id = $1 AND attempt = $2 AND log_writer <> $3",
        job,
        attempt,
        writer,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("log_chunk_take_over"))?;
    let extent = log_chunk_extent(conn, job, attempt).await?;
    Ok(LogExtent { taken_over: taken.rows_affected() > 0, ..extent })
}

/// The entries of a step that hold lines from `from` on, in order, at most `limit` of them.
pub async fn log_chunk_read(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    step: i32,
    from: i64,
    limit: i64,
) -> Result<Vec<LogChunkRow>, StoreError> {
    sqlx::query_as!(
        LogChunkRow,
        "SELECT job_id, attempt, step, first_line, lines, object, start_byte, bytes, seq, writer FROM log_chunk
          WHERE job_id = $1 AND attempt = $2 AND step = $3 AND first_line + lines > $4
          ORDER BY first_line LIMIT $5",
        job,
        attempt,
        step,
        from,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_read"))
}

/// How far the log of an attempt has been stored.
pub async fn log_chunk_extent(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
) -> Result<LogExtent, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT step, max(first_line + lines) AS "next!", max(object) AS "object!", max(seq) AS "seq!" FROM log_chunk
            WHERE job_id = $1 AND attempt = $2 GROUP BY step"#,
        job,
        attempt,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_extent"))?;
    Ok(LogExtent {
        next_object: rows.iter().map(|row| row.object + 1).max().unwrap_or(0),
        seq: rows.iter().map(|row| row.seq).max().unwrap_or(0),
        taken_over: false,
        steps: rows.into_iter().map(|row| (row.step, row.next)).collect(),
    })
}

/// The earlier attempts in which a step has stored lines, with how many: in order.
pub async fn log_chunk_attempts(
    conn: &mut PgConnection,
    job: Uuid,
    before: i32,
    step: i32,
) -> Result<Vec<(i32, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT attempt, max(first_line + lines) AS "lines!" FROM log_chunk
            WHERE job_id = $1 AND attempt < $2 AND step = $3 GROUP BY attempt ORDER BY attempt"#,
        job,
        before,
        step,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_attempts"))?;
    Ok(rows.into_iter().map(|row| (row.attempt, row.lines)).collect())
}

/// Up to which number the messages are stored of the last attempt before this one that an agent was given.
pub async fn log_chunk_numbered(
    conn: &mut PgConnection,
    job: Uuid,
    before: i32,
    agent: &str,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(max(seq), 0) AS "seq!" FROM log_chunk WHERE job_id = $1 AND attempt = (
              SELECT max(attempt) FROM attempt WHERE job_id = $1 AND attempt < $2 AND agent_id = $3)"#,
        job,
        before,
        agent,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_numbered"))
}
