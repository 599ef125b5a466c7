//! Approvals with the real agent and real workflows, under both engines.

use std::process::Command;
use std::time::Duration;

use kici_testkit::{Process, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::env::{Env, job, lock};

/// Real jobs on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const WORKFLOW: &str = r#"
import { job, step, workflow, push } from '@kici-dev/sdk';

const deploy = job('deploy', {
  runsOn: 'linux',
  steps: [
    step('ask', {
      approval: { reason: 'to production' },
      run: async (ctx) => { ctx.log.info('went on'); },
    }),
    step('fix', {
      approval: { when: 'drift' },
      check: async (ctx) => {
        await ctx.setSecretOutput('password', 'hunter2-of-the-host');
        return { port: 80, password: 'hunter2-of-the-host' };
      },
      summarize: (drift) => `port ${drift.port}, password ${drift.password}`,
      run: async (ctx, drift) => { ctx.log.info(`applied ${drift.port}`); },
    }),
    step('last', async (ctx) => { ctx.log.info('the end'); }),
  ],
});
const late = job('late', {
  runsOn: 'linux',
  steps: [
    step('ask', { approval: { timeout: 1 }, run: async () => {} }),
    step('never', async () => {}),
  ],
});
const plain = job('plain', { runsOn: 'linux', steps: [step('s', async (ctx) => { ctx.log.info('ran'); })] });

export default workflow('ci', { on: push(), jobs: [deploy, late, plain] });
"#;

/// An orchestrator, an agent and a repository with the workflow.
struct Real {
    env: Env,
    agent: Process,
    _folder: TempDir,
}

impl Real {
    async fn start(engine: &str) -> Real {
        let env = Env::start().await;
        env.repo.write(".kici/workflows/ci.ts", WORKFLOW);
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_kici-orchestrator"))
            .with_file_name("kici-agent");
        assert!(
            program.is_file(),
            "{} is missing; `cargo build -p kici-agent` makes it",
            program.display()
        );
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("KICI_DATA_DIR", folder.path().join("data"))
            .env("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", env.port()))
            .env("KICI_AGENT_ID", "real")
            .env("KICI_AGENT_TOKEN", "kat_of-the-tests")
            .env("KICI_LABELS", "linux")
            .env("KICI_PORT", "0")
            .env("KICI_JS_ENGINE", engine);
        Real { env, agent: Process::spawn(command), _folder: folder }
    }

    /// Starts a run of these jobs; answers its id.
    async fn push(&self, delivery: &str, file: &Value) -> String {
        let sha = self.env.commit_lock(&file.to_string());
        self.env.push(delivery, &sha).await;
        wait_until(LIMIT, "the run", async || {
            let runs = self.env.runs().await;
            match runs.iter().find(|run| run["sha"] == sha.as_str()) {
                Some(run) => Ok(run["runId"].as_str().unwrap().to_owned()),
                None => Err(format!("{runs:?}")),
            }
        })
        .await
    }

    /// Waits until somebody is asked about this run.
    async fn asked(&self, run: &str) -> Value {
        let path = format!("/api/v1/admin/held-runs?runId={run}&status=pending");
        let hold = wait_until(LIMIT, "a question", async || {
            let list = self.env.admin_get(&path).await["heldRuns"].clone();
            match list.as_array().map(Vec::as_slice) {
                Some([hold]) => Ok(hold["id"].as_str().unwrap().to_owned()),
                _ => Err(format!("{list}\n{}", self.agent.printed())),
            }
        })
        .await;
        self.env.admin_get(&format!("/api/v1/admin/held-runs/{hold}")).await["heldRun"].clone()
    }

    async fn decide(&self, hold: &Value, verb: &str, body: Value) {
        let path = format!("/api/v1/admin/held-runs/{}/{verb}", hold["id"].as_str().unwrap());
        let response = self.env.admin_post(&path, &body).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    async fn ends(&self, run: &str, state: &str) -> Value {
        wait_until(LIMIT, &format!("the run to be {state}"), async || {
            let run = self.env.admin_get(&format!("/api/v1/admin/runs/{run}")).await["run"].clone();
            if run["status"] == state {
                Ok(run)
            } else {
                let jobs = self.env.jobs(&run).await;
                Err(format!("{run}\n{jobs:?}\n{}", self.agent.printed()))
            }
        })
        .await
    }

    /// `name status (error)` of each step of a job.
    async fn steps(&self, run: &Value, job: usize) -> Vec<String> {
        let jobs = self.env.jobs(run).await;
        let shown = |step: &Value| {
            let text = format!(
                "{} {}",
                step["stepName"].as_str().unwrap(),
                step["status"].as_str().unwrap()
            );
            match step["errorMessage"].as_str() {
                Some(error) => format!("{text} ({error})"),
                None => text,
            }
        };
        let steps = jobs[job]["steps"].as_array().unwrap();
        let own = |step: &&Value| step["stepIndex"].as_i64().is_some_and(|index| index >= 0);
        steps.iter().filter(own).map(shown).collect()
    }
}

/// The job as the compiler describes it.
fn declared(name: &str, steps: &[&str], more: Value) -> Value {
    let steps: Vec<Value> =
        steps.iter().map(|step| json!({"name": step, "hasOutputs": false})).collect();
    let mut entry = job(name, more);
    entry["steps"] = steps.into();
    entry
}

fn workflow(jobs: Value) -> Value {
    let mut file = lock(jobs);
    // Nothing to compare the sources with: they are written by hand.
    file["workflows"][0]["contentHash"] = "".into();
    file
}

async fn steps_ask(engine: &str) {
    let real = Real::start(engine).await;
    let file = workflow(json!([declared("deploy", &["ask", "fix", "last"], json!({}))]));

    // Both approved.
    let run = real.push("d1", &file).await;
    let hold = real.asked(&run).await;
    assert_eq!(
        (&hold["hold_scope"], &hold["step_name"], &hold["reason"]),
        (&json!("step"), &json!("ask"), &json!("to production"))
    );
    real.decide(&hold, "approve", json!({})).await;
    let hold = real.asked(&run).await;
    assert_eq!((&hold["hold_scope"], &hold["step_name"]), (&json!("step"), &json!("fix")));
    // Who decides sees what would change, but no secret.
    assert_eq!(
        hold["payload"],
        json!({"summaryMarkdown": "port 80, password ***", "drift": {"port": 80, "password": "***"}})
    );
    real.decide(&hold, "approve", json!({})).await;
    let run = real.ends(&run, "success").await;
    assert_eq!(real.steps(&run, 0).await, ["ask success", "fix success", "last success"]);
    let jobs = real.env.jobs(&run).await;
    let log = real.env.log(&run, &jobs[0], 1).await;
    assert!(log.iter().any(|line| line.contains("applied 80")), "{log:?}");
    assert!(!log.join("\n").contains("hunter2"), "{log:?}");

    // The drift rejected: nothing is applied, and nothing comes after it.
    let run = real.push("d2", &file).await;
    let hold = real.asked(&run).await;
    real.decide(&hold, "approve", json!({})).await;
    let hold = real.asked(&run).await;
    real.decide(&hold, "reject", json!({"reason": "not today"})).await;
    let run = real.ends(&run, "failed").await;
    let steps = real.steps(&run, 0).await;
    assert_eq!(
        steps[..2],
        ["ask success", "fix failed (Step 'fix' approval rejected: not today (bootstrap))"]
    );
    assert!(!steps.contains(&"last success".to_owned()), "{steps:?}");
    let jobs = real.env.jobs(&run).await;
    let log = real.env.log(&run, &jobs[0], 1).await;
    assert!(!log.iter().any(|line| line.contains("applied")), "{log:?}");

    // Nobody decides.
    let file = workflow(json!([declared("late", &["ask", "never"], json!({}))]));
    let run = real.push("d3", &file).await;
    let run = real.ends(&run, "failed").await;
    assert_eq!(
        real.steps(&run, 0).await[0],
        "ask failed (Step 'ask' approval rejected: Approval expired for step hold)"
    );
}

#[tokio::test]
async fn steps_wait_for_people_inside_the_embedded_engine() {
    steps_ask("embedded").await;
}

#[tokio::test]
async fn steps_wait_for_people_inside_node() {
    steps_ask("node").await;
}

async fn jobs_and_runs_ask(engine: &str) {
    let real = Real::start(engine).await;
    let approval = json!({"clauses": [], "when": "always"});
    let mut file = workflow(json!([declared("plain", &["s"], json!({"approval": approval}))]));
    file["workflows"][0]["approval"] = approval.clone();

    let run = real.push("d1", &file).await;
    let hold = real.asked(&run).await;
    assert_eq!(hold["hold_scope"], "workflow");
    real.decide(&hold, "approve", json!({})).await;
    let hold = real.asked(&run).await;
    assert_eq!((&hold["hold_scope"], &hold["job_name"]), (&json!("job"), &json!("plain")));
    real.decide(&hold, "approve", json!({})).await;
    let run = real.ends(&run, "success").await;
    assert_eq!(real.steps(&run, 0).await, ["s success"]);

    // A rejected job never reaches the agent, and the run fails.
    file["workflows"][0].as_object_mut().unwrap().remove("approval");
    let run = real.push("d2", &file).await;
    let hold = real.asked(&run).await;
    real.decide(&hold, "reject", json!({"reason": "not today"})).await;
    let run = real.ends(&run, "failed").await;
    let jobs = real.env.jobs(&run).await;
    assert_eq!(jobs[0]["status"], "cancelled", "{}", jobs[0]);
    assert!(jobs[0]["agentId"].is_null(), "{}", jobs[0]);
}

#[tokio::test]
async fn jobs_and_runs_wait_for_people_before_the_embedded_engine() {
    jobs_and_runs_ask("embedded").await;
}

#[tokio::test]
async fn jobs_and_runs_wait_for_people_before_node() {
    jobs_and_runs_ask("node").await;
}
