//! Carries one job through: folder, process, events, result.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kici_exec::Circumstances;
use kici_exec::spec::{JobEvent, JobOrder, JobResult, JobSpec, JobStatus};
use kici_protocol::agent::{
    EnvCategory, EnvVar, FromAgent, JobContextBody, JobDispatch, JobRuntime, JobState, Secret,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::death::Death;
use super::voice::{self, StepName, StepOutcome, Voice};
use super::workdir::Folders;
use super::{JobProcess, Note, Surroundings, afterlife, dispatch, evaluate, orphans, process};
use crate::chain::Chain;
use crate::facts;

/// A process that told its result has nothing left to do.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// A job and its end of the channels to the agent.
pub(super) struct Task {
    pub(super) dispatch: Box<JobDispatch>,
    pub(super) voice: Voice,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) cancels: mpsc::Receiver<JobOrder>,
    pub(super) answers: mpsc::Receiver<JobOrder>,
    pub(super) kill: CancellationToken,
    pub(super) surroundings: Surroundings,
}

/// How the job process ended its talk.
enum End {
    Result(Box<JobResult>),
    /// Without a result.
    Silent(String),
}

impl Task {
    /// Until its folder is gone.
    pub(super) async fn run(mut self) {
        let folders = match Folders::create() {
            Ok(folders) => folders,
            Err(error) => {
                let error = format!("cannot make a folder for the job: {error}");
                return self
                    .end(JobState::Failed, self.voice.failed(JobState::Failed, &error))
                    .await;
            }
        };
        match dispatch::to_spec(&self.dispatch, &self.surroundings.defaults, &folders) {
            Err(unfit) => {
                let status = self.voice.failed(JobState::Failed, &unfit.to_string());
                self.end(JobState::Failed, status).await;
            }
            Ok(spec) => {
                self.tell(self.voice.context(self.context(&spec, &folders.work))).await;
                self.tell(self.voice.execution_started()).await;
                self.run_process(&spec, &folders).await;
            }
        }
        let removed = tokio::task::spawn_blocking(move || {
            if let Err((folder, error)) = folders.remove() {
                tracing::warn!(%error, "cannot remove the job's folder {}", folder.display());
            }
        });
        // Only a panic of ours, which was printed.
        let _ = removed.await;
    }

    async fn run_process(&mut self, spec: &JobSpec, folders: &Folders) {
        let before = Circumstances::now();
        let (end, mut process) = self.converse(spec, folders).await;
        match end {
            End::Result(result) => {
                let status = self.result_status(*result).await;
                let state = match &status {
                    FromAgent::JobStatus(status) => status.state,
                    _ => JobState::Failed,
                };
                self.end(state, status).await;
                if let Some(process) = &mut process {
                    self.see_off(process).await;
                }
            }
            End::Silent(error) => {
                let status = match &mut process {
                    None => self.voice.failed_because(&error, json!({ "kind": "not-started" })),
                    Some(process) => {
                        let exit = process.finish(Duration::from_millis(200)).await;
                        orphans::kill_all();
                        let tail = process.stderr_tail().await;
                        let death = Death::examine(error, exit.ok(), tail, &before, folders);
                        self.voice.failed_because(&self.masked(death.text()), death.fields())
                    }
                };
                self.end(JobState::Failed, status).await;
            }
        }
    }

    /// Runs until the process has told its result or cannot any more.
    async fn converse(&mut self, spec: &JobSpec, folders: &Folders) -> (End, Option<JobProcess>) {
        if let Some(mut process) = self.surroundings.warm.take() {
            self.tell_process(&process, folders).await;
            // A waiting process may have died meanwhile; then its first words never come.
            if let Ok(()) = process.begin(spec).await
                && let Some(first) = process.event().await
            {
                return self.listen(process, Some(first)).await;
            }
            tracing::warn!("the waiting job process was gone; starting another one");
        }
        match self.surroundings.launcher.start() {
            Err(error) => (End::Silent(Chain(&error).to_string()), None),
            Ok(mut process) => {
                self.tell_process(&process, folders).await;
                match process.begin(spec).await {
                    Ok(()) => self.listen(process, None).await,
                    Err(error) => (End::Silent(Chain(&error).to_string()), Some(process)),
                }
            }
        }
    }

    async fn listen(
        &mut self,
        mut process: JobProcess,
        first: Option<Result<JobEvent, process::ProcessError>>,
    ) -> (End, Option<JobProcess>) {
        let mut waiting: Option<Note> = None;
        let mut first = first;
        loop {
            if let Some(event) = first.take() {
                match self.hear(event) {
                    Ok(note) => waiting = note,
                    Err(end) => return (end, Some(process)),
                }
            }
            tokio::select! {
                biased;
                () = self.kill.cancelled() => {
                    process.kill();
                    return (End::Silent("the job was stopped by the agent".to_owned()), Some(process));
                }
                Some(order) = self.cancels.recv() => {
                    if let Err(error) = process.order(&order).await {
                        tracing::warn!("{}; killing it", Chain(&error));
                        process.kill();
                    }
                }
                Some(order) = self.answers.recv() => {
                    if let Err(error) = process.order(&order).await {
                        tracing::warn!("{}", Chain(&error));
                    }
                }
                permit = self.notes.reserve(), if waiting.is_some() => {
                    match (permit, waiting.take()) {
                        (Ok(permit), Some(note)) => permit.send(note),
                        // The agent let go of the job, which also kills it.
                        (Err(_), _) | (_, None) => self.kill.cancel(),
                    }
                }
                event = process.event(), if waiting.is_none() => match event {
                    Some(event) => first = Some(event),
                    None => return (End::Silent(String::new()), Some(process)),
                },
            }
        }
    }

