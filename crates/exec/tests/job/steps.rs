//! What one step does to the job: failures, retries, rules, outputs.

use kici_exec::spec::StepStatus;
use serde_json::json;

use crate::support::{Project, assert_success, engines, run};

#[tokio::test]
async fn a_thrown_error_ends_the_log_and_names_the_step() {
    for engine in engines() {
        let project = Project::with_steps(
            "step('one', async () => { throw new Error('boom!'); }), step('two', async () => {})",
        );
        let mut spec = project.spec();
        spec.engine = engine;
        let ran = run(spec).await;
        assert_eq!(ran.story(), ["one: failed"]);
        assert_eq!(ran.row("one").error.unwrap().message, "boom!");
        assert_eq!(ran.error(), "Step 'one' failed: boom!");
        let log = ran.log(0);
        assert_eq!(log[0], "Error: boom!");
        assert!(log[1].contains(".kici/workflows/ci.ts:2:"), "{log:?}");
        assert_eq!(ran.result.steps.len(), 1);
        assert_eq!(ran.result.steps[0].error.as_deref(), Some("boom!"));
    }
}

#[tokio::test]
async fn a_thrown_value_that_is_no_error_is_shown() {
    for engine in engines() {
        let project = Project::with_steps("step('one', async () => { throw { code: 42 }; })");
        let mut spec = project.spec();
        spec.engine = engine;
        let ran = run(spec).await;
        assert!(ran.error().contains("42"), "{}", ran.error());
        assert!(ran.log(0)[0].contains("42"), "{:?}", ran.log(0));
    }
}

#[tokio::test]
async fn a_failed_command_gives_its_exit_code() {
    let project = Project::with_steps("step('one', async (ctx) => { await ctx.$`exit 7`; })");
    let ran = project.run().await;
    let error = ran.row("one").error.unwrap();
    assert_eq!((error.exit_code, error.signal), (Some(7), None));
    let project =
        Project::with_steps("step('one', async (ctx) => { await ctx.$`kill -SEGV $$`; })");
    let error = project.run().await.row("one").error.unwrap();
    assert_eq!(error.signal.as_deref(), Some("SIGSEGV"));
}

#[tokio::test]
async fn retries_wait_longer_each_time_and_leave_no_trace_of_failure() {
    let project = Project::with_steps(
        "step('flaky', { retry: { maxAttempts: 3, delayMs: 20 }, run: async (ctx) => {
           const n = Number((await ctx.$`echo x >> count; wc -l < count`.quiet()).stdout);
           if (n < 3) throw new Error(`attempt ${n}`);
           return { n };
         } })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["flaky: success"]);
    assert!(ran.row("flaky").error.is_none());
    assert_eq!(ran.result.outputs["flaky"]["n"], 3);
    let retries: Vec<_> = ran.log(0).into_iter().filter(|line| line.contains("retrying")).collect();
    assert_eq!(
        retries,
        [
            "[kici] Step 'flaky' attempt 1/3 failed: attempt 1; retrying in 20ms",
            "[kici] Step 'flaky' attempt 2/3 failed: attempt 2; retrying in 40ms",
        ]
    );
}

#[tokio::test]
async fn retry_if_gets_the_original_error() {
    let project = Project::new(
        "class Fatal extends Error {}
         export default workflow('ci', { jobs: [job('work', { runsOn: 'linux', steps: [
           step('one', { retry: { maxAttempts: 3, delayMs: 1, retryIf: (e) => !(e instanceof Fatal) },
             run: async (ctx) => { ctx.log.info('try'); throw new Fatal('no use'); } }),
         ] })] });",
    );
    let ran = project.run().await;
    assert_eq!(ran.log(0).iter().filter(|line| line.contains("try")).count(), 1);
    assert_eq!(ran.error(), "Step 'one' failed: no use");
}

