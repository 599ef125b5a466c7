//! Limits and stop orders.

use std::time::Duration;

use crate::support::{
    Project, Running, assert_success, engines, process_exists, run, start, word_of,
};

#[tokio::test]
async fn a_step_over_its_time_dies_with_all_its_processes() {
    let project = Project::with_steps(
        "step('slow', { timeout: 500, run: async (ctx) => {
           await ctx.$`(sleep 7751; true) & setsid sleep 7752 & sleep 7753`; } })",
    );
    let ran = project.run().await;
    assert_eq!(ran.error(), "Step 'slow' timed out after 500ms");
    assert_eq!(ran.row("slow").error.unwrap().message, "Step 'slow' timed out after 500ms");
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    for process in ["sleep 7751", "sleep 7752", "sleep 7753"] {
        assert!(!process_exists(process), "{process} is still there");
    }
}

#[tokio::test]
async fn an_endless_loop_is_stopped_by_the_steps_limit() {
    for engine in engines() {
        let project = Project::with_steps(
            "step('spins', { timeout: 400, run: async () => { for (;;) {} } }), step('after', async () => {})",
        );
        let mut spec = project.spec();
        spec.engine = engine;
        let ran = run(spec).await;
        assert_eq!(ran.story(), ["spins: failed"]);
        assert!(ran.error().contains("timed out after 400ms"), "{}", ran.error());
        assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
    }
}

#[tokio::test]
async fn leaving_the_process_is_an_error_and_not_a_success() {
    for engine in engines() {
        let project = Project::with_steps("step('leaves', async () => { process.exit(0); })");
        let mut spec = project.spec();
        spec.engine = engine;
        let ran = run(spec).await;
        assert_eq!(word_of(&ran.result), "failed");
        assert!(ran.error().contains("exit"), "{}", ran.error());
    }
}

#[tokio::test]
async fn a_job_over_its_time_runs_no_hooks() {
    let project = Project::with_job(
        "onFailure: async () => {}, cleanup: async () => {},
         steps: [step('slow', async (ctx) => { await ctx.$`sleep 7761`; })]",
    );
    let mut spec = project.spec();
    spec.timeout_ms = Some(900);
    let ran = run(spec).await;
    assert_eq!(ran.error(), "job_timeout: job exceeded its timeout of 900ms");
    assert_eq!(word_of(&ran.result), "failed");
    assert_eq!(ran.story(), ["slow: cancelled"]);
    assert!(!process_exists("sleep 7761"));
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
}

const CANCELLABLE: &str = "onCancel: async () => {}, cleanup: async (ctx) => ctx.log.info(JSON.stringify(ctx.outcome)), onFailure: async () => {},
     steps: [step('busy', { onCancel: async () => {}, cleanup: async () => {}, run: async (ctx) => {
       await ctx.$`trap 'echo tidying; sleep 0.5; echo tidy; exit 0' TERM; echo ready; sleep 7771 & wait`; } }),
       step('after', async () => {})]";

async fn until_ready(project: &Project, grace_ms: Option<u64>) -> Running {
    let mut spec = project.spec();
    spec.grace_ms = grace_ms;
    let mut running = start(spec);
    running.until_line("ready").await;
    running
}

#[tokio::test]
async fn a_graceful_cancel_waits_and_runs_the_hooks_in_order() {
    let project = Project::with_job(CANCELLABLE);
    let running = until_ready(&project, None).await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert!(ran.result.error.is_none(), "{}", ran.error());
    assert_eq!(
        ran.story()[1..],
        ["onCancel: success", "cleanup: success", "onCancel: success", "cleanup: success"]
    );
    assert!(ran.log(0).iter().any(|line| line == "tidy"), "{:?}", ran.log(0));
    let last = ran.rows().pop().unwrap();
    let outcome = ran.log(last.step)[0].clone();
    assert!(outcome.contains("\"status\":\"cancelled\""), "{outcome}");
    assert!(outcome.contains("run cancelled via API"), "{outcome}");
    assert!(!process_exists("sleep 7771"));
}

#[tokio::test]
async fn the_grace_time_ends_with_kill() {
    let project = Project::with_job(
        "gracePeriod: 1, onCancel: async () => {},
         steps: [step('stubborn', async (ctx) => { await ctx.$`trap '' TERM; echo ready; while true; do sleep 0.1; done`; })]",
    );
    let running = until_ready(&project, None).await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert_eq!(ran.story(), ["stubborn: cancelled", "onCancel: success"]);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
}

#[tokio::test]
async fn force_kills_at_once_and_runs_no_hooks() {
    let project = Project::with_job(CANCELLABLE);
    let running = until_ready(&project, None).await;
    running.cancel(true).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert_eq!(ran.story(), ["busy: cancelled"]);
    assert!(!ran.log(0).iter().any(|line| line == "tidy"));
    assert!(!process_exists("sleep 7771"));
}

#[tokio::test]
async fn a_second_cancel_is_force() {
    let project = Project::with_job(
        "onCancel: async () => {},
         steps: [step('stubborn', async (ctx) => { await ctx.$`trap 'echo heard' TERM; echo ready; while true; do sleep 0.05 || true; done`; })]",
    );
    let mut running = until_ready(&project, None).await;
    running.cancel(false).await;
    running.until_line("heard").await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert_eq!(ran.story(), ["stubborn: cancelled"]);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
}

#[tokio::test]
async fn scripts_hear_of_a_cancel_by_the_signal() {
    let project = Project::with_steps(
        "step('waits', async (ctx) => {
           console.log('ready');
           await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
           console.log('heard');
           try { await ctx.$`echo too late`; } catch (e) { console.log('refused'); }
         })",
    );
    let running = until_ready(&project, None).await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    let log = ran.log(0);
    assert!(log.iter().any(|line| line == "heard"), "{log:?}");
    assert!(log.iter().any(|line| line == "refused"), "{log:?}");
    assert!(!log.iter().any(|line| line == "too late"), "{log:?}");
}

#[tokio::test]
async fn a_script_that_ignores_a_cancel_is_given_up_on() {
    let project = Project::with_job(
        "onCancel: async () => {}, cleanup: async () => {},
         steps: [step('deaf', async () => { console.log('ready'); await new Promise(() => setInterval(() => {}, 50)); })]",
    );
    let running = until_ready(&project, Some(200)).await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert_eq!(ran.story(), ["deaf: cancelled"]);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
}

#[tokio::test]
async fn an_endless_loop_does_not_survive_a_cancel() {
    for engine in engines() {
        let project = Project::with_job(
            "cleanup: async () => {},
             steps: [step('spins', async () => { console.log('ready'); await new Promise((r) => setTimeout(r, 50)); for (;;) {} })]",
        );
        let mut spec = project.spec();
        spec.engine = engine;
        spec.grace_ms = Some(300);
        let mut running = start(spec);
        running.until_line("ready").await;
        running.cancel(false).await;
        let ran = running.end().await;
        assert_eq!(word_of(&ran.result), "cancelled");
        assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    }
}

#[tokio::test]
async fn a_command_has_its_own_timeout_and_kill() {
    let project = Project::with_steps(
        "step('one', async (ctx) => {
           const timed = await ctx.$`sleep 7781`.timeout('200ms').nothrow();
           const killed = ctx.$`sleep 7782`.nothrow();
           await ctx.$`sleep 0.1`;
           await killed.kill('SIGINT');
           return { timed: timed.signal, killed: (await killed).signal };
         })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.result.outputs["one"]["timed"], "SIGTERM");
    assert_eq!(ran.result.outputs["one"]["killed"], "SIGINT");
    assert!(!process_exists("sleep 7782"));
}
