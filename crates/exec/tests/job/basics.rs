//! A job from checkout to result.

use crate::support::{Project, assert_success};

#[tokio::test]
async fn a_job_runs_its_steps_and_gives_their_outputs() {
    let project = Project::with_steps(
        "step('hello', async (ctx) => {
           ctx.log.info('hello');
           await ctx.$`echo from bash; echo to stderr >&2`;
           return { version: '1.2.3' };
         }),
         step('next', async (ctx) => ({ again: ctx.job.name, pwd: (await ctx.$`pwd`).stdout.trim() }))",
    );
    let spec = project.spec();
    let workspace = spec.workspace.clone();
    let ran = crate::support::run(spec).await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["hello: success", "next: success"]);
    let log = ran.log(0);
    for line in ["[hello] hello", "from bash", "to stderr"] {
        assert!(log.iter().any(|l| l == line), "{line} is missing in {log:?}");
    }
    assert_eq!(ran.result.outputs["hello"]["version"], "1.2.3");
    assert_eq!(ran.result.outputs["next"]["again"], "work");
    assert_eq!(
        ran.result.outputs["next"]["pwd"].as_str().unwrap(),
        workspace.canonicalize().unwrap().to_str().unwrap()
    );
    let setup = ran.log(-1).join("\n");
    for line in [
        "Cloning file://",
        "Clone complete",
        "Engine: embedded",
        "Loading workflow module",
        "Workflow module loaded",
    ] {
        assert!(setup.contains(line), "{line} is missing in\n{setup}");
    }
}
