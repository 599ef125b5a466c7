//! What the engine tests share: a repository in a temporary directory and a host that writes down.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kici_workflow::describe::{FnHandle, JobEntry, StepEntry};
use kici_workflow::engine::{
    Call, CallId, CallKind, Engine, EngineKind, Host, HostAnswer, HostError, Limits, LoadError,
    LoadMode, LoadRequest, Push, SdkChoice,
};
use serde_json::{Value, json};

/// The engines that every shared test runs on.
pub(crate) const BOTH: [EngineKind; 2] = [EngineKind::Embedded, EngineKind::Node];

/// A repository with files, removed at the end.
pub(crate) struct Repo(pub(crate) tempfile::TempDir);

impl Repo {
    /// Writes the files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            repo.write(path, text);
        }
        repo
    }

    /// A workflow `w` with one job whose steps are the given functions.
    pub(crate) fn steps(preamble: &str, steps: &[&str]) -> Self {
        Self::new(&[("ci.ts", &module(preamble, steps))])
    }

    /// Adds a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A request to load `ci.ts`.
    pub(crate) fn request(&self) -> LoadRequest {
        LoadRequest {
            root: self.path().to_path_buf(),
            entry: "ci.ts".into(),
            mode: LoadMode::Run,
            sdk: SdkChoice::BuiltIn,
            env: vec![
                ("PATH".into(), std::env::var("PATH").unwrap()),
                ("GREETING".into(), "moin".into()),
            ],
            state: json!({}),
            limits: Limits { load: Duration::from_secs(20), memory: 256 * 1024 * 1024 },
        }
    }

    /// Loads it.
    pub(crate) async fn start(&self, kind: EngineKind) -> Result<Started, LoadError> {
        self.start_with(kind, self.request()).await
    }

    /// Loads it with a request of one's own.
    pub(crate) async fn start_with(
        &self,
        kind: EngineKind,
        request: LoadRequest,
    ) -> Result<Started, LoadError> {
        let host = Arc::new(Notes::default());
        let engine = Engine::start(kind, request, Arc::clone(&host) as Arc<dyn Host>).await?;
        Ok(Started { engine, host })
    }

    /// Runs the first step and stops the engine.
    pub(crate) async fn run(
        &self,
        kind: EngineKind,
    ) -> Result<Option<Value>, kici_workflow::engine::CallError> {
        let started = self.start(kind).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let outcome = started.call(0, json!(null)).outcome().await;
        started.engine.stop().await;
        outcome
    }
}

/// The text of a module with a workflow of these steps.
pub(crate) fn module(preamble: &str, steps: &[&str]) -> String {
    let steps: Vec<String> =
        steps.iter().enumerate().map(|(index, run)| format!("step('s{index}', {run})")).collect();
    format!(
        "import {{ workflow, job, step }} from '@kici-dev/sdk';\n{preamble}\nexport default workflow('w', {{ jobs: [job('j', {{ runsOn: 'linux', steps: [{}] }})] }});\n",
        steps.join(",\n")
    )
}

/// A running engine and what its code said.
pub(crate) struct Started {
    pub(crate) engine: Engine,
    pub(crate) host: Arc<Notes>,
}

impl Started {
    /// The handle of a step's function.
    pub(crate) fn step(&self, index: usize) -> FnHandle {
        let JobEntry::Static(job) = &self.engine.description().workflows[0].jobs[0] else {
            panic!("a static job")
        };
        let StepEntry::Step(step) = &job.steps[index] else { panic!("a step") };
        step.run.handle
    }

    /// Calls a step's function with plain data.
    pub(crate) fn call(&self, step: usize, data: Value) -> kici_workflow::engine::RunningCall {
        self.begin(step, data, CallKind::Plain, Duration::from_secs(20))
    }

    /// Calls a step's function.
    pub(crate) fn begin(
        &self,
        step: usize,
        data: Value,
        kind: CallKind,
        budget: Duration,
    ) -> kici_workflow::engine::RunningCall {
        self.engine.begin(Call { function: self.step(step), kind, data, args: Vec::new(), budget })
    }
}

/// A host that knows the methods `double` and `env.set`, and keeps what it is told.
#[derive(Default)]
pub(crate) struct Notes {
    notices: Mutex<Vec<(CallId, Value)>>,
    env: Mutex<Vec<(String, Value)>>,
}

impl Notes {
    /// All log texts so far, joined.
    pub(crate) fn text(&self) -> String {
        let notices = self.notices.lock().unwrap();
        notices.iter().filter_map(|(_, params)| params["text"].as_str()).collect()
    }

    /// What one call has logged.
    pub(crate) fn text_of(&self, call: CallId) -> String {
        let notices = self.notices.lock().unwrap();
        notices
            .iter()
            .filter(|(of, _)| *of == call)
            .filter_map(|(_, params)| params["text"].as_str())
            .collect()
    }

    /// The variables that author code has set.
    pub(crate) fn env(&self) -> Vec<(String, Value)> {
        self.env.lock().unwrap().clone()
    }

    /// Waits until the log contains `wanted`.
    pub(crate) async fn wait_for(&self, wanted: &str) {
        let waiting = async {
            while !self.text().contains(wanted) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            panic!("the log never said {wanted:?}; it says {:?}", self.text());
        }
    }
}

impl Host for Notes {
    fn request(&self, _call: CallId, method: &str, params: Value, _push: Push) -> HostAnswer {
        if method == "env.set" {
            self.env
                .lock()
                .unwrap()
                .push((params["key"].as_str().unwrap().to_owned(), params["value"].clone()));
        }
        let method = method.to_owned();
        Box::pin(async move {
            match method.as_str() {
                "double" => Ok(json!(params.as_f64().unwrap() * 2.0)),
                "env.set" => Ok(Value::Null),
                other => Err(HostError {
                    name: "Error".into(),
                    message: format!("the host has no method {other}"),
                    data: Value::Null,
                }),
            }
        })
    }

    fn notify(&self, call: CallId, _method: &str, params: Value) {
        self.notices.lock().unwrap().push((call, params));
    }
}
