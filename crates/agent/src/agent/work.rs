//! Follows the running job: its notes, its backlog, its end.

use std::time::{Duration, Instant};

use kici_protocol::agent::{Fate, FromAgent, JobState};

use super::{Agent, Ended};
use crate::config::Backpressure;
use crate::job::Note;
use crate::link::Event;

/// Without any progress for so long, lines are dropped rather than the job held up for ever.
const PATIENCE: Duration = Duration::from_secs(30);

impl Agent {
    /// Whether the job may say more: its log has room, or is being dropped.
    pub(super) fn wants_notes(&self) -> bool {
        let has_room = self.has_room();
        self.job.as_ref().is_some_and(|running| has_room || running.impatient)
    }

    fn has_room(&self) -> bool {
        self.outbox.has_room(self.link.is_ready())
    }

    pub(super) fn on_note(&mut self, note: Option<Note>) {
        let now = Instant::now();
        match note {
            Some(Note::Fact(message)) => {
                if let (FromAgent::StepStatus(step), Some(running)) = (&*message, &mut self.job)
                    && step.state.is_terminal()
                {
                    let took = step.data.as_ref().and_then(|data| data.get("durationMs")?.as_u64());
                    running.steps += Duration::from_millis(took.unwrap_or(0));
                }
                self.outbox.push(&message);
            }
            Some(Note::Process(process)) => self.outbox.note_process(&process),
            Some(Note::Log { step, lines }) => self.take_log(step, lines, now),
            Some(Note::Request { id, method, params }) => {
                let Some(running) = &self.job else { return };
                match self.questions.ask(running.voice.job(), id, &method, params) {
                    Err(problem) => running.job.answer(id, Err(problem)),
                    Ok(question) => {
                        let question = question.clone();
                        self.ask(id, &question);
                    }
                }
            }
            Some(Note::Ended { state, status }) => self.job_ended(state, &status),
            None => self.job_vanished(),
        }
    }

    fn ask(&mut self, id: u64, question: &FromAgent) {
        if self.link.is_ready() {
            self.send_now(question);
            return;
        }
        for answer in self.questions.disconnected() {
            debug_assert_eq!(answer.id, id, "the others failed when the link broke");
            if let Some(running) = &self.job {
                running.job.answer(answer.id, answer.result);
            }
        }
    }

    fn take_log(&mut self, step: i64, lines: Vec<String>, now: Instant) {
        // Taken without room only when waiting is over.
        let has_room = self.has_room();
        let Some(logs) = self.outbox.logs() else { return };
        if has_room {
            logs.push(step, lines, now);
        } else {
            logs.skip(step, lines.len() as u64);
            self.metrics.log_dropped(lines.len() as u64);
        }
    }

    /// Starts dropping when nothing has moved for too long, and stops when there is room again.
    pub(super) fn watch_backpressure(&mut self, now: Instant) {
        let has_room = self.has_room();
        let has_much_room = self.outbox.has_much_room();
        let mode = self.config.backpressure;
        let Some(running) = &mut self.job else {
            self.metrics.backpressure(false);
            return;
        };
        if has_room {
            running.stuck_since = None;
            if has_much_room && !running.cancelled {
                running.impatient = false;
            }
            self.metrics.backpressure(running.impatient && !running.cancelled);
            return;
        }
        let since = *running.stuck_since.get_or_insert(now);
        let patience = match mode {
            Backpressure::Pause => PATIENCE,
            Backpressure::Drop => Duration::ZERO,
        };
        if now.duration_since(since) >= patience {
            running.impatient = true;
        }
        self.metrics.backpressure(true);
    }

    pub(super) fn backpressure_at(&self) -> Option<Instant> {
        let running = self.job.as_ref().filter(|running| !running.impatient)?;
        Some(running.stuck_since? + PATIENCE)
    }

    pub(super) fn cancel_job(&mut self, force: bool, reason: String) {
        let Some(running) = &mut self.job else {
            return; // it has ended and its end is on its way
        };
        tracing::info!(job.id = running.voice.job().job_id, force, "cancelling the job: {reason}");
        if force || running.cancelled {
            // Its process must not wait for a place for its log before it can end.
            running.impatient = true;
        } else {
            self.outbox.push(&running.voice.status(JobState::Cancelling));
        }
        running.cancelled = true;
        self.fates.insert(running.voice.job().job_id.clone(), Fate::Stopping);
        self.outbox.note_stopping();
        running.job.cancel(force, reason);
    }

    fn job_ended(&mut self, state: JobState, status: &FromAgent) {
        let Some(running) = self.job.take() else { return };
        let replaced = self.shutdown_status(&running.voice, state);
        let (state, status) = match &replaced {
            Some(status) => (JobState::Failed, status),
            None => (state, status),
        };
        let overhead = running.voice.elapsed().saturating_sub(running.steps);
        self.metrics.job_ended(state, overhead);
        self.questions.clear();
        self.clock.job_heartbeat = None;
        self.outbox.push(&running.voice.execution_ended(state));
        self.outbox.push_terminal(status, Instant::now());
        self.outbox.push(&running.voice.teardown());
        let idle = self.status_message();
        self.outbox.push(&idle);
        self.ended = Some(Ended { voice: running.voice, state, overhead });
        if self.link.is_given_up() {
            // Nobody to tell it to.
            self.outbox.give_up();
            self.settled();
        }
    }

    /// The task of a job ended without a word, which only a panic can do.
    fn job_vanished(&mut self) {
        let Some(running) = &self.job else { return };
        let error = "the agent lost track of the job; this is a bug in kici-agent";
        tracing::error!(job.id = running.voice.job().job_id, "{error}");
        let status = running.voice.failed(JobState::Failed, error);
        self.job_ended(JobState::Failed, &status);
    }

    /// The job's end was written to a registered socket.
    pub(super) fn settled(&mut self) {
        if let Some(ended) = self.ended.take() {
            let job = ended.voice.job();
            tracing::info!(
                run.id = job.run_id,
                job.id = job.job_id,
                total_ms = ended.voice.elapsed().as_secs_f64() * 1e3,
                overhead_ms = ended.overhead.as_secs_f64() * 1e3,
                "job ended: {:?}",
                ended.state
            );
        }
        self.send_metrics();
        self.feed(Event::Settled);
        self.keep_warm();
        if let Some(scaler) = &self.config.scaler {
            self.clock.idle = Some(Instant::now() + scaler.idle);
        }
    }
}
