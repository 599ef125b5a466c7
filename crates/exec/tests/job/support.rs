//! A repository with one workflow, a job of it, and everything that the job said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kici_exec::spec::{EngineWish, JobEvent, JobOrder, JobResult, JobSpec, StepError, StepStatus};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No test's job takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A git repository with `.kici/workflows/ci.ts`, whose jobs run in fresh workspaces.
pub(crate) struct Project {
    pub(crate) dir: TempDir,
    pub(crate) sha: String,
}

impl Project {
    /// A repository whose only workflow, `ci`, has this body (the SDK is imported already).
    pub(crate) fn new(body: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap(), sha: String::new() };
        std::fs::create_dir_all(project.repo()).unwrap();
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.git(&["config", "user.name", "Test"]);
        project.git(&["config", "user.email", "test@example.com"]);
        let mut project = project;
        project.write(".kici/workflows/ci.ts", &module(body));
        project.commit();
        project
    }

    /// One job `work` with these steps.
    pub(crate) fn with_steps(steps: &str) -> Self {
        Self::with_job(&format!("steps: [{steps}]"))
    }

    /// One job `work` with these options.
    pub(crate) fn with_job(options: &str) -> Self {
        Self::new(&format!(
            "export default workflow('ci', {{ jobs: [job('work', {{ runsOn: 'linux', {options} }})] }});"
        ))
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.repo().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&mut self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
        self.sha = self.git(&["rev-parse", "HEAD"]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.repo(), args)
    }

    /// The job `work` at the last commit.
    pub(crate) fn spec(&self) -> JobSpec {
        let workspace = self.dir.path().join("work");
        let _earlier = std::fs::remove_dir_all(&workspace);
        std::fs::create_dir(&workspace).unwrap();
        serde_json::from_value(json!({
            "runId": "run-1",
            "jobId": "job-1",
            "jobName": "work",
            "baseJobName": "work",
            "workflowName": "ci",
            "sourceFile": ".kici/workflows/ci.ts",
            "sourceExport": "#default",
            "checkout": {
                "kind": "git",
                "url": format!("file://{}", self.repo().display()),
                "reference": "main",
                "sha": self.sha,
            },
            "workspace": workspace,
            "mirrors": self.dir.path().join("mirrors"),
            "event": { "type": "push", "payload": {} },
        }))
        .unwrap()
    }

    /// Runs the job `work`.
    pub(crate) async fn run(&self) -> Ran {
        run(self.spec()).await
    }
}

/// The source of a workflow module.
pub(crate) fn module(body: &str) -> String {
    format!(
        "import {{ workflow, job, step, parallel, rule, checkStep, dynamicJob, z }} from '@kici-dev/sdk';\n{body}\n"
    )
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A job that is running.
pub(crate) struct Running {
    pub(crate) orders: mpsc::Sender<JobOrder>,
    events: mpsc::Receiver<JobEvent>,
    result: tokio::task::JoinHandle<JobResult>,
    seen: Vec<JobEvent>,
    started: Instant,
}

/// A job that is over.
pub(crate) struct Ran {
    pub(crate) result: JobResult,
    pub(crate) events: Vec<JobEvent>,
    pub(crate) took: Duration,
}

/// A row that ended.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) step: i64,
    pub(crate) name: String,
    pub(crate) step_type: String,
    pub(crate) status: StepStatus,
    pub(crate) error: Option<StepError>,
    pub(crate) data: Map<String, Value>,
}

pub(crate) async fn run(spec: JobSpec) -> Ran {
    start(spec).end().await
}

pub(crate) async fn run_prepared(prepared: kici_exec::Prepared, spec: JobSpec) -> Ran {
    let running = start_with(|orders, events| {
        tokio::spawn(kici_exec::run_prepared(prepared, spec, orders, events))
    });
    running.end().await
}

pub(crate) fn start(spec: JobSpec) -> Running {
    start_with(|orders, events| tokio::spawn(kici_exec::run_job(spec, orders, events)))
}

fn start_with(
    spawn: impl FnOnce(
        mpsc::Receiver<JobOrder>,
        mpsc::Sender<JobEvent>,
    ) -> tokio::task::JoinHandle<JobResult>,
) -> Running {
    let (orders, order_receiver) = mpsc::channel(8);
    let (event_sender, events) = mpsc::channel(64);
    let result = spawn(order_receiver, event_sender);
    Running { orders, events, result, seen: Vec::new(), started: Instant::now() }
}

