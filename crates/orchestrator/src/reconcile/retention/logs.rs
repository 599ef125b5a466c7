//! Logs in storage: removes those whose runs are gone, and says what the others take.
//!
//! Rows go first and leave a note for each job with a log; the note goes when the files are gone. The sweep finds files
//! that nothing speaks of (a database that was put back to an earlier state, a folder from elsewhere), one 256th of the
//! storage at a time.

use std::time::Duration;

use kici_store::leader::{Leader, leader_confirm};
use kici_store::log_removal::{
    ChunkPlace, job_missing, log_chunk_sum, log_removal_done, log_removal_next,
};
use kici_store::retention_view::log_usage_note;
use kici_store::{Store, StoreError};
use tracing::{info, warn};
use uuid::Uuid;

use super::{LOOKS, Pass, Removed};
use crate::app::App;

/// Logs of one transaction.
const ROWS: i64 = 200;

/// Jobs that the tables are asked about at once.
const ASKED: usize = 1000;

/// Entries of the index that are added up at once.
const ENTRIES: i64 = 20_000;

#[derive(Debug, Default)]
pub(super) struct Logs {
    /// The part of the storage that was swept last.
    swept: u8,
    at: ChunkPlace,
    chunks: i64,
    bytes: i64,
}

impl Logs {
    /// Removes the logs of runs that are gone. One that cannot be removed keeps no other from going.
    pub(super) async fn remove(&self, app: &App, leader: &Leader) -> Result<Pass, StoreError> {
        let mut removed = Removed::of("log");
        let mut after = Uuid::nil();
        let mut pass = Pass::More;
        for _ in 0..LOOKS {
            let jobs = {
                let mut conn = app.store.connection().await?;
                log_removal_next(&mut conn, after, ROWS).await?
            };
            let Some(last) = jobs.last() else {
                pass = Pass::Done;
                break;
            };
            after = *last;
            let mut gone = Vec::new();
            for job in jobs {
                match app.logs.remove(job).await {
                    Ok(_) => gone.push(job),
                    Err(error) => {
                        warn!(job.id = %job, error = %format!("{error:#}"), "could not remove a log, trying again");
                    }
                }
            }
            let mut tx = app.store.begin().await?;
            if !leader_confirm(&mut tx, leader).await? {
                return Ok(Pass::Deposed);
            }
            log_removal_done(&mut tx, &gone).await?;
            removed.note(&mut tx, gone.len() as u64).await?;
            Store::commit(tx).await?;
            removed.count(app, gone.len() as u64);
        }
        removed.end(app, "logs of runs that are gone").await?;
        Ok(pass)
    }

    /// Removes what lies in one part of the storage and belongs to no job, if it is older than runs are kept.
    pub(super) async fn sweep(&mut self, app: &App, keep: Duration) -> Result<Pass, StoreError> {
        self.swept = self.swept.wrapping_add(1);
        let found = match app.logs.stored_in(self.swept).await {
            Ok(found) => found,
            Err(error) => {
                warn!(error = %format!("{error:#}"), "could not look for logs without a run, trying again");
                return Ok(Pass::Done);
            }
        };
        let old: Vec<Uuid> = found.into_iter().filter(|job| is_older(*job, keep)).collect();
        let mut removed = 0;
        for jobs in old.chunks(ASKED) {
            let missing = {
                let mut conn = app.store.connection().await?;
                job_missing(&mut conn, jobs).await?
            };
            for job in missing {
                match app.logs.remove(job).await {
                    Ok(objects) => removed += u64::from(objects > 0),
                    Err(error) => {
                        warn!(job.id = %job, error = %format!("{error:#}"), "could not remove a log without a run, trying again");
                    }
                }
            }
        }
        app.metrics.removed("unowned_log", removed);
        if removed > 0 {
            info!(removed, "logs were removed that no run owns");
        }
        Ok(Pass::Done)
    }

    /// Adds up what the index says that logs take; notes it when all is added.
    pub(super) async fn count(&mut self, app: &App, leader: &Leader) -> Result<Pass, StoreError> {
        let mut conn = app.store.connection().await?;
        for _ in 0..LOOKS {
            if let Some(sum) = log_chunk_sum(&mut conn, self.at, ENTRIES).await? {
                self.at = sum.last;
                self.chunks += sum.chunks;
                self.bytes += sum.bytes;
                continue;
            }
            let (chunks, bytes) = (self.chunks, self.bytes);
            (self.at, self.chunks, self.bytes) = (ChunkPlace::default(), 0, 0);
            drop(conn);
            let mut tx = app.store.begin().await?;
            if !leader_confirm(&mut tx, leader).await? {
                return Ok(Pass::Deposed);
            }
            log_usage_note(&mut tx, chunks, bytes).await?;
            Store::commit(tx).await?;
            app.metrics.set_logs_stored(bytes);
            return Ok(Pass::Done);
        }
        Ok(Pass::More)
    }
}

/// Whether a job was made longer ago than this: its id says when.
fn is_older(job: Uuid, than: Duration) -> bool {
    let Some(made) = job.get_timestamp() else { return false };
    let made = Duration::from_secs(made.to_unix().0);
    let now = jiff::Timestamp::now().as_second();
    let now = Duration::from_secs(u64::try_from(now).unwrap_or(0));
    now.saturating_sub(made) > than
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_job_is_in_its_id() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(!is_older(Uuid::now_v7(), day));
        let old: Uuid = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
        assert!(is_older(old, day));
        assert!(!is_older(Uuid::new_v4(), day), "who knows");
    }
}
