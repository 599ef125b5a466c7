//! Idempotent steps and check mode.

use serde_json::json;

use crate::support::{Project, Ran, assert_success, run};

fn project(drift: &str) -> Project {
    Project::with_steps(&format!(
        "checkStep('config', {{
           check: async () => ({drift}),
           apply: async (ctx, drift) => {{ ctx.log.info('applied ' + drift.lines); return {{ done: true }}; }},
           summarize: (drift) => `${{drift.lines}} lines differ`,
           whenInSync: async () => ({{ done: false }}),
         }}),
         step('plain', async () => {{}})"
    ))
}

async fn in_mode(drift: &str, mode: &str) -> Ran {
    let mut spec = project(drift).spec_kept();
    spec.0.check_mode = Some(mode.to_owned());
    run(spec.0).await
}

impl Project {
    /// A specification together with the files that it needs.
    fn spec_kept(self) -> (kici_exec::spec::JobSpec, Self) {
        (self.spec(), self)
    }
}

#[tokio::test]
async fn drift_is_repaired_when_applying() {
    let ran = in_mode("{ lines: 3 }", "apply").await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["config: success", "plain: success"]);
    let data = ran.row("config").data;
    assert_eq!(data["checkOutcome"], "applied");
    assert_eq!(data["driftSummary"], "3 lines differ");
    assert_eq!(data["drift"], json!({ "lines": 3 }));
    assert_eq!(ran.result.outputs["config"]["done"], true);
    assert!(ran.log(0).iter().any(|line| line == "[config] applied 3"));
}

#[tokio::test]
async fn without_drift_nothing_runs() {
    let ran = in_mode("null", "apply").await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["config: skipped", "plain: success"]);
    assert_eq!(ran.row("config").data["checkOutcome"], "skipped");
    assert_eq!(ran.result.outputs["config"]["done"], false);
}

#[tokio::test]
async fn checking_reports_and_changes_nothing() {
    let ran = in_mode("{ lines: 3 }", "check").await;
    assert_success(&ran);
    assert_eq!(ran.story(), ["config: success", "plain: skipped"]);
    assert_eq!(ran.row("config").data["checkOutcome"], "dry-run");
    assert_eq!(ran.row("plain").data["checkOutcome"], "no_check");
    assert!(!ran.all_logs().contains("applied"));

    let ran = in_mode("{ lines: 3 }", "check-fail-on-drift").await;
    assert_eq!(ran.error(), "drift found by: config");
    assert_success(&in_mode("null", "check-fail-on-drift").await);
}
