//! What is kept for how long, what that takes, and what is due.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use kici_protocol::http::retention::{RetentionKind, RetentionView};
use kici_store::Time;
use kici_store::retention_view::{
    DUE_AMONG, TableSize, retention_due, retention_kinds, retention_oldest, table_sizes,
};

use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

/// The tables that go with runs.
const OF_RUNS: [&str; 9] =
    ["run", "job", "job_need", "step", "attempt", "log_chunk", "slot", "hold", "hold_decision"];

const OTHERS: [&str; 4] = ["delivery", "access_log", "definition", "selector"];

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v1/admin/retention", Access::Permission(Permission::ContextRead), show)
}

async fn show(State(app): State<App>, caller: Caller) -> Result<Json<RetentionView>, ApiError> {
    caller.require_unscoped()?;
    let keep = &app.config.retention;
    let mut conn = app.store.connection().await?;
    let secs = |keep: Option<Duration>| keep.map(|keep| keep.as_secs_f64());
    let (runs, deliveries, entries) =
        (secs(keep.runs), secs(keep.deliveries), secs(keep.access_log));
    let due = retention_due(&mut conn, runs, deliveries, entries).await?;
    let oldest = retention_oldest(&mut conn).await?;
    let sizes = table_sizes(&mut conn, &[&OF_RUNS[..], &OTHERS[..]].concat()).await?;
    let noted = retention_kinds(&mut conn).await?;
    let kind = |kind: &str, keep: Option<Duration>, oldest: Option<Time>, due: Option<i64>| {
        let note = noted.iter().find(|row| row.kind == kind);
        let (rows, bytes) = match kind {
            "log" => (note.and_then(|row| row.chunks), note.and_then(|row| row.bytes)),
            "run" => size(&sizes, "run", &OF_RUNS),
            table => size(&sizes, table, &[table]),
        };
        RetentionKind {
            kind: kind.to_owned(),
            keep_days: keep.map(|keep| keep.as_secs() / (24 * 60 * 60)),
            rows,
            bytes,
            counted_at: note.and_then(|row| row.counted_at).map(timestamp),
            oldest_at: oldest.map(timestamp),
            due,
            removed: note.map_or(0, |row| row.removed),
            last_removed: note.map_or(0, |row| row.last_removed),
            last_removed_at: note.and_then(|row| row.last_removed_at).map(timestamp),
            last_pass_at: note.map(|row| timestamp(row.passed_at)),
        }
    };
    let kinds = vec![
        kind("run", keep.runs, oldest.run, due.runs),
        kind("log", keep.runs, None, Some(due.logs)),
        kind("delivery", keep.deliveries, oldest.delivery, due.deliveries),
        kind("access_log", keep.access_log, oldest.access_log, due.access_log),
        kind("definition", keep.runs, oldest.definition, None),
        kind("selector", keep.runs, oldest.selector, None),
    ];
    Ok(Json(RetentionView { due_among: DUE_AMONG, kinds }))
}

/// Rows of a table, and bytes of all that go with it.
fn size(sizes: &[TableSize], table: &str, with: &[&str]) -> (Option<i64>, Option<i64>) {
    let rows = sizes.iter().find(|size| size.table == table).and_then(|size| size.rows);
    let of = sizes.iter().filter(|size| with.contains(&size.table.as_str()));
    (rows, Some(of.map(|size| size.bytes).sum()))
}
