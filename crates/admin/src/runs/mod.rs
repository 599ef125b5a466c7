//! `kici-admin runs`: runs of workflows, their jobs and logs.

mod graph;
mod held;
mod list;
mod logs;
mod rerun;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use kici_model::ids::RunId;

use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List runs, newest first.
    List(list::List),
    /// Show a run with its jobs, what they wait for or waited for, and what it took its time for.
    Show {
        /// The run's id.
        run: RunId,
    },
    /// List the jobs of a run.
    Jobs {
        /// The run's id.
        run: RunId,
        /// Also list their steps.
        #[arg(long)]
        include_steps: bool,
    },
    /// Show what the steps of a run wrote.
    ///
    /// Exit code: 0 once everything was shown, whatever became of the run. With --exit-status it is that of
    /// the run: 0 success, 1 failed, 2 cancelled, 3 not ended yet.
    Logs(logs::Logs),
    /// Print a run for programs: what failed and why, with everything that user code wrote marked.
    Structured {
        /// The run's id.
        run: RunId,
    },
    /// Stop a run.
    Cancel(Cancel),
    /// Run a run that has ended once more: the whole, what failed, or one job.
    Rerun(rerun::Rerun),
    /// List what waits for an approval, or show one of these.
    Held(held::Held),
    /// Let something that is held go on.
    Approve(held::Approve),
    /// Refuse something that is held: it ends, and its run fails.
    Reject(held::Reject),
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The run's id.
    run: RunId,
    /// Do not let steps clean up.
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::List(list) => list.run(context).await,
        Command::Show { run } => show::show(context, run).await,
        Command::Jobs { run, include_steps } => show::jobs(context, run, include_steps).await,
        Command::Logs(logs) => logs.run(context).await,
        Command::Rerun(rerun) => rerun.run(context).await,
        Command::Held(held) => held.run(context).await,
        Command::Approve(approve) => approve.run(context).await,
        Command::Reject(reject) => reject.run(context).await,
        Command::Structured { run } => {
            let run = context.client()?.run_structured(run).await?;
            context.out.line(&serde_json::to_string_pretty(&run)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Cancel(Cancel { run, force }) => {
            let done = context.client()?.run_cancel(run, force).await?;
            if !context.out.json(&done)? {
                let jobs = done.cancelled_jobs;
                context
                    .out
                    .line(&format!("Run {run} is {}, {jobs} job(s) stopped.", done.status))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
