//! `cargo xtask table`: runs tables of cases that are kept as files.
//!
//! `glob` and `triggers` are JSON files with cases; `lockfiles` are projects whose committed lock
//! file says what `kici compile` must write (`lockfiles`).

mod lockfiles;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use kici_model::tables::{CaseResult, TableError, run_glob, run_triggers};

use crate::report::{Counts, Outcome};
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the table is about.
    #[arg(value_enum)]
    kind: Kind,
    /// A table, or a folder of tables; for `lockfiles` a project, or a folder of projects.
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// `{pattern, path, expected}`.
    Glob,
    /// `{note, trigger, event, changedFiles, expected}`.
    Triggers,
    /// Projects with `.kici/kici.lock.json`.
    Lockfiles,
}

/// `cargo xtask table`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // Cargo starts us where the user is, not in the checkout.
    let counts = match arguments.kind {
        Kind::Glob => cases(&arguments.path, run_glob)?,
        Kind::Triggers => cases(&arguments.path, run_triggers)?,
        Kind::Lockfiles => {
            lockfiles::build()?;
            lockfiles::run(&arguments.path)?
        }
    };
    println!("{counts}");
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tables in this repository, as a stage.
pub(crate) fn stage() -> Result<Outcome> {
    let fixtures = workspace::root().join("crates/model/tests/fixtures");
    let mut counts = cases(&fixtures.join("glob-matching.json"), run_glob)?;
    counts.add(cases(&fixtures.join("trigger-matching.json"), run_triggers)?);
    counts.add(lockfiles::run(&fixtures.join("lockfiles"))?);
    Ok(Outcome::Ran(counts))
}

/// Runs one table, or every table of a folder; shows what failed.
fn cases(path: &Path, run: impl Fn(&str) -> Result<Vec<CaseResult>, TableError>) -> Result<Counts> {
    let mut counts = Counts::default();
    for file in json_files(path)? {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        for case in run(&text).with_context(|| format!("in {}", file.display()))? {
            counts.add(Counts::of(case.passed));
            if !case.passed {
                println!("failed: {}: {}", case.name, case.detail);
            }
        }
    }
    Ok(counts)
}

fn json_files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in
        std::fs::read_dir(path).with_context(|| format!("no table at {}", path.display()))?
    {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!("{} holds no .json file", path.display());
    }
    files.sort();
    Ok(files)
}
