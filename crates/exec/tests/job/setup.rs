//! Everything before the first step: checkout, drift, module, init.

use kici_exec::spec::{Checkout, GitAuth};
use kici_model::hash;
use serde_json::json;

use crate::support::{Project, assert_success, git, run, word_of};

#[tokio::test]
async fn the_workspace_is_a_normal_repository() {
    for mirrored in [true, false] {
        let mut project = Project::with_steps(
            "step('git', async (ctx) => ({
               status: (await ctx.$`git status --porcelain`).stdout,
               branch: (await ctx.$`git rev-parse --abbrev-ref HEAD`).stdout.trim(),
               log: (await ctx.$`git log -1 --format=%s`).stdout.trim(),
               url: (await ctx.$`git remote get-url origin`).stdout.trim(),
               describe: (await ctx.$`git diff --stat HEAD`).stdout,
             }))",
        );
        project.write("src/a.txt", "a");
        project.write("run.sh", "#!/bin/sh\n");
        project.git(&["update-index", "--add", "--chmod=+x", "run.sh"]);
        project.commit();
        for _ in 0..2 {
            let mut spec = project.spec();
            if !mirrored {
                spec.mirrors = None;
            }
            let ran = run(spec.clone()).await;
            assert_success(&ran);
            let output = &ran.result.outputs["git"];
            assert_eq!(output["status"], "");
            assert_eq!(output["branch"], "main");
            assert_eq!(output["log"], "change");
            assert_eq!(output["url"], format!("file://{}", project.repo().display()));
            assert_eq!(git(&spec.workspace, &["rev-parse", "HEAD"]), project.sha);
            assert_eq!(git(&spec.workspace, &["rev-parse", "origin/main"]), project.sha);
        }
    }
}

#[tokio::test]
async fn an_older_commit_than_the_branch_is_checked_out() {
    let mut project = Project::with_steps("step('one', async () => ({ old: true }))");
    let mut spec = project.spec();
    project.write("later.txt", "later");
    project.commit();
    let ran = run(spec.clone()).await;
    assert_success(&ran);
    assert!(!spec.workspace.join("later.txt").exists());

    spec.mirrors = None;
    spec.workspace = project.spec().workspace;
    assert_success(&run(spec.clone()).await);
    assert!(!spec.workspace.join("later.txt").exists());
}

#[tokio::test]
async fn an_unknown_commit_is_a_failure_that_says_so() {
    let project = Project::with_steps("step('one', async () => {})");
    for mirrored in [true, false] {
        let mut spec = project.spec();
        let Checkout::Git { sha, .. } = &mut spec.checkout else { panic!() };
        *sha = "1234567890123456789012345678901234567890".to_owned();
        if !mirrored {
            spec.mirrors = None;
        }
        let ran = run(spec).await;
        assert_eq!(word_of(&ran.result), "failed");
        assert!(ran.error().contains("could not check out file://"), "{}", ran.error());
        assert!(ran.error().contains("1234567890"), "{}", ran.error());
    }
}

#[tokio::test]
async fn a_credential_never_shows() {
    let project = Project::with_steps("step('one', async () => {})");
    let mut spec = project.spec();
    spec.checkout = Checkout::Git {
        url: "http://someone:t0pSecretToken@127.0.0.1:9/x.git".to_owned(),
        reference: "main".to_owned(),
        sha: project.sha.clone(),
        auth: Some(GitAuth {
            kind: "basic".to_owned(),
            user: None,
            secret: "an0therSecret".to_owned(),
            ssh_host_key_policy: None,
            ssh_known_hosts_pem: None,
        }),
    };
    let ran = run(spec).await;
    let said = serde_json::to_string(&ran.events).unwrap();
    assert_eq!(word_of(&ran.result), "failed");
    assert!(said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("t0pSecretToken") && !said.contains("an0therSecret"), "{said}");
}

