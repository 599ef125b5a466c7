//! The side journal that the steps write, read: what really was executed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

/// The name of one execution of a job by one process.
type Execution = String;

/// All executions of all jobs.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// By run and job name.
    jobs: BTreeMap<(String, String), BTreeMap<Execution, Steps>>,
}

/// How often each step was started and ended in one execution.
#[derive(Debug, Default)]
pub(super) struct Steps {
    started: BTreeMap<String, u32>,
    ended: BTreeMap<String, u32>,
}

impl Journal {
    /// Reads the file; one that is not there is an empty journal.
    pub(super) fn read(file: &Path) -> Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("could not read {}", file.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut journal = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [execution, run, job, step, what] = words.as_slice() else {
                anyhow::bail!("the journal has a strange line: {line:?}");
            };
            let job = journal.jobs.entry(((*run).to_owned(), (*job).to_owned())).or_default();
            let steps = job.entry((*execution).to_owned()).or_default();
            let count = if *what == "start" { &mut steps.started } else { &mut steps.ended };
            *count.entry((*step).to_owned()).or_default() += 1;
        }
        Ok(journal)
    }

    /// The executions of a job.
    pub(super) fn of(&self, run: &str, job: &str) -> impl Iterator<Item = (&Execution, &Steps)> {
        self.jobs.get(&(run.to_owned(), job.to_owned())).into_iter().flatten()
    }

    /// All jobs that were executed, as run and name.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &(String, String)> {
        self.jobs.keys()
    }

    /// How many steps were started.
    pub(super) fn started(&self) -> u64 {
        self.jobs
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|steps| steps.started.values())
            .map(|count| u64::from(*count))
            .sum()
    }
}

impl Steps {
    /// Steps that were started more than once.
    pub(super) fn repeated(&self) -> BTreeSet<&str> {
        self.started
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(step, _)| step.as_str())
            .collect()
    }

    /// Whether all of these steps ran to their end.
    pub(super) fn has(&self, steps: &[&str]) -> bool {
        steps.iter().all(|step| self.ended.contains_key(*step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_told_apart_and_repeats_are_seen() {
        let text = "x r j a start\nx r j a end\nx r j b start\ny r j a start\ny r j a start\n";
        let journal = Journal::parse(text).expect("valid");
        let executions: Vec<_> = journal.of("r", "j").collect();
        assert_eq!(executions.len(), 2);
        assert!(executions[0].1.has(&["a"]) && !executions[0].1.has(&["a", "b"]));
        assert!(executions[0].1.repeated().is_empty());
        assert_eq!(executions[1].1.repeated().into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(journal.started(), 4);
        assert!(Journal::parse("half a line").is_err());
    }
}
