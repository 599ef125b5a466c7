//! What an agent that was killed left in its outbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use kici_protocol::agent::{Fate, FromAgent, JobRef};

use super::parcel::Parcel;
use super::{Outbox, ProcessRecord};

/// A job that ran when the agent was killed.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) job: JobRef,
    /// Absent if it was killed before the job had a process.
    pub(crate) process: Option<ProcessRecord>,
}

impl Outbox {
    /// Takes over what an earlier process of this agent did not tell. Gives jobs whose end is not known,
    /// each of which has to be ended with [`Outbox::end_unfinished`].
    pub(crate) fn recover(&mut self) -> Vec<Unfinished> {
        let Some(folder) = self.folder.clone() else { return Vec::new() };
        for number in numbers(&folder) {
            self.next_number = self.next_number.max(number + 1);
            let path = folder.join(format!("{number:012}"));
            match Parcel::recover(number, path.clone()) {
                Ok(Some(parcel)) if !parcel.is_done() => self.parcels.push_back(parcel),
                Ok(Some(done)) => done.remove(),
                Ok(None) => discard(&path, "it does not say which job it is about"),
                Err(error) => discard(&path, &error.to_string()),
            }
        }
        let unfinished = self.parcels.iter().filter(|parcel| !parcel.has_end());
        unfinished
            .map(|parcel| Unfinished {
                job: parcel.job.clone(),
                process: parcel.process().cloned(),
            })
            .collect()
    }

    /// The jobs whose end was not told yet.
    pub(crate) fn untold(&self) -> Vec<JobRef> {
        let untold = self.parcels.iter().filter(|parcel| parcel.is_untold());
        untold.map(|parcel| parcel.job.clone()).collect()
    }

    /// What the end of some of them may be no more than: that the agent was killed, now or before, or that the job was
    /// told to stop.
    pub(crate) fn fates(&self) -> BTreeMap<String, Fate> {
        let fate = |parcel: &Parcel| match (parcel.is_killed(), parcel.is_stopping()) {
            (true, _) => Some(Fate::Lost),
            (false, true) => Some(Fate::Stopping),
            (false, false) => None,
        };
        let untold = self.parcels.iter().filter(|parcel| parcel.is_untold());
        untold.filter_map(|parcel| Some((parcel.job.job_id.clone(), fate(parcel)?))).collect()
    }

    /// Ends a job that ran when the agent was killed: a line in its log, then its end.
    pub(crate) fn end_unfinished(
        &mut self,
        job: &JobRef,
        line: &str,
        end: &FromAgent,
        now: Instant,
    ) {
        let result = match self.parcels.iter_mut().find(|parcel| parcel.job == *job) {
            None => Ok(()),
            Some(parcel) => {
                parcel.gather.push(-1, [line.to_owned()], now);
                parcel.gather.flush(now);
                // Before the end: an agent that is killed again before it was told still knows what the end is.
                let result =
                    parcel.spill(now).and(parcel.note_killed()).and(parcel.push(end, true));
                parcel.park();
                result
            }
        };
        self.note(result);
    }
}

fn numbers(folder: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut numbers: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn discard(folder: &Path, why: &str) {
    tracing::warn!("cannot use what is left in {}: {why}; removing it", folder.display());
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, "cannot remove {}", folder.display());
    }
}
