//! What a job asks of whoever drives it.

use kici_exec::spec::JobSpec;
use serde_json::json;

use crate::support::{Project, Running, assert_success, start, word_of};

#[tokio::test]
async fn events_are_emitted_and_refusals_reach_the_author() {
    let project = Project::with_steps(
        "step('one', async (ctx) => {
           const first = await ctx.emit('built', { a: 1 });
           try { await ctx.emit('again'); } catch (e) { return { id: first.deliveryId, error: e.message }; }
         })",
    );
    let mut running = start(project.spec());
    let (id, params) = running.until_request("emit").await;
    assert_eq!((&params["name"], &params["payload"]["a"]), (&json!("built"), &json!(1)));
    running.answer(id, Ok(json!({ "deliveryId": "d-1" }))).await;
    let (id, _) = running.until_request("emit").await;
    running.answer(id, Err("no such repository".to_owned())).await;
    let ran = running.end().await;
    assert_success(&ran);
    let output = &ran.result.outputs["one"];
    assert_eq!(output["id"], "d-1");
    assert!(output["error"].as_str().unwrap().contains("no such repository"), "{output}");
}

#[tokio::test]
async fn a_token_from_the_api_is_masked() {
    let project = Project::with_steps(
        "step('one', async (ctx) => { const t = await ctx.kici.oidc.token({ audience: 'a' }); console.log('got', t.token); })",
    );
    let mut running = start(project.spec());
    let (id, params) = running.until_request("api").await;
    assert_eq!(params["method"], "oidc.token.request");
    let token = json!({ "token": "eyJtoken.token", "expiresIn": 60, "jti": "j" });
    running.answer(id, Ok(token)).await;
    let ran = running.end().await;
    assert_success(&ran);
    assert_eq!(ran.log(0), ["got ***"]);
}

/// A job that waits for an approval. The project has to live as long as the job.
async fn approval_of(options: &str) -> (Project, Running, u64, serde_json::Value) {
    let project = Project::with_job(&format!(
        "steps: [step('deploy', {{ {options} retry: 3, run: async () => {{}} }}), step('after', async () => {{}})]"
    ));
    let mut running = start(project.spec());
    let (id, params) = running.until_request("approval").await;
    (project, running, id, params)
}

#[tokio::test]
async fn a_step_waits_for_its_approval() {
    let (_project, running, id, params) =
        approval_of("approval: { approvers: [{ team: 'ops' }], reason: 'prod' },").await;
    assert_eq!(params["stepName"], "deploy");
    assert_eq!(params["when"], "always");
    assert_eq!(params["approvers"][0]["team"], "ops");
    running.answer(id, Ok(json!({ "outcome": "approved" }))).await;
    let ran = running.end().await;
    assert_success(&ran);
    assert!(ran.log(0)[0].contains("awaiting approval"));
}

#[tokio::test]
async fn a_rejected_step_fails_without_another_try() {
    let (_project, running, id, _) = approval_of("approval: true,").await;
    running.answer(id, Ok(json!({ "outcome": "rejected", "reason": "not today" }))).await;
    let ran = running.end().await;
    assert_eq!(ran.story(), ["deploy: failed"]);
    assert_eq!(ran.error(), "Step 'deploy' approval rejected: not today");
}

#[tokio::test]
async fn caches_without_storage_miss_and_are_shown() {
    let project = Project::with_job(
        "cache: { key: 'job', paths: ['x'] },
         steps: [step('one', { cache: [{ key: 'k', paths: ['y'] }], run: async (ctx) => {
           const found = await ctx.cache.restore({ key: 'z', paths: ['z'] });
           await ctx.cache.save({ key: 'z', paths: ['z'] });
           return found; } })]",
    );
    let mut running = start(project.spec());
    for method in ["cache.restore", "cache.save"] {
        let (id, _) = running.until_request(method).await;
        running.answer(id, Err("no cache storage is configured".to_owned())).await;
    }
    let ran = running.end().await;
    assert_success(&ran);
    assert_eq!(ran.result.outputs["one"]["hit"], false);
    assert_eq!(
        ran.story(),
        [
            "cache restore: job: success",
            "cache restore: k: success",
            "one: success",
            "cache save: k: success",
            "cache save: job: success",
        ]
    );
    assert_eq!(ran.row("cache restore: k").data["cacheOutcome"], "miss");
    assert_eq!(ran.row("cache save: k").data["cacheOutcome"], "skipped");
    assert!(ran.all_logs().contains("no cache storage"));
}

#[tokio::test]
async fn secret_outputs_are_limited() {
    let project = Project::with_steps(
        "step('one', async (ctx) => {
           for (let n = 0; n < 20; n++) await ctx.setSecretOutput(`k${n}`, `value-${n}`);
           await ctx.setSecretOutput('one-more', 'value');
         })",
    );
    let ran = project.run().await;
    assert!(ran.error().contains("at most 20 secret outputs"), "{}", ran.error());
}

#[tokio::test]
async fn the_concurrency_group_is_reported_and_waited_for() {
    let project = Project::new(
        "export default workflow('ci', {
           concurrency: { group: ({ event }) => `deploy-${event.type}` },
           jobs: [job('work', { runsOn: 'linux', steps: [step('one', async () => {})] })],
         });",
    );
    let mut running = start(project.spec());
    let (id, params) = running.until_request("concurrency.report").await;
    assert_eq!(params, json!({ "group": "deploy-push", "cancelInProgress": true, "max": 1.0 }));
    running.answer(id, Ok(json!({ "action": "wait", "reason": "1 ahead" }))).await;
    running.until_line("queued (1 ahead)").await;
    running.answer(id, Ok(json!({ "action": "proceed" }))).await;
    assert_success(&running.end().await);

    let mut running = start(project.spec());
    let (id, _) = running.until_request("concurrency.report").await;
    running.answer(id, Ok(json!({ "action": "cancel", "reason": "superseded" }))).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "failed");
    assert_eq!(ran.error(), "Cancelled by concurrency policy: superseded");
}

#[tokio::test]
async fn nobody_waits_longer_for_a_concurrency_group_than_the_agent_allows() {
    let project = Project::new(
        "export default workflow('ci', {
           concurrency: { group: () => 'deploy' },
           jobs: [job('work', { runsOn: 'linux', steps: [step('one', async () => {})] })],
         });",
    );
    let mut running = start(JobSpec { concurrency_wait_ms: Some(50), ..project.spec() });
    let (id, _) = running.until_request("concurrency.report").await;
    running.answer(id, Ok(json!({ "action": "wait", "reason": "1 ahead" }))).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "failed");
    assert_eq!(ran.error(), "waited longer than 50 ms for concurrency group 'deploy'");
}
