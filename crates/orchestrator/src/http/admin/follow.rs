//! Streams the events of one run: what it is, what changes, what its steps write, and its end.
//!
//! States are read from the tables once a second, and sooner when this process has written something about the run;
//! lines of jobs whose agents are connected here are sent as they come. Of jobs that another orchestrator sees to,
//! states come within a second and lines once they are stored, within a few. The stream needs nothing from the jobs'
//! owner, so any orchestrator can serve it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::StreamExt as _;
use futures_util::stream::{FuturesUnordered, Stream, unfold};
use kici_model::state::{JobState, RunState, StepState};
use kici_protocol::http::follow::RunEvent;
use kici_protocol::http::runs::{JobView, StepView};
use kici_protocol::http::time::Timestamp;
use kici_store::view::run_get;
use tracing::warn;
use uuid::Uuid;

use super::input::Id;
use super::run_view::Shown;
use super::runs::own_run;
use super::{ApiError, logs as log_page, run_view};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::logs;
use crate::runs::Following;

/// How often states are looked at without being told to.
const LOOK: Duration = Duration::from_secs(1);
/// States are not looked at more often than this, however much happens.
const REST: Duration = Duration::from_millis(250);
/// Lines and reports come in bursts; a moment gathers one.
const GATHER: Duration = Duration::from_millis(20);
/// Another orchestrator has stored the lines of a step this long after its end, as a rule; what is later is told when
/// the job ends.
const STORED_WITHIN: Duration = Duration::from_secs(15);
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
    /// The next line of each (job, step), over all attempts.
    cursors: HashMap<(Uuid, i32), i64>,
    /// Logs, up to an attempt, that are told to their end.
    complete: HashSet<(Uuid, i32, i32)>,
    /// Jobs whose end was seen.
    over: HashSet<Uuid>,
    /// Jobs of agents that are connected here, as they were at the last look.
    here: Vec<Shown>,
    following: Following,
    /// When the tables were last looked at.
    looked: Option<Instant>,
    /// Something was written since then.
    changed: bool,
    /// Nothing known is left to tell.
    drained: bool,
    ended: bool,
}

impl Follower {
    fn new(app: App, run: Uuid) -> Follower {
        let mut following = app.feed.follow();
        following.also(run);
        Follower {
            app,
            run,
            queue: VecDeque::new(),
            told_run: String::new(),
            told_jobs: HashMap::new(),
            cursors: HashMap::new(),
            complete: HashSet::new(),
            over: HashSet::new(),
            here: Vec::new(),
            following,
            looked: None,
            changed: false,
            drained: true,
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
            let stop = self.app.stop.clone();
            let told = tokio::select! {
                () = stop.cancelled() => return None,
                told = self.go_on() => told,
            };
            if let Err(error) = told {
                warn!(run.id = %self.run, "could not go on telling about run {}: {error:#}", self.run);
                return None;
            }
        }
    }

