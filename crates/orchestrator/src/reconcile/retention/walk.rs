//! Walks over old rows in the order of their ids and removes those that are due.
//!
//! A walk goes on where its last pass ended and begins again after its end, so that what has to stay (a run that another
//! repeats, one that waits for somebody, a delivery whose run stays) keeps nothing behind it from going.

use std::time::Duration;

use kici_store::leader::{Leader, leader_confirm};
use kici_store::retention::{
    Looked, OldRun, delivery_look, run_delete, run_look, selectors_of_runs,
};
use kici_store::{Store, StoreError};
use uuid::Uuid;

use super::contents::Named;
use super::{LOOKS, Pass, Removed};
use crate::app::App;

/// Rows of one look.
const ROWS: i64 = 500;

/// Jobs whose runs go in one transaction, unless one run has more.
const JOBS: i64 = 2000;

/// Over runs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The last run that was looked at.
    at: Uuid,
    /// What those that stay name.
    named: Named,
}

impl Runs {
    pub(super) async fn pass(
        &mut self,
        app: &App,
        leader: &Leader,
        keep: Duration,
    ) -> Result<Pass, StoreError> {
        let mut removed = Removed::of("run");
        let mut pass = Pass::More;
        for _ in 0..LOOKS {
            let runs = {
                let mut conn = app.store.connection().await?;
                let runs = run_look(&mut conn, self.at, keep.as_secs_f64(), ROWS).await?;
                let stay: Vec<Uuid> = runs.iter().filter(|r| !r.due).map(|r| r.id).collect();
                let selectors = selectors_of_runs(&mut conn, &stay).await?;
                let stay = runs.iter().filter(|r| !r.due);
                self.named.add(stay.filter_map(|r| r.definition), selectors);
                runs
            };
            for batch in batches(&runs) {
                let mut tx = app.store.begin().await?;
                if !leader_confirm(&mut tx, leader).await? {
                    return Ok(Pass::Deposed);
                }
                let gone = run_delete(&mut tx, &batch).await?;
                removed.note(&mut tx, gone).await?;
                Store::commit(tx).await?;
                removed.count(app, gone);
                if gone < batch.len() as u64 {
                    // One was repeated meanwhile: what it names is not known.
                    self.named.give_up();
                }
            }
            if let Some(last) = runs.last() {
                self.at = last.id;
            }
            if runs.len() < ROWS as usize || runs.iter().any(|run| run.young) {
                pass = Pass::Done;
                break;
            }
        }
        removed.end(app, "old runs").await?;
        if pass == Pass::Done {
            self.at = Uuid::nil();
            return std::mem::take(&mut self.named).forget_others(app, leader, keep).await;
        }
        Ok(pass)
    }
}

/// The runs that are due, so many together that a transaction stays short.
fn batches(runs: &[OldRun]) -> Vec<Vec<Uuid>> {
    let mut batches: Vec<(i64, Vec<Uuid>)> = Vec::new();
    for run in runs.iter().filter(|run| run.due) {
        match batches.last_mut() {
            Some((jobs, batch)) if *jobs + run.jobs <= JOBS => {
                *jobs += run.jobs;
                batch.push(run.id);
            }
            _ => batches.push((run.jobs, vec![run.id])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Over deliveries.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// The last one that was looked at.
    at: Uuid,
}

impl Deliveries {
    pub(super) async fn pass(
        &mut self,
        app: &App,
        leader: &Leader,
        keep: Duration,
    ) -> Result<Pass, StoreError> {
        let mut removed = Removed::of("delivery");
        let mut pass = Pass::More;
        for _ in 0..LOOKS {
            let mut tx = app.store.begin().await?;
            if !leader_confirm(&mut tx, leader).await? {
                return Ok(Pass::Deposed);
            }
            let look = delivery_look(&mut tx, self.at, keep.as_secs_f64(), ROWS).await?;
            let Looked { last, young, removed: gone } = look;
            removed.note(&mut tx, gone).await?;
            Store::commit(tx).await?;
            removed.count(app, gone);
            self.at = last.filter(|_| !young).unwrap_or_default();
            if self.at.is_nil() {
                pass = Pass::Done;
                break;
            }
        }
        removed.end(app, "old deliveries").await?;
        Ok(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_few_jobs_or_one_run() {
        let run =
            |jobs, due| OldRun { id: Uuid::now_v7(), definition: None, due, young: false, jobs };
        let runs = [
            run(1500, true),
            run(500, true),
            run(1, true),
            run(9, false),
            run(10_000, true),
            run(3, true),
        ];
        let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
        let wanted = [vec![ids[0], ids[1]], vec![ids[2]], vec![ids[4]], vec![ids[5]]];
        assert_eq!(batches(&runs), wanted);
        assert!(batches(&runs[3..4]).is_empty());
    }
}
