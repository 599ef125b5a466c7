//! Hooks: their order, their rows, and what their failures mean.

use std::collections::HashSet;

use crate::support::{Project, assert_success};

const ALL: &str =
    "beforeStep: async () => {}, afterStep: async () => {}, onSuccess: async () => {},
     onFailure: async () => {}, cleanup: async () => {}, onCancel: async () => {},";

#[tokio::test]
async fn hooks_of_a_good_job_run_in_order_with_rows_of_their_own() {
    let project = Project::with_job(&format!(
        "{ALL} steps: [step('one', {{ cleanup: async () => {{}}, run: async () => {{}} }}), step('two', async () => {{}})]"
    ));
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(
        ran.story(),
        [
            "beforeStep: success",
            "one: success",
            "cleanup: success",
            "afterStep: success",
            "beforeStep: success",
            "two: success",
            "afterStep: success",
            "onSuccess: success",
            "cleanup: success",
        ]
    );
    let indexes: HashSet<_> = ran.rows().iter().map(|row| row.step).collect();
    assert_eq!(indexes.len(), ran.rows().len(), "every row has its own index");
    assert_eq!(ran.row("onSuccess").step_type, "hook:onSuccess");
}

#[tokio::test]
async fn hooks_of_a_failed_job_learn_why() {
    let project = Project::with_job(
        "onSuccess: async () => {},
         onFailure: async (ctx) => { ctx.log.info(JSON.stringify(ctx.outcome)); throw new Error('x'); },
         cleanup: async (ctx) => ctx.log.info(JSON.stringify(ctx.outcome)),
         steps: [step('zero', async () => ({ a: 1 })), step('one', async () => { throw new Error('boom'); })]",
    );
    let ran = project.run().await;
    assert_eq!(
        ran.story(),
        ["zero: success", "one: failed", "onFailure: failed", "cleanup: success"]
    );
    assert_eq!(ran.error(), "Step 'one' failed: boom");
    let seen = |name: &str| -> serde_json::Value {
        let line = ran.log(ran.row(name).step)[0].clone();
        serde_json::from_str(line.trim_start_matches(&format!("[{name}] "))).unwrap()
    };
    let (failure, cleanup) = (seen("onFailure"), seen("cleanup"));
    assert_eq!(failure["status"], "failed");
    assert_eq!(failure["reason"], "Step 'one' failed");
    assert_eq!(failure["failedStep"], "one");
    assert_eq!(failure["stepOutputs"]["zero"]["a"], 1);
    assert!(failure["duration"].is_u64());
    assert!(cleanup.get("reason").is_none());
}

#[tokio::test]
async fn observers_change_nothing_and_the_others_fail_the_job() {
    let boom = "async () => { throw new Error('boom'); }";
    let project = Project::with_job(&format!(
        "beforeStep: {boom}, afterStep: {boom}, steps: [step('one', async () => {{}})]"
    ));
    let ran = project.run().await;
    assert_success(&ran);
    assert!(
        ran.log(-1)
            .join("\n")
            .contains("[kici] beforeStep hook failed: boom (continuing -- hooks are observers)")
    );

    for hook in ["onSuccess", "cleanup"] {
        let project =
            Project::with_job(&format!("{hook}: {boom}, steps: [step('one', async () => {{}})]"));
        let ran = project.run().await;
        assert_eq!(ran.error(), format!("Hook {hook} failed: boom"));
    }
}

#[tokio::test]
async fn a_step_cleans_up_also_when_it_failed() {
    let project = Project::with_steps(
        "step('one', { cleanup: async (ctx) => ctx.log.info('cleaned'), run: async () => { throw new Error('x'); } })",
    );
    let ran = project.run().await;
    assert_eq!(ran.story(), ["one: failed", "cleanup: success"]);
    assert!(ran.all_logs().contains("cleaned"));
}

#[tokio::test]
async fn a_hook_has_a_time_limit() {
    let project = Project::with_job(
        "cleanup: { timeout: 200, run: async (ctx) => { await ctx.$`sleep 6543`; } },
         steps: [step('one', async () => {})]",
    );
    let ran = project.run().await;
    assert_eq!(ran.error(), "Hook cleanup failed: Hook cleanup timed out after 200ms");
}
