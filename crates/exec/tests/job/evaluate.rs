//! Jobs that compute something for their run: values of another job, or jobs.

use kici_exec::spec::{Evaluate, JobSpec, JobStatus};
use serde_json::{Value, json};

use crate::support::{Project, assert_success, engines, run};

fn fields(project: &Project, job: &str, [environment, env, group, matrix]: [bool; 4]) -> JobSpec {
    let mut spec = project.spec();
    spec.job_name = format!("__init__ci__{job}");
    spec.base_job_name = job.to_owned();
    spec.event = json!({"type": "push", "targetBranch": "main", "payload": {"n": 2}});
    spec.evaluate = Some(Evaluate::Fields {
        environment,
        env,
        concurrency_group: group,
        matrix,
        limit_ms: 60_000,
    });
    spec
}

fn generator(project: &Project, index: usize, snapshot: Value) -> JobSpec {
    let mut spec = project.spec();
    spec.job_name = format!("__dynamic__ci__{index}");
    spec.base_job_name = spec.job_name.clone();
    spec.event = json!({"type": "push", "targetBranch": "main"});
    spec.dynamic_source = Some(json!({"index": index, "upstreamSnapshot": snapshot}));
    spec.evaluate = Some(Evaluate::Jobs { limit_ms: 60_000 });
    spec
}

#[tokio::test]
async fn functions_of_a_job_give_its_values() {
    let project = Project::new(
        "export default workflow('ci', { jobs: [job('dyn', {
           runsOn: ['linux', 'x64'],
           environments: ['base', async (event) => `deploy-${event.targetBranch}`],
           env: async (event) => ({ N: event.payload.n, BRANCH: event.targetBranch, GONE: undefined, YES: true }),
           concurrencyGroup: async (event) => `g-${event.type}`,
           matrix: async ({ $, ctx, log }) => {
             log.info('looking');
             const here = (await $`ls .kici/workflows`).stdout.trim();
             return { job: [ctx.job.name, ctx.job.runsOn], file: [here] };
           },
           steps: [step('s', async () => {})],
         })] });",
    );
    for engine in engines() {
        let mut spec = fields(&project, "dyn", [true; 4]);
        spec.engine = engine;
        let ran = run(spec).await;
        assert_success(&ran);
        assert_eq!(ran.story(), ["init: success"]);
        assert_eq!(
            ran.result.evaluated,
            Some(json!({
                "environmentNames": ["base", "deploy-main"],
                "env": {"N": "2", "BRANCH": "main", "YES": "true"},
                "concurrencyGroup": "g-push",
                "matrixValues": {"job": ["dyn", "linux"], "file": ["ci.ts"]},
            }))
        );
        let log = ran.log(0);
        assert_eq!(
            log[0],
            "Evaluating dynamic fields for job 'dyn' (env=true environment=true concurrencyGroup=true matrix=true)"
        );
        assert!(log.iter().any(|line| line.contains("looking")), "{log:?}");
        assert_eq!(log.last().unwrap(), "Init completed successfully");
    }
}

#[tokio::test]
async fn a_function_that_throws_or_gives_nonsense_says_which() {
    let project = Project::new(
        "export default workflow('ci', { jobs: [job('dyn', {
           runsOn: 'linux', env: async () => { throw new Error('no such thing'); }, matrix: async () => 42,
           environment: async () => '', steps: [step('s', async () => {})],
         })] });",
    );
    for engine in engines() {
        for (flags, why) in [
            ([false, true, false, false], "env of job 'dyn' failed: no such thing"),
            ([false, false, false, true], "matrix of job 'dyn' gave 42, expected a list"),
            ([true, false, false, false], "environment of job 'dyn' gave \"\", expected a name"),
        ] {
            let mut spec = fields(&project, "dyn", flags);
            spec.engine = engine;
            let ran = run(spec).await;
            assert_eq!(
                (ran.result.status, ran.result.evaluated.clone()),
                (JobStatus::Failed, None)
            );
            assert!(ran.error().contains(why), "{}", ran.error());
            assert_eq!(ran.story(), ["init: failed"]);
            assert!(ran.row("init").error.unwrap().message.contains(why));
        }
    }
}

