//! What must not be, once everything is at peace again.

use super::super::tables::State;
use super::World;
use crate::jobs::Ending;

/// How jobs ended.
#[derive(Debug, Default)]
pub(in super::super) struct Counts {
    pub(in super::super) told: u64,
    pub(in super::super) lost: u64,
    pub(in super::super) cancelled: u64,
}

impl World {
    /// What must not be.
    pub(in super::super) fn problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        for process in self.orchestrators.iter_mut().flatten() {
            problems.append(&mut process.problems);
        }
        for (id, job) in &self.tables.jobs {
            // An adopted attempt is the execution of an earlier one, which went on.
            let execution = self
                .executions
                .range((*id, 0)..=(*id, job.attempt))
                .rev()
                .map(|(_, execution)| execution)
                .find(|execution| Some(execution.agent) == job.agent);
            match job.state {
                State::Told(ending) => {
                    let Some(execution) = execution else {
                        problems.push(format!("job {id} ended {ending:?} without having run"));
                        continue;
                    };
                    if execution.killed {
                        continue;
                    }
                    if execution.ended != Some(ending) {
                        problems.push(format!(
                            "job {id} ended {ending:?}, its execution {:?}",
                            execution.ended
                        ));
                    }
                    if ending == Ending::Cancelled && !job.stop {
                        problems.push(format!("job {id} ended cancelled, and nobody asked for it"));
                    }
                    for step in 0..2 {
                        let of_step = |lines: &[(i64, String)]| -> Vec<String> {
                            lines
                                .iter()
                                .filter(|(of, _)| *of == step)
                                .map(|(_, line)| line.clone())
                                .collect()
                        };
                        let (stored, written) = (of_step(&job.log), of_step(&execution.lines));
                        // What an earlier attempt has stored stays with it.
                        let whole = if job.adopted {
                            written.ends_with(&stored)
                        } else {
                            stored == written
                        };
                        if !whole {
                            problems.push(format!(
                                "job {id} step {step}: {stored:?} instead of {written:?}"
                            ));
                        }
                    }
                }
                State::GivenUp => {}
                open => problems.push(format!("job {id} is {open:?} for ever")),
            }
        }
        for (number, slot) in self.agents.iter().enumerate() {
            match &slot.process {
                None => problems.push(format!("agent {number} is down for ever")),
                Some(agent) if agent.job().is_some() => {
                    problems.push(format!("agent {number} runs {:?} for ever", agent.job()));
                }
                Some(agent) if !agent.has_told_everything() => {
                    problems.push(format!("agent {number} has something to tell for ever"));
                }
                Some(_) => {}
            }
        }
        problems
    }

    pub(in super::super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for job in self.tables.jobs.values() {
            match job.state {
                State::Told(_) => counts.told += 1,
                _ if job.stop => counts.cancelled += 1,
                _ => counts.lost += 1,
            }
        }
        counts
    }

    /// The last things that happened.
    pub(in super::super) fn story(&self) -> String {
        self.story[self.story.len().saturating_sub(400)..].join("\n")
    }
}
