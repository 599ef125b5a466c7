//! Reads the log of a step in one attempt: stored lines first, then those that are still in memory.

use kici_store::log_chunk::{LogChunkRow, log_chunk_extent, log_chunk_read};
use kici_store::{PgConnection, StoreError};
use uuid::Uuid;

use super::buffer::Extent;
use super::storage::Object;
use crate::app::App;

/// Index rows of one look.
const ROWS: i64 = 16;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When the agent sent it, epoch ms.
    pub(crate) timestamp: i64,
    /// Its text.
    pub(crate) text: String,
    /// It is no line of the step: it says that this attempt begins here.
    pub(crate) begins: Option<i32>,
}

/// Some lines of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogPage {
    /// The lines from the asked one on.
    pub(crate) lines: Vec<LogLine>,
    /// Number of the line after them.
    pub(crate) next: i64,
    /// How many lines the step has so far.
    pub(crate) total: i64,
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The index.
    #[error("could not read the index of the log")]
    Index(#[from] StoreError),
    /// The lines.
    #[error("could not read the stored log")]
    Object(#[from] object_store::Error),
}

/// Up to `limit` lines of a step from line `from` on.
pub(crate) async fn read(
    app: &App,
    job: Uuid,
    attempt: i32,
    step: i32,
    from: i64,
    limit: usize,
) -> Result<LogPage, LogError> {
    let from = from.max(0);
    // Memory before index: lines that are indexed in between are found in both, and counted once by their numbers.
    let memory = in_memory(app, job, attempt, step).await;
    let mut page = LogPage { lines: Vec::new(), next: from, total: 0 };
    let stored_until = stored(app, job, attempt, step, limit, &mut page).await?;
    for extent in &memory {
        take(&mut page, extent.first_line, &extent.bytes, limit);
    }
    page.total = memory.last().map_or(0, |last| last.first_line + last.lines).max(stored_until);
    Ok(page)
}

/// How many lines a step has so far.
pub(super) async fn total(app: &App, job: Uuid, attempt: i32, step: i32) -> Result<i64, LogError> {
    let memory = in_memory(app, job, attempt, step).await;
    let mut conn = app.store.connection().await?;
    let stored = stored_lines(&mut conn, job, attempt, step).await?;
    Ok(memory.last().map_or(0, |last| last.first_line + last.lines).max(stored))
}

async fn stored_lines(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    step: i32,
) -> Result<i64, StoreError> {
    let steps = log_chunk_extent(conn, job, attempt).await?.steps;
    Ok(steps.into_iter().find(|(of, _)| *of == step).map_or(0, |(_, next)| next))
}

async fn in_memory(app: &App, job: Uuid, attempt: i32, step: i32) -> Vec<Extent> {
    match app.logs.known(job) {
        Some(entry) => entry.buffer.lock().await.extents(attempt, step),
        None => Vec::new(),
    }
}

/// Adds stored lines; answers how many the step has in storage.
async fn stored(
    app: &App,
    job: Uuid,
    attempt: i32,
    step: i32,
    limit: usize,
    page: &mut LogPage,
) -> Result<i64, LogError> {
    loop {
        let (rows, total) = {
            let mut conn = app.store.connection().await?;
            let rows = log_chunk_read(&mut conn, job, attempt, step, page.next, ROWS).await?;
            let total = stored_lines(&mut conn, job, attempt, step).await?;
            (rows, total)
        };
        let more = i64::try_from(rows.len()).is_ok_and(|count| count == ROWS);
        for LogChunkRow { first_line, object, writer, start_byte, bytes, .. } in rows {
            let object = Object { number: object, writer };
            let start = u64::try_from(start_byte).unwrap_or(0);
            let end = start + u64::try_from(bytes).unwrap_or(0);
            let bytes = app.logs.storage.get(job, attempt, object, start..end).await?;
            take(page, first_line, &bytes, limit);
            if page.lines.len() >= limit {
                return Ok(total);
            }
        }
        if !more {
            return Ok(total);
        }
    }
}

/// Adds those lines of an extent that come next.
fn take(page: &mut LogPage, first_line: i64, bytes: &[u8], limit: usize) {
    for (number, line) in (first_line..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        if page.lines.len() >= limit {
            return;
        }
        // Less: shown already. More: a gap, shown by the numbers.
        if number >= page.next {
            let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
            let (timestamp, text) = line.split_once('\t').unwrap_or(("0", &line));
            let timestamp = timestamp.parse().unwrap_or(0);
            page.lines.push(LogLine { timestamp, text: text.to_owned(), begins: None });
            page.next = number + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_over_extents_and_skips_what_it_has() {
        let mut page = LogPage { lines: Vec::new(), next: 1, total: 0 };
        take(&mut page, 0, b"1\ta\n1\tb\n1\tc\n", 10);
        take(&mut page, 2, b"1\tc\n2\td\twith tab\n", 3);
        let texts: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["b", "c", "d\twith tab"]);
        assert_eq!(page.next, 4);
    }
}
