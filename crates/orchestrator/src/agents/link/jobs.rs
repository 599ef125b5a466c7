//! What a registered agent says: about its jobs, about itself, and what it asks for its jobs.

use kici_protocol::agent::{
    ConcurrencyAction, ConcurrencyReport, FromAgent, JobState, JobStatus, LogChunk, RejectReason,
    RunEvent,
};
use uuid::Uuid;

use super::{Effect, Held, Link};
use crate::agents::bundles::Part;
use crate::agents::{answers, groups, outcome};
use crate::jobs::Fact;
use crate::logs::Place;

/// A fact about a job, as the wire names it.
struct About<'a> {
    kind: &'static str,
    job: &'a str,
    message: &'a str,
}

impl Link {
    pub(super) fn on_message(&mut self, message: FromAgent) -> Vec<Effect> {
        if let Some(answer) = answers::answer(&message) {
            return vec![Effect::Send(answer)];
        }
        match message {
            FromAgent::JobAck(ack) => {
                let about = About { kind: "job.ack", job: &ack.job_id, message: &ack.message_id };
                self.report(about, |job, held| Fact::Acked {
                    run: held.run,
                    job,
                    attempt: held.attempt,
                })
            }
            FromAgent::JobReject(reject) => {
                let about =
                    About { kind: "job.reject", job: &reject.job_id, message: &reject.message_id };
                self.about(about, |link, job, held, message| {
                    link.withdraw(job);
                    let (why, draining) = match reject.reason {
                        RejectReason::Busy => ("agent rejected dispatch (busy)", false),
                        RejectReason::Draining => ("agent rejected dispatch (draining)", true),
                    };
                    let fact = Fact::Refused {
                        run: held.run,
                        job,
                        attempt: held.attempt,
                        // Filled in by the socket, which knows the agent's id.
                        agent: String::new(),
                        why: why.into(),
                    };
                    vec![Effect::Pause { draining }, Effect::Report { fact, message }]
                })
            }
            FromAgent::JobStatus(status) => self.job_status(&status),
            FromAgent::StepStatus(status) => {
                let about =
                    About { kind: "step.status", job: &status.job_id, message: &status.message_id };
                self.report(about, |job, held| {
                    Fact::Step(Box::new(outcome::step(job, held.attempt, &status)))
                })
            }
            FromAgent::ConcurrencyReport(report) => self.group(report),
            FromAgent::StepApprovalRequest(request) => {
                let id = request.job_id.clone();
                let about = About { kind: "step.approval-request", job: &id, message: "" };
                self.about(about, |_, job, held, _| {
                    let (run, attempt) = (held.run, held.attempt);
                    vec![Effect::Approval { run, job, attempt, request: Box::new(request) }]
                })
            }
            FromAgent::LogChunk(chunk) => self.log(chunk),
            FromAgent::JobHeartbeat(beat) => {
                let about = About { kind: "job.heartbeat", job: &beat.job_id, message: "" };
                self.report(about, |job, held| Fact::Heartbeat {
                    run: held.run,
                    job,
                    attempt: held.attempt,
                })
            }
            FromAgent::Heartbeat(beat) => beat.timestamp.map(Effect::Clock).into_iter().collect(),
            FromAgent::AgentStatus(status) => {
                vec![Effect::Load { active: status.active_jobs, draining: status.draining }]
            }
            FromAgent::AgentLog(log) => vec![Effect::AgentLog(log.lines)],
            FromAgent::AgentMetrics(report) => vec![Effect::Metrics(report.metrics)],
            FromAgent::ApiRequest(request) => vec![Effect::Api(request)],
            FromAgent::RunEvent(event) => run_event(event),
            FromAgent::CacheUploadComplete(_)
            | FromAgent::CacheSaveComplete(_)
            | FromAgent::ProvenanceUploadComplete(_) => {
                vec![Effect::Note("an upload was reported that nobody had asked for".into())]
            }
            FromAgent::FleetBundleChunk(chunk) => vec![Effect::Bundle(Part::Chunk(chunk))],
            FromAgent::FleetBundleError(error) => vec![Effect::Bundle(Part::Error(error))],
            // The environment of a job is of use only to a platform, and may hold secrets of an old agent.
            FromAgent::JobContext(_) | FromAgent::ConfigAck(_) => Vec::new(),
            // Answered above or by the caller.
            FromAgent::AuthRequest(_)
            | FromAgent::Register(_)
            | FromAgent::EventEmit(_)
            | FromAgent::CacheUploadRequest(_)
            | FromAgent::CacheRestoreRequest(_)
            | FromAgent::CacheSaveRequest(_)
            | FromAgent::ProvenanceUploadRequest(_) => Vec::new(),
        }
    }