#[tokio::test]
async fn a_tip_can_be_checked_out_without_a_commit_and_a_job_without_files() {
    let mut project = Project::with_steps("step('ls', async (ctx) => (await ctx.$`ls -A`).stdout)");
    project.write("file.txt", "x");
    project.commit();
    let mut spec = project.spec();
    let Checkout::Git { sha, url, .. } = &mut spec.checkout else { panic!() };
    *sha = "HEAD".to_owned();
    let url = url.clone();
    assert_success(&run(spec).await);

    let mut spec = project.spec();
    spec.checkout = Checkout::None { url, sha: project.sha.clone(), auth: None };
    let ran = run(spec).await;
    assert_success(&ran);
    assert_eq!(ran.result.outputs["ls"], ".kici\n");

    let mut spec = project.spec();
    spec.checkout = Checkout::InPlace { dir: project.repo() };
    let ran = run(spec).await;
    assert_success(&ran);
    assert!(ran.result.outputs["ls"].as_str().unwrap().contains("file.txt"));
}

#[tokio::test]
async fn a_lock_file_that_is_out_of_date_stops_the_job() {
    let project = Project::with_steps("step('one', async () => {})");
    let mut spec = project.spec();
    spec.content_hash = Some("0".repeat(64));
    let ran = run(spec).await;
    assert!(ran.error().starts_with("Lock file is out of date: "), "{}", ran.error());
    assert!(ran.story().is_empty());

    let mut spec = project.spec();
    let source = std::fs::read_to_string(project.repo().join(".kici/workflows/ci.ts")).unwrap();
    spec.content_hash = Some(hash::workflow_hash(&source, ""));
    assert_success(&run(spec).await);
}

#[tokio::test]
async fn broken_modules_are_explained() {
    for (body, expected) in [
        ("export default workflow('ci', {", "ci.ts:"),
        ("throw new Error('at the top');", "at the top"),
        (
            "export default workflow('other', { jobs: [] });",
            "Workflow 'ci' not found in module exports",
        ),
        ("export default workflow('ci', { jobs: [] });", "Static job 'work' not found in workflow"),
        ("import './missing.ts';", "missing.ts"),
    ] {
        let ran = Project::new(body).run().await;
        assert_eq!(word_of(&ran.result), "failed");
        assert!(ran.error().contains(expected), "{expected} is missing in {}", ran.error());
    }
}

#[tokio::test]
async fn init_prepares_the_environment() {
    let project = Project::with_job(
        "init: [{ run: 'echo FOO=$BAR >> $KICI_ENV; echo /opt/xyz/bin >> $KICI_PATH; echo ready', env: { BAR: 'bar' } }],
         steps: [step('one', async (ctx) => ({ foo: ctx.env.FOO, path: ctx.env.PATH }))]",
    );
    let ran = project.run().await;
    assert_success(&ran);
    let row = ran.row("init:0");
    assert_eq!((row.step, row.step_type.as_str()), (1_000_000, "init:0"));
    assert_eq!(ran.log(1_000_000), ["ready"]);
    assert_eq!(ran.result.outputs["one"]["foo"], "bar");
    assert!(ran.result.outputs["one"]["path"].as_str().unwrap().starts_with("/opt/xyz/bin:"));
}

#[tokio::test]
async fn a_failing_init_stops_the_job() {
    let steps = "steps: [step('one', async () => {})]";
    let ran = Project::with_job(&format!("init: {{ run: 'exit 3' }}, {steps}")).run().await;
    assert_eq!(ran.error(), "init[0] failed: exit code 3");
    assert_eq!(ran.story(), ["init:0: failed"]);
    let ran = Project::with_job(&format!("init: {{ run: 'sleep 7791', timeout: 200 }}, {steps}"))
        .run()
        .await;
    assert_eq!(ran.error(), "init[0] job_timeout: timed out after 200ms");
}