#[tokio::test]
async fn a_generator_gives_jobs_as_a_lock_file_has_them() {
    let project = Project::new(
        "const gen = dynamicJob('aware', { needs: ['src', { group: 'g' }], generate: async ({ ctx, log }) => {
           log.info('generating');
           return [
             ...ctx.needs.src.result.list.names.map((name) => job(`gen-${name}`, {
               runsOn: { labels: ['linux'], exclude: ['slow'] }, needs: ['src', { group: 'g', when: 'always' }],
               env: (event) => ({ BRANCH: event.targetBranch }), timeout: 5000, matrix: async () => ['p', 'q'],
               steps: [step('go', { retry: 2, run: async () => {} })],
             })),
             job(`from-${ctx.needs.g.map((one) => `${one.name}:${one.status}`).join('+')}`, {
               runsOn: 'linux', run: async () => {} }),
           ];
         } });
         export default workflow('ci', { jobs: [gen] });",
    );
    let snapshot = json!({
        "jobs": {"src": {"list": {"names": ["x", "y"]}}, "g1": {}},
        "groups": {"g": ["g1"]}, "statuses": {"src": "success", "g1": "skipped"},
    });
    for engine in engines() {
        let mut spec = generator(&project, 0, snapshot.clone());
        spec.engine = engine;
        let ran = run(spec).await;
        assert_success(&ran);
        assert_eq!(ran.story(), ["evaluate: success"]);
        let jobs = ran.result.evaluated.clone().unwrap();
        let names: Vec<&str> =
            jobs.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["gen-x", "gen-y", "from-g1:skipped"]);
        let first = &jobs[0];
        assert_eq!(first["_type"], "static");
        assert_eq!(first["env"], json!({"BRANCH": "main"}));
        assert_eq!(first["matrix"], json!({"_type": "static", "values": ["p", "q"]}));
        assert_eq!(first["timeout"], 5000);
        assert_eq!(first["excludeLabels"], json!([{"kind": "exact", "value": "slow"}]));
        assert_eq!(first["needs"][0], "src");
        assert_eq!(first["needs"][1]["group"], "g");
        assert_eq!(first["steps"][0]["retry"]["maxAttempts"], 2);
        let log = ran.log(0);
        assert_eq!(log[0], "Evaluating DynamicJobFn (index 0, timeout 60000ms)");
        assert_eq!(log.last().unwrap(), "Generated 3 job(s): gen-x, gen-y, from-g1:skipped");
    }
}

#[tokio::test]
async fn bad_generations_fail_with_the_reason() {
    let project = Project::new(
        "const make = (name) => job(name, { runsOn: 'linux', run: async () => {} });
         export default workflow('ci', { jobs: [
           dynamicJob('twice', async () => [make('a'), make('a')]),
           dynamicJob('many', async () => Array.from({ length: 101 }, (_, n) => make(`j${n}`))),
           dynamicJob('throws', async () => { throw new Error('no shards'); }),
           dynamicJob('slow', () => new Promise(() => {})),
         ] });",
    );
    for engine in engines() {
        for (index, why) in [
            (0, "two jobs named 'a'"),
            (1, "gave 101 jobs, at most 100"),
            (2, "the job generator failed: no shards"),
            (3, "timed out after 400ms"),
        ] {
            let mut spec = generator(&project, index, json!({}));
            spec.engine = engine;
            if index == 3 {
                spec.evaluate = Some(Evaluate::Jobs { limit_ms: 400 });
            }
            let ran = run(spec).await;
            assert_eq!(ran.result.status, JobStatus::Failed);
            assert!(ran.error().contains(why), "{index}: {}", ran.error());
        }
    }
}

#[tokio::test]
async fn a_generated_job_keeps_its_own_needs_apart_from_its_generators() {
    let project = Project::new(
        "const gen = dynamicJob('aware', { needs: ['src'], generate: async ({ ctx }) =>
           ctx.needs.src.result.list.names.map((name) => job(`gen-${name}`, {
             runsOn: 'linux', needs: ['other', { group: 'g' }],
             steps: [step('show', async (ctx) => ({ keys: Object.keys(ctx.needs), g: ctx.needs.g }))],
           })) });
         export default workflow('ci', { jobs: [gen] });",
    );
    for engine in engines() {
        let mut spec = project.spec();
        spec.engine = engine;
        spec.job_name = "gen-x".into();
        spec.base_job_name = "gen-x".into();
        spec.needs = Some(json!(["other", {"group": "g", "runOn": ["success"]}]));
        spec.upstream_outputs =
            [("other".into(), json!({})), ("g1".into(), json!({"s": {"v": 1}}))].into();
        spec.upstream_statuses = [("g1".into(), "success".into())].into();
        spec.upstream_groups = [("g".into(), vec!["g1".into()])].into();
        spec.dynamic_source = Some(json!({
            "index": 0, "expectedJobNames": ["gen-x", "gen-gone"],
            "upstreamSnapshot": {"jobs": {"src": {"list": {"names": ["x"]}}}, "groups": {}, "statuses": {}},
        }));
        let ran = run(spec).await;
        assert_success(&ran);
        assert_eq!(ran.result.dropped_jobs, ["gen-gone"]);
        assert_eq!(
            ran.result.outputs["show"],
            json!({"keys": ["other", "g"], "g": [{"name": "g1", "result": {"s": {"v": 1}}, "status": "success"}]})
        );
    }
}
