//! `kici-admin retention`: what is kept for how long, and what is removed.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use kici_protocol::http::retention::RetentionKind;

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is kept for how long, what it takes, what is due and what was removed.
    Show,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    let Command::Show = command;
    let view = context.client()?.retention().await?;
    let out = &mut context.out;
    if out.json(&view)? {
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 8]> = view.kinds.iter().map(|kind| row(kind, view.due_among)).collect();
    let header = ["KIND", "KEPT", "ROWS", "SIZE", "OLDEST", "DUE", "REMOVED", "LAST PASS"];
    out.table(header, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn row(kind: &RetentionKind, due_among: i64) -> [String; 8] {
    [
        kind.kind.clone(),
        kind.keep_days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} d")),
        or_dash(kind.rows),
        or_dash(kind.bytes.map(size)),
        or_dash(kind.oldest_at.map(moment)),
        or_dash(
            kind.due.map(
                |due| {
                    if due >= due_among { format!("{due} or more") } else { due.to_string() }
                },
            ),
        ),
        kind.removed.to_string(),
        or_dash(kind.last_pass_at.map(moment)),
    ]
}

/// Bytes as people read them.
fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1023, 1024, 1_572_864, 5 << 40].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB"]);
    }

    #[test]
    fn a_row_says_for_ever_and_at_least() {
        let kind = RetentionKind {
            kind: "run".into(),
            keep_days: None,
            rows: Some(7),
            bytes: None,
            counted_at: None,
            oldest_at: None,
            due: Some(10),
            removed: 3,
            last_removed: 3,
            last_removed_at: None,
            last_pass_at: None,
        };
        assert_eq!(row(&kind, 10), ["run", "for ever", "7", "-", "-", "10 or more", "3", "-"]);
    }
}