#[tokio::test]
async fn the_context_has_what_the_dispatch_says() {
    let project = Project::with_steps(
        "step('ctx', async (ctx) => ({
           matrix: ctx.matrix, fanout: ctx.fanout, provider: ctx.provider, environment: ctx.environment,
           inputs: ctx.dispatchInputs, test: ctx.isTestRun, payload: ctx.rawPayload,
           host: ctx.host, agent: ctx.agent, workflow: ctx.workflow, job: ctx.job, needs: ctx.needs === undefined,
         }))",
    );
    let mut spec = project.spec();
    spec.matrix = Some(json!({ "os": "linux" }));
    spec.fanout = Some(json!({ "index": 0, "total": 2, "first": true, "last": false }));
    spec.host = Some("web-1".to_owned());
    spec.agent = Some(json!({ "host": "web-1", "labels": ["web"], "platform": "linux" }));
    spec.provider = Some("local".to_owned());
    spec.environment = Some("prod".to_owned());
    spec.dispatch_inputs = json!({ "level": 3 });
    spec.event = json!({ "type": "push", "payload": { "x": 1 } });
    let ran = run(spec).await;
    assert_success(&ran);
    assert_eq!(
        ran.result.outputs["ctx"],
        json!({
            "matrix": { "os": "linux" },
            "fanout": { "index": 0, "total": 2, "first": true, "last": false },
            "host": "web-1",
            "agent": { "host": "web-1", "labels": ["web"], "platform": "linux" },
            "provider": "local",
            "environment": "prod",
            "inputs": { "level": 3 },
            "test": false,
            "payload": { "x": 1 },
            "workflow": { "name": "ci" },
            "job": { "name": "work", "runsOn": "linux" },
            "needs": true,
        })
    );
}

#[tokio::test]
async fn packages_are_installed_when_the_workflow_has_any() {
    let project = Project::new(
        "import { word } from 'word';
         export default workflow('ci', { jobs: [job('work', { runsOn: 'linux', steps: [
           step('one', async () => ({ word })) ] })] });",
    );
    let manifest = json!({ "type": "module", "dependencies": { "word": "file:./word" } });
    project.write(".kici/package.json", &manifest.to_string());
    project.write(
        ".kici/word/package.json",
        r#"{"name":"word","version":"1.0.0","type":"module","exports":"./index.js"}"#,
    );
    project.write(".kici/word/index.js", "export const word = 'installed';\n");
    let mut project = project;
    project.commit();
    let ran = project.run().await;
    assert_success(&ran);
    assert_eq!(ran.result.outputs["one"]["word"], "installed");
    assert!(ran.log(-1).join("\n").contains("Deps installed"));

    let manifest = json!({ "dependencies": { "word": "file:./nowhere" } });
    project.write(".kici/package.json", &manifest.to_string());
    project.write(".kici/package-lock.json", "{ broken");
    project.commit();
    let ran = project.run().await;
    assert!(ran.error().contains("npm ci"), "{}", ran.error());
    assert!(ran.log(-1).join("\n").contains("npm error"), "{:?}", ran.log(-1));
}

#[tokio::test]
async fn cancelling_while_setting_up_ends_the_job() {
    let project = Project::with_job(
        "init: { run: 'echo ready; sleep 7801' }, onCancel: async () => {}, steps: [step('one', async () => {})]",
    );
    let mut running = crate::support::start(project.spec());
    running.until_line("ready").await;
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
    assert_eq!(ran.story(), ["init:0: cancelled", "onCancel: success"]);
}

#[tokio::test]
async fn an_unreachable_repository_does_not_outlive_a_cancel() {
    // Takes connections and never says anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let project = Project::with_steps("step('one', async () => {})");
    let mut spec = project.spec();
    spec.checkout = Checkout::Git {
        url: format!("http://{}/x.git", silent.local_addr().unwrap()),
        reference: "main".to_owned(),
        sha: project.sha.clone(),
        auth: None,
    };
    let mut running = crate::support::start(spec);
    running.until_line("Cloning").await;
    let _connection = silent.accept().await.unwrap();
    running.cancel(false).await;
    let ran = running.end().await;
    assert_eq!(word_of(&ran.result), "cancelled");
}
