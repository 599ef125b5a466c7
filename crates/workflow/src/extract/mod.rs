//! From descriptions of workflow modules to the lock file: normalises what authors wrote, checks it, and
//! says what is wrong in words that an author can act on.
//!
//! The rules are those of the lock file's specification, schema 29. `describe` holds the input,
//! `kici_model::lock` the output.

mod approval;
mod assets;
mod checks;
mod dynamic;
mod jobs;
mod needs;
mod package_lock;
mod problem;
mod purity;
mod resources;
mod selector;
mod steps;
mod triggers;

use std::path::Path;

use kici_model::hash;
use kici_model::lock::{
    COMPILE_SCHEMA_VERSION, Concurrency, LockFile, LockSource, SCHEMA_VERSION, StaticJob, Workflow,
};

use crate::describe::{JobDef, ModuleDescription, WorkflowDef};

use problem::Report;
pub use problem::{Problem, Severity};

/// One entry file of the project, loaded and described.
#[derive(Debug, Clone)]
pub struct EntryFile {
    /// Path relative to the repository root, forward slashes.
    pub file: String,
    /// Its text.
    pub source: String,
    /// What it exports.
    pub description: ModuleDescription,
}

/// A lock file and what its author should know about it.
#[derive(Debug, Clone)]
pub struct Extracted {
    /// The lock file.
    pub lock: LockFile,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

/// Makes the lock file of a project whose entry files are given in file order.
///
/// Reads the files that `hashFiles` names and the package manager's lock file below `root`. With any error
/// no lock file is made; the list holds the warnings too.
pub fn extract(root: &Path, entries: &[EntryFile]) -> Result<Extracted, Vec<Problem>> {
    let mut report = Report::default();
    let mut workflows = Vec::new();
    for entry in entries {
        if entry.description.workflows.is_empty() {
            report.error(
                Problem::error(&entry.file, None, "this file exports no workflow".to_owned())
                    .code("E004")
                    .suggest("export one: export default workflow('name', { … }); helpers belong in .kici/lib/"),
            );
        }
        for def in &entry.description.workflows {
            workflows.push(workflow(root, entry, def, &mut report));
        }
    }
    checks::workflow_names(entries, &mut report);
    if report.failed() {
        return Err(report.problems);
    }
    let source =
        workflows.first().and_then(|workflow| workflow.source.clone()).unwrap_or_else(|| {
            LockSource { file: ".kici/workflows".to_owned(), export: "#default".to_owned() }
        });
    let mut lock = LockFile {
        schema_version: SCHEMA_VERSION,
        source,
        content_hash: String::new(),
        lockfile_hash: package_lock::hash(root),
        workflows,
    };
    lock.content_hash = hash::top_level_hash(&lock);
    Ok(Extracted { lock, warnings: report.problems })
}

/// The jobs that a generator gave, as a lock file would have them; `index` is the generator's place in its workflow.
///
/// Functions that compute values have to be evaluated before: there is nobody who could do it later.
pub fn generated(file: &str, index: u32, jobs: &[JobDef]) -> Result<Vec<StaticJob>, Problem> {
    let mut report = Report::default();
    let made = jobs.iter().map(|job| jobs::static_job(file, job, index, &mut report)).collect();
    match report.problems.into_iter().find(|problem| problem.severity == Severity::Error) {
        Some(problem) => Err(problem),
        None => Ok(made),
    }
}

fn workflow(root: &Path, entry: &EntryFile, def: &WorkflowDef, report: &mut Report) -> Workflow {
    let file = &entry.file;
    let option = |key: &str| def.options.get(key).filter(|value| !value.is_null());
    let hash_files: Vec<String> =
        problem::read(option("hashFiles"), file, def.location.as_ref(), "hashFiles", report);
    let resolved = assets::resolve(root, &hash_files, file, report);
    let digest = assets::digest(root, &resolved);
    let registries =
        problem::read(option("registries"), file, def.location.as_ref(), "registries", report);
    let install_env: Vec<String> =
        problem::read(option("installEnv"), file, def.location.as_ref(), "installEnv", report);
    checks::job_names(file, def, report);
    let workflow = Workflow {
        name: def.name.clone(),
        source: Some(LockSource { file: file.clone(), export: def.export.clone() }),
        content_hash: hash::workflow_hash(&entry.source, &digest),
        compile_schema_version: COMPILE_SCHEMA_VERSION,
        triggers: triggers::triggers(file, def, report),
        jobs: jobs::jobs(file, def, report),
        rules: def.rules.as_ref().map(|rules| steps::rules(file, rules, 0)),
        description: option("description").and_then(|value| value.as_str()).map(str::to_owned),
        hash_files: (!hash_files.is_empty()).then_some(hash_files),
        resolved_hash_files: (!resolved.is_empty()).then_some(resolved),
        registries: Some(registries).filter(|list: &Vec<_>| !list.is_empty()),
        install_env: Some(install_env).filter(|list| !list.is_empty()),
        has_on_cancel: def.hooks.on_cancel.is_some(),
        has_cleanup: def.hooks.cleanup.is_some(),
        has_on_success: def.hooks.on_success.is_some(),
        has_on_failure: def.hooks.on_failure.is_some(),
        concurrency: def.concurrency.as_ref().map(|concurrency| Concurrency {
            has_group: concurrency.group.is_some(),
            cancel_in_progress: concurrency.cancel_in_progress,
            max: concurrency.max.map(kici_model::js::JsNumber),
            group: dynamic::workflow_group(concurrency),
        }),
        timeout: option("timeout").and_then(|value| value.as_f64()).map(kici_model::js::JsNumber),
        approval: approval::approval(
            option("approval"),
            file,
            def.location.as_ref(),
            approval::Place::Gate,
            report,
        ),
    };
    checks::needs(file, def, report);
    workflow
}

#[cfg(test)]
mod tests;
