//! Measures how long an engine takes to start: `cargo run --release -p kici-workflow --example startup`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::engine::{
    Call, CallId, CallKind, Engine, EngineKind, Host, HostAnswer, HostError, Limits, LoadMode,
    LoadRequest, Push, SdkChoice, Warm, Wish, choose,
};
use serde_json::{Value, json};

const WORKFLOW: &str = "import { workflow, job, step } from '@kici-dev/sdk';
export default workflow('w', { jobs: [job('j', { runsOn: 'linux', steps: [step('s', async (ctx) => { ctx.log.info('hi'); return { n: 1 }; })] })] });
";

struct Silent;

impl Host for Silent {
    fn request(&self, _: CallId, method: &str, _: Value, _: Push) -> HostAnswer {
        let error = HostError {
            name: "Error".into(),
            message: format!("no method {method}"),
            data: Value::Null,
        };
        Box::pin(async move { Err(error) })
    }

    fn notify(&self, _: CallId, _: &str, _: Value) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let dir = std::env::temp_dir().join(format!("kici-startup-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary folder is writable");
    std::fs::write(dir.join("ci.ts"), WORKFLOW).expect("the temporary folder is writable");
    let request = LoadRequest {
        root: dir.clone(),
        entry: "ci.ts".into(),
        mode: LoadMode::Run,
        sdk: SdkChoice::BuiltIn,
        env: std::env::vars().collect(),
        state: json!({}),
        limits: Limits::default(),
    };
    let mut choosing = Times::new("choose");
    let mut warming = Times::new("embedded: prepare (runtime, SDK, guest)");
    let mut loading = Times::new("embedded: load a module on a prepared engine");
    let mut calling = Times::new("embedded: call a step");
    let mut stopping = Times::new("embedded: stop");
    for _ in 0..50 {
        choosing
            .time(async { choose(&request, Wish::Embedded).expect("embedded is always there") })
            .await;
        let warm = warming.time(Warm::new()).await.expect("QuickJS starts");
        let engine = loading
            .time(Engine::start_warm(warm, request.clone(), Arc::new(Silent)))
            .await
            .expect("it loads");
        calling.time(call(&engine)).await;
        stopping.time(engine.stop()).await;
    }
    let mut scanning = Times::new("choose: read the module graph");
    for _ in 0..50 {
        scanning.time(async { choose(&request, Wish::Auto).expect("it is plain") }).await;
    }
    let mut node = Times::new("node: start and load");
    let mut node_calling = Times::new("node: call a step");
    if choose(&request, Wish::Node).is_ok() {
        for _ in 0..10 {
            let start = Engine::start(EngineKind::Node, request.clone(), Arc::new(Silent));
            let engine = node.time(start).await.expect("it loads");
            node_calling.time(call(&engine)).await;
            engine.stop().await;
        }
    }
    for times in [choosing, scanning, warming, loading, calling, stopping, node, node_calling] {
        times.print();
    }
    std::fs::remove_dir_all(dir).expect("the temporary folder is ours");
}

async fn call(engine: &Engine) {
    let kici_workflow::describe::JobEntry::Static(job) = &engine.description().workflows[0].jobs[0]
    else {
        return;
    };
    let kici_workflow::describe::StepEntry::Step(step) = &job.steps[0] else { return };
    let call = Call {
        function: step.run.handle,
        kind: CallKind::Step,
        data: json!({ "step": "s", "workflow": { "name": "w" }, "job": { "name": "j" } }),
        args: Vec::new(),
        budget: Duration::from_secs(5),
    };
    engine.begin(call).outcome().await.expect("the step succeeds");
}

struct Times {
    what: &'static str,
    all: Vec<Duration>,
}

impl Times {
    fn new(what: &'static str) -> Self {
        Self { what, all: Vec::new() }
    }

    async fn time<T>(&mut self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let value = work.await;
        self.all.push(begun.elapsed());
        value
    }

    fn print(mut self) {
        self.all.sort_unstable();
        let Some(last) = self.all.last() else { return };
        let median = self.all[self.all.len() / 2];
        println!("{:48} median {median:>10.3?}   worst {last:>10.3?}", self.what);
    }
}