    /// Puts an event of the process into a note, if it is worth one; the result or nonsense ends the talk.
    fn hear(&self, event: Result<JobEvent, process::ProcessError>) -> Result<Option<Note>, End> {
        let event = event.map_err(|error| End::Silent(Chain(&error).to_string()))?;
        Ok(Some(match event {
            JobEvent::Log { step, lines } => {
                let bytes: usize = lines.iter().map(String::len).sum();
                self.surroundings.metrics.log_taken(bytes as u64);
                Note::Log { step, lines }
            }
            JobEvent::StepStarted { step, name, step_type, pending, group_id } => {
                let step = StepName {
                    index: step,
                    name: &name,
                    kind: &step_type,
                    group: group_id.as_deref(),
                };
                Note::Fact(Box::new(self.voice.step_started(&step, pending)))
            }
            JobEvent::StepEnded {
                step,
                name,
                step_type,
                status,
                duration_ms,
                error,
                secrets_accessed,
                log_bytes,
                data,
                group_id,
            } => {
                if step_type == "step" {
                    self.surroundings
                        .metrics
                        .step_ended(status, Duration::from_millis(duration_ms));
                }
                let step = StepName {
                    index: step,
                    name: &name,
                    kind: &step_type,
                    group: group_id.as_deref(),
                };
                let outcome =
                    StepOutcome { status, duration_ms, error, secrets_accessed, log_bytes, data };
                Note::Fact(Box::new(self.voice.step_ended(&step, outcome)))
            }
            JobEvent::Request { id, method, params } => Note::Request { id, method, params },
            JobEvent::CheckedOut { duration_ms } => {
                self.surroundings.metrics.checked_out(Duration::from_millis(duration_ms));
                return Ok(None);
            }
            JobEvent::Ended(result) => return Err(End::Result(Box::new(result))),
        }))
    }

    async fn result_status(&mut self, mut result: JobResult) -> FromAgent {
        let mut sealed = None;
        if result.status == JobStatus::Success {
            let key = self.dispatch.run_public_key.as_deref();
            match voice::seal(&result.secret_outputs, key) {
                Ok(outputs) => sealed = outputs,
                Err(error) => {
                    result.status = JobStatus::Failed;
                    result.error = Some(format!("cannot seal the secret outputs: {error}"));
                }
            }
            if key.is_none() && !result.secret_outputs.is_empty() {
                let names: Vec<&str> = result.secret_outputs.keys().map(String::as_str).collect();
                let line = format!(
                    "[kici] Secret outputs dropped, the dispatch brought no key for them: {}",
                    names.join(", ")
                );
                self.note(Note::Log { step: -1, lines: vec![line] }).await;
            }
        }
        self.voice.ended(&result, sealed)
    }

    /// The process told its result: it has a moment to go by itself.
    async fn see_off(&self, process: &mut JobProcess) {
        match process.finish(EXIT_PATIENCE).await {
            Ok(status) if status.code().is_none() => {
                tracing::warn!(job.id = %self.voice.job().job_id, "the job process had to be killed");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot wait for the job process"),
        }
    }

    fn masked(&self, text: String) -> String {
        mask(text, self.dispatch.secrets.values().map(Secret::expose))
    }

    fn context(&self, spec: &JobSpec, folder: &Path) -> JobContextBody {
        let var = |(name, value): (&String, &String), category| EnvVar {
            name: name.clone(),
            value: self.masked(value.clone()),
            category,
        };
        let host: BTreeMap<_, _> = self.surroundings.launcher.env().iter().cloned().collect();
        let vars = host
            .iter()
            .map(|pair| var(pair, EnvCategory::Inherited))
            .chain(spec.env.iter().map(|pair| var(pair, EnvCategory::User)))
            .chain(spec.secrets.keys().map(|name| EnvVar {
                name: name.clone(),
                value: "***".to_owned(),
                category: EnvCategory::Secret,
            }));
        JobContextBody {
            env_vars: Some(vars.collect()),
            runtime: Some(JobRuntime {
                node_version: None,
                os: Some(facts::platform().to_owned()),
                arch: Some(facts::arch().to_owned()),
            }),
            sandbox_type: Some("bare-metal".to_owned()),
            labels: Some(self.surroundings.labels.clone()),
            working_directory: Some(folder.display().to_string()),
            git_ref: Some(self.dispatch.reference.clone()),
        }
    }

    /// Before the process gets anything to do, so that a crash of the agent leaves nothing unknown.
    async fn tell_process(&self, process: &JobProcess, folders: &Folders) {
        let record = afterlife::record(process.pid(), &[&folders.work, &folders.temp]);
        self.note(Note::Process(record)).await;
    }

    async fn tell(&self, message: FromAgent) {
        self.note(Note::Fact(Box::new(message))).await;
    }

    async fn end(&self, state: JobState, status: FromAgent) {
        let status = evaluate::mark(&self.dispatch.job_config, status);
        self.note(Note::Ended { state, status: Box::new(status) }).await;
    }

    async fn note(&self, note: Note) {
        if self.notes.send(note).await.is_err() {
            self.kill.cancel();
        }
    }
}

/// Hides secrets in what the job process wrote outside of its masked log.
fn mask<'a>(text: String, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut secrets: Vec<&str> = secrets.filter(|secret| secret.len() >= 3).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().fold(text, |text, secret| text.replace(secret, "***"))
}
