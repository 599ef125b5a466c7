//! What all phases of one job share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::control::Control;
use crate::environment::{self, JobEnv};
use crate::indexes;
use crate::logs::{Logs, StepLog};
use crate::mask::Masker;
use crate::millis;
use crate::process::{Groups, Leftovers};
use crate::requests::Requests;
use crate::secret_outputs::SecretOutputs;
use crate::spec::{Checkout, JobEvent, JobSpec};

/// From TERM to KILL if nobody says otherwise, and at most.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// One job while it runs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) spec: JobSpec,
    /// The repository's files, and where commands run.
    pub(crate) root: PathBuf,
    temp: tempfile::TempDir,
    pub(crate) events: mpsc::Sender<JobEvent>,
    pub(crate) masker: Arc<Masker>,
    pub(crate) logs: Logs,
    /// The job's own log.
    pub(crate) log: Arc<StepLog>,
    pub(crate) control: Arc<Control>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) env: JobEnv,
    /// Every process group that the job has started.
    pub(crate) groups: Groups,
    pub(crate) secret_outputs: SecretOutputs,
    /// The job's own `gracePeriod`, known once its module is loaded.
    own_grace: OnceLock<Duration>,
    /// This process runs this job and nothing else.
    pub(crate) alone: bool,
}

impl Context {
    /// Sets up a job that has not started yet.
    pub(crate) fn new(
        spec: JobSpec,
        events: mpsc::Sender<JobEvent>,
        control: Arc<Control>,
        alone: bool,
    ) -> std::io::Result<Self> {
        let place = spec.temp.clone().unwrap_or_else(std::env::temp_dir);
        let temp = tempfile::Builder::new().prefix("kici-").tempdir_in(place)?;
        let masker = Arc::new(Masker::new(spec.secrets.values().map(String::as_str)));
        let logs = Logs::new(Arc::clone(&masker), events.clone(), spec.max_log_bytes);
        let root = match &spec.checkout {
            Checkout::InPlace { dir } => dir.clone(),
            Checkout::Git { .. } | Checkout::None { .. } => spec.workspace.clone(),
        };
        let vars = environment::of_job(|name| std::env::var(name).ok(), &spec);
        let secrets = spec.secrets.keys().cloned().collect();
        Ok(Self {
            // Absolute and without links, so that positions and paths compare well.
            root: std::fs::canonicalize(&root)?,
            temp,
            masker,
            log: logs.open(indexes::JOB),
            logs,
            control,
            requests: Arc::new(Requests::new(events.clone())),
            events,
            env: JobEnv::new(vars, secrets),
            groups: Groups::default(),
            secret_outputs: SecretOutputs::default(),
            own_grace: OnceLock::new(),
            alone,
            spec,
        })
    }

    /// A directory that is private to the job and vanishes with it.
    pub(crate) fn temp(&self) -> &Path {
        self.temp.path()
    }

    /// Removes the job's private directory now: whoever still holds the context (an engine's thread) may
    /// hold it until the process exits, and then nobody removes it.
    pub(crate) fn remove_temp(&self) {
        let _already_gone = std::fs::remove_dir_all(self.temp());
    }

    /// Tells whoever drives the job.
    pub(crate) async fn say(&self, event: JobEvent) {
        // Nobody listens any more: then there is nobody to tell.
        let _gone = self.events.send(event).await;
    }

    /// From TERM to KILL.
    pub(crate) fn grace(&self) -> Duration {
        let limit = match self.spec.grace_ms {
            None => LONGEST_GRACE,
            Some(ms) => millis::duration(Some(ms as f64)).unwrap_or_default(),
        };
        self.own_grace.get().map_or(limit, |own| limit.min(*own))
    }

    /// Learns the job's own `gracePeriod` (seconds).
    pub(crate) fn learn_grace(&self, seconds: f64) {
        let grace = millis::duration(Some(seconds * 1_000.0)).unwrap_or_default();
        let _already_known = self.own_grace.set(grace);
    }

    /// Processes that belong to this job, by any sign.
    pub(crate) fn leftovers(&self) -> Leftovers<'_> {
        Leftovers { groups: &self.groups, mark: self.temp(), everything: self.alone }
    }

    /// The secrets of the job.
    pub(crate) fn secrets(&self) -> &BTreeMap<String, String> {
        &self.spec.secrets
    }
}
