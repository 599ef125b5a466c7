//! `kici-admin runs rerun`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use kici_model::ids::RunId;
use kici_protocol::http::runs::RerunRun;

use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct Rerun {
    /// The run's id.
    run: RunId,
    /// Only what did not succeed, with what needs it; other jobs keep their results.
    #[arg(long, visible_alias = "failed")]
    failed_only: bool,
    /// Only this job, with what needs it. The name of a fan-out means all its children.
    #[arg(long, value_name = "NAME", conflicts_with = "failed_only")]
    job: Option<String>,
    /// Makes the same request known again: it makes one run, however often it is sent.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Rerun {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let body = RerunRun {
            failed_only: self.failed_only,
            job: self.job,
            idempotency_key: self.idempotency_key,
        };
        let made = context.client()?.run_rerun(self.run, &body).await?;
        if !context.out.json(&made)? {
            context.out.line(&format!("Run {} repeats {}.", made.run_id, self.run))?;
            context
                .out
                .line(&format!("Follow it with: kici-admin runs logs --follow {}", made.run_id))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
