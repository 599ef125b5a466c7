//! `cargo xtask test`: everything that CI does, in order, with a sum at the end.
//!
//! A failed stage does not hide the next ones; only without the tools or a build is there nothing
//! more to learn.

mod counts;
mod stages;

use std::process::ExitCode;

use anyhow::Result;

use crate::report::Report;
use crate::{arrows, chaos, demo, setup, sqlx, table};

/// `cargo xtask test`.
pub(crate) fn run() -> Result<ExitCode> {
    let mut report = Report::default();
    if !report.stage("setup", || stages::done(setup::ensure())) {
        return Ok(report.finish());
    }
    let generated = stages::generated()?;
    checks(&mut report);
    report.stage("deny", stages::deny);
    report.stage("sdk", stages::sdk);
    if report.stage("build", stages::build) {
        report.stage("tests", stages::tests);
        report.stage("doc tests", stages::doc_tests);
        report.stage("tables", table::stage);
        report.stage("demo", demo::stage);
        report.stage("chaos", chaos::stage);
    }
    report.stage("generated", || stages::unchanged(&generated));
    Ok(report.finish())
}

/// `cargo xtask lint`: what needs no tests.
pub(crate) fn lint() -> Result<ExitCode> {
    let mut report = Report::default();
    if report.stage("setup", || stages::done(setup::ensure())) {
        checks(&mut report);
    }
    Ok(report.finish())
}

fn checks(report: &mut Report) {
    report.stage("format", stages::format);
    report.stage("arrows", arrows::stage);
    report.stage("clippy", stages::clippy);
    report.stage("sqlx", sqlx::stage);
}
