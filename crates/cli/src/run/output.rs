//! Shows a local run while it happens: one line for each thing that began, was said or ended.

use std::cell::Cell;
use std::io::{IsTerminal, Write};

use kici_exec::spec::{JobEvent, JobStatus, StepStatus};
use kici_model::state::JobState;

/// Writes lines to the terminal; colours only where they are welcome.
pub(super) struct Output {
    colour: bool,
    /// Width of the longest job name.
    width: Cell<usize>,
}

impl Output {
    pub(super) fn new() -> Output {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Output { colour, width: Cell::new(0) }
    }

    /// Makes room for the names of the jobs that there are now.
    pub(super) fn fit(&self, job_names: impl Iterator<Item = usize>) {
        self.width.set(job_names.max().unwrap_or(0));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, job: &str, text: &str) {
        let name = self.paint("36", &format!("{job:<width$}", width = self.width.get()));
        // A reader that has gone away (`| head`) ends the output, not the run.
        let _closed = writeln!(std::io::stdout(), "{name} │ {text}");
    }

    /// A job is about to start.
    pub(super) fn job_started(&self, job: &str) {
        self.line(job, &self.paint("1", "started"));
    }

    /// A job ends without having run.
    pub(super) fn job_without_run(&self, job: &str, state: JobState, why: &str) {
        let code = if state.is_failure() { "31" } else { "2" };
        self.line(job, &self.paint(code, &format!("{state}: {why}")));
    }

    /// A job ended.
    pub(super) fn job_ended(
        &self,
        job: &str,
        status: JobStatus,
        duration_ms: u64,
        error: Option<&str>,
    ) {
        let (code, word) = match status {
            JobStatus::Success => ("32", "succeeded"),
            JobStatus::Failed => ("31", "failed"),
            JobStatus::Cancelled => ("33", "cancelled"),
        };
        let mut text = self.paint(code, &format!("{word} in {}", duration(duration_ms)));
        if let Some(error) = error {
            text.push_str(&format!(": {error}"));
        }
        self.line(job, &text);
    }

    /// Shows one event of the running job.
    pub(super) fn event(&self, job: &str, event: &JobEvent) {
        match event {
            JobEvent::Log { step, lines } => {
                for text in lines {
                    let text = if *step < 0 { self.paint("2", text) } else { text.clone() };
                    self.line(job, &format!("  {text}"));
                }
            }
            JobEvent::StepStarted { name, pending, .. } => {
                if !pending {
                    self.line(job, &format!("▶ {name}"));
                }
            }
            JobEvent::StepEnded { name, status, duration_ms, error, .. } => {
                let (code, mark) = match status {
                    StepStatus::Success => ("32", "✔"),
                    StepStatus::Failed => ("31", "✖"),
                    StepStatus::Skipped => ("2", "○"),
                    StepStatus::Cancelled => ("33", "◌"),
                };
                let mut text = self.paint(code, &format!("{mark} {name}"));
                text.push_str(&format!(" {}", duration(*duration_ms)));
                if let Some(error) = error {
                    text.push_str(&format!(
                        "  {}",
                        error.message.lines().next().unwrap_or_default()
                    ));
                }
                self.line(job, &text);
            }
            JobEvent::CheckedOut { .. } | JobEvent::Request { .. } | JobEvent::Ended(_) => {}
        }
    }
}

/// `12 ms`, `3.4 s`, `2 min 5 s`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well_at_every_size() {
        assert_eq!(duration(7), "7 ms");
        assert_eq!(duration(3_450), "3.4 s");
        assert_eq!(duration(125_000), "2 min 5 s");
    }
}
