//! Approvals: what is held, who may open it, and that a hold has exactly one outcome.

use std::time::Duration;

use kici_orchestrator::{Config, Server, Start};
use kici_testkit::wait_until;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{ADMIN, Env, LIMIT, job, lock, variables};

fn approval(more: Value) -> Value {
    let mut approval = json!({"clauses": [], "when": "always"});
    approval.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "approval": approval })
}

/// Waits for this many pending holds.
async fn pending(env: &Env, count: usize) -> Vec<Value> {
    wait_until(LIMIT, &format!("{count} pending holds"), async || {
        let list = env.admin_get("/api/v1/admin/held-runs").await["heldRuns"].clone();
        match list.as_array() {
            Some(holds) if holds.len() == count => Ok(holds.clone()),
            _ => Err(list),
        }
    })
    .await
}

fn path(hold: &Value, verb: &str) -> String {
    format!("/api/v1/admin/held-runs/{}/{verb}", hold["id"].as_str().unwrap())
}

async fn decide(env: &Env, hold: &Value, verb: &str, body: Value) -> (u16, Value) {
    let response = env.admin_post(&path(hold, verb), &body).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A token for a person.
async fn person(env: &Env, label: &str, teams: &[&str], role: &str) -> String {
    let body = json!({"label": label, "role": role, "teams": teams});
    let made: Value = env.admin_post("/api/v1/admin/tokens", &body).await.json().await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

async fn decide_as(env: &Env, token: &str, hold: &Value, verb: &str) -> (u16, Value) {
    let request = env.client.post(env.url(&path(hold, verb))).bearer_auth(token);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_job_waits_for_its_approval_also_over_a_restart() {
    let mut env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("build", json!({})),
        job("deploy", {
            let mut more = approval(json!({"reason": "to production"}));
            more["needs"] = json!(["build"]);
            more
        }),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let build = agent.take().await;
    let run = env.runs().await[0]["runId"].as_str().unwrap().to_owned();
    let planned = env.admin_get(&format!("/api/v1/admin/held-runs?runId={run}")).await;
    let planned = &planned["heldRuns"][0];
    assert_eq!(planned["status"], "planned", "nobody is asked while the job waits for others");
    let (status, body) = decide(&env, planned, "approve", json!({})).await;
    assert_eq!((status, &body["status"]), (409, &json!("planned")), "{body}");

    agent.start(&build).await;
    agent.end(&build, "success", json!({})).await;
    env.jobs_are(&["build success", "deploy held"]).await;
    agent.vanish();
    env.stop().await;
    env.boot().await;
    let holds = pending(&env, 1).await;
    let hold = &holds[0];
    assert_eq!(
        (&hold["hold_scope"], &hold["job_name"], &hold["reason"]),
        (&json!("job"), &json!("deploy"), &json!("to production"))
    );
    assert_eq!(hold["approval_requirement"], json!([]));
    let jobs = env.jobs(&env.runs().await[0]).await;
    assert_eq!(jobs[1]["waitReason"], json!({"kind": "approval", "approvers": []}));

    let mut agent = env.agent("a1", &["linux"]).await;
    agent.hears_nothing(Duration::from_millis(300)).await;
    let (status, body) = decide(&env, hold, "approve", json!({"comment": "go"})).await;
    assert_eq!(status, 200, "{body}");
    let hold = &body["heldRun"];
    assert_eq!(
        (&hold["status"], &hold["approved_by"], &hold["comment"]),
        (&json!("approved"), &json!("bootstrap"), &json!("go"))
    );
    agent.run("deploy", "success", json!({})).await;
    env.run_is("success").await;
    let (status, body) = decide(&env, hold, "reject", json!({})).await;
    assert_eq!((status, &body["status"]), (409, &json!("approved")));
    let error = body["error"].as_str().unwrap();
    assert!(error.starts_with("This hold was approved already by bootstrap at 20"), "{error}");
}

#[tokio::test]
async fn a_hold_that_nobody_opens_fails_the_run() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("deploy", approval(json!({"timeoutSeconds": 1}))),
        job("after", json!({"needs": ["deploy"]})),
    ]));
    env.push("d1", &sha).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Approval expired for job hold");
    env.jobs_are(&[
        "deploy cancelled (Approval expired for job hold)",
        "after skipped (upstream_unmet: deploy (cancelled))",
    ])
    .await;
}

