//! Streams the events of one run: what it is, what changes, what its steps write, and its end.
//!
//! States are read from the tables a few times a second; lines of jobs whose agents are connected here
//! are sent as they come. The stream needs nothing from the jobs' owner, so any orchestrator can serve it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::future::select_all;
use futures_util::stream::{Stream, unfold};
use kici_model::state::{JobState, RunState, StepState};
use kici_protocol::http::follow::RunEvent;
use kici_protocol::http::runs::JobView;
use kici_store::view::{job_of_run, run_get};
use tracing::warn;
use uuid::Uuid;

use super::input::Id;
use super::runs::own_run;
use super::{ApiError, logs as log_page, run_view};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::logs;

/// How often states are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Lines of one event.
const LINES: usize = 500;
/// Something is sent at least this often, so that both ends notice a dead connection.
const ALIVE: Duration = Duration::from_secs(15);
/// Events that wait for a slow reader.
const QUEUE: usize = 64;
/// The job's own log: what is not of a step.
const OWN_LOG: i32 = -1;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/api/v1/admin/runs/{id}/follow",
        Access::Permission(Permission::RunRead),
        follow,
    )
}

async fn follow(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let mut conn = app.store.connection().await?;
    own_run(&mut conn, &caller, id).await?;
    drop(conn);
    let stream = unfold(Follower::new(app, id), |mut follower| async {
        let event = follower.next().await?;
        let event = Event::default().json_data(event).expect("an event is plain data");
        Some((Ok(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// What one follower has been told.
struct Follower {
    app: App,
    run: Uuid,
    queue: VecDeque<RunEvent>,
    /// The run and the jobs as they were last told, as JSON.
    told_run: String,
    told_jobs: HashMap<Uuid, String>,
    /// The next line of each (job, attempt, step).
    cursors: HashMap<(Uuid, i32, i32), i64>,
    /// Logs that are told to their end.
    complete: HashSet<(Uuid, i32, i32)>,
    running: Vec<Uuid>,
    first: bool,
    ended: bool,
}

impl Follower {
    fn new(app: App, run: Uuid) -> Follower {
        Follower {
            app,
            run,
            queue: VecDeque::new(),
            told_run: String::new(),
            told_jobs: HashMap::new(),
            cursors: HashMap::new(),
            complete: HashSet::new(),
            running: Vec::new(),
            first: true,
            ended: false,
        }
    }

    /// The next event; `None` after the end, when the service stops, or when nothing can be read.
    async fn next(&mut self) -> Option<RunEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            if !std::mem::take(&mut self.first) {
                let stop = self.app.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = self.wait() => {}
                }
            }
            if let Err(error) = self.look().await {
                warn!(run.id = %self.run, "could not go on telling about run {}: {error:#}", self.run);
                return None;
            }
        }
    }

    /// Waits until it is worth looking again.
    async fn wait(&self) {
        if self.running.is_empty() {
            return tokio::time::sleep(LOOK).await;
        }
        let grown = self.running.iter().map(|job| Box::pin(self.app.logs.wait(*job, LOOK)));
        select_all(grown).await;
        // Lines come in bursts; a moment gathers one.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// Puts what is new into the queue: states are read before lines, so that the lines of a job that
    /// has ended are all there.
    async fn look(&mut self) -> anyhow::Result<()> {
        let mut conn = self.app.store.connection().await?;
        let Some(run) = run_get(&mut conn, self.run).await? else {
            anyhow::bail!("it is gone");
        };
        let jobs = run_view::jobs(&mut conn, self.run, true).await?;
        let attempts: HashMap<Uuid, i32> = job_of_run(&mut conn, self.run)
            .await?
            .into_iter()
            .map(|job| (job.id, job.attempt))
            .collect();
        drop(conn);
        let detail = run_view::detail(&run);
        let text = serde_json::to_string(&detail)?;
        if text != self.told_run {
            self.told_run = text;
            self.queue.push_back(RunEvent::Run { run: Box::new(detail) });
        }
        self.running.clear();
        let mut drained = true;
        for job in jobs {
            let attempt = attempts.get(&job.job_id.0).copied().unwrap_or(0);
            let over = job.status.parse().is_ok_and(JobState::is_final);
            if !over && !matches!(job.status.as_str(), "pending" | "queued") {
                self.running.push(job.job_id.0);
            }
            // A job is told before its lines while it runs, and after them when it has ended.
            if over {
                drained &= self.lines(&job, attempt, over).await?;
                self.job(&job)?;
            } else {
                self.job(&job)?;
                drained &= self.lines(&job, attempt, over).await?;
            }
        }
        if drained && run.state.parse().is_ok_and(RunState::is_final) {
            self.queue.push_back(RunEvent::Ended { status: run.state });
            self.ended = true;
        }
        Ok(())
    }

    fn job(&mut self, job: &JobView) -> anyhow::Result<()> {
        let text = serde_json::to_string(job)?;
        if self.told_jobs.get(&job.job_id.0) != Some(&text) {
            self.told_jobs.insert(job.job_id.0, text);
            self.queue.push_back(RunEvent::Job { job: Box::new(job.clone()) });
        }
        Ok(())
    }

    /// Puts new lines of a job into the queue; says whether those were all.
    async fn lines(&mut self, job: &JobView, attempt: i32, over: bool) -> anyhow::Result<bool> {
        for (step, step_over) in started_logs(job) {
            let log = (job.job_id.0, attempt, step);
            while !self.complete.contains(&log) {
                if self.queue.len() >= QUEUE {
                    // Memory stays bounded; the rest comes with the next look.
                    return Ok(false);
                }
                let from = self.cursors.get(&log).copied().unwrap_or(0);
                let page = logs::read(&self.app, log.0, attempt, step, from, LINES).await?;
                if page.lines.is_empty() {
                    if over || step_over {
                        self.complete.insert(log);
                    }
                    break;
                }
                // After a gap the lines are the last ones before `next`.
                let first = page.next - i64::try_from(page.lines.len())?;
                self.cursors.insert(log, page.next);
                self.queue.push_back(RunEvent::Log {
                    job_id: job.job_id,
                    job_name: job.job_name.clone(),
                    step_index: step,
                    first_line: u64::try_from(first)?,
                    lines: page.lines.iter().map(log_page::shown).collect(),
                });
            }
        }
        Ok(true)
    }
}

/// The logs that a job may have, and whether nothing is added to them any more.
fn started_logs(job: &JobView) -> Vec<(i32, bool)> {
    let mut logs = vec![(OWN_LOG, false)];
    for step in job.steps.iter().flatten().filter(|step| step.status != "pending") {
        let over = step.status.parse().is_ok_and(StepState::is_final);
        match logs.iter_mut().find(|(index, _)| *index == step.step_index) {
            // Hooks may share an index with others.
            Some((_, all_over)) => *all_over &= over,
            None => logs.push((step.step_index, over)),
        }
    }
    logs
}
