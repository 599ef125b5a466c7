//! What engine and guest do together: locations, contexts, attribution, a prepared engine, another SDK.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{BOTH, Notes, Repo, Started, module};
use kici_workflow::describe::{FnRef, JobEntry, StepEntry};
use kici_workflow::engine::{CallKind, Engine, EngineKind, Host, LoadMode, SdkChoice, Warm};
use serde_json::json;

#[tokio::test]
async fn locations_are_those_of_the_typescript() {
    let source = "import { job, step, workflow } from '@kici-dev/sdk';
interface Padding { a: string; b: number }

const build = job('build', {
  runsOn: 'linux',
  steps: [
    step('compile', async (): Promise<void> => {}),
  ],
});

type More = Padding & { c: boolean };
export default workflow('w', { jobs: [build] });
";
    let repo = Repo::new(&[(".kici/workflows/ci.ts", source)]);
    for kind in BOTH {
        let mut request = repo.request();
        request.entry = ".kici/workflows/ci.ts".into();
        request.mode = LoadMode::Describe;
        let started = repo.start_with(kind, request).await.unwrap();
        let workflow = &started.engine.description().workflows[0];
        let JobEntry::Static(job) = &workflow.jobs[0] else { panic!("a static job") };
        let StepEntry::Step(step) = &job.steps[0] else { panic!("a step") };
        for (what, location, place) in [
            ("workflow", &workflow.location, (12, 16)),
            ("job", &job.location, (4, 15)),
            ("step", &step.location, (7, 5)),
        ] {
            let location =
                location.as_ref().unwrap_or_else(|| panic!("{kind}: {what} has a location"));
            assert_eq!(location.file, ".kici/workflows/ci.ts", "{kind}: {what}");
            assert_eq!((location.line, location.column), place, "{kind}: {what}");
        }
        let FnRef { text, .. } = &step.run;
        assert_eq!(text.as_deref(), Some("async () => {}"), "{kind}");
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn an_abort_reaches_the_call_it_is_meant_for() {
    let repo = Repo::steps(
        "const aborted = (signal: AbortSignal) => new Promise((resolve) => {
            const done = () => resolve(String(signal.reason?.message ?? signal.reason));
            if (signal.aborted) done(); else signal.addEventListener('abort', done);
        });",
        &["(ctx) => aborted(ctx.signal)", "(ctx) => aborted(ctx.signal)"],
    );
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        let begin = |step| started.begin(step, json!({}), CallKind::Step, Duration::from_secs(10));
        let (first, second) = (begin(0), begin(1));
        second.aborter().abort("second goes");
        let value = second.outcome().await.unwrap();
        assert!(value.unwrap().as_str().unwrap().contains("second goes"), "{kind}");
        first.aborter().abort("first goes");
        assert!(
            first.outcome().await.unwrap().unwrap().as_str().unwrap().contains("first goes"),
            "{kind}"
        );
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn output_belongs_to_the_call_that_wrote_it() {
    let body = "async (name: string) => {
        console.log(`${name} starts`);
        for (let i = 0; i < 5; i++) {
            await new Promise((r) => setTimeout(r, 3));
            await Promise.resolve();
            console.log(`${name} after a timer`);
            await readFile('ci.ts', 'utf8');
            console.error(`${name} after a file`);
        }
    }";
    let repo = Repo::steps("import { readFile } from 'node:fs/promises';", &[body]);
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        let calls: Vec<_> = ["one", "two", "three"].map(|name| started.call(0, json!(name))).into();
        let ids: Vec<_> = calls.iter().map(|call| call.id()).collect();
        for call in calls {
            call.outcome().await.unwrap();
        }
        for (id, name) in ids.into_iter().zip(["one", "two", "three"]) {
            let text = started.host.text_of(id);
            assert_eq!(text.lines().count(), 11, "{kind} {name}: {text}");
            assert!(text.lines().all(|line| line.starts_with(name)), "{kind} {name}: {text}");
        }
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn a_prepared_engine_knows_nothing_of_the_process() {
    let repo = Repo::steps(
        "const atTop = process.env.GREETING;",
        &["() => [atTop, Object.keys(process.env).sort(), process.cwd()]"],
    );
    let warm = Warm::new().await.unwrap();
    let host = Arc::new(Notes::default());
    let engine =
        Engine::start_warm(warm, repo.request(), Arc::clone(&host) as Arc<dyn Host>).await.unwrap();
    let started = Started { engine, host };
    let root = repo.path().canonicalize().unwrap();
    let value = started.call(0, json!(null)).outcome().await.unwrap();
    assert_eq!(value, Some(json!(["moin", ["GREETING", "PATH"], root])));
    started.engine.stop().await;
    assert_ne!(std::env::current_dir().unwrap(), root, "the process itself stays where it was");
}

#[tokio::test]
async fn an_installed_sdk_is_used_by_author_and_guest_alike() {
    let repo = Repo::new(&[(
        "ci.ts",
        &module(
            "import * as sdk from '@kici-dev/sdk';",
            &["() => (sdk as { installed?: string }).installed ?? 'built in'"],
        ),
    )]);
    assert_eq!(repo.run(EngineKind::Node).await.unwrap(), Some(json!("built in")));

    let bundle = std::fs::read_to_string(concat!(env!("KICI_SDK_DIST"), "/sdk.js")).unwrap();
    repo.write(
        "node_modules/@kici-dev/sdk/package.json",
        r#"{ "type": "module", "exports": "./index.js" }"#,
    );
    repo.write(
        "node_modules/@kici-dev/sdk/index.js",
        &format!("{bundle}\nexport const installed = 'installed';\n"),
    );
    assert_eq!(
        repo.run(EngineKind::Node).await.unwrap(),
        Some(json!("built in")),
        "it has to be asked for"
    );

    let mut request = repo.request();
    request.sdk = SdkChoice::Installed;
    let started = repo.start_with(EngineKind::Node, request).await.unwrap();
    assert_eq!(started.call(0, json!(null)).outcome().await.unwrap(), Some(json!("installed")));
    started.engine.stop().await;
}
