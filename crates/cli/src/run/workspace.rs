//! The folder that a local job runs in: a copy of the working tree, so that jobs cannot hurt it.
//!
//! The copy has what git knows or would add (uncommitted changes too), not what it ignores. Without git
//! everything but `node_modules` is copied.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::project::Project;

/// Copies the project into `target`.
pub(super) fn copy(project: &Project, target: &Path) -> anyhow::Result<()> {
    for file in files(project)? {
        let from = project.root.join(&file);
        let to = target.join(&file);
        // Listed by git but deleted in the working tree.
        let Ok(meta) = from.symlink_metadata() else { continue };
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("could not make the folder {}", parent.display()))?;
        }
        let copied = if meta.is_symlink() {
            std::fs::read_link(&from).and_then(|link| std::os::unix::fs::symlink(link, &to))
        } else if meta.is_dir() {
            // A submodule or a nested repository: its folder is all that the outer one has.
            std::fs::create_dir_all(&to)
        } else {
            std::fs::copy(&from, &to).map(drop)
        };
        copied.with_context(|| format!("could not copy {} into the workspace", from.display()))?;
    }
    let git = project.root.join(".git");
    if git.is_dir() {
        link_history(&git, target)?;
    }
    Ok(())
}

/// Gives the copy the repository's history without copying it.
fn link_history(git: &Path, target: &Path) -> anyhow::Result<()> {
    let status = Command::new("git")
        .args(["clone", "--quiet", "--shared", "--no-checkout"])
        .arg(git.parent().expect("`.git` lies in the project"))
        .arg(target.join(".kici-git"))
        .stderr(std::process::Stdio::null())
        .status()
        .context("could not start git")?;
    if !status.success() {
        // A repository without commits: the job runs without one.
        return Ok(());
    }
    std::fs::rename(target.join(".kici-git/.git"), target.join(".git"))
        .context("could not move the repository into the workspace")?;
    std::fs::remove_dir(target.join(".kici-git")).context("could not tidy the workspace")?;
    Command::new("git")
        .arg("-C")
        .arg(target)
        .args(["reset", "--quiet"])
        .status()
        .context("could not start git")?;
    Ok(())
}

fn files(project: &Project) -> anyhow::Result<Vec<PathBuf>> {
    if !project.root.join(".git").exists() {
        let mut found = Vec::new();
        walk(&project.root, Path::new(""), &mut found)?;
        return Ok(found);
    }
    let output = Command::new("git")
        .arg("-C")
        .arg(&project.root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("could not start git")?;
    if !output.status.success() {
        bail!("git could not list the files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let list = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(list
        .map(|name| {
            use std::os::unix::ffi::OsStrExt;
            PathBuf::from(std::ffi::OsStr::from_bytes(name))
        })
        .collect())
}

fn walk(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let folder = root.join(below);
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("could not read the folder {}", folder.display()))?;
    for entry in entries {
        let entry =
            entry.with_context(|| format!("could not read the folder {}", folder.display()))?;
        let path = below.join(entry.file_name());
        let kind =
            entry.file_type().with_context(|| format!("could not look at {}", path.display()))?;
        if kind.is_dir() {
            if entry.file_name() != "node_modules" {
                walk(root, &path, found)?;
            }
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_copy_has_uncommitted_files_history_and_nothing_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        git(root, &["init", "-q", "-b", "main"]);
        git(root, &["config", "user.email", "a@example.com"]);
        git(root, &["config", "user.name", "a"]);
        std::fs::write(root.join(".gitignore"), "secret.txt\n").unwrap();
        std::fs::write(root.join("gone.txt"), "1").unwrap();
        git(root, &["add", "."]);
        git(root, &["commit", "-q", "-m", "one"]);
        std::fs::write(root.join("secret.txt"), "no").unwrap();
        std::fs::write(root.join("new.txt"), "yes").unwrap();
        std::fs::remove_file(root.join("gone.txt")).unwrap();

        let target = tempfile::tempdir().unwrap();
        copy(&Project { root: root.to_owned() }, target.path()).unwrap();

        assert!(target.path().join("new.txt").exists());
        assert!(!target.path().join("secret.txt").exists());
        assert!(!target.path().join("gone.txt").exists());
        let status = git(target.path(), &["status", "--porcelain"]);
        assert_eq!(status, " D gone.txt\n?? new.txt\n");
        assert_eq!(git(target.path(), &["log", "--format=%s"]), "one\n");
    }
}
