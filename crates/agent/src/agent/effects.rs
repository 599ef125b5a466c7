//! Does what the link decided.

use std::time::Instant;

use kici_protocol::agent::{
    AuthRequest, Close, CloseCode, ConfigAck, FromAgent, InFlightJob, JobDispatch, JobRef,
    JobState, PROTOCOL_VERSION, RegisterAck, Secret, ToAgent, limits,
};

use super::{Agent, Running};
use crate::backoff;
use crate::job::{Job, Surroundings, Voice};
use crate::link::{Effect, Event};
use crate::now;
use crate::outbox::RECONCILE_TIME;
use crate::pace::Pace;

impl Agent {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Authenticate => self.authenticate(),
            Effect::Register(jobs) => self.register(jobs),
            Effect::Registered(ack) => self.registered(&ack),
            Effect::Accept(dispatch) => self.accept(dispatch),
            Effect::AckAgain(job) => self.send_now(&Voice::new(job).ack()),
            Effect::Reject(job, reason) => {
                tracing::info!(
                    run.id = job.run_id,
                    job.id = job.job_id,
                    "refused a job: {reason:?}"
                );
                self.send_now(&Voice::new(job).reject(reason));
                let status = self.status_message();
                self.send_now(&status);
            }
            Effect::Refuse(job, problem) => {
                tracing::warn!(run.id = job.run_id, job.id = job.job_id, "{problem}");
                let voice = Voice::new(job);
                let end = voice.failed(JobState::Failed, &problem);
                self.outbox.refuse(voice.job(), &[voice.ack()], &end);
            }
            Effect::Cancel { force, reason } => self.cancel_job(force, reason),
            Effect::NotHere(job) => {
                let voice = Voice::new(job);
                let error = "the job is not on this agent";
                let end = voice.failed(JobState::Cancelled, error);
                self.outbox.refuse(voice.job(), &[], &end);
            }
            Effect::Answer(message) => self.answer(*message),
            Effect::Stored(ack) => {
                let told = self.outbox.stored(&ack);
                self.on_told(told);
            }
            Effect::HoldLogs(ms) => {
                tracing::warn!(
                    retry_after_ms = ms,
                    "the orchestrator dropped a message; slowing down"
                );
                let until = Instant::now() + std::time::Duration::from_millis(ms);
                self.pace.hold(until);
            }
            Effect::Close(close) => {
                if let Some(socket) = &self.socket {
                    socket.close(close);
                }
            }
            Effect::Reconnect { slowly } => self.reconnect_later(slowly),
            Effect::GiveUp(reason) => self.give_up(&reason),
            Effect::Leave => self.leave(),
            Effect::Note(note) => tracing::warn!("{note}"),
        }
    }

    fn authenticate(&mut self) {
        let Some(token) = &self.config.token else { return };
        let message = FromAgent::AuthRequest(AuthRequest {
            token: Secret::clone(token),
            protocol_version: PROTOCOL_VERSION,
        });
        self.greet(&message);
        self.clock.answer = Some(Instant::now() + limits::REGISTER_TIMEOUT);
    }

    fn register(&mut self, jobs: Vec<JobRef>) {
        let in_flight = jobs.into_iter().map(|job| InFlightJob {
            fate: self.fates.get(&job.job_id).copied(),
            job_id: job.job_id,
            run_id: job.run_id,
        });
        let registration = self.facts.registration(in_flight.collect());
        self.greet(&FromAgent::Register(Box::new(registration)));
        self.clock.answer = Some(Instant::now() + limits::REGISTER_TIMEOUT);
    }

    /// Sends before there is traffic.
    fn greet(&self, message: &FromAgent) {
        if let Some(socket) = &self.socket {
            socket.send_now(message.to_text());
        }
    }

    fn registered(&mut self, ack: &RegisterAck) {
        let now = Instant::now();
        self.attempt = 0;
        self.pace = Pace::new(!ack.has(RegisterAck::NO_RATE_LIMIT), now);
        let reconciles_later =
            !self.link.in_flight().is_empty() && !ack.has(RegisterAck::RECONCILED);
        let terminal_from = reconciles_later.then(|| now + RECONCILE_TIME);
        self.outbox.registered(ack.has(RegisterAck::ACK), terminal_from);
        self.clock.answer = None;
        self.clock.heartbeat = Some(now + limits::HEARTBEAT_INTERVAL);
        self.clock.metrics = Some(now + limits::METRICS_INTERVAL);
        self.metrics.connected(true);
        tracing::info!(
            agent.id = &*self.agent_id,
            start_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "registered with {} as {}",
            self.config.orchestrator_url,
            self.agent_id
        );

        self.tell_about_the_gap(now);
        self.send_now(&FromAgent::ConfigAck(ConfigAck {
            message_id: format!("config-ack-{}-{}", self.agent_id, now::epoch_ms()),
            agent_id: self.agent_id.to_string(),
        }));
        let again: Vec<FromAgent> = self.questions.repeat().cloned().collect();
        for question in &again {
            self.send_now(question);
        }
        if let Some(scaler) = self.config.scaler.as_ref().filter(|_| self.link.job().is_none()) {
            let patience = if ack.pending_dispatch { scaler.pending_dispatch } else { scaler.idle };
            self.clock.idle = Some(now + patience);
        }
        if self.job.is_none() {
            self.keep_warm();
        }
    }

    fn accept(&mut self, dispatch: Box<JobDispatch>) {
        let job = JobRef { run_id: dispatch.run_id.clone(), job_id: dispatch.job_id.clone() };
        tracing::info!(
            run.id = job.run_id,
            job.id = job.job_id,
            request.id = dispatch.request_id.as_deref().unwrap_or("-"),
            "took job {}",
            dispatch.job_config.name.as_deref().unwrap_or(&job.job_id)
        );
        // A new attempt begins without the past of the last one.
        self.fates.remove(&job.job_id);
        let voice = Voice::new(job);
        self.clock.idle = None;
        self.clock.job_heartbeat = Some(Instant::now() + self.config.times.job_heartbeat);
        self.metrics.job_started();
        self.outbox.begin(voice.job().clone());
        self.outbox.push(&voice.ack());
        self.outbox.push(&voice.status(JobState::Running));
        let surroundings = Surroundings {
            launcher: self.launcher.clone(),
            warm: self.warm.take(),
            defaults: self.config.jobs.clone(),
            labels: self.facts.labels().to_vec(),
            metrics: self.metrics.clone(),
        };
        let job = Job::start(dispatch, voice.clone(), surroundings, &self.tracker);
        self.job = Some(Running {
            voice,
            job,
            steps: std::time::Duration::ZERO,
            stuck_since: None,
            impatient: false,
            cancelled: false,
        });
    }

    fn answer(&mut self, message: ToAgent) {
        if let ToAgent::FleetLogsRequest(request) = message {
            self.bundle(&request);
            return;
        }
        let kind = message.kind();
        match (self.questions.answer(message), &self.job) {
            (Some(answer), Some(running)) => running.job.answer(answer.id, answer.result),
            (Some(_), None) | (None, _) => tracing::debug!("nobody waits for {kind}"),
        }
    }

    pub(super) fn on_closed(&mut self, code: Option<u16>, reason: String) {
        self.socket = None;
        self.clock.answer = None;
        self.clock.heartbeat = None;
        self.clock.metrics = None;
        self.clock.idle = None;
        if self.link.is_ready() {
            self.lost_at = Some(Instant::now());
        }
        self.metrics.connected(false);
        self.outbox.rewind();
        self.drop_bundles();
        for answer in self.questions.disconnected() {
            if let Some(running) = &self.job {
                running.job.answer(answer.id, answer.result);
            }
        }
        let code_text = code.map_or_else(String::new, |code| format!(" ({code})"));
        if self.leaving.has_begun() {
            tracing::info!("disconnected{code_text}");
        } else {
            tracing::warn!("connection closed{code_text}: {reason}");
        }
        self.feed(Event::Closed { code, reason });
    }

    fn reconnect_later(&mut self, slowly: bool) {
        let delay =
            if slowly { backoff::MAX_DELAY } else { backoff::delay(self.attempt, rand::random()) };
        self.attempt = self.attempt.saturating_add(1);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(delay_ms, "connecting again in {:.1} s", delay.as_secs_f64());
        self.clock.reconnect = Some(Instant::now() + delay);
    }

    fn give_up(&mut self, reason: &str) {
        tracing::error!(
            agent.id = &*self.agent_id,
            "the orchestrator refuses this agent for good: {reason}. Check KICI_AGENT_TOKEN and \
             KICI_LABELS (kici-admin agent list) and restart the agent"
        );
        self.metrics.connected(false);
        self.clock = super::Clock::default();
        self.warm = None;
        if let Some(running) = &mut self.job {
            // Nobody wants its result, and it holds secrets.
            running.job.kill();
        }
    }

    /// The close frame of an intended end.
    pub(super) fn goodbye() -> Close {
        Close::new(CloseCode::Normal, Close::AGENT_DISCONNECT)
    }
}
