//! Where the author's project is: the repository root and its `.kici` folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A repository with (or about to get) workflows.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The git root, or the folder itself where there is no git.
    pub(crate) root: PathBuf,
}

impl Project {
    /// The project that `start` lies in, which must have a `.kici` folder.
    pub(crate) fn find(start: &Path) -> anyhow::Result<Project> {
        let project = Self::at(start)?;
        if !project.kici().is_dir() {
            bail!(
                "no .kici folder in {}: run `kici init` there, or start kici inside a repository that has one",
                project.root.display()
            );
        }
        Ok(project)
    }

    /// The project that `start` lies in, with or without a `.kici` folder.
    pub(crate) fn at(start: &Path) -> anyhow::Result<Project> {
        let start = start
            .canonicalize()
            .with_context(|| format!("could not open the folder {}", start.display()))?;
        // Called from inside `.kici`, the project is its parent.
        let inside = start.ancestors().find(|dir| dir.ends_with(".kici"));
        let above = start.ancestors().find(|dir| dir.join(".kici").is_dir());
        let git = start.ancestors().find(|dir| dir.join(".git").exists());
        let root = inside.and_then(Path::parent).or(git).or(above).unwrap_or(&start);
        Ok(Project { root: root.to_owned() })
    }

    /// The `.kici` folder.
    pub(crate) fn kici(&self) -> PathBuf {
        self.root.join(".kici")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_found_from_anywhere_inside_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir_all(root.join(".kici/workflows")).unwrap();
        std::fs::create_dir_all(root.join("src/deep")).unwrap();
        for place in ["", ".kici", ".kici/workflows", "src/deep"] {
            assert_eq!(Project::find(&root.join(place)).unwrap().root, root, "from {place:?}");
        }
    }

    #[test]
    fn without_a_kici_folder_the_message_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = Project::find(dir.path()).unwrap_err().to_string();
        assert!(error.contains("run `kici init`"), "{error}");
    }
}