#[tokio::test]
async fn a_rejected_run_starts_nothing_whatever_its_jobs_would_accept() {
    let env = Env::start().await;
    let always = json!([{"name": "a", "runOn": ["success", "failed", "cancelled", "skipped"]}]);
    let mut file = lock(json!([
        job("a", json!({})),
        job("b", approval(json!({}))),
        job("cleanup", json!({ "needs": always })),
    ]));
    file["workflows"][0]["approval"] = json!({"clauses": [], "when": "always"});
    let sha = env.commit_lock(&file.to_string());
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    env.run_is("held").await;
    env.jobs_are(&["a held", "b held", "cleanup pending"]).await;
    let holds = pending(&env, 1).await;
    assert_eq!((&holds[0]["hold_scope"], &holds[0]["job_id"]), (&json!("workflow"), &Value::Null));
    let (status, _) = decide(&env, &holds[0], "reject", json!({"reason": "not today"})).await;
    assert_eq!(status, 200);
    let run = env.run_is("failed").await;
    let reason = "Approval rejected for workflow hold by bootstrap: not today";
    assert_eq!(run["failureReason"], reason);
    let ended = |name: &str| format!("{name} cancelled ({reason})");
    let jobs: Vec<String> = ["a", "b", "cleanup"].map(ended).to_vec();
    env.jobs_are(&jobs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    pending(&env, 0).await;
    agent.hears_nothing(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn an_approved_run_asks_for_the_approvals_of_its_jobs_next() {
    let env = Env::start().await;
    let mut file = lock(json!([job("a", json!({})), job("b", approval(json!({})))]));
    file["workflows"][0]["approval"] = json!({"clauses": [], "when": "always"});
    let sha = env.commit_lock(&file.to_string());
    env.push("d1", &sha).await;
    let holds = pending(&env, 1).await;
    decide(&env, &holds[0], "approve", json!({})).await;
    env.jobs_are(&["a queued", "b held"]).await;
    env.run_is("pending").await;
    let mut agent = env.agent("a1", &["linux"]).await;
    agent.run("a", "success", json!({})).await;
    let holds = pending(&env, 1).await;
    assert_eq!(holds[0]["job_name"], "b");
    decide(&env, &holds[0], "approve", json!({})).await;
    agent.run("b", "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn every_clause_needs_somebody_who_satisfies_it() {
    let env = Env::start().await;
    let clauses = json!([{"user": "ada"}, {"team": "ops"}]);
    let sha = env.commit_jobs(json!([job("deploy", approval(json!({ "clauses": clauses })))]));
    env.push("d1", &sha).await;
    let hold = pending(&env, 1).await.remove(0);
    let bob = person(&env, "bob", &["ops", "web"], "admin").await;
    let ada = person(&env, "ada", &[], "admin").await;
    let eve = person(&env, "eve", &["web"], "admin").await;
    let auditor = person(&env, "ada", &["ops"], "auditor").await;

    assert_eq!(decide_as(&env, &auditor, &hold, "approve").await.0, 403);
    let (status, body) = decide_as(&env, &eve, &hold, "approve").await;
    assert_eq!(status, 403);
    assert_eq!(body["error"], "'eve' is none of those who have to approve: user ada, team ops");
    let (status, body) = decide_as(&env, &bob, &hold, "approve").await;
    assert_eq!((status, &body["heldRun"]["status"]), (200, &json!("pending")));
    assert_eq!(body["heldRun"]["outstanding"], json!([{"user": "ada"}]));
    let (status, body) = decide_as(&env, &bob, &hold, "approve").await;
    assert_eq!(status, 403);
    assert_eq!(body["error"], "'bob' has approved this already; it still needs user ada");
    env.jobs_are(&["deploy held"]).await;
    let (status, body) = decide_as(&env, &ada, &hold, "approve").await;
    assert_eq!((status, &body["heldRun"]["status"]), (200, &json!("approved")));
    let decided: Vec<&str> = body["heldRun"]["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| decision["who"].as_str().unwrap())
        .collect();
    assert_eq!(decided, ["bob", "ada"]);
    env.jobs_are(&["deploy queued"]).await;
}

#[tokio::test]
async fn whatever_comes_at_the_same_time_a_hold_has_one_outcome() {
    let env = Env::start().await;
    let jobs: Vec<Value> = (0..6).map(|n| job(&format!("j{n}"), approval(json!({})))).collect();
    let sha = env.commit_jobs(json!(jobs));
    env.push("d1", &sha).await;
    let holds = pending(&env, 6).await;
    let run = env.runs().await[0]["runId"].as_str().unwrap().to_owned();
    let cancel = format!("/api/v1/admin/runs/{run}/cancel");
    let both = futures_util::future::join_all(holds.iter().map(async |hold| {
        let (yes, no) = tokio::join!(
            decide(&env, hold, "approve", json!({})),
            decide(&env, hold, "reject", json!({}))
        );
        [yes, no].map(|(status, body)| {
            assert!(matches!(status, 200 | 409), "{status} {body}");
            status == 200
        })
    }));
    let (both, _) = tokio::join!(both, async {
        env.admin_post(&cancel, &json!({})).await;
    });
    for [yes, no] in both {
        assert!(!(yes && no), "approved and rejected");
    }
    wait_until(LIMIT, "the run to end", async || {
        let run = env.runs().await.remove(0);
        match run["status"].as_str() {
            Some("failed" | "cancelled") => Ok(()),
            _ => Err(run),
        }
    })
    .await;
    pending(&env, 0).await;
}

/// A job with a step that asks, on an agent that has started it.
async fn asking(env: &Env) -> (FakeAgent, Dispatched) {
    let sha = env.commit_jobs(json!([job("deploy", json!({}))]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let job = agent.take().await;
    agent.start(&job).await;
    (agent, job)
}

async fn ask(agent: &mut FakeAgent, job: &Dispatched, id: &str, drift: Option<Value>) {
    let mut request = json!({
        "messageId": id, "stepIndex": 2, "stepName": "apply", "clauses": [], "reason": "look at it",
    });
    if let Some(drift) = drift {
        request["payload"] = json!({"summaryMarkdown": "**one** change", "drift": drift});
    }
    agent.about("step.approval-request", job, request).await;
}

#[tokio::test]
async fn a_step_is_told_what_was_decided_also_when_it_asks_again() {
    let mut env = Env::start().await;
    let (mut agent, deploy) = asking(&env).await;
    ask(&mut agent, &deploy, "q1", Some(json!({"port": 80}))).await;
    let hold = pending(&env, 1).await.remove(0);
    assert_eq!(
        (&hold["hold_scope"], &hold["step_index"], &hold["step_name"]),
        (&json!("step"), &json!(2), &json!("apply"))
    );
    let shown = env.admin_get(&path(&hold, "")[..path(&hold, "").len() - 1]).await;
    assert_eq!(shown["heldRun"]["payload"]["summaryMarkdown"], "**one** change");
    let jobs = env.jobs(&env.runs().await[0]).await;
    assert_eq!(
        (&jobs[0]["status"], &jobs[0]["waitReason"]["kind"]),
        (&json!("running"), &json!("approval"))
    );

    // The agent loses its connection and the orchestrator restarts: the question stays one question.
    agent.vanish();
    env.stop().await;
    env.boot().await;
    let mut agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&deploy]).await;
    ask(&mut agent, &deploy, "q1", Some(json!({"port": 80}))).await;
    let hold = pending(&env, 1).await.remove(0);
    decide(&env, &hold, "approve", json!({"comment": "fine"})).await;
    let told = agent.next().await;
    assert_eq!(
        (&told["type"], &told["requestId"], &told["outcome"], &told["stepIndex"]),
        (&json!("step.approval-resolved"), &json!("q1"), &json!("approved"), &json!(2))
    );
    // It did not hear that: it asks again and is told at once, without anybody being asked.
    agent.vanish();
    let mut agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&deploy]).await;
    ask(&mut agent, &deploy, "q2", Some(json!({"port": 80}))).await;
    let told = agent.next().await;
    assert_eq!((&told["requestId"], &told["outcome"]), (&json!("q2"), &json!("approved")));
    pending(&env, 0).await;

    // Another drift is another question.
    ask(&mut agent, &deploy, "q3", Some(json!({"port": 443}))).await;
    let hold = pending(&env, 1).await.remove(0);
    decide(&env, &hold, "reject", json!({"reason": "no"})).await;
    let told = agent.next().await;
    assert_eq!(
        (&told["requestId"], &told["outcome"], &told["reason"]),
        (&json!("q3"), &json!("rejected"), &json!("no (bootstrap)"))
    );
    let jobs = env.jobs(&env.runs().await[0]).await;
    assert!(jobs[0].get("waitReason").is_none(), "{}", jobs[0]);
}

#[tokio::test]
async fn a_step_that_nobody_approves_in_time_is_told_so() {
    let env = Env::start().await;
    let (mut agent, deploy) = asking(&env).await;
    let request = json!({
        "messageId": "q1", "stepIndex": 0, "stepName": "s", "clauses": [], "reason": "", "timeoutSeconds": 1,
    });
    agent.about("step.approval-request", &deploy, request).await;
    let told = agent.next().await;
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("expired"), &json!("Approval expired for step hold"))
    );
}

#[tokio::test]
async fn the_question_of_a_cancelled_job_is_over() {
    let env = Env::start().await;
    let (mut agent, deploy) = asking(&env).await;
    ask(&mut agent, &deploy, "q1", None).await;
    let hold = pending(&env, 1).await.remove(0);
    let cancel = format!("/api/v1/admin/runs/{}/cancel", deploy.run);
    assert_eq!(env.admin_post(&cancel, &json!({})).await.status(), StatusCode::OK);
    assert_eq!(agent.next().await["type"], "job.cancel");
    pending(&env, 0).await;
    let (status, body) = decide(&env, &hold, "approve", json!({})).await;
    assert_eq!((status, &body["status"]), (409, &json!("cancelled")));
    ask(&mut agent, &deploy, "q2", None).await;
    let told = agent.next().await;
    assert_eq!((&told["requestId"], &told["outcome"]), (&json!("q2"), &json!("rejected")));
    agent.end(&deploy, "cancelled", json!({})).await;
    env.run_is("cancelled").await;
}

#[tokio::test]
async fn an_agent_hears_what_was_decided_at_another_orchestrator() {
    let mut env = Env::start().await;
    let (mut agent, deploy) = asking(&env).await;
    ask(&mut agent, &deploy, "q1", None).await;
    let hold = pending(&env, 1).await.remove(0);
    let other = beside(&env).await;
    let first = env.port();
    env.use_port(other.address.port());
    let (status, body) = decide(&env, &hold, "approve", json!({})).await;
    assert_eq!(status, 200, "{body}");
    let told = agent.next().await;
    assert_eq!((&told["requestId"], &told["outcome"]), (&json!("q1"), &json!("approved")));
    env.use_port(first);
    other.stop().await;
}

/// A second orchestrator on the same database.
async fn beside(env: &Env) -> Server {
    let (config, _) = Config::from_vars(variables(env.db.url(), env.data.path())).unwrap();
    Start { config }.run().await.unwrap()
}

#[tokio::test]
async fn where_nobody_may_approve_their_own_run_somebody_else_has_to() {
    let env = Env::start().await;
    let settings = "/api/v1/admin/org-settings/global-workflows";
    let body =
        json!({"customerId": "acme", "allowSelfApproval": false, "approvalExpirySeconds": 600});
    let set = env.client.patch(env.url(settings)).bearer_auth(ADMIN).json(&body);
    assert_eq!(set.send().await.unwrap().status(), StatusCode::OK);
    let sha = env.commit_jobs(json!([job("deploy", approval(json!({"timeoutSeconds": 1})))]));
    env.push("d1", &sha).await;
    let first = env.run_is("failed").await["runId"].as_str().unwrap().to_owned();
    let sha = env.commit_jobs(json!([job("deploy", approval(json!({})))]));
    env.push("d2", &sha).await;
    let hold = pending(&env, 1).await.remove(0);
    let run = hold["run_id"].as_str().unwrap();
    env.admin_post(&format!("/api/v1/admin/runs/{run}/cancel"), &json!({})).await;
    pending(&env, 0).await;
    assert_ne!(run, first);
    // Who asks for a run again has started it.
    let again = env.admin_post(&format!("/api/v1/admin/runs/{run}/rerun"), &json!({})).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    let hold = pending(&env, 1).await.remove(0);
    let (status, body) = decide(&env, &hold, "approve", json!({})).await;
    assert_eq!(status, 403);
    assert!(body["error"].as_str().unwrap().contains("nobody approve their own runs"), "{body}");
    let other = person(&env, "ada", &[], "admin").await;
    assert_eq!(decide_as(&env, &other, &hold, "approve").await.0, 200);
}
