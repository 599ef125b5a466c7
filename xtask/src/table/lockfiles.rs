//! Compiles projects and compares the lock files with those that the projects bring along.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kici_model::tables::compare_lock;

use crate::report::Counts;
use crate::workspace::{self, Profile};
use crate::{installation, setup, shell};

/// Where a project keeps its lock file.
const LOCK_FILE: &str = ".kici/kici.lock.json";

/// Builds `kici`, and what that needs.
pub(super) fn build() -> Result<()> {
    setup::ensure()?;
    shell::run(workspace::cargo().args(["build", "--quiet", "--workspace", "--bin", "kici"]))
}

/// Runs one project, or every project of a folder.
pub(super) fn run(path: &Path) -> Result<Counts> {
    let mut counts = Counts::default();
    for project in projects(path)? {
        let name = project.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match differences(&project) {
            Ok(differences) if differences.is_empty() => {
                println!("same: {name}");
                counts.add(Counts::PASSED);
            }
            Ok(differences) => {
                println!("differs: {name}");
                for difference in differences {
                    println!("  {difference}");
                }
                counts.add(Counts::FAILED);
            }
            Err(error) => {
                println!("failed: {name}: {error:#}");
                counts.add(Counts::FAILED);
            }
        }
    }
    Ok(counts)
}

fn projects(path: &Path) -> Result<Vec<PathBuf>> {
    if path.join(LOCK_FILE).is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut projects = Vec::new();
    for entry in
        std::fs::read_dir(path).with_context(|| format!("no project at {}", path.display()))?
    {
        let project = entry?.path();
        if project.join(LOCK_FILE).is_file() {
            projects.push(project);
        }
    }
    if projects.is_empty() {
        bail!("{} holds no project with {LOCK_FILE}", path.display());
    }
    projects.sort();
    Ok(projects)
}

/// Compiles a copy of the project, so that the project itself stays as it is.
fn differences(project: &Path) -> Result<Vec<String>> {
    let copy = tempfile::Builder::new().prefix("kici-table-").tempdir()?;
    copy_tree(project, copy.path())?;
    let theirs = std::fs::read_to_string(copy.path().join(LOCK_FILE))?;
    std::fs::remove_file(copy.path().join(LOCK_FILE))?;
    installation::compile(Profile::Debug, copy.path())?;
    let ours = std::fs::read_to_string(copy.path().join(LOCK_FILE))
        .context("`kici compile` wrote no lock file")?;
    Ok(compare_lock(&ours, &theirs).iter().map(ToString::to_string).collect())
}

/// Copies contents only: a read-only project gets a writable copy.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in
        std::fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?
    {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &copy)?;
        } else {
            let content = std::fs::read(&source)
                .with_context(|| format!("could not read {}", source.display()))?;
            std::fs::write(&copy, content)?;
        }
    }
    Ok(())
}
