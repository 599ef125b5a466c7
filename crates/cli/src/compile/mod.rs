//! `kici compile`: checks the workflows and writes `.kici/kici.lock.json`.
//!
//! `entries` finds and loads the workflow files (`failure`: why one does not load), `kici_workflow::extract` makes the lock file, `report` shows
//! what is wrong, `watch` repeats it all while the author edits.

mod entries;
mod failure;
mod report;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use kici_model::lock::{JobEntry, LockFile};
use kici_workflow::extract::{self, Problem};

use crate::project::Project;
use report::Report;

/// The lock file, relative to the repository root.
const LOCK_FILE: &str = ".kici/kici.lock.json";

/// Options of `kici compile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check only: write nothing.
    #[arg(long, conflicts_with = "watch")]
    check: bool,
    /// Compile again whenever a workflow changes, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Compiles; the exit code says whether the workflows are right.
pub(crate) async fn compile(start: &Path, args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(start)?;
    if args.watch {
        return watch::watch(&project).await;
    }
    Ok(if once(&project, args.check).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lock file of the workflows as they are now, for programs that run them.
pub(crate) async fn compiled(project: &Project) -> anyhow::Result<LockFile> {
    match build(project).await {
        Ok((lock, warnings)) => {
            report::print(&project.root, &warnings);
            Ok(lock)
        }
        Err(problems) => {
            let report = report::print(&project.root, &problems);
            bail!("the workflows do not compile: {report}");
        }
    }
}

/// Compiles once and tells the result; false when something is wrong.
async fn once(project: &Project, check_only: bool) -> anyhow::Result<bool> {
    let started = Instant::now();
    let (lock, report) = match build(project).await {
        Ok((lock, warnings)) => (lock, report::print(&project.root, &warnings)),
        Err(problems) => {
            let report = report::print(&project.root, &problems);
            eprintln!("{report}; {LOCK_FILE} stays as it is");
            return Ok(false);
        }
    };
    let path = project.root.join(LOCK_FILE);
    let text = lock.to_json();
    let unchanged = std::fs::read(&path).is_ok_and(|old| old == text.as_bytes());
    let ending = match (unchanged, check_only) {
        (true, _) => format!("{LOCK_FILE} is up to date"),
        (false, true) => format!("{LOCK_FILE} is out of date: run `kici compile` and commit it"),
        (false, false) => {
            write(&path, &text)?;
            format!("wrote {LOCK_FILE}")
        }
    };
    println!("{}{report}; {ending} ({} ms)", counted(&lock), started.elapsed().as_millis());
    Ok(true)
}

/// Loads the workflow files and makes the lock file. All problems are gathered before giving up.
async fn build(project: &Project) -> Result<(LockFile, Vec<Problem>), Vec<Problem>> {
    let entries = entries::load(project).await?;
    let root = project.root.clone();
    let extracted = tokio::task::spawn_blocking(move || extract::extract(&root, &entries))
        .await
        .expect("extracting does not panic")?;
    Ok((extracted.lock, extracted.warnings))
}

/// Writes through a file beside it, so that nobody ever reads half a lock file.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().expect("the lock file lies in .kici");
    let could_not = || format!("could not write {}", path.display());
    let file = tempfile::Builder::new()
        .prefix(".kici.lock.")
        .tempfile_in(folder)
        .with_context(could_not)?;
    std::fs::write(file.path(), text).with_context(could_not)?;
    make_readable(file.path()).with_context(could_not)?;
    file.persist(path).with_context(could_not)?;
    Ok(())
}

/// Temporary files are private; a committed file is not.
#[cfg(unix)]
fn make_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

fn counted(lock: &LockFile) -> String {
    let jobs: usize = lock.workflows.iter().map(|workflow| workflow.jobs.len()).sum();
    let generators = lock.workflows.iter().flat_map(|workflow| &workflow.jobs);
    let generators = generators.filter(|job| matches!(job, JobEntry::Dynamic(_))).count();
    let mut text = format!("{}, {}", many(lock.workflows.len(), "workflow"), many(jobs, "job"));
    if generators > 0 {
        text.push_str(&format!(" ({})", many(generators, "generator")));
    }
    text
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.errors, self.warnings) {
            (0, 0) => Ok(()),
            (0, warnings) => write!(f, ", {}", many(warnings, "warning")),
            (errors, 0) => f.write_str(&many(errors, "error")),
            (errors, warnings) => {
                write!(f, "{}, {}", many(errors, "error"), many(warnings, "warning"))
            }
        }
    }
}
