//! The side journal that the steps write, read: what really was executed, by which agent and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

/// All executions of all jobs.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// By run and job name, then by the name that the process gave itself.
    jobs: BTreeMap<(String, String), BTreeMap<String, Execution>>,
}

/// One execution of a job by one process.
#[derive(Debug, Default)]
pub(super) struct Execution {
    /// The agent's id.
    pub(super) agent: String,
    /// Its lines, in the order of the file.
    pub(super) marks: Vec<Mark>,
    started: BTreeMap<String, u32>,
    ended: BTreeMap<String, u32>,
}

/// When a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Its place in the file: all lines of all processes are in one order.
    pub(super) place: usize,
    /// Milliseconds since 1970, read just before.
    pub(super) at_ms: i64,
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
        for (place, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.splitn(7, ' ').collect();
            let [execution, run, agent, at, step, what, job] = words.as_slice() else {
                anyhow::bail!("the journal has a strange line: {line:?}");
            };
            let at_ms = at.parse().with_context(|| format!("no time in: {line:?}"))?;
            let job = journal.jobs.entry(((*run).to_owned(), (*job).to_owned())).or_default();
            let execution = job.entry((*execution).to_owned()).or_default();
            execution.agent = (*agent).to_owned();
            execution.marks.push(Mark { place, at_ms });
            let count =
                if *what == "start" { &mut execution.started } else { &mut execution.ended };
            *count.entry((*step).to_owned()).or_default() += 1;
        }
        Ok(journal)
    }

    /// The executions of a job.
    pub(super) fn of(&self, run: &str, job: &str) -> impl Iterator<Item = (&String, &Execution)> {
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
            .flat_map(|execution| execution.started.values())
            .map(|count| u64::from(*count))
            .sum()
    }
}

impl Execution {
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
        let text = "x r a0 1 a start j (1, b)\nx r a0 2 a end j (1, b)\nx r a0 3 b start j (1, b)\n\
                    y r a1 4 a start j (1, b)\ny r a1 5 a start j (1, b)\n";
        let journal = Journal::parse(text).expect("valid");
        let executions: Vec<_> = journal.of("r", "j (1, b)").collect();
        assert_eq!(executions.len(), 2);
        assert!(executions[0].1.has(&["a"]) && !executions[0].1.has(&["a", "b"]));
        assert!(executions[0].1.repeated().is_empty());
        assert_eq!(executions[1].1.repeated().into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(executions[1].1.marks[0], Mark { place: 3, at_ms: 4 });
        assert_eq!((executions[1].1.agent.as_str(), journal.started()), ("a1", 4));
        assert!(Journal::parse("half a line").is_err());
    }
}
