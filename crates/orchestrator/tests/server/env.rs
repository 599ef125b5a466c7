//! An orchestrator with a database and a repository of its own.

use std::time::Duration;

use kici_orchestrator::{Config, Server, Start};
use kici_store::{Connect, Store, StoreError};
use kici_testkit::pg::TestDb;
use kici_testkit::{Repo, wait_until};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::FakeAgent;

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const ADMIN: &str = "bootstrap-token-of-the-tests-0123456789";
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// See the module.
pub(crate) struct Env {
    pub(crate) repo: Repo,
    pub(crate) db: TestDb,
    pub(crate) data: TempDir,
    pub(crate) client: Client,
    server: Option<Server>,
    extra: Vec<(String, String)>,
    source: String,
    port: u16,
}

/// A migrated database; the first one prepares a template for the others.
pub(crate) async fn database() -> TestDb {
    TestDb::migrated(async |url: &str| -> Result<(), StoreError> {
        let store =
            Store::connect(url, Connect { max_connections: 2, ..Connect::default() }).await?;
        store.migrate().await?;
        store.close().await;
        Ok(())
    })
    .await
}

/// What an orchestrator is started with, as variables.
pub(crate) fn variables(database: &str, data: &std::path::Path) -> Vec<(String, String)> {
    [
        ("KICI_MODE", "independent"),
        ("KICI_DATABASE_URL", database),
        ("KICI_SECRET_KEY", KEY),
        ("KICI_DATA_DIR", data.to_str().unwrap()),
        ("KICI_PORT", "0"),
        ("KICI_AGENT_AUTH", "none"),
        ("KICI_BOOTSTRAP_ADMIN_TOKEN", ADMIN),
        ("KICI_LOG_LEVEL", "debug"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

impl Env {
    pub(crate) async fn start() -> Env {
        Env::start_with(&[]).await
    }

    /// Starts with further variables.
    pub(crate) async fn start_with(extra: &[(&str, &str)]) -> Env {
        // The second test of a process finds the provider there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut env = Env {
            repo: Repo::init(),
            db: database().await,
            data: TempDir::new().unwrap(),
            client: Client::new(),
            server: None,
            extra: extra
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            source: String::new(),
            port: 0,
        };
        env.boot().await;
        env.source = env.make_source(env.repo.path().to_str().unwrap()).await;
        env
    }

    /// Starts the orchestrator, for the first time or again.
    pub(crate) async fn boot(&mut self) {
        let server = self.another().await;
        self.port = server.address.port();
        self.server = Some(server);
    }

    /// Starts a further orchestrator on the same database.
    pub(crate) async fn another(&self) -> Server {
        let (config, _) = Config::from_vars(self.variables()).unwrap();
        kici_orchestrator::logging::start(&config.log);
        Start { config }.run().await.unwrap()
    }

    /// What orchestrators here are started with.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut vars = variables(self.db.url(), self.data.path());
        vars.retain(|(name, _)| !self.extra.iter().any(|(other, _)| other == name));
        vars.extend(self.extra.iter().cloned());
        vars
    }

    /// Stops the orchestrator in good order.
    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Another orchestrator on the same database.
    pub(crate) async fn second(&self) -> Second {
        let mut vars = variables(self.db.url(), self.data.path());
        vars.retain(|(name, _)| !self.extra.iter().any(|(other, _)| other == name));
        vars.extend(self.extra.iter().cloned());
        let (config, _) = Config::from_vars(vars).unwrap();
        Second(Start { config }.run().await.unwrap())
    }

    /// Points this environment at an orchestrator that runs elsewhere.
    pub(crate) fn use_port(&mut self, port: u16) {
        self.port = port;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn agent(&self, id: &str, labels: &[&str]) -> FakeAgent {
        FakeAgent::ready(self.port, id, labels).await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    async fn make_source(&self, base: &str) -> String {
        let body = json!({
            "orgId": "acme", "name": "repo", "providerType": "local", "localConfig": {"repoBasePath": base},
            "verificationMethod": "none", "verificationConfig": {}, "rateLimitRpm": 100_000,
        });
        let response = self.admin_post("/api/v1/admin/generic-sources", &body).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let made: Value = response.json().await.unwrap();
        made["source"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn admin_post(&self, path: &str, body: &Value) -> Response {
        self.client.post(self.url(path)).bearer_auth(ADMIN).json(body).send().await.unwrap()
    }

    pub(crate) async fn admin_get(&self, path: &str) -> Value {
        let response = self.client.get(self.url(path)).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// After a cut: waits until the API finds no dead connection any more.
    pub(crate) async fn settle_down(&self) {
        let mut good = 0;
        wait_until(LIMIT, "answers without an error", async || {
            let get = self.client.get(self.url("/api/v1/admin/runs")).bearer_auth(ADMIN);
            good = if get.send().await.unwrap().status() == StatusCode::OK { good + 1 } else { 0 };
            if good > 20 { Ok(()) } else { Err(good) }
        })
        .await;
    }

    /// Commits a lock file with one workflow `ci` for pushes.
    pub(crate) fn commit_jobs(&self, jobs: Value) -> String {
        self.commit_lock(&lock(jobs).to_string())
    }

    /// Commits any text as lock file.
    pub(crate) fn commit_lock(&self, text: &str) -> String {
        self.repo.write(".kici/kici.lock.json", text).commit("lock file")
    }

    /// Delivers a push of a commit.
    pub(crate) async fn push(&self, delivery: &str, sha: &str) -> Response {
        self.push_of(".", delivery, sha).await
    }

    /// The same for a named repository.
    pub(crate) async fn push_of(&self, repo: &str, delivery: &str, sha: &str) -> Response {
        let body = json!({
            "ref": "refs/heads/main", "after": sha,
            "repository": {"full_name": repo, "default_branch": "main"},
        });
        self.client
            .post(self.url(&format!("/webhook/acme/generic/{}", self.source)))
            .header("x-event-type", "push")
            .header("x-delivery-id", delivery)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// All runs, oldest first.
    pub(crate) async fn runs(&self) -> Vec<Value> {
        let mut runs = self.admin_get("/api/v1/admin/runs?limit=100").await["runs"]
            .as_array()
            .unwrap()
            .clone();
        runs.reverse();
        runs
    }

    /// Cancels a run; answers the status and the body.
    pub(crate) async fn cancel(&self, run: &Value, body: &Value) -> (StatusCode, Value) {
        let path = format!("/api/v1/admin/runs/{}/cancel", run["runId"].as_str().unwrap());
        let answer = self.admin_post(&path, body).await;
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits for the only run to have this state.
    pub(crate) async fn run_is(&self, state: &str) -> Value {
        wait_until(LIMIT, &format!("the run to be {state}"), async || {
            let runs = self.runs().await;
            match runs.as_slice() {
                [run] if run["status"] == state => Ok(run.clone()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// The jobs of a run with their steps.
    pub(crate) async fn jobs(&self, run: &Value) -> Vec<Value> {
        let path =
            format!("/api/v1/admin/runs/{}/jobs?includeSteps=true", run["runId"].as_str().unwrap());
        self.admin_get(&path).await["jobs"].as_array().unwrap().clone()
    }

    /// `name status (error)` of each job of the only run.
    pub(crate) async fn shown(&self) -> Vec<String> {
        let runs = self.runs().await;
        let Some(run) = runs.first() else { return Vec::new() };
        let shown = |job: &Value| {
            let name =
                format!("{} {}", job["jobName"].as_str().unwrap(), job["status"].as_str().unwrap());
            match job["errorMessage"].as_str() {
                Some(error) => format!("{name} ({error})"),
                None => name,
            }
        };
        self.jobs(run).await.iter().map(shown).collect()
    }

    /// Waits until the jobs look like this.
    pub(crate) async fn jobs_are(&self, wanted: &[&str]) {
        wait_until(LIMIT, &format!("{wanted:?}"), async || {
            let shown = self.shown().await;
            if shown == wanted { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }

    /// The texts of a step's log.
    pub(crate) async fn log(&self, run: &Value, job: &Value, step: i64) -> Vec<String> {
        let base = format!(
            "/api/v1/admin/runs/{}/jobs/{}/steps/{step}/logs?limit=2000",
            run["runId"].as_str().unwrap(),
            job["jobId"].as_str().unwrap()
        );
        let mut lines = Vec::new();
        loop {
            let page = self.admin_get(&format!("{base}&cursor={}", lines.len())).await;
            for line in page["lines"].as_array().unwrap() {
                let line: Value = serde_json::from_str(line["value"].as_str().unwrap()).unwrap();
                lines.push(line["msg"].as_str().unwrap().to_owned());
            }
            if page["nextCursor"].is_null() {
                return lines;
            }
        }
    }
}

/// See [`Env::second`].
pub(crate) struct Second(Server);

impl Second {
    pub(crate) fn port(&self) -> u16 {
        self.0.address.port()
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

/// A lock file with one workflow `ci` for pushes.
pub(crate) fn lock(jobs: Value) -> Value {
    json!({
        "schemaVersion": 29,
        "source": {"file": ".kici/workflows/ci.ts", "export": "#default"},
        "contentHash": "",
        "workflows": [{
            "name": "ci", "source": {"file": ".kici/workflows/ci.ts", "export": "#default"},
            "contentHash": "ab", "compileSchemaVersion": 5,
            "triggers": [{"_type": "push", "branches": [], "paths": []}],
            "jobs": jobs,
        }],
    })
}

/// A job with one step.
pub(crate) fn job(name: &str, more: Value) -> Value {
    let mut job = json!({
        "_type": "static", "name": name, "runsOn": [{"kind": "exact", "value": "linux"}],
        "runsOnPick": "deterministic", "needs": [], "steps": [{"name": "s", "hasOutputs": false}],
    });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    job
}