    /// Waits until it is worth it, and looks at the tables or only at the lines in memory.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        let drained = self.drained;
        if drained {
            self.wait().await;
        }
        if drained && self.due().is_some_and(|due| due > Instant::now()) {
            self.tail().await
        } else {
            self.look().await
        }
    }

    /// When the tables are due for a look; `None`: now.
    fn due(&self) -> Option<Instant> {
        Some(self.looked? + if self.changed { REST } else { LOOK })
    }

    /// Waits until it is worth looking again.
    async fn wait(&mut self) {
        let Some(due) = self.due() else { return };
        let mut grown: FuturesUnordered<_> =
            self.here.iter().map(|job| self.app.logs.wait(job.view.job_id.0, LOOK)).collect();
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = self.following.woken(), if !self.changed => {
                drop(grown);
                self.changed = true;
                tokio::time::sleep(GATHER).await;
            }
            Some(()) = grown.next() => tokio::time::sleep(GATHER).await,
        }
    }

    /// Puts what is new into the queue: states are read before lines, so that the lines of a job that
    /// has ended are all there.
    async fn look(&mut self) -> anyhow::Result<()> {
        (self.looked, self.changed) = (Some(Instant::now()), false);
        let mut conn = self.app.store.connection().await?;
        let Some(run) = run_get(&mut conn, self.run).await? else {
            anyhow::bail!("it is gone");
        };
        let jobs = run_view::shown(&mut conn, self.run, true).await?;
        drop(conn);
        let detail = run_view::detail(&run);
        let text = serde_json::to_string(&detail)?;
        if text != self.told_run {
            self.told_run = text;
            self.queue.push_back(RunEvent::Run { run: Box::new(detail) });
        }
        self.here.clear();
        self.drained = true;
        for job in jobs {
            let over = job.view.status.parse().is_ok_and(JobState::is_final);
            // A job is told before its lines while it runs, and after them when it has ended.
            if over {
                if self.over.insert(job.view.job_id.0) {
                    // What came too late for a log that looked complete is there now.
                    self.complete.retain(|(of, ..)| *of != job.view.job_id.0);
                }
                self.drained &= self.lines(&job, over).await?;
                self.job(&job.view)?;
                continue;
            }
            self.job(&job.view)?;
            if job.attempt > 0 {
                self.following.also(job.view.job_id.0);
                self.drained &= self.lines(&job, over).await?;
            }
            if job.owner == self.app.number {
                self.here.push(job);
            }
        }
        if self.drained && run.state.parse().is_ok_and(RunState::is_final) {
            self.queue.push_back(RunEvent::Ended { status: run.state });
            self.ended = true;
        }
        Ok(())
    }

    /// Puts new lines of jobs that are logged here into the queue.
    async fn tail(&mut self) -> anyhow::Result<()> {
        let here = std::mem::take(&mut self.here);
        self.drained = true;
        for job in &here {
            self.drained &= self.lines(job, false).await?;
        }
        self.here = here;
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
    async fn lines(&mut self, shown: &Shown, over: bool) -> anyhow::Result<bool> {
        let (job, attempt) = (&shown.view, shown.attempt);
        // A job that was kept from another run has the log of the one that ran.
        let ran = job.reused_from.unwrap_or(job.job_id).0;
        for (step, step_over) in started_logs(job, shown.owner == self.app.number) {
            let log = (job.job_id.0, attempt, step);
            while !self.complete.contains(&log) {
                if self.queue.len() >= QUEUE {
                    // Memory stays bounded; the rest comes with the next look.
                    return Ok(false);
                }
                let from = self.cursors.get(&(log.0, step)).copied().unwrap_or(0);
                let page = logs::read_all(&self.app, ran, attempt, step, from, LINES).await?;
                if page.lines.is_empty() {
                    if over || step_over {
                        self.complete.insert(log);
                    }
                    break;
                }
                // After a gap the lines are the last ones before `next`.
                let first = page.next - i64::try_from(page.lines.len())?;
                self.cursors.insert((log.0, step), page.next);
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

/// The logs that a job may have, and whether nothing is added to them any more. What is logged `here` is there when the
/// step ends; elsewhere its last lines may not be stored yet.
fn started_logs(job: &JobView, here: bool) -> Vec<(i32, bool)> {
    let now = Timestamp::now().unix_micros();
    let stored = |step: &StepView| {
        let since = step.completed_at.map(|at| now.saturating_sub(at.unix_micros()));
        here || since.is_some_and(|micros| micros > STORED_WITHIN.as_micros() as i64)
    };
    let mut logs = vec![(OWN_LOG, false)];
    for step in job.steps.iter().flatten().filter(|step| step.status != "pending") {
        let over = step.status.parse().is_ok_and(StepState::is_final) && stored(step);
        match logs.iter_mut().find(|(index, _)| *index == step.step_index) {
            // Hooks may share an index with others.
            Some((_, all_over)) => *all_over &= over,
            None => logs.push((step.step_index, over)),
        }
    }
    for step in job.attempts.iter().flat_map(|attempt| &attempt.steps) {
        if logs.iter().all(|(index, _)| *index != step.step_index) {
            logs.push((step.step_index, false));
        }
    }
    logs
}
