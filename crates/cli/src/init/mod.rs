//! `kici init`: a repository that compiles, and type-checks in an editor without npm.
//!
//! Files of the author are never overwritten; the type declarations belong to this program and are renewed.

mod files;

use std::path::Path;

use anyhow::Context;

use crate::project::Project;
use files::{FILES, Owner};

/// What happened to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Created,
    Renewed,
    Kept,
}

/// Sets the project up and says what was done.
pub(crate) fn init(start: &Path) -> anyhow::Result<()> {
    let project = Project::at(start)?;
    println!("Setting up KiCI in {}", project.root.display());
    let mut created = false;
    let has_workflows = has_workflows(&project);
    for file in FILES {
        if file.sample && has_workflows {
            continue;
        }
        let path = project.root.join(file.path);
        let done = put(&path, (file.content)(), file.owner)?;
        created |= done == Done::Created;
        let what = match done {
            Done::Created => "created",
            Done::Renewed => "renewed",
            Done::Kept => "kept",
        };
        println!("  {what:<8} {}", file.path);
    }
    if !project.root.join(".git").exists() {
        println!("\nThis folder is no git repository yet: `git init` makes it one.");
    }
    if created {
        println!("\nNext:");
        println!("  kici compile      write .kici/kici.lock.json; commit it with the workflows");
        println!("  kici run local    run the workflow here and now");
        println!("  kici dev          run it on every commit");
    } else {
        println!("\nNothing was missing.");
    }
    Ok(())
}

fn has_workflows(project: &Project) -> bool {
    let Ok(entries) = std::fs::read_dir(project.kici().join("workflows")) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".ts"))
}

/// Writes one file, unless it is the author's and there already.
fn put(path: &Path, content: &str, owner: Owner) -> anyhow::Result<Done> {
    let old = match std::fs::read_to_string(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    };
    let done = match (&old, owner) {
        (None, _) => Done::Created,
        (Some(old), Owner::Kici) if old != content => Done::Renewed,
        (Some(_), _) => return Ok(Done::Kept),
    };
    let folder = path.parent().expect("every file lies in the project");
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the folder {}", folder.display()))?;
    std::fs::write(path, content).with_context(|| format!("could not write {}", path.display()))?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_keeps_what_the_author_changed_and_renews_the_types() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        let workflow = dir.path().join(".kici/workflows/ci.ts");
        let types = dir.path().join(".kici/types/kici-sdk.d.ts");
        std::fs::write(&workflow, "// mine").unwrap();
        std::fs::write(&types, "// old").unwrap();

        init(dir.path()).unwrap();

        assert_eq!(std::fs::read_to_string(&workflow).unwrap(), "// mine");
        assert_eq!(std::fs::read_to_string(&types).unwrap(), kici_workflow::sdk_types());
    }

    #[test]
    fn no_sample_beside_workflows_of_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let workflows = dir.path().join(".kici/workflows");
        std::fs::create_dir_all(&workflows).unwrap();
        std::fs::write(workflows.join("release.ts"), "// mine").unwrap();
        init(dir.path()).unwrap();
        assert!(!workflows.join("ci.ts").exists());
        assert!(dir.path().join(".kici/tsconfig.json").exists());
    }
}
