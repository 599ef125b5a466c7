//! The log of a step over all attempts of its job, one after the other.
//!
//! Lines are numbered through. A line that says which attempt begins comes before the lines of each one that has an
//! earlier one with lines before it, so that a number means the same line while the log grows.

use kici_model::state::EndReason;
use kici_store::attempt::{AttemptView, attempt_of_job};
use kici_store::log_chunk::log_chunk_attempts;
use uuid::Uuid;

use super::read::{LogError, LogLine, LogPage, read, total};
use crate::app::App;

/// Up to `limit` lines from line `from` on, of all attempts up to `attempt`.
pub(crate) async fn read_all(
    app: &App,
    job: Uuid,
    attempt: i32,
    step: i32,
    from: i64,
    limit: usize,
) -> Result<LogPage, LogError> {
    if attempt <= 1 {
        return read(app, job, attempt, step, from, limit).await;
    }
    let (mut logs, ends) = {
        let mut conn = app.store.connection().await?;
        let logs = log_chunk_attempts(&mut conn, job, attempt, step).await?;
        match logs.is_empty() {
            true => (logs, Vec::new()),
            false => (logs, attempt_of_job(&mut conn, job).await?),
        }
    };
    if logs.is_empty() {
        return read(app, job, attempt, step, from, limit).await;
    }
    let lines = total(app, job, attempt, step).await?;
    if lines > 0 {
        logs.push((attempt, lines));
    }
    let mut page = LogPage { lines: Vec::new(), next: from.max(0), total: 0 };
    for (number, lines) in logs {
        if page.total > 0 {
            if page.next == page.total && page.lines.len() < limit {
                page.lines.push(heading(number, &ends));
                page.next += 1;
            }
            page.total += 1;
        }
        let (first, left) = (page.total, limit - page.lines.len());
        page.total += lines;
        if (first..page.total).contains(&page.next) && left > 0 {
            let part = read(app, job, number, step, page.next - first, left).await?;
            // A gap at the end is passed over: nothing would ever come.
            page.next = match part.lines.len() < left {
                true => page.total.max(first + part.next),
                false => first + part.next,
            };
            page.total = page.total.max(first + part.total);
            page.lines.extend(part.lines);
        }
    }
    Ok(page)
}

/// What comes before the lines of an attempt.
fn heading(attempt: i32, ends: &[AttemptView]) -> LogLine {
    let before = ends.iter().rfind(|end| end.attempt < attempt);
    let why = before.map(|end| {
        let reason: Option<EndReason> = serde_json::from_str(&end.reason).ok();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(" (attempt {} ended{reason})", end.attempt)
    });
    LogLine {
        timestamp: before.map_or(0, |end| end.ended_at.millis()),
        text: format!("--- attempt {attempt}{} ---", why.unwrap_or_default()),
        begins: Some(attempt),
    }
}

#[cfg(test)]
mod tests {
    use kici_store::Time;

    use super::*;

    #[test]
    fn a_heading_says_which_attempt_and_why_there_is_another() {
        let reason = EndReason::AgentLost { agent: "a1".into() };
        let end = |attempt| AttemptView {
            job_id: Uuid::nil(),
            attempt,
            agent_id: "a1".into(),
            reason: serde_json::to_string(&reason).unwrap(),
            started_at: None,
            ended_at: Time::from_millis(5),
        };
        let line = heading(3, &[end(1), end(2), end(3)]);
        assert_eq!(line.text, format!("--- attempt 3 (attempt 2 ended: {reason}) ---"));
        assert_eq!((line.timestamp, line.begins), (5, Some(3)));
        assert_eq!(heading(2, &[]).text, "--- attempt 2 ---");
    }
}