    fn job_status(&mut self, status: &JobStatus) -> Vec<Effect> {
        let awaited = status.state.is_terminal()
            && status.job_id.parse().is_ok_and(|job: Uuid| self.awaited.remove(&job));
        let mut effects = self.job_moved(status);
        if awaited {
            // It may be given something now.
            let active = u32::try_from(self.load()).unwrap_or(u32::MAX);
            effects.push(Effect::Load { active, draining: false });
        }
        effects
    }

    fn job_moved(&mut self, status: &JobStatus) -> Vec<Effect> {
        let about = About { kind: "job.status", job: &status.job_id, message: &status.message_id };
        self.about(about, |link, job, held, message| {
            if status.state == JobState::Running {
                let first =
                    link.held.get_mut(&job).map(|h| std::mem::replace(&mut h.started, true));
                if first == Some(true) {
                    return vec![Effect::Done { message }];
                }
                let fact = Fact::Started { run: held.run, job, attempt: held.attempt };
                return vec![Effect::Report { fact, message }];
            }
            match outcome::finish(held.run, job, held.attempt, status) {
                Some(end) => {
                    link.withdraw(job);
                    vec![Effect::End { end: Box::new(end), message }]
                }
                None => vec![Effect::Done { message }],
            }
        })
    }

    fn log(&mut self, chunk: LogChunk) -> Vec<Effect> {
        // What is no id of ours is no job of ours.
        let job = chunk.job_id.parse::<Uuid>().unwrap_or_default();
        if let Some(held) = self.held.get_mut(&job) {
            let place = match std::mem::replace(&mut held.unlogged, false) {
                true => Place::First,
                false => Place::Next,
            };
            return vec![Effect::Log { job, attempt: held.attempt, chunk, place }];
        }
        match self.past.iter().rev().find(|(past, _)| *past == job) {
            Some((_, Some(attempt))) => {
                vec![Effect::Log { job, attempt: *attempt, chunk, place: Place::Late }]
            }
            // Its attempt is over and done with elsewhere.
            Some((_, None)) => {
                chunk.seq.map(|seq| Effect::LogsDone { job, seq }).into_iter().collect()
            }
            None => {
                let done = chunk.seq.map(|seq| Effect::LogsDone { job, seq });
                let foreign = Effect::Foreign { job, kind: "log.chunk", message: String::new() };
                std::iter::once(foreign).chain(done).collect()
            }
        }
    }

    /// A fact about a job that the connection holds.
    fn report(&mut self, about: About<'_>, fact: impl FnOnce(Uuid, Held) -> Fact) -> Vec<Effect> {
        self.about(about, |_, job, held, message| {
            vec![Effect::Report { fact: fact(job, held), message }]
        })
    }

    /// A job asks for a place in a concurrency group. One that is not held here is told so: it would wait in vain.
    fn group(&mut self, report: ConcurrencyReport) -> Vec<Effect> {
        let held = report.job_id.parse().is_ok_and(|job| self.held.contains_key(&job));
        let refused = (!held).then(|| {
            let reason = Some("the agent does not hold this job".to_owned());
            let ids = (report.run_id.clone(), report.job_id.clone());
            Effect::Send(groups::ack(&report.message_id, ids, ConcurrencyAction::Cancel, reason))
        });
        let about = About { kind: "job.concurrency.report", job: &report.job_id, message: "" };
        let more = self.about(about, |_, job, held, _| {
            let (request, group) = (report.message_id.clone(), report.group.clone());
            vec![Effect::Group { run: held.run, job, request, group }]
        });
        refused.into_iter().chain(more).collect()
    }

    fn about(
        &mut self,
        about: About<'_>,
        then: impl FnOnce(&mut Link, Uuid, Held, String) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let message = about.message.to_owned();
        let job = about.job.parse::<Uuid>().unwrap_or_default();
        match self.held.get(&job).copied() {
            Some(held) => then(self, job, held, message),
            // Old news about a job that was the agent's.
            None if self.past.iter().any(|(past, _)| *past == job) => {
                vec![Effect::Done { message }]
            }
            None => vec![Effect::Foreign { job, kind: about.kind, message }],
        }
    }
}

/// A point on the timeline of a run. Nothing is made of it beyond the log: what happened to a job and its steps is
/// in their own rows.
fn run_event(event: RunEvent) -> Vec<Effect> {
    let job = event.job_id.as_deref().unwrap_or("no job");
    let note = format!("{} of run {}, {job}", event.event_type, event.run_id);
    let done = event.message_id.map(|message| Effect::Done { message });
    std::iter::once(Effect::Note(note)).chain(done).collect()
}