#[tokio::test]
async fn continue_on_error_shows_the_failure_and_lets_the_job_succeed() {
    let project = Project::with_steps(
        "step('shaky', { continueOnError: true, run: async () => { throw new Error('x'); } }),
         step('after', async () => {})",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["shaky: failed", "after: success"]);
}

#[tokio::test]
async fn rules_skip_steps_and_jobs() {
    let project = Project::with_steps(
        "step('never', { rules: [rule('only on tags', (ctx) => ctx.event.type === 'tag')], run: async () => {} }),
         step('broken rule', { rules: [rule('bad', () => { throw new Error('oops'); })], run: async () => {} }),
         step('always', { rules: [rule('yes')], run: async () => {} })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["never: skipped", "broken rule: skipped", "always: success"]);
    assert_eq!(ran.log(0), ["[kici] Step 'never' skipped: rule 'only on tags' did not pass"]);
    assert!(ran.log(-1).join("\n").contains("oops"));

    let project = Project::with_job(
        "rules: [rule('on main', () => false)], cleanup: async () => { throw new Error('ran'); },
         steps: [step('a', async () => {}), parallel([step('b', async () => {})])]",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["a: skipped", "b: skipped"]);
    assert!(ran.log(-1).join("\n").contains("rule 'on main' did not pass"));
}

#[tokio::test]
async fn outputs_are_json_and_reach_later_steps() {
    let project = Project::new(
        "const build = step('build', { outputs: { version: z.string() }, run: async () => ({ version: '1.0' }) });
         export default workflow('ci', { jobs: [job('work', { runsOn: 'linux', steps: [
           build,
           step('list', async () => [1, 'x']),
           step('text', async () => 'plain'),
           step('date', async () => new Date(0)),
           step('nothing', async () => null),
           step('reads', async (ctx) => ({ a: build.result.version, b: ctx.outputsOf(build).version })),
         ] })] });",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(
        serde_json::Value::Object(ran.result.outputs),
        json!({
            "build": { "version": "1.0" },
            "list": [1, "x"],
            "text": "plain",
            "date": "1970-01-01T00:00:00.000Z",
            "reads": { "a": "1.0", "b": "1.0" },
        })
    );
}

#[tokio::test]
async fn outputs_that_break_their_schema_fail_the_step() {
    let project = Project::with_steps(
        "step('build', { outputs: { version: z.string() }, run: async () => ({ version: 1 }) })",
    );
    let ran = project.run().await;
    assert_eq!(ran.row("build").status, StepStatus::Failed);
    assert!(ran.error().contains("version"), "{}", ran.error());
}

#[tokio::test]
async fn outputs_of_other_jobs_can_be_read() {
    let project = Project::new(
        "const build = job('build', { runsOn: 'linux', steps: [step('pack', async () => ({ url: '' }))] });
         export default workflow('ci', { jobs: [build, job('work', { runsOn: 'linux', needs: [build], steps: [
           step('reads', async (ctx) => ({
             ref: build.result.pack.url,
             outputs: ctx.jobOutputs(build).pack.url,
             need: ctx.needs.build.result.pack.url,
             status: ctx.needs.build.status,
           })),
         ] })] });",
    );
    let mut spec = project.spec();
    spec.upstream_outputs.insert("build".to_owned(), json!({ "pack": { "url": "u" } }));
    spec.upstream_statuses.insert("build".to_owned(), "success".to_owned());
    let ran = run(spec).await;
    assert_success(&ran);
    assert_eq!(
        ran.result.outputs["reads"],
        json!({ "ref": "u", "outputs": "u", "need": "u", "status": "success" })
    );
}

#[tokio::test]
async fn generated_jobs_are_found_again() {
    let project = Project::new(
        "export default workflow('ci', { jobs: [dynamicJob('shards', async ({ ctx }) =>
           ctx.event.payload.shards.map((n) => job(`shard-${n}`, { runsOn: 'linux', steps: [
             step('s', async () => ({ n })),
           ] })))] });",
    );
    let mut spec = project.spec();
    spec.base_job_name = "shard-2".to_owned();
    spec.event = serde_json::Value::Null;
    spec.dynamic_source = Some(json!({
        "index": 0,
        "event": { "type": "push", "payload": { "shards": [1, 2] } },
        "expectedJobNames": ["shard-1", "shard-2", "shard-3"],
    }));
    let ran = run(spec.clone()).await;
    assert_success(&ran);
    assert_eq!(ran.result.outputs["s"]["n"], 2);
    assert_eq!(ran.result.dropped_jobs, ["shard-3"]);

    spec.base_job_name = "shard-9".to_owned();
    spec.workspace = project.spec().workspace;
    let ran = run(spec).await;
    assert!(ran.error().contains("no longer gives a job 'shard-9'"), "{}", ran.error());
}

#[tokio::test]
async fn outputs_have_a_limit() {
    let project = Project::with_steps("step('big', async () => 'x'.repeat(600 * 1024))");
    let ran = project.run().await;
    assert!(ran.error().contains("exceed 512 KiB"), "{}", ran.error());
    assert!(ran.result.outputs.is_empty());
}
