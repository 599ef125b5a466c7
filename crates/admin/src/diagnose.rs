//! `kici-admin diagnose`: is the orchestrator well?

use std::process::ExitCode;

use anyhow::Result;
use kici_protocol::http::service::{CheckStatus, Overall};

use crate::context::Context;
use crate::failure;

pub(crate) async fn run(context: &mut Context) -> Result<ExitCode> {
    let diagnosis = match context.any_client()?.diagnose().await {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            failure::report(&error.into());
            return Ok(ExitCode::from(2));
        }
    };
    let (word, code) = match diagnosis.status {
        Overall::Healthy => ("healthy", 0),
        Overall::Degraded => ("degraded", 1),
        Overall::Unhealthy => ("unhealthy", 2),
    };
    let out = &mut context.out;
    if out.json(&diagnosis)? {
        return Ok(ExitCode::from(code));
    }
    match diagnosis.checks {
        None => out.line("Checks are shown to callers with a token only.")?,
        Some(checks) => {
            let rows: Vec<[String; 4]> = checks
                .into_iter()
                .map(|check| {
                    let status = match check.status {
                        CheckStatus::Pass => "pass",
                        CheckStatus::Warn => "WARN",
                        CheckStatus::Fail => "FAIL",
                    };
                    [status.into(), check.name, check.message, format!("{} ms", check.duration_ms)]
                })
                .collect();
            out.table(["Status", "Check", "Message", "Duration"], &rows)?;
        }
    }
    out.line(&format!("Overall: {word}"))?;
    Ok(ExitCode::from(code))
}