impl Running {
    /// Waits until the job says something.
    pub(crate) async fn until(&mut self, what: impl Fn(&JobEvent) -> bool) {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("nothing more was said: {:#?}", self.seen));
            let event = event.unwrap_or_else(|| panic!("the job ended: {:#?}", self.seen));
            let found = what(&event);
            self.seen.push(event);
            if found {
                return;
            }
        }
    }

    /// Waits for a log line that contains `text`.
    pub(crate) async fn until_line(&mut self, text: &str) {
        self.until(|event| {
            matches!(event, JobEvent::Log { lines, .. } if lines.iter().any(|l| l.contains(text)))
        })
        .await;
    }

    /// Waits for a request of this method; returns its number and parameters.
    pub(crate) async fn until_request(&mut self, wanted: &str) -> (u64, Value) {
        self.until(|event| matches!(event, JobEvent::Request { method, .. } if method == wanted))
            .await;
        match self.seen.last() {
            Some(JobEvent::Request { id, params, .. }) => (*id, params.clone()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn answer(&self, id: u64, result: Result<Value, String>) {
        self.orders.send(JobOrder::Answer { id, result }).await.unwrap();
    }

    pub(crate) async fn cancel(&self, force: bool) {
        let reason = "run cancelled via API".to_owned();
        self.orders.send(JobOrder::Cancel { force, reason }).await.unwrap();
    }

    pub(crate) async fn end(mut self) -> Ran {
        loop {
            match tokio::time::timeout(DEADLINE, self.events.recv()).await {
                Ok(Some(event)) => self.seen.push(event),
                Ok(None) => break,
                Err(_) => panic!("the job does not end: {:#?}", self.seen),
            }
        }
        assert!(matches!(self.seen.last(), Some(JobEvent::Ended(_))), "Ended is the last event");
        let took = self.started.elapsed();
        Ran { result: self.result.await.unwrap(), events: self.seen, took }
    }
}

impl Ran {
    /// The log lines of one index.
    pub(crate) fn log(&self, index: i64) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Log { step, lines } if *step == index => Some(lines.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    /// All rows, in the order of their ends.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.events
            .iter()
            .filter_map(|event| match event.clone() {
                JobEvent::StepEnded { step, name, step_type, status, error, data, .. } => {
                    Some(Row { step, name, step_type, status, error, data })
                }
                _ => None,
            })
            .collect()
    }

    /// `name: status` of every row, in the order of their ends.
    pub(crate) fn story(&self) -> Vec<String> {
        self.rows().iter().map(|row| format!("{}: {}", row.name, word(row.status))).collect()
    }

    pub(crate) fn row(&self, name: &str) -> Row {
        self.rows()
            .into_iter()
            .find(|row| row.name == name)
            .unwrap_or_else(|| panic!("no row {name}: {:?}", self.story()))
    }

    /// `result.error`.
    pub(crate) fn error(&self) -> &str {
        self.result.error.as_deref().unwrap_or_default()
    }

    /// Everything that was logged, for messages.
    pub(crate) fn all_logs(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Log { step, lines } => {
                    Some(lines.iter().map(|line| format!("{step}: {line}\n")).collect::<String>())
                }
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn word(status: StepStatus) -> String {
    serde_json::to_value(status).unwrap().as_str().unwrap().to_owned()
}

/// Fails with everything there is to know.
#[track_caller]
pub(crate) fn assert_success(ran: &Ran) {
    assert!(ran.result.error.is_none(), "{}\n{}", ran.error(), ran.all_logs());
    assert_eq!(word_of(&ran.result), "success");
}

pub(crate) fn word_of(result: &JobResult) -> String {
    serde_json::to_value(result.status).unwrap().as_str().unwrap().to_owned()
}

/// Whether a process with this text in its command line exists.
pub(crate) fn process_exists(text: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        !own && String::from_utf8_lossy(&command).replace('\0', " ").contains(text)
    })
}

/// The engines that this machine has. Says so when one is missing.
pub(crate) fn engines() -> Vec<EngineWish> {
    let node = std::env::var_os("KICI_NODE").unwrap_or_else(|| "node".into());
    let node = Command::new(node).arg("--version").output();
    let major = node.ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().trim_start_matches('v').split('.').next()?.parse::<u32>().ok()
    });
    match major {
        Some(24..) => vec![EngineWish::Embedded, EngineWish::Node],
        other => {
            eprintln!(
                "SKIPPED for the Node engine: Node.js 24 is neither KICI_NODE nor on the PATH (found: {other:?})"
            );
            vec![EngineWish::Embedded]
        }
    }
}
